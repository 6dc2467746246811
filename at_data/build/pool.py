"""Results of tasks as they finish, from worker processes that never outlive the parent."""

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from at_data.errors import ShardError

T = TypeVar("T")
R = TypeVar("R")
SINGLE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Pool:
    """Worker processes, or this process when one is enough.

    Workers start importing as soon as the pool is entered, so that they are ready when the plan is.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Pool":  # noqa: PYI034 - Self is not known to the test hook
        if self.workers > 1:
            methods = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            if context.get_start_method() == "forkserver":
                context.set_forkserver_preload(["at_data.build.work"])
            with _single_threaded():
                self._executor = ProcessPoolExecutor(self.workers, context, _start_worker)
                for _ in range(self.workers):
                    self._executor.submit(os.getpid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is None:
            return
        if kind is not None:
            processes = list((self._executor._processes or {}).values())  # noqa: SLF001 - no public way to stop running tasks
            for process in processes:
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(self, function: Callable[..., R], tasks: Sequence[T], *rest: Any) -> Iterator[tuple[T, R]]:
        """Each task with its result, in the order they finish.

        Raises ShardError when the disk is full or a worker died; whatever was finished before stays on disk.
        """
        if self._executor is None:
            for task in tasks:
                yield task, _guarded(function, task, *rest)
            return
        try:
            futures: dict[Future[R], T] = {
                self._executor.submit(_guarded, function, task, *rest): task for task in tasks
            }
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise ShardError(
                "workers",
                "a worker process died (killed, or out of memory)",
                "workers that live to the end",
                "run the same command again to carry on, with fewer --workers if memory was short",
            ) from error


def _guarded(function: Callable[..., R], task: T, *rest: Any) -> R:
    try:
        return function(task, *rest)
    except OSError as error:
        raise unusable(error, rest[0] if rest else "output folder") from error


def unusable(error: OSError, where: object) -> ShardError:
    """The error a user sees when the output cannot be written: the disk is full, or not theirs to write to."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return ShardError(
        error.filename or where,
        "no space left on the device" if full else str(error.strerror or error).lower(),
        "room for the dataset, and twice as much again while it is built" if full else "a folder that can be written",
        "free some space, or mend this, and run the same command again: finished shards are kept",
    )


def _start_worker() -> None:
    """The parent alone answers Ctrl-C; a worker whose parent is gone leaves too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.join,), daemon=True).start()


def _leave_with(join: Callable[[], None]) -> None:
    join()
    os._exit(1)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Environment in which workers start: one BLAS thread each, or the cores are fought over."""
    before = {name: os.environ.get(name) for name in SINGLE_THREAD}
    os.environ.update(dict.fromkeys(SINGLE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Sole use of a work folder; the lock dies with the process that holds it."""
    import fcntl  # noqa: PLC0415 - not on Windows

    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ShardError(
                folder,
                "another build is writing here",
                "one build per folder at a time",
                "wait for it, or choose another --out",
            ) from error
        yield
