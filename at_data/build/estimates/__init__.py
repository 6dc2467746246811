"""What a build will hold and take, as far as it can be told before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from at_data.build.estimates import lengths as headers
from at_data.build.estimates import memory, space, stand_in, trial
from at_data.build.plan import Plan
from at_data.errors import ManifestError

SHOWN = 3  # unreadable recordings named

Known = Literal["exact", "at most", "estimated"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build will hold and take.

    `items_are` says how their number is known: `exact` where all headers were read and files hold what those promise,
    `at most` where only some were read and the others may be unreadable, `estimated` where a sample was decoded, for
    the manifest drops quiet recordings. Duplicates and mixtures that are refused come off in every case.
    `needed_disk_bytes` is the most that the build still takes of the disk, `free_disk_bytes` what that has.
    """

    items: int
    items_are: Known
    items_at_most: int
    items_by_split: Mapping[str, int]
    hours_by_split: Mapping[str, float]
    unreadable_recordings: int
    unreadable: Mapping[str, str]
    """Some of those, and why."""
    headers_read: int
    recordings_decoded: int
    data_bytes: int
    data_bytes_by_file: Mapping[str, int]
    scratch_bytes: int
    needed_disk_bytes: int
    free_disk_bytes: int | None
    workers: int
    parent_memory_bytes: int
    worker_memory_bytes: int
    core_s: float | None
    wall_s: float | None


def estimate(
    made: Plan, workers: int = 1, *, timed: bool = False, folder: Path | None = None, ignore_free_space: bool = False
) -> Estimate:
    """Estimate of a build by so many workers, in a work folder that need not be there.

    Headers are read: of all files, or of some where their lengths change no number of items. Audio is decoded where
    the manifest drops quiet recordings or compresses, and for `timed`: a few recordings go through the whole road.

    Raises ShardError where the disk of the folder is too small, before any audio is decoded.
    """
    lengths = headers.lengths(made)
    most = headers.by_task(made, lengths)
    _refuse_empty(made, most, lengths)
    by_task, weight = most, stand_in.weigh(made, lengths, most)
    besides = weight.shards + sum(weight.files.values())
    room = None
    if folder is not None:
        room = space.room(made, folder, most, besides + space.item_bytes(made) * sum(most.values()), workers)
        if not ignore_free_space:
            space.refuse(folder, room)
    manifest, tried = made.manifest, None
    if timed or manifest.quiet != "keep" or not space.is_plain(manifest.store):
        tried = trial.trial(made, lengths)
        if tried.kept < 1:
            by_task = {number: round(count * tried.kept) for number, count in most.items()}
            weight = stand_in.weigh(made, lengths, by_task)
    items = sum(by_task.values())
    shards_bytes = weight.shards + round(space.item_bytes(made) * items * (tried.ratio if tried else 1.0))
    by_file = {"shards": shards_bytes, **weight.files}
    data_bytes = sum(by_file.values())
    needed = room.needed_bytes if room else space.needed(made, by_task, data_bytes, workers)
    used = memory.memory(made, items, max(by_task.values(), default=0), lengths)
    by_split = Counter(dict.fromkeys(made.splits, 0))
    for task in made.tasks:
        by_split[task.split] += by_task[task.number]
    return Estimate(
        items=items,
        items_are=_known(made, lengths),
        items_at_most=sum(most.values()),
        items_by_split=dict(by_split),
        hours_by_split={split: count * manifest.segment.length_s / 3600 for split, count in by_split.items()},
        unreadable_recordings=len(lengths.lost),
        unreadable=dict(islice(lengths.lost.items(), SHOWN)),
        headers_read=lengths.headers,
        recordings_decoded=tried.recordings if tried else 0,
        data_bytes=data_bytes,
        data_bytes_by_file=by_file,
        scratch_bytes=4 * made.shape[0] * made.shape[1] * items + space.notes(made, items),
        needed_disk_bytes=needed,
        free_disk_bytes=room.free_bytes if room else None,
        workers=workers,
        parent_memory_bytes=used.parent_bytes,
        worker_memory_bytes=used.worker_bytes,
        core_s=tried.core_s if tried and timed else None,
        wall_s=trial.wall_s(tried, made, workers) if tried and timed else None,
    )


def _refuse_empty(made: Plan, most: Mapping[int, int], lengths: headers.Lengths) -> None:
    """Nothing, or ManifestError where a split has recordings and none of them can give an item."""
    first = "".join(f" ({item}: {reason})" for item, reason in islice(lengths.lost.items(), 1))
    for split in dict.fromkeys(task.split for task in made.tasks):
        if not any(most[task.number] for task in made.tasks if task.split == split):
            raise ManifestError(
                made.manifest.name,
                f"no recording of {split} gives an item of {made.manifest.segment.length_s:g} s{first}",
                "recordings that can be read and are long enough",
                "make segment.length_s (in seconds) smaller, pad what is shorter, or mend what cannot be read",
            )


def _known(made: Plan, lengths: headers.Lengths) -> Known:
    if made.manifest.quiet != "keep":
        return "estimated"
    return "exact" if len(lengths.samples) + len(lengths.lost) == len(made.recordings) else "at most"
