"""Calls made in a child process with limits of time and memory: what each gave, or how it ended.

For libraries that strangers' bytes can crash, hang or make greedy: the child is lost, and not the caller. What comes
back is JSON, so nothing that a child says is executed.
"""

import json
import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, TypeVar

from at_data import forks

T = TypeVar("T")

CALL_S = 60.0
MEMORY_BYTES = 2 << 30
ANSWER_BYTES = 1 << 24  # more than that is no answer
START_S = 300.0  # for a child to import what it needs, on a busy machine
WORDS = 200  # characters of an error that are passed on


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use.

    `call_s` is time on the wall; `memory_bytes` is address space beyond what the child has when it has imported all it
    needs, and is kept on Linux alone.
    """

    call_s: float = CALL_S
    memory_bytes: int = MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended that gave no result, for a program and in words."""

    how: Literal["time", "memory", "signal", "exit", "error"]
    text: str


def call(function: Callable[[T], Any], argument: T, limits: Limits | None = None) -> Any:
    """What `function` gives, or Ended: see `each`."""
    return next(each(function, [argument], limits))


def each(function: Callable[[T], Any], arguments: Iterable[T], limits: Limits | None = None) -> Iterator[Any]:
    """What `function` gives for each argument, in their order, or Ended where it gave nothing.

    One child makes all the calls; a call that costs it its life, or takes too long, costs the next one a new child.

    Parameters
    ----------
    function
        Anything that can be pickled, as a function of a module can. It gives what JSON can say: tuples become lists.
    arguments
        What can be pickled.
    limits
        Of every single call; `Limits()` without it.

    """
    limits = limits or Limits()
    child: _Child | None = None
    try:
        for argument in arguments:
            child = child or _Child(function, limits)
            answer = child.ask(argument)
            if child.dead:
                child = None
            yield answer
    finally:
        if child is not None:
            child.kill()


class _Child:
    """A process that makes one call after the other."""

    def __init__(self, function: Callable[[Any], Any], limits: Limits) -> None:
        context = multiprocessing.get_context(forks.METHOD)
        self.limits, self.dead, self.ready = limits, False, False
        theirs: Connection
        self.ours, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, function, limits), daemon=True)
        with theirs, forks.without_main(), forks.uninterrupted():
            self.process.start()

    def ask(self, argument: Any) -> Any:
        """What the function gives, or Ended; after some of those the child is dead."""
        try:
            if not self.ready:
                if not self.ours.poll(START_S):
                    return self._end("time", f"did not begin within {START_S:g} s")
                self.ours.recv_bytes(ANSWER_BYTES)
                self.ready = True
            self.ours.send(argument)
            if not self.ours.poll(self.limits.call_s):
                return self._end("time", f"took longer than {self.limits.call_s:g} s")
            answer = json.loads(self.ours.recv_bytes(ANSWER_BYTES))
        except (EOFError, OSError):  # the pipe broke, or held more than an answer
            return self._lost()
        if answer["how"] == "memory":
            return self._end("memory", self._no_memory())  # what ran out of memory may be in any state
        return answer["value"] if answer["how"] == "value" else Ended("error", answer["value"])

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.dead = True
        self.process.kill()
        self.process.join()
        self.process.close()
        self.ours.close()

    def _lost(self) -> Ended:
        """How a process ended that stopped answering."""
        self.process.join(timeout=1)
        code = self.process.exitcode
        if code is None:
            return self._end("exit", f"answered with more than {ANSWER_BYTES:,} bytes")
        if code >= 0:
            return self._end("exit", f"left its process with status {code}")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return self._end("signal", f"was ended by {name}")

    def _no_memory(self) -> str:
        return f"needed more than {self.limits.memory_bytes:,} bytes of memory"

    def _end(self, how: Literal["time", "memory", "signal", "exit", "error"], text: str) -> Ended:
        self.kill()
        return Ended(how, text)


def _work(theirs: Connection, function: Callable[[Any], Any], limits: Limits) -> None:
    """Make calls until nobody asks for more; the parent alone answers Ctrl-C, and a child whose parent is gone goes."""
    forks.obey_parent()
    _limit(limits.memory_bytes)
    theirs.send_bytes(b"ready")
    while True:
        try:
            argument = theirs.recv()
        except (EOFError, OSError):
            return
        theirs.send_bytes(_answer(function, argument))


def _answer(function: Callable[[Any], Any], argument: Any) -> bytes:
    try:
        answer = {"how": "value", "value": function(argument)}
        return json.dumps(answer).encode()
    except MemoryError:
        return b'{"how": "memory"}'
    except Exception as error:  # noqa: BLE001 - whatever strangers' bytes bring about
        words = " ".join(str(error).split())[:WORDS]
        return json.dumps({"how": "error", "value": f"{type(error).__name__}: {words}"}).encode()


def _limit(memory_bytes: int) -> None:
    """Keep this process from taking that much more memory."""
    with suppress(OSError, ValueError):  # no such file but on Linux; a lower limit may stand already
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
