"""Calls made in child processes that know nothing of the caller's own script."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from at_data import guard

T = TypeVar("T")


def each(function: Callable[[T], Any], jobs: Sequence[T], limits: guard.Limits) -> Iterator[tuple[T, Any]]:
    """Every job and what `function` gives for it, or guard.Ended, in their order; as `guard.each` makes the calls."""
    answers = guard.each(function, jobs, limits)
    for job in jobs:
        with _without_main():  # a child may begin with any job
            answer = next(answers)
        yield job, answer
    next(answers, None)  # it ends its last child


@contextmanager
def _without_main() -> Iterator[None]:
    """Time in which a process that starts is not told of the caller's script: it would run it, and it needs none."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
