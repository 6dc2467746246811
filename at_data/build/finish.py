"""A part file -> its shard: rows in their final order, scaled, in the stored type."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from jaxtyping import Float, Float32, Int64

from at_data import seeds, shards
from at_data.build import stopwatch
from at_data.build.parts import made_path, part_path
from at_data.errors import ShardError
from at_data.stages import spectra

BLOCK = 16  # items scaled and written at a time: 1 MB of float32 for one-second items, what a cache holds


@dataclass(frozen=True, slots=True)
class Finish:
    """What turns a part into its shard: rows to take in order, their columns and ids, and the scale of all."""

    number: int
    file: str
    rows: Int64[np.ndarray, "items"]
    columns: dict[str, Int64[np.ndarray, "items"]]
    ids: list[str]
    waveforms: list[str]
    scale: spectra.Scale
    digest: str
    target: str
    dtype: str
    compression: str
    padding: str
    shape: tuple[int, int]
    part: str
    """Hash of the part."""

    @property
    def key(self) -> str:
        """Hash of everything the shard is made of: a finished shard of another key is stale."""
        digest = xxhash.xxh3_128(self.rows.tobytes())
        for name, codes in sorted(self.columns.items()):
            digest.update(name.encode() + b"\0" + codes.tobytes())
        settings = (self.digest, self.target, self.dtype, self.compression, self.padding, self.shape, self.part)
        digest.update(repr((self.ids, self.waveforms, self.scale.mean, self.scale.std, settings)).encode())
        return digest.hexdigest()


def finish_shard(task: Finish, folder: Path) -> str:
    """SHA-256 of the shard, scaled, forced to disk and renamed; its part file is removed."""
    final = folder / task.file
    partial = final.with_suffix(".h5.partial")
    part = part_path(folder, task.number)
    real = _real(task, part) if task.padding == "implicit" else None
    digest = shards.write_shard(
        partial,
        task.digest,
        _scaled(task, part, real),
        (len(task.rows), *task.shape),
        task.columns,
        task.ids,
        task.waveforms,
        target=task.target,
        dtype=task.dtype,
        compression=task.compression,
        real=real,
    )
    stopwatch.lap("force and hash the shard")
    # before the shard has its name: one that lacks its key, or has another, is made again
    made_path(folder, task.number).write_text(f"{task.key} {digest}", encoding="ascii")
    partial.replace(final)
    part.unlink()
    return digest


def row_order(seed: int, file: str, rows: int) -> Int64[np.ndarray, "rows"]:
    """Seeded order of a shard's rows, so that segments of one recording do not stand in a row."""
    return seeds.generator(seed, "rows", file).permutation(rows).astype(np.int64)


def _blocks(task: Finish, part: Path) -> Iterator[tuple[slice, Float32[np.ndarray, "block frames bins"]]]:
    """Rows of the part in the order of the shard, some at a time, and which of the shard's they are.

    All blocks lie in the same memory: that of the one before is gone.
    """
    memory = np.empty((BLOCK, *task.shape), np.float32)
    with part.open("rb", buffering=0) as file:
        for start in range(0, len(task.rows), BLOCK):
            rows = task.rows[start : start + BLOCK].tolist()
            for item, row in zip(memory, rows, strict=False):
                file.seek(row * item.nbytes)
                if file.readinto(item.data) != item.nbytes:
                    raise ShardError(part, "cut short", "a whole part", "run the same command again to carry on")
            yield slice(start, start + BLOCK), memory[: len(rows)]


def _real(task: Finish, part: Path) -> shards.Extents:
    """Where the frames of each item are that are not zeros before and after its sound."""
    found = [shards.extents_of(block) for _, block in _blocks(task, part)]
    none = np.zeros(0, np.int64)
    return shards.Extents(
        np.concatenate([none, *(real.starts for real in found)]),
        np.concatenate([none, *(real.lengths for real in found)]),
    )


def _scaled(task: Finish, part: Path, real: shards.Extents | None) -> Iterator[Float[np.ndarray, "block ..."]]:
    """Blocks of whole items, or of real frames alone; a value is the same in either."""
    memory = np.empty(BLOCK * task.shape[0] * task.shape[1], task.dtype)
    for rows, block in _blocks(task, part):
        kept = block
        if real is not None:
            kept = shards.real_frames(block, shards.Extents(real.starts[rows], real.lengths[rows]))
        scaled = memory[: kept.size].reshape(kept.shape)
        np.copyto(scaled, spectra.scale(kept, task.scale, out=kept), casting="same_kind")
        stopwatch.lap("scale")
        yield scaled
        stopwatch.lap("write the shard")
