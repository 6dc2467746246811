"""Seconds that this process spent on each stage of a build."""

import time
from collections.abc import Mapping

_spent: dict[str, float] = {}
_last = [time.perf_counter()]


def lap(stage: str) -> None:
    """Count the time since the last call, to this or to `start`, as this stage's."""
    now = time.perf_counter()
    _spent[stage] = _spent.get(stage, 0.0) + now - _last[0]
    _last[0] = now


def start() -> None:
    """Begin a lap: what passed since the last one is no stage's."""
    _last[0] = time.perf_counter()


def taken() -> dict[str, float]:
    """Seconds of every stage since the last call, in the order they were met."""
    spent = dict(_spent)
    _spent.clear()
    return spent


def add(total: dict[str, float], some: Mapping[str, float]) -> None:
    """Add the seconds of another process, or of another task, stage by stage."""
    for stage, seconds in some.items():
        total[stage] = total.get(stage, 0.0) + seconds
