"""A few recordings of a plan, carried through the whole road in a temporary folder."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from at_data.build import kinds, publish, told, work
from at_data.build.due import due
from at_data.build.estimates import space, stand_in
from at_data.build.estimates.lengths import Lengths
from at_data.build.finish import finish_shard, give_name
from at_data.build.plan import Plan, Task
from at_data.build.pool import Pool
from at_data.build.rows import Items
from at_data.build.sift import Sifted
from at_data.recordings import Recording
from at_data.rolls import Roll, joined
from at_data.stages import scaling

SAMPLE = 64  # recordings tried
SMALLER = 256  # where the size is to be told: padding and silence take many recordings to be met as often
START_S = 1.5  # for worker processes to start and for the tables; measured


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the sample.

    `kept` is the share of its recordings that were not dropped for being quiet, `ratio` bytes of spectrograms in a
    shard to their bytes uncompressed, `core_s` the seconds of one core that all recordings will take.
    """

    recordings: int
    kept: float
    ratio: float
    core_s: float


def trial(made: Plan, lengths: Lengths) -> Trial:
    """Trial of recordings taken evenly over the plan's shards; what each split makes of its own stands in one shard."""
    wanted = SAMPLE if space.is_plain(made.manifest.store) else SMALLER
    tasks = _tasks(made, lengths, wanted)
    sample = [recording for task in tasks for recording in task.recordings]
    # strangers' files are never decoded in this process
    with TemporaryDirectory() as name, Pool(1) as pool:
        folder = Path(name)
        for inside in ("parts", "shards"):
            (folder / inside).mkdir()
        _walk(made, tasks[:1], folder, pool)  # what is loaded and planned at the first call
        start = time.perf_counter()
        left_out, stored, plain = _walk(made, tasks, folder, pool)
        took_s = time.perf_counter() - start
    faint = sum(entry["kind"] == kinds.DROPPED for some in left_out for entry in some)
    return Trial(
        recordings=len(sample),
        kept=1 - faint / max(1, len(sample)),
        ratio=stored / plain if plain else 1.0,
        core_s=took_s * _larger(made, lengths, sample),
    )


def wall_s(tried: Trial, made: Plan, workers: int) -> float:
    """Seconds until a build by so many workers is done, on as many cores as there are."""
    cores = min(workers, os.cpu_count() or 1, len(made.tasks))
    rounds = math.ceil(len(made.tasks) / cores) / (len(made.tasks) / cores)  # the last round may leave workers idle
    return START_S + tried.core_s / cores * rounds


def _tasks(made: Plan, lengths: Lengths, wanted: int) -> list[Task]:
    """A task for each split, of so many readable recordings taken evenly over all shards."""
    every = joined([Roll.of(task.recordings) for task in made.tasks])
    readable = every
    if lengths.lost:
        readable = every.take(np.fromiter((item not in lengths.lost for item in every.ids), bool, len(every)))
    sample = readable[:: max(1, len(readable) // wanted)][:wanted]
    firsts = {task.split: task for task in reversed(made.tasks)}
    parted = {split: made.assigned.part(sample, split) for split in dict.fromkeys(task.split for task in made.tasks)}
    return [
        replace(firsts[split], number=number, file=f"shards/{number}.h5", recordings=some)
        for number, (split, some) in enumerate((split, some) for split, some in parted.items() if some)
    ]


def _walk(made: Plan, tasks: Sequence[Task], folder: Path, pool: Pool) -> tuple[list[list[dict[str, str]]], int, int]:
    """What was left out of every task, bytes that the spectrograms take in shards, and bytes they are."""
    for _ in pool.run(work.build_part, tasks, folder):
        pass
    some = replace(made, tasks=tuple(tasks), watched=(), held_out=made.held_out[:0])
    said = told.told(folder, some)
    items = [
        Items(task, rows, np.arange(len(rows.columns), dtype=np.int32))
        for task, rows in zip(tasks, said.rows, strict=True)
    ]
    none = np.zeros(0, np.int64)
    sifted = Sifted(items, said.waveforms, said.words, noises={}, near=[], left_out=[], several=none)
    measured = any(len(kept) for kept in items)
    scale = publish.scale_of(items, made.manifest.scaling.kind) if measured else scaling.Scale(0.0, 1.0)
    stored = plain = 0
    each = made.shape[0] * made.shape[1] * np.dtype(made.manifest.store.dtype).itemsize
    wanted = due(some, sifted, scale, said.parts)
    for task, _ in pool.run(finish_shard, wanted, folder):
        give_name(folder, task.file, task.number)
        stored += (folder / task.file).stat().st_size - stand_in.bare_bytes(task.make(), folder)
        plain += len(task) * each
    return said.left_out, stored, plain


def _larger(made: Plan, lengths: Lengths, sample: Sequence[Recording]) -> float:
    """How many times the sample the plan is: in samples where all lengths are known, else in recordings."""
    if len(lengths.samples) + len(lengths.lost) < len(made.recordings):
        return (len(made.recordings) - len(lengths.lost)) / max(1, len(sample))
    tried = sum(lengths.samples[recording.id] for recording in sample)
    return sum(lengths.samples[r.id] for r in made.recordings if r.id not in lengths.lost) / max(1, tried)
