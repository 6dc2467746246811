"""The HDF5 shards of a dataset: written and read."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Int64, Num

from at_data import headers
from at_data.errors import ShardError
from at_data.headers import FORMAT, Header

UNKNOWN = -1  # code of an attribute a recording does not have
TEXTS = ("id", "waveform")
TODO = "run `at-prepare verify`, then build again"
BROKEN = (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError)
CHUNK_BYTES = 1 << 20  # compressed shards are cut into chunks of about this size


def write_shard(
    path: Path,
    header_digest: str,
    blocks: Iterable[Float[np.ndarray, "block frames bins"]],
    shape: tuple[int, int, int],
    columns: Mapping[str, Num[np.ndarray, "items"]],
    ids: Sequence[str],
    waveforms: Sequence[str],
    *,
    target: str,
    dtype: str,
    compression: str,
) -> str:
    """SHA-256 of the shard written: `x` from blocks of rows, `target`, attributes as integers, `id`, `waveform`.

    The file is closed, forced to disk and read back for the hash; the caller renames it. The bytes depend on the
    arguments alone.
    """
    # not locked: the work folder is one build's alone, and HDF5 fails where the file system refuses locks
    with h5py.File(path, "w", libver=("v110", "v110"), locking=False) as file:
        file.attrs["format"] = FORMAT
        file.attrs["dataset"] = header_digest
        for name, texts in (("id", ids), ("waveform", waveforms)):
            file.create_dataset(name, data=_fixed_width(texts), track_times=False)
        file.create_dataset("target", data=columns[target].astype(np.int64), track_times=False)
        group = file.create_group("attributes")
        for name, codes in sorted(columns.items()):
            group.create_dataset(name, data=codes.astype(np.int64), track_times=False)
        x = file.create_dataset("x", shape, dtype, track_times=False, **_filters(compression, shape, dtype))
        row = 0
        for block in blocks:
            x[row : row + len(block)] = block
            row += len(block)
    with path.open("rb+") as written:
        os.fsync(written.fileno())
    return sha256(path)


def check_compression(compression: str) -> None:
    """Nothing, or ShardError where a compression needs a package that is not installed."""
    if compression != "none":
        _plugin(compression)


def _fixed_width(texts: Sequence[str]) -> np.ndarray:
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", max(map(len, encoded), default=1)))


def _filters(compression: str, shape: tuple[int, int, int], dtype: str) -> dict[str, Any]:
    if compression == "none" or not shape[0]:
        return {}
    plugin = _plugin(compression)
    item_bytes = shape[1] * shape[2] * np.dtype(dtype).itemsize
    rows = min(shape[0], max(1, CHUNK_BYTES // item_bytes))
    return {"chunks": (rows, *shape[1:]), "compression": {"zstd": plugin.Zstd, "lz4": plugin.LZ4}[compression]()}


def _plugin(compression: str) -> Any:
    try:
        import hdf5plugin  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise ShardError(
            "store.compression",
            f"'{compression}' without the package hdf5plugin",
            "hdf5plugin installed",
            "pip install 'anti-transfer[compress]'",
        ) from error
    return hdf5plugin


class SplitReader:
    """The items of one split, read in any order from any thread or process.

    Uncompressed shards are mapped into memory, so an item costs one copy and HDF5 takes no part in it; compressed ones
    go through HDF5 with a handle per process. Nothing is opened before the first read, and a pickled or forked reader
    opens its own.
    """

    def __init__(self, folder: Path, header: Header, split: str) -> None:
        self.folder = folder
        self.header = header
        self.name = split
        self.shape = (header.frames, header.bins)
        self.dtype = np.dtype(header.dtype)
        self._shards = [shard for shard in header.shards if shard.split == split and shard.items]
        self._starts = np.cumsum([0] + [shard.items for shard in self._shards])
        self._arrays: dict[tuple[int, int], Any] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    @cached_property
    def ids(self) -> list[str]:
        """Item ids, in row order."""
        return self._texts("id")

    @cached_property
    def waveforms(self) -> list[str]:
        """Hashes of the recordings the items were cut from, as decoded, in row order."""
        return self._texts("waveform")

    def codes(self, attribute: str) -> Int64[np.ndarray, "items"]:
        """Codes of an attribute, in row order; -1 where the recording has none."""
        if attribute not in self.header.attributes:
            known = ", ".join(self.header.attributes)
            raise ShardError(self.folder, f"no attribute '{attribute}'", f"one of: {known}", "choose one of those")
        columns = list(self._columns(f"attributes/{attribute}"))
        codes: np.ndarray = np.concatenate(columns) if columns else np.zeros(0, np.int64)
        values = len(self.header.attributes[attribute])
        if codes.size and not UNKNOWN <= codes.min() <= codes.max() < values:
            came = f"codes of {attribute} from {codes.min()} to {codes.max()}"
            raise ShardError(self.folder, came, f"{UNKNOWN} to {values - 1}", TODO)
        return codes

    def read(
        self, rows: Int64[np.ndarray, "batch"], out: Num[np.ndarray, "batch frames bins"] | None = None
    ) -> Num[np.ndarray, "batch frames bins"]:
        """Items at these rows, in this order, in the stored type (or cast into `out`)."""
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        inside = (rows - self._starts[shards]).tolist()
        which = shards.tolist()
        arrays = {shard: self._array(shard) for shard in set(which)}
        if out is None:  # not before the shards are known to hold what the header says
            out = np.empty((len(rows), *self.shape), self.dtype)
        for place, shard in enumerate(which):
            out[place] = arrays[shard][inside[place]]
        return out

    def _texts(self, name: str) -> list[str]:
        columns = list(self._columns(name))
        try:
            return [item.decode() for column in columns for item in column.tolist()]
        except UnicodeDecodeError as error:
            raise ShardError(self.folder, f"a {name} that is not in UTF-8", "text", TODO) from error

    def _columns(self, name: str) -> Iterator[np.ndarray]:
        for shard in self._shards:
            with _open(self.folder / shard.file) as file, reading(self.folder / shard.file):
                column = member(file, name)
                if column.shape != (shard.items,) or column.dtype.kind != ("S" if name in TEXTS else "i"):
                    raise ValueError(f"{name} of shape {column.shape} and type {column.dtype}")
                in_one_piece(column)
                values = column[:]
            yield values

    def _array(self, shard: int) -> Any:
        key = (os.getpid(), shard)
        if key not in self._arrays:
            self._arrays[key] = self._map(self.folder / self._shards[shard].file, self._shards[shard].items)
        return self._arrays[key]

    def _map(self, path: Path, items: int) -> Any:
        if self.header.compression != "none":
            _plugin(self.header.compression)
            with reading(path):
                return self._packed(member(_open(path), "x"), items)
        with _open(path) as file, reading(path):
            x = member(file, "x")
            offset, found = x.id.get_offset(), x.shape
            if x.dtype != self.dtype:
                raise ValueError(f"x of type {x.dtype}")
        if offset is None or found != (items, *self.shape):
            raise ShardError(
                path,
                f"x of shape {found}",
                f"{(items, *self.shape)} in one piece",
                TODO,
            )
        with reading(path):
            # np.asarray: a plain view; indexing a memmap object costs more than copying the item
            return np.asarray(np.memmap(path, self.dtype, "r", offset, found))

    def _packed(self, x: Any, items: int) -> Any:
        """The dataset itself; ValueError where its shape, type or pieces are not those that `write_shard` makes."""
        item_bytes = self.shape[0] * self.shape[1] * self.dtype.itemsize
        if x.shape != (items, *self.shape) or x.dtype != self.dtype:
            raise ValueError(f"x of shape {x.shape} and type {x.dtype}")
        if x.chunks is None or x.chunks[1:] != self.shape or x.chunks[0] * item_bytes > max(CHUNK_BYTES, item_bytes):
            raise ValueError(f"x in pieces of {x.chunks}")
        return x


class Dataset:
    """A finished dataset folder."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold items."""
        return tuple(name for name, count in self.header.counts.items() if count)

    def split(self, name: str) -> SplitReader:
        """Reader of one split."""
        if name not in self.splits:
            raise ShardError(
                self.folder, f"no split '{name}'", f"one of: {', '.join(self.splits)}", "choose one of those"
            )
        return SplitReader(self.folder, self.header, name)


