"""Whether a disk has room for a build."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from at_data.build import parts
from at_data.build.estimates import lengths as headers
from at_data.build.estimates import stand_in
from at_data.build.plan import Plan
from at_data.errors import ShardError
from at_data.manifest import Store
from at_data.recordings import samples_in
from at_data.rolls import Roll
from at_data.stages import noise, segments

# Upper bounds of what was measured: notes in the work folder, tables in the finished one.
RECORDING_BYTES = 3_200
ITEM_BYTES = 800
MIXING_BYTES = 900
SLOWEST_BYTES_PER_S = 2_000  # 16 kbit/s: speech in good quality takes more, even compressed


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that a build still needs on its disk at most, and those that are free to it."""

    needed_bytes: int
    free_bytes: int


def room(made: Plan, folder: Path, by_task: Mapping[int, int], data_bytes: int, workers: int) -> Room:
    """Room for a build in a work folder that need not be there, of so many items a task and so many bytes in the end.

    What an earlier call of the same plan left there is needed no more; what one of another plan left will be removed.
    """
    ours = _carries_on(folder, made)
    return Room(
        needed(made, by_task, data_bytes, workers, folder if ours else None),
        _free(folder) + (0 if ours else sum(map(_size, folder.glob("*/*")))),
    )


def refuse_too_small(made: Plan, folder: Path, workers: int) -> None:
    """Nothing, or ShardError where a build needs more than its disk has free.

    A bound that takes sizes of files at most is held against the disk first; headers are read where it is too high.
    Quiet recordings, compression and padding that is not stored are not reckoned with.
    """
    most = _most(made)
    items = sum(most.values())
    data_bytes = len(made.recordings) * RECORDING_BYTES + items * (item_bytes(made) + ITEM_BYTES + _mixing(made))
    found = room(made, folder, most, data_bytes, workers)
    if found.needed_bytes <= found.free_bytes:
        return
    lengths = headers.lengths(made)
    by_task = headers.by_task(made, lengths)
    weight = stand_in.weigh(made, lengths, by_task)
    data_bytes = weight.shards + sum(weight.files.values()) + item_bytes(made) * sum(by_task.values())
    refuse(folder, room(made, folder, by_task, data_bytes, workers))


def refuse(folder: Path, found: Room) -> None:
    """ShardError where more is needed than is free."""
    if found.needed_bytes > found.free_bytes:
        raise ShardError(
            folder.parent,
            f"{found.free_bytes:,} bytes free",
            f"{found.needed_bytes:,} bytes for the dataset and what lies beside it meanwhile",
            "free some space, choose another --out, or try all the same with --ignore-free-space",
        )


def needed(made: Plan, by_task: Mapping[int, int], data_bytes: int, workers: int, folder: Path | None = None) -> int:
    """Most bytes that a build takes beyond what `folder` holds of it already.

    All parts are written before the first shard, and each goes when its shard is there; so the disk holds most when
    the first shards are made, or, where a shard is larger than its part, when the last are. A part that is not written
    yet counts as if no item had any padding.
    """
    values = made.shape[0] * made.shape[1]
    missing = grown = in_hand = 0
    for task in made.tasks:
        if folder and (folder / task.file).is_file():
            continue
        part, shard = 4 * values * by_task[task.number], item_bytes(made) * by_task[task.number]
        held = _size(parts.part_path(folder, task.number)) if folder else 0
        if folder and parts.summary_path(folder, task.number).is_file():
            part = held
        missing += max(0, part - held)
        grown += max(0, shard - part)
        in_hand = max(in_hand, shard)
    besides = max(0, data_bytes - item_bytes(made) * sum(by_task.values()))
    return missing + grown + workers * in_hand + besides + notes(made, sum(by_task.values()))


def notes(made: Plan, items: int) -> int:
    """Bytes in the work folder beside the parts: summaries and fingerprints."""
    return len(made.recordings) * RECORDING_BYTES + items * (ITEM_BYTES + _mixing(made))


def is_plain(store: Store) -> bool:
    """Whether a spectrogram takes `item_bytes`, whatever is in it."""
    return store.compression == "none" and store.padding == "stored"


def item_bytes(made: Plan) -> int:
    """Bytes of one uncompressed spectrogram in a shard, padding and all."""
    return made.shape[0] * made.shape[1] * np.dtype(made.manifest.store.dtype).itemsize


def _mixing(made: Plan) -> int:
    return 0 if made.manifest.noise == "none" else MIXING_BYTES


def _most(made: Plan) -> dict[int, int]:
    """Items that the recordings of every task can give, told by their stretches or by the sizes of their files."""
    mix, cut = made.manifest.noise, made.manifest.segment
    levels = 1 if mix == "none" else noise.levels(mix)
    if isinstance(cut.hop_s, str):
        return {task.number: levels * len(task.recordings) for task in made.tasks}
    rate_hz, root = made.manifest.audio.sample_rate_hz, os.fspath(made.root)

    @lru_cache(maxsize=1 << 12)  # many are of one length
    def items(seconds: float) -> int:
        return levels * (1 + len(segments.starts(samples_in(seconds, rate_hz) + 1, cut, rate_hz)))

    most = {}
    for task in made.tasks:
        cells = Roll.of(task.recordings).cells
        lengths_s = (
            _size(f"{root}/{path}") / SLOWEST_BYTES_PER_S if length_s is None else length_s
            for path, length_s in zip(cells.paths, cells.lengths_s, strict=True)
        )
        most[task.number] = sum(map(items, lengths_s))
    return most


def _carries_on(folder: Path, made: Plan) -> bool:
    """Whether a work folder holds what an earlier call made of the same plan."""
    try:
        mark = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        return (mark["digest"], mark["listing"]) == (made.manifest.digest, made.listing)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _free(folder: Path) -> int:
    """Bytes free to this user where a folder lies or will lie."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(path: Path | str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - of a million files a Path each is most of the time
    except (OSError, ValueError):
        return 0
