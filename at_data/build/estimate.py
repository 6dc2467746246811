"""What a build will hold and take, measured on a few of its recordings."""

import time
from dataclasses import dataclass

from at_data.build.plan import Plan
from at_data.build.work import items
from at_data.errors import AudioError

SAMPLE = 32  # recordings tried


@dataclass(frozen=True, slots=True)
class Estimate:
    """Items, bytes of the dataset, bytes needed besides while it is built, seconds of one core."""

    items: int
    data_bytes: int
    scratch_bytes: int
    core_s: float


def estimate(made: Plan) -> Estimate:
    """Estimate from a sample taken evenly over the plan's shards, carried through the whole road but the writing."""
    total = len(made.recordings)
    places = [(task, recording) for task in made.tasks for recording in task.recordings]
    sample = places[:: max(1, total // SAMPLE)][:SAMPLE]
    found = 0
    start = time.perf_counter()
    for task, recording in sample:
        try:
            found += sum(1 for _ in items(task, recording, {}, []))
        except AudioError:
            continue  # the build will say so
    core_s = (time.perf_counter() - start) * total / len(sample)
    count = round(found * total / len(sample))
    values = count * made.shape[0] * made.shape[1]
    width = 2 if made.manifest.store.dtype == "float16" else 4
    return Estimate(count, values * width, values * 4, core_s)
