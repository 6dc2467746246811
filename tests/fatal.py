"""Work for workers that ends badly; imported by them, so it imports little."""

import ctypes
import errno
import fcntl
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from at_data.build import journal, locks
from at_data.errors import ShardError

NOTHING: Mapping[int, str] = MappingProxyType({})


def crash(number: int = signal.SIGSEGV) -> None:
    """End this process by a signal, as a decoder does."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def read(task: list[str], folder: Path | None = None, skip: Mapping[int, str] = NOTHING) -> list[str]:
    """What became of each recording of a task, which says what it does to its decoder; every start leaves a mark."""
    if folder is not None:
        (folder / f"{time.monotonic_ns()}-{os.getpid()}").touch()
    done = []
    for place, what in enumerate(task):
        journal.note(place)
        done.append(skip[place] if place in skip else _read(what))
    return done


def _read(what: str) -> str:
    if what.startswith("SIG"):
        crash(signal.Signals[what])
    elif what == "null":
        ctypes.string_at(0)
    elif what == "exit":
        os._exit(3)
    elif what.startswith("spin "):
        end_s = time.process_time() + float(what.partition(" ")[2])
        while time.process_time() < end_s:
            pass
    elif what.startswith("wait "):
        time.sleep(float(what.partition(" ")[2]))
    elif what == "noise":
        with journal.shared(Path("noise/hum.wav")):
            crash()
    elif what.startswith("once"):  # the first to come dies, as where somebody kills a worker
        mark = Path(what.partition(" ")[2])
        if not mark.exists():
            mark.touch()
            crash(signal.SIGKILL)
    return f"read {what}"


def no_recordings(task: int) -> int:
    """Die at work that is no recording's."""
    crash()
    return task


def greedy(task: int) -> int:
    """More memory than there can be."""
    return len(bytearray(task))


def full(task: int) -> NoReturn:
    """A disk without space."""
    raise OSError(28, "No space left on device", f"shards/{task}.h5")


def mistaken(task: int) -> int:
    """A mistake in a program."""
    return task // 0


def here(_: int) -> int:
    """Process id of the worker."""
    return os.getpid()


def take(folder: Path, log: Path) -> int:
    """How often a folder without locks was had, in a second; each time is marked while it lasts."""

    def none(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl.flock = fcntl.lockf = none
    had, end = 0, time.monotonic() + 1
    while time.monotonic() < end:
        with suppress(ShardError), locks.locked(folder):
            (log / "inside").touch(exist_ok=False)
            time.sleep(0.001)
            (log / "inside").unlink()
            had += 1
    return had


def orphan(pids: Path) -> NoReturn:
    """Note the worker's process and never end by itself."""
    (pids / str(os.getpid())).touch()
    while True:
        time.sleep(0.1)
