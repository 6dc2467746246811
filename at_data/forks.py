"""How child processes begin, and that none outlives its parent."""

import multiprocessing
import os
import platform
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from types import FrameType, ModuleType
from typing import Any, Final

from at_data.errors import ShardError

METHOD: Final = "forkserver"
# one BLAS thread each, or the cores are fought over; no module out of the folder that somebody works in
WORKERS_KNOW = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "PYTHONSAFEPATH",
    ),
    "1",
)
# glibc hands large arrays back to the system and asks for them anew, item after item
WORKERS_KNOW |= {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
_MAIN = threading.Lock()


def start() -> None:
    """Begin to import what workers need, in the process they are copies of; nothing if that has begun.

    Raises ShardError where no process can be started.
    """
    context = multiprocessing.get_context(METHOD)
    context.set_forkserver_preload(["at_data.served"])
    try:
        resource_tracker.ensure_running()  # first: it unblocks the signals that are blocked now
        with _as_workers_know_it():
            forkserver.ensure_running()
    except OSError as error:
        raise ShardError(
            "workers",
            f"worker processes cannot be started ({error.strerror or error})",
            "a folder for temporary files that can be written, with a path shorter than about 80 characters",
            "set TMPDIR to such a folder",
        ) from error


def computing(preloaded: list[str]) -> Any:
    """What starts processes that train: copies of one that has imported these modules.

    On a Mac each begins anew, as a copied process there may not use the GPU, nor much else of the system's.
    """
    if platform.system() == "Darwin":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(METHOD)
    context.set_forkserver_preload(preloaded)
    return context


@contextmanager
def without_main() -> Iterator[None]:
    """Time in which a process that starts is not told of the caller's script: it would run it, and it needs none.

    Of one thread at a time, or the last to leave would put back what another had put there.
    """
    with _MAIN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Time at whose end Ctrl-C is heard, and not before: what a process begins to tell another it tells to the end."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # nothing is raised here
        return
    heard: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *told: heard.append(told))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            before(*heard[0])


def obey_parent() -> None:
    """Leave Ctrl-C to the parent from now on, leave no core file, and end this process when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a crash is told to whoever asked; a hundred of them are no hundred core dumps
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.join,), daemon=True).start()


def _leave_with(join: Callable[[], None]) -> None:
    join()
    os._exit(1)


@contextmanager
def _as_workers_know_it() -> Iterator[None]:
    """Environment in which workers start, and signals they do not hear."""
    before = {name: os.environ.get(name) for name in WORKERS_KNOW}
    os.environ.update(WORKERS_KNOW)
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is the parent's, even while they import
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
