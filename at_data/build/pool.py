"""Results of tasks as they finish, from worker processes that a recording may cost its life."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing import connection
from types import TracebackType
from typing import Any, TypeVar

from at_data import forks
from at_data.build import stopwatch
from at_data.build.journal import NOWHERE, Limits
from at_data.build.worker import Death, Worker
from at_data.errors import ShardError

T = TypeVar("T")
R = TypeVar("R")


class Pool:
    """Worker processes, one or more: what is done with strangers' files is never done in this one.

    They import what they need while the plan is made, and never outlive this process.
    """

    def __init__(self, workers: int, limits: Limits | None = None) -> None:
        self.workers = workers
        self.limits = limits or Limits()
        self.hold: int | None = None
        """Handle of a file that workers started from now on keep open until they end."""
        self.spent: dict[str, float] = {}
        """Seconds that workers spent on every stage of the tasks they finished."""
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Any] = {}

    def __enter__(self) -> "Pool":  # noqa: PYI034 - Self is not known to the test hook
        forks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(kill=kind is not None)

    def run(self, function: Callable[..., R], tasks: Iterable[T], *rest: Any) -> Iterator[tuple[T, R]]:
        """Each task with its result, `function(task, *rest)`, in the order they finish.

        A task whose worker dies is done again when all others are through: alone, in a new worker. The recording that
        kills this one as well - by a crash, or by taking longer than the limits - is to blame, whatever else was under
        way the first time, and however many workers there are. The task is done once more without it: `function` gets
        the places of such recordings and what they did as `skip`, for which it must have noted the recordings it is
        at (`journal.note`). Every new worker of a task costs it a recording, so there are not more of them than those.

        Raises ShardError when the disk is full, and when a worker dies again by no recording's fault; whatever was
        finished before stays on disk.
        """
        suspects: list[T] = []
        try:
            yield from self._together(function, tasks, rest, suspects)
            for task in suspects:
                yield task, self._alone(function, task, rest)
        finally:
            self._stop(kill=True, idle=False)

    def _together(
        self, function: Callable[..., R], tasks: Iterable[T], rest: tuple[Any, ...], suspects: list[T]
    ) -> Iterator[tuple[T, R]]:
        """Results of tasks; those whose worker died are noted."""
        waiting = iter(tasks)
        self._employ(function, waiting, rest)
        while self._busy:
            found = []
            for worker in self._ready():
                task, outcome = self._take(worker)
                if isinstance(outcome, Death):
                    suspects.append(task)
                else:
                    found.append((task, outcome))
            self._employ(function, waiting, rest)  # nobody waits for what is done with results
            yield from found

    def _employ(self, function: Callable[..., R], waiting: Iterator[Any], rest: tuple[Any, ...]) -> None:
        """Give tasks, as long as there are any, until no more workers are wanted."""
        for task in islice(waiting, self.workers - len(self._busy)):
            self._give(function, task, rest)

    def _alone(self, function: Callable[..., R], task: T, rest: tuple[Any, ...]) -> R:
        """Result of a task with no other worker alive, and a new one whenever a recording took its life."""
        skip: dict[int, str] = {}
        while True:
            self._stop(kill=False)
            self._give(function, task, rest, skip)
            (worker,) = self._ready()
            _, outcome = self._take(worker)
            if not isinstance(outcome, Death):
                result: R = outcome
                return result
            if outcome.outside or outcome.place == NOWHERE or outcome.place in skip:
                raise _died(outcome)
            skip[outcome.place] = outcome.how

    def _give(
        self, function: Callable[..., R], task: T, rest: tuple[Any, ...], skip: Mapping[int, str] | None = None
    ) -> None:
        worker = self._idle.pop() if self._idle else Worker(self.limits, self.hold)
        self._busy[worker] = task
        worker.give(function, task, rest, skip or {})

    def _ready(self) -> list[Worker]:
        """Workers, at least one, that are through or dead."""
        signs: dict[Any, Worker] = {
            sign: worker for worker in self._busy for sign in (worker.connection, worker.process.sentinel)
        }
        return list(dict.fromkeys(signs[sign] for sign in connection.wait(list(signs))))

    def _take(self, worker: Worker) -> tuple[Any, Any]:
        """The task of a worker that is through or dead, and what came of it."""
        outcome = worker.result()
        task = self._busy.pop(worker)
        stopwatch.add(self.spent, worker.spent)
        worker.spent.clear()
        if not isinstance(outcome, Death):
            self._idle.append(worker)
        return task, outcome

    def _stop(self, *, kill: bool, idle: bool = True) -> None:
        """End workers: those at work, and the idle ones as well unless they are to be used again."""
        for worker in [*self._busy, *(self._idle if idle else ())]:
            worker.stop(kill=kill)
        self._busy.clear()
        if idle:
            self._idle.clear()


def _died(death: Death) -> ShardError:
    if death.outside:
        return ShardError(
            "workers",
            "a worker process died (killed, or out of memory)",
            "workers that live to the end",
            "run the same command again to carry on, with fewer --workers if memory was short",
        )
    return ShardError(
        death.file or "workers",
        f"a worker process died twice: it {death.how}",
        "a file that can be decoded" if death.file else "workers that live to the end",
        "restore this file or leave it out" if death.file else "run the same command again to carry on",
    )
