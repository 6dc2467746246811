"""One shard written: its values, its columns, its texts."""

import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Num

from at_data.files import WRITTEN_BYTES, write_pieces
from at_data.headers import FORMAT
from at_data.shards.extents import Extents
from at_data.shards.files import plugin

# A compressed shard of real frames is cut into chunks of about this size: an item of half a second fills one. Larger
# ones would be unpacked whole for each item of a random batch.
CHUNK_BYTES = 1 << 14

ERRNO = re.compile(r"errno = (\d+)")  # in what HDF5 says of a call of the system that failed


def write_shard(
    path: Path,
    header_digest: str,
    blocks: Iterable[Float[np.ndarray, "..."]] | None,
    shape: tuple[int, int, int],
    columns: Mapping[str, Num[np.ndarray, "items"]],
    ids: Sequence[str],
    waveforms: Sequence[str],
    *,
    target: str,
    dtype: str,
    compression: str,
    real: Extents | None = None,
) -> str:
    """SHA-256 of the shard written: `x`, `target`, attributes as integers, `id`, `waveform`.

    Blocks are whole items (block x frames x bins) or, where `real` says which frames those are, real frames
    (block x bins), as many as `real` counts; then `start`, `first` and `length` say where they belong. A block may lie
    in the memory of the one before; None leaves the values out, for a shard that is only weighed. The caller forces the
    file to disk and renames it. The bytes depend on the arguments alone.

    ValueError where the blocks do not hold as many rows as they should.
    """
    with _created(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["dataset"] = header_digest
        for name, texts in (("id", ids), ("waveform", waveforms)):
            file.create_dataset(name, data=_fixed_width(texts), track_times=False)
        file.create_dataset("target", data=columns[target].astype(np.int64), track_times=False)
        group = file.create_group("attributes", track_times=False)
        for name, codes in sorted(columns.items()):
            group.create_dataset(name, data=codes.astype(np.int64), track_times=False)
        if real is not None:
            for name, places in (("start", real.starts), ("first", real.firsts), ("length", real.lengths)):
                file.create_dataset(name, data=places, track_times=False)
        whole = shape if real is None else (real.frames, shape[2])
        x = file.create_dataset("x", whole, dtype, track_times=False, **_filters(compression, whole, dtype))
        wanted, row = iter(blocks or ()), 0
        for block in wanted:
            x[row : row + len(block)] = block
            row += len(block)
            if compression == "none" and row:
                break  # there is room for all of it now
        place = x.id.get_offset()
    begin = None if place is None else place + row * math.prod(whole[1:]) * np.dtype(dtype).itemsize
    digest, more = _append(path, begin, wanted, dtype)
    if blocks is not None and row + more != whole[0]:
        raise ValueError(f"{path}: {row + more} rows came, {whole[0]} were expected")
    return digest


@contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    """A new file; where the system refuses a write, h5py tells of it otherwise while it closes one."""
    try:
        # not locked: the work folder is one build's alone, and HDF5 fails where the file system refuses locks
        with h5py.File(path, "w", libver=("v110", "v110"), locking=False, track_times=False) as file:
            yield file
    except RuntimeError as error:
        told = ERRNO.search(str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(path)) from error


def _append(path: Path, begin: int | None, blocks: Iterable[Float[np.ndarray, "..."]], dtype: str) -> tuple[str, int]:
    """SHA-256 of a file, and how many rows of blocks were written into it from a place on.

    No place is none: HDF5 has written all there is, in chunks, or there is nothing.
    """
    rows = 0
    with path.open("rb+", WRITTEN_BYTES) as file:
        before = file.read(-1 if begin is None else begin)
        digest, place = hashlib.sha256(before), len(before)
        for block in blocks:
            values = np.ascontiguousarray(block, dtype).data
            write_pieces(file, place, values)
            place += values.nbytes
            digest.update(values)
            rows += len(block)
        digest.update(file.read())
    return digest.hexdigest(), rows


def chunk(shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """Shape of one chunk of a compressed `x`: an item, or some real frames."""
    rows = 1 if len(shape) > 2 else max(1, CHUNK_BYTES // (shape[1] * np.dtype(dtype).itemsize))  # noqa: PLR2004
    return (min(rows, shape[0]), *shape[1:])


def _fixed_width(texts: Sequence[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(map(len, encoded), default=1)))


def _filters(compression: str, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    if compression == "none" or not shape[0]:
        return {}
    codecs = plugin()
    return {"chunks": chunk(shape, dtype), "compression": {"zstd": codecs.Zstd, "lz4": codecs.LZ4}[compression]()}