def open_dataset(folder: Path) -> Dataset:
    """Dataset in a folder; its shards are opened when first read."""
    return Dataset(folder, headers.read(folder))


def member(file: Any, name: str) -> Any:
    """Dataset of that name that lies in the very file; ValueError for any other: HDF5 follows links to any file."""
    *above, _ = name.split("/")
    for place in ("/".join(above), name) if above else (name,):
        if not isinstance(file.get(place, getlink=True), h5py.HardLink):
            raise ValueError(f"{place} is absent, or a link")  # noqa: TRY004 - told as all that is wrong
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{name} is no dataset, or lies in another file")
    return found


def in_one_piece(column: Any) -> None:
    """ValueError where a column is packed, or not wholly in the file: a few bytes can claim to be a great many."""
    if column.chunks is not None or (column.nbytes and column.id.get_storage_size() != column.nbytes):
        raise ValueError(f"{column.name} is not whole, or in pieces")
    if column.nbytes > Path(column.file.filename).stat().st_size:
        raise ValueError(f"{column.name} is larger than its file")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, whatever HDF5 and h5py raise of bytes that are no shard is told as ShardError."""
    try:
        yield
    except BROKEN as error:
        came = f"cannot be read ({str(error)[:300] or type(error).__name__})"
        raise ShardError(path, came, "a whole shard", TODO) from error


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> Any:
    try:
        # finished shards never change: no lock, so network file systems without locks serve them too
        return h5py.File(path, "r", locking=False)
    except BROKEN as error:
        raise ShardError(path, f"cannot be opened ({error})", "a whole shard", TODO) from error
