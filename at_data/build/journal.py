"""Which recording a worker process is at, and how long it may take: what is known of a worker that died."""

import ctypes
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray, RawValue
from pathlib import Path

NOWHERE = -1  # between recordings, or at work that is no recording's
NAME_BYTES = 1024
LATE = 0.01  # share of the limits by which a recording may be ended too late


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that one recording may take of a processor, and of the clock, before its worker is ended.

    The longest recording that is read (`audio.MOST_SAMPLES`, stereo Opus, the slowest decoder) takes a quarter of this
    processor time; a decoder that hangs takes all of it, however many workers share the machine. The clock is for one
    that waits and does nothing; it is longer, as a slow disk is not the recording's fault.
    """

    cpu_s: float = 300.0
    clock_s: float = 1800.0


class Journal:
    """Memory shared by a worker and its parent: place of the recording at work, name of a file many recordings need."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counted_from_s = -math.inf
        self._place = RawValue(ctypes.c_longlong, NOWHERE)
        self._file = RawArray(ctypes.c_char, NAME_BYTES)

    @property
    def place(self) -> int:
        """Place of the recording at work among those of its task, or NOWHERE."""
        return int(self._place.value)

    @property
    def file(self) -> str:
        """Path of the file at work that is not one recording's alone, or nothing."""
        return self._file.value.decode("utf-8", "backslashreplace")

    def note(self, place: int, file: str = "") -> None:
        """Note what is at work from now on; the kernel ends this process when that takes too long.

        It is told anew when a hundredth of the limits is over, as telling it takes longer than to note a place: what
        begins in between has a hundredth less of the time, which is added to all.
        """
        self._file.value = file.encode("utf-8", "backslashreplace")[: NAME_BYTES - 1]
        self._place.value = place
        if place == NOWHERE and not file:
            self._count(-math.inf, 0)
        elif (now_s := time.monotonic()) - self._counted_from_s > LATE * min(self.limits.cpu_s, self.limits.clock_s):
            self._count(now_s, 1 + LATE)

    def _count(self, from_s: float, share: float) -> None:
        """Have the kernel count from now on up to this share of the limits; to nothing, where that is 0."""
        self._counted_from_s = from_s
        signal.setitimer(signal.ITIMER_PROF, share * self.limits.cpu_s)
        signal.setitimer(signal.ITIMER_REAL, share * self.limits.clock_s)


_kept: list[Journal] = []  # the one of this process, if it is a worker


def keep(journal: Journal) -> None:
    """Have `note` and `shared` write into this journal, and the limits of time end this process."""
    for ending in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    _kept[:] = [journal]


def note(place: int) -> None:
    """Note the recording at work by its place in the task; nothing in a process that is no worker."""
    for journal in _kept:
        journal.note(place)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Note that a file many recordings need is read meanwhile: none of them is to blame for what it does."""
    before = [journal.place for journal in _kept]
    for journal in _kept:
        journal.note(NOWHERE, os.fsencode(path).decode("utf-8", "backslashreplace"))
    try:
        yield
    finally:
        for journal, place in zip(_kept, before, strict=True):
            journal.note(place)
