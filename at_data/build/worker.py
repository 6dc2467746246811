"""One worker process: given a task, it gives a result, an error, or the manner of its death."""

import errno
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd, ForkingPickler
from types import TracebackType
from typing import Any

from at_data import forks
from at_data.build import journal, stopwatch
from at_data.errors import AtError, ShardError

FAULTS = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
    signal.SIGABRT: "abort",
}
SERVER_GONE = 255  # what multiprocessing says of a worker whose end nobody could tell
STARTS = 3  # tried for one worker: the process they are copied from may be killed just then
LET_GO = "Can't decrement id ref count"  # begins what h5py says of a file that it cannot close
LEAVE_S = 5.0  # for a worker with nothing to do to leave by itself


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker died, and at what: the place of a recording in its task, or a file that many recordings need."""

    code: int
    place: int
    file: str
    limits: journal.Limits

    @property
    def how(self) -> str:
        """In words, the same whichever worker it was."""
        if self.code == -signal.SIGPROF:
            return f"took longer than {self.limits.cpu_s:g} s of processor time"
        if self.code == -signal.SIGALRM:
            return f"took longer than {self.limits.clock_s:g} s"
        if -self.code in FAULTS:
            return f"crashed (signal {-self.code}: {FAULTS[signal.Signals(-self.code)]})"
        if 0 <= self.code < SERVER_GONE:
            return f"ended its process (exit code {self.code})"
        return "was killed, or out of memory"

    @property
    def outside(self) -> bool:
        """Whether somebody else ended it: an operator, or the kernel when memory is short."""
        return self.code == SERVER_GONE or (
            self.code < 0 and -self.code not in {*FAULTS, signal.SIGPROF, signal.SIGALRM}
        )


class Worker:
    """A process that does one task at a time, and the memory in which it notes the recording it is at.

    It keeps the file of the handle `hold` open until it ends.
    """

    def __init__(self, limits: journal.Limits, hold: int | None = None) -> None:
        try:
            self.journal = journal.Journal(limits)
        except OSError as error:  # a Linux without a /dev/shm that can be written
            raise unusable(error, "workers") from error
        self.spent: dict[str, float] = {}
        """Seconds of every stage of the tasks that gave a result."""
        for left in reversed(range(STARTS)):
            try:
                self._start(hold)
                break
            except (EOFError, ConnectionError) as error:  # who was to copy it is gone; asked again, another one is made
                if not left:
                    raise ShardError(
                        "workers",
                        "worker processes cannot be started: the process they are copied from was ended",
                        "that it lives as long as the build",
                        "run the same command again to carry on",
                    ) from error

    def _start(self, hold: int | None) -> None:
        forks.start()  # nothing, or anew: as workers know it
        context = multiprocessing.get_context(forks.METHOD)
        self.connection, theirs = context.Pipe()
        kept = None if hold is None else Kept(hold)
        self.process = context.Process(target=_serve, args=(theirs, self.journal, kept), daemon=True)
        with theirs, forks.without_main(), forks.uninterrupted():
            self.process.start()

    def give(self, function: Callable[..., Any], task: object, rest: tuple[Any, ...], skip: Mapping[int, str]) -> None:
        """Start `function(task, *rest)`; with `skip=` where some recordings of the task are to be passed over."""
        job = ForkingPickler.dumps((function, task, rest, {"skip": dict(skip)} if skip else {}))
        with suppress(OSError):  # who waits for the result finds out how it died
            self.connection.send_bytes(job)

    def result(self) -> Any:
        """What the task gave, once it is there, or Death; raises what the task raised."""
        try:
            ok, value, spent = ForkingPickler.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return self._death()
        if not ok:
            raise value
        stopwatch.add(self.spent, spent)
        return value

    def _death(self) -> Death:
        self.process.join()
        code = self.process.exitcode
        found = Death(SERVER_GONE if code is None else code, self.journal.place, self.journal.file, self.journal.limits)
        self.stop(kill=True)
        return found

    def stop(self, *, kill: bool) -> None:
        """End the process: at once, or when it has seen that nothing more will come."""
        self.connection.close()
        if not kill:
            self.process.join(LEAVE_S)
        pid = self.process.pid
        if self.process.is_alive():
            self.process.kill()
        elif self.process.exitcode == SERVER_GONE and pid is not None:
            with suppress(ProcessLookupError):  # only the one who would tell of its end is known to be gone
                os.kill(pid, signal.SIGKILL)
        self.process.join()


class Kept:
    """The handle of an open file, which another process gets to the same opening of it."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _received, (DupFd(self.handle),)


def _received(handle: Any) -> Kept:
    return Kept(handle.detach())


def _serve(connection: Connection, shared: journal.Journal, _: Kept | None) -> None:
    """Do what comes until nothing more does. The parent alone answers Ctrl-C; a worker whose parent is gone leaves."""
    forks.obey_parent()
    _say_no_failure_twice()
    journal.keep(shared)
    with suppress(EOFError, OSError):
        while True:
            answer = _answer(connection.recv_bytes())
            shared.note(journal.NOWHERE)
            connection.send_bytes(answer)


def _say_no_failure_twice() -> None:
    """Nothing: h5py no longer prints a traceback for a file that it lets go after its writing has failed as an error.

    It prints one for whatever of the file cannot be closed, by way of both hooks.
    """
    except_hook, unraisable_hook = sys.excepthook, sys.unraisablehook

    def exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not str(error).startswith(LET_GO):
            except_hook(kind, error, trace)

    def unraisable(found: Any) -> None:
        if not str(found.exc_value).startswith(LET_GO):
            unraisable_hook(found)

    sys.excepthook, sys.unraisablehook = exception, unraisable


def _answer(job: bytes) -> Any:
    """What came of a job, or the error, as bytes that can be sent."""
    stopwatch.start()
    stopwatch.taken()
    try:
        function, task, rest, skip = ForkingPickler.loads(job)
        value = _guarded(function, task, rest, skip)
        return ForkingPickler.dumps((True, value, stopwatch.taken()))
    except Exception as error:  # noqa: BLE001 - raised again where somebody can see it
        if not isinstance(error, AtError):
            error.add_note("in a worker process:\n" + traceback.format_exc())
        try:
            return ForkingPickler.dumps((False, error, {}))
        except Exception:  # noqa: BLE001 - an error that cannot be sent is told in words
            return ForkingPickler.dumps((False, RuntimeError(traceback.format_exc()), {}))


def _guarded(function: Callable[..., Any], task: object, rest: tuple[Any, ...], skip: Mapping[str, Any]) -> Any:
    try:
        return function(task, *rest, **skip)
    except OSError as error:
        raise unusable(error, rest[0] if rest else "output folder") from error
    except MemoryError as error:
        raise ShardError(
            "workers",
            "a worker process ran out of memory",
            "memory for one recording and its spectrograms in every worker",
            "run the same command again to carry on, with fewer --workers",
        ) from error


def unusable(error: OSError, where: object) -> ShardError:
    """The error a user sees when the output cannot be written: the disk is full, or not theirs to write to."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return ShardError(
        error.filename or where,
        "no space left on the device" if full else str(error.strerror or error).lower(),
        "room for the dataset, and twice as much again while it is built" if full else "a folder that can be written",
        "free some space, or mend this, and run the same command again: finished shards are kept",
    )
