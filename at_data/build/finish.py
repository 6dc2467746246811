"""A part file -> its shard: rows in their final order, scaled, in the stored type."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import xxhash
from jaxtyping import Float, Float32, Int64

from at_data import halves, seeds, shards
from at_data.build import stopwatch
from at_data.build.parts import made_path, part_path
from at_data.errors import ManifestError, ShardError
from at_data.files import force
from at_data.stages import scaling

AT_ONCE = 1536  # frames read, scaled and written at a time: 0.8 MB of float32, what a large cache holds


@dataclass(frozen=True, slots=True)
class Finish:
    """What turns a part into its shard: where its items are there, their columns and ids, the scale of all."""

    number: int
    file: str
    places: Int64[np.ndarray, "items"]
    """Place in the part of each item's first frame there."""
    real: shards.Extents
    columns: dict[str, Int64[np.ndarray, "items"]]
    ids: list[str]
    waveforms: list[str]
    scale: scaling.Scale
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
        digest = xxhash.xxh3_128(b"".join(of.tobytes() for of in (self.places, self.real.starts, self.real.lengths)))
        for name, codes in sorted(self.columns.items()):
            digest.update(name.encode() + b"\0" + codes.tobytes())
        settings = (self.digest, self.target, self.dtype, self.compression, self.padding, self.shape, self.part)
        digest.update(repr((self.ids, self.waveforms, self.scale.mean, self.scale.std, settings)).encode())
        return digest.hexdigest()


def finish_shard(task: Finish, folder: Path) -> str:
    """SHA-256 of the shard, scaled and written; `give_name` completes it."""
    digest = shards.write_shard(
        _partial(folder / task.file),
        task.digest,
        _scaled(task, part_path(folder, task.number)),
        (len(task.ids), *task.shape),
        task.columns,
        task.ids,
        task.waveforms,
        target=task.target,
        dtype=task.dtype,
        compression=task.compression,
        real=task.real if task.padding == "implicit" else None,
    )
    # before the shard has its name: one that lacks its key, or has another, is made again
    made_path(folder, task.number).write_text(f"{task.key} {digest}", encoding="ascii")
    stopwatch.lap("write the shard")
    return digest


def give_name(folder: Path, file: str, number: int) -> None:
    """Force the shard of a task to disk and rename it; its part file is removed. No worker need wait for the disk."""
    force(_partial(folder / file))
    _partial(folder / file).replace(folder / file)
    part_path(folder, number).unlink()


def _partial(final: Path) -> Path:
    return final.with_suffix(".h5.partial")


def row_order(seed: int, file: str, rows: int) -> Int64[np.ndarray, "rows"]:
    """Seeded order of a shard's rows, so that segments of one recording do not stand in a row."""
    return seeds.generator(seed, "rows", file).permutation(rows).astype(np.int64)


def _scaled(task: Finish, part: Path) -> Iterator[Float[np.ndarray, "block ..."]]:
    """Blocks of whole items, or of real frames alone, in the order of the shard; a value is the same in either.

    All blocks lie in the same memory: that of the one before is gone.
    """
    frames, bins = task.shape
    size = max(1, AT_ONCE // frames)
    real = np.empty((size * frames, bins), task.dtype)
    whole = None if task.padding == "implicit" else np.empty((size, frames, bins), task.dtype)
    nothing = shards.padding(task.scale, task.dtype)
    with part.open("rb", buffering=0) as file:
        for first in range(0, len(task.places), size):
            items = range(first, min(first + size, len(task.places)))
            used = 0
            for some in _read(task, items, file):
                if not _store(scaling.scale(some, task.scale, out=some), real[used : used + len(some)]):
                    _refuse_too_large(task, items, used, some)
                used += len(some)
            if whole is None:
                block = real[:used]
            elif used == len(items) * frames:
                block = real[:used].reshape(-1, frames, bins)
            else:
                block = _padded(task, items, real, nothing, whole)
            stopwatch.lap("scale")
            yield block
            stopwatch.lap("write the shard")


def _read(task: Finish, items: range, file: FileIO) -> Iterator[Float32[np.ndarray, "frames bins"]]:
    """The frames of items that are in the part, one item's after the other's, some at a time in the same memory."""
    into = np.empty((AT_ONCE, task.shape[1]), np.float32)
    used = 0
    for item in items:
        file.seek(int(task.places[item]) * task.shape[1] * into.itemsize)
        left = int(task.real.lengths[item])
        while left:
            if used == AT_ONCE:
                yield into
                used = 0
            values = into[used : used + left]
            if file.readinto(values.data) != values.nbytes:
                raise ShardError(file.name, "cut short", "a whole part", "run the same command again to carry on")
            used += len(values)
            left -= len(values)
    if used:
        yield into[:used]


def _store(scaled: Float32[np.ndarray, "frames bins"], out: Float[np.ndarray, "frames bins"]) -> bool:
    """Whether scaled values are finite as they are stored; they are written."""
    if out.dtype == np.float16:
        return halves.round_to(out.reshape(-1), scaled.reshape(-1))
    out[:] = scaled
    return bool(scaled.max(initial=0.0) < np.inf and scaled.min(initial=0.0) > -np.inf)  # a NaN is neither


def _refuse_too_large(task: Finish, items: range, before: int, scaled: Float32[np.ndarray, "frames bins"]) -> None:
    """ManifestError about the largest of scaled values, which are frames of these items after so many `before`."""
    sizes = np.nan_to_num(np.abs(scaled), nan=np.inf, posinf=np.inf).max(axis=1)
    ends = np.cumsum(task.real.lengths[items.start : items.stop])
    item = items[int(np.searchsorted(ends, before + int(np.argmax(sizes)), side="right"))]
    raise ManifestError(
        "store.dtype",
        f"{task.dtype}, and {task.ids[item]} reaches {sizes.max():.6g} once scaled (the mean is {task.scale.mean:.6g}, "
        f"the deviation {task.scale.std:.6g})",
        f"values of at most {np.finfo(task.dtype).max:.6g}",
        "look at that recording and at how quiet the training split is, or leave it out"
        + (", or store float32" if task.dtype == "float16" else ""),
    )


def _padded(
    task: Finish,
    items: range,
    real: Float[np.ndarray, "frames bins"],
    nothing: np.ndarray,
    whole: Float[np.ndarray, "block frames bins"],
) -> Float[np.ndarray, "some frames bins"]:
    """Items with what silence is around their real frames."""
    used = 0
    for item, values in zip(items, whole, strict=False):
        start, length = int(task.real.starts[item]), int(task.real.lengths[item])
        values[:start] = values[start + length :] = nothing
        values[start : start + length] = real[used : used + length]
        used += length
    return whole[: len(items)]
