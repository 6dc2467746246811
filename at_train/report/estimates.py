"""Numbers of runs -> means over seeds, their intervals and paired differences.

Intervals are Student's 95 % t-intervals of a mean over seeds: they tell how training varies, not what other test items
would change. Runs on the same data vary together: where there are several data, as partitions or folds, the interval is
that of a mean over data, each of which is the mean of its seeds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from at_train.report.groups import Key, key
from at_train.results import Run

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """Mean of `count` runs and its 95 % t-interval, which a single number does not have."""

    count: int
    mean: float
    low: float | None
    high: float | None


def estimate(numbers: Iterable[float]) -> Estimate | None:
    """Mean and t-interval of these numbers, None of none."""
    values = np.array(list(numbers), dtype=np.float64)
    if not values.size:
        return None
    mean = float(values.mean())
    if values.size == 1:
        return Estimate(1, mean, None, None)
    half = float(stdtrit(values.size - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(values.size))
    return Estimate(values.size, mean, mean - half, mean + half)


def per_seed(runs: Iterable[Run], value: Callable[[Run], float | None]) -> dict[Key, float]:
    """A number of each seed on each dataset's content, in order; the mean where several runs share both."""
    found: dict[Key, list[float]] = {}
    for run in runs:
        number = value(run)
        if number is not None:
            found.setdefault(key(run), []).append(number)
    return {seed: float(np.mean(found[seed])) for seed in sorted(found)}


def score(runs: Iterable[Run], name: str, split: str = "test") -> dict[Key, float]:
    """A score on a split, as `accuracy`, by seed."""
    return per_seed(runs, lambda run: run.scores.get(split, {}).get(name))


def average(scores: Mapping[Key, float]) -> Estimate | None:
    """Mean over data of means over seeds, with its interval; over seeds where there is one content. None of none."""
    by_data: dict[str, list[float]] = {}
    for (content, _), number in scores.items():
        by_data.setdefault(content, []).append(number)
    if len(by_data) < 2:  # noqa: PLR2004 - nothing to average over but seeds
        return estimate(scores.values())
    found = estimate(float(np.mean(some)) for some in by_data.values())
    return found and replace(found, count=len(scores))


def paired(ours: Mapping[Key, float], theirs: Mapping[Key, float]) -> Estimate | None:
    """Mean of the differences at equal seed and data, with its interval."""
    return average({seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs})
