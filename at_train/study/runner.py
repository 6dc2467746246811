"""A Plan -> trained runs: what is ready is trained, what failed is told, what others train is waited for."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, runtime_checkable

import torch

from at_data import forks
from at_data.errors import ConfigError
from at_train import results
from at_train.scores import device_named
from at_train.study import locks, plans
from at_train.study.plans import Plan, Run
from at_train.study.worker import LOST, MEND, Order, work, write_failure

POLL_S = 2.0  # runs that other processes train are looked at this often
STATES = ("done", "failed", "blocked")


@runtime_checkable
class Progress(Protocol):
    """Who wants to know how a study goes."""

    def say(self, text: str) -> None:
        """Tell the user something that matters."""

    def update(self, done: int, total: int) -> None:
        """So many of the runs have ended."""


class Silent:
    """Progress that tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Outcome:
    """What came of a rank's share of a study: runs of its own that are done, why runs failed, what blocks others.

    Those that failed or were never begun may be other ranks' too, where its own wait for them.
    """

    done: tuple[str, ...]
    failed: dict[str, str]
    blocked: dict[str, tuple[str, ...]]

    @property
    def complete(self) -> bool:
        """Whether every run of this rank is done, and every one that those wait for."""
        return not self.failed and not self.blocked


@dataclass(frozen=True)
class _Job:
    """A worker at work, and the place among the devices that it takes."""

    run: Run
    process: BaseProcess
    pipe: Connection
    slot: int


@dataclass
class _Runner:
    plan: Plan
    jobs: int
    devices: Sequence[str]
    retry: bool
    cache_orthogonal: bool
    mine: list[str]
    needed: list[str]
    progress: Progress
    ended: dict[str, str] = field(default_factory=dict)  # done, failed or blocked, by run
    working: dict[str, _Job] = field(default_factory=dict)
    busy_until: dict[str, float] = field(default_factory=dict)  # runs that turned out to be another process's
    tried: set[str] = field(default_factory=set)  # failed runs that were given another chance

    def go(self) -> None:
        """Return when every run of ours has ended; what is at work is ended by an exception."""
        context = forks.computing(["at_train.study.served"])
        try:
            while True:
                self._look()
                self._start(context)
                if not self.working and all(name in self.ended for name in self.mine):
                    return
                self._listen()
        finally:
            for job in self.working.values():
                job.process.terminate()
            for job in self.working.values():
                job.process.join()

    def _look(self) -> None:
        """Note which runs have ended, by us or by others."""
        before = len(self.ended)
        for name in [*self.needed, *self.mine]:  # orthogonal ones first, so that what they block is seen at once
            if name in self.ended or name in self.working:
                continue
            run = self.plan.runs[name]
            state: str = self.plan.settled(run)
            if state == "failed" and self.retry and name in self.plan.failed_before and name not in self.tried:
                state = "missing"
            if state == "missing" and any(self.ended.get(other) in {"failed", "blocked"} for other in run.others):
                state = "blocked"
            if state in STATES:
                self.ended[name] = state
        if len(self.ended) > before:
            mine = set(self.mine)
            self.progress.update(len(mine & self.ended.keys()), len(mine))

    def _start(self, context: Any) -> None:
        taken = {job.slot for job in self.working.values()}
        for slot in range(self.jobs):
            run = next(self._ready(), None) if slot not in taken else None
            if run is not None:
                self._launch(context, run, slot)

    def _ready(self) -> Iterator[Run]:
        """Runs that could be trained now: ours, and when there is none, orthogonal ones that ours wait for."""
        for name in [*self.mine, *self.needed]:
            run = self.plan.runs[name]
            idle = name not in self.ended and name not in self.working
            due = time.monotonic() >= self.busy_until.get(name, 0.0)
            ready = idle and due and all(self.ended.get(other) == "done" for other in run.others)
            if ready and not self._owned(run):
                yield run

    def _owned(self, run: Run) -> bool:
        """Whether a living process is at a run; the clock of its file system is asked by a file made there."""
        with results.writing(self.plan.out, MEND):
            return locks.owner(self.plan.lock(run)) is not None

    def _launch(self, context: Any, run: Run, slot: int) -> None:
        device, card = _placed(self.devices[slot % len(self.devices)]) if self.devices else ("auto", None)
        threads = max(1, torch.get_num_threads() // self.jobs)
        order = Order(self.plan, run, device, card, threads, self.retry, self.cache_orthogonal)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(order, theirs), daemon=True)
        with theirs, forks.uninterrupted():  # before it is among those that are ended with us
            process.start()
            self.working[run.name] = _Job(run, process, ours, slot)
        self.tried.add(run.name)

    def _listen(self) -> None:
        """Wait until a worker says something, or until it is time to look what others do."""
        pipes = {job.pipe: job for job in self.working.values()}
        for pipe in wait(list(pipes), POLL_S):
            job = pipes[pipe]  # type: ignore[index]
            try:
                kind, text = job.pipe.recv()
            except EOFError:
                self._bury(job)
                continue
            if kind == "stopped":
                raise text  # no run could be recorded now, whatever came of it
            if kind == "said":
                self.progress.say(f"{job.run.name}: {text}")
            elif text == "busy":
                self.busy_until[job.run.name] = time.monotonic() + POLL_S
                self.tried.discard(job.run.name)
            elif text == "failed":
                self.progress.say(f"{job.run.name}: failed: {self.plan.failure(job.run)}")

    def _bury(self, job: _Job) -> None:
        """Worker that has ended; one that was killed did not come to write down that its run failed."""
        job.process.join()
        job.pipe.close()
        del self.working[job.run.name]
        code = job.process.exitcode
        if code not in {0, LOST}:
            text = f"its process was ended {how_ended(code)}"
            write_failure(self.plan.record(job.run), job.run, "killed", text, "")
            self.progress.say(f"{job.run.name}: failed: {text}")


def how_ended(code: int | None) -> str:
    """What ended a process that has this exit code, as multiprocessing has it."""
    if code is None or code >= 0:
        return f"with exit code {code}; what it printed tells why"
    memory = "; by the system for want of memory, if nobody did it" if -code == signal.SIGKILL else ""
    return f"by signal {-code}{memory}"


def run(
    plan: Plan,
    jobs: int | None = None,
    devices: Sequence[str] = (),
    rank: int = 0,
    world: int = 1,
    *,
    retry: bool = False,
    cache_orthogonal: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Train what is missing of a plan; returns when all runs of this rank have ended, whoever trained them.

    `jobs` processes train one run each, as many as `devices` if not said. A device is the number of a graphics card,
    or what `at-train fit --device` takes; jobs take them in turn. Rank `rank` of `world` takes every world-th run, and
    orthogonal networks of other ranks where its own runs wait for them and nobody is at them. Runs that failed before
    are trained again if `retry`. ConfigError for numbers that make no sense, for devices that are not there and for a
    folder in a dataset, before anything is trained. CheckpointError where `plan.out` cannot be written, on the way too.
    Errors and KeyboardInterrupt end the workers; the same call carries on.
    """
    jobs = jobs or max(1, len(devices))
    if not 0 <= rank < world or jobs < 1:
        came = f"got rank {rank} of {world}, {jobs} jobs"
        raise ConfigError("study", came, "ranks from 0 to world - 1, one job or more", "correct the numbers")
    for device in devices:
        _refuse_absent(*_placed(device))
    plans.write(plan)
    mine = share(plan, rank, world)
    runner = _Runner(plan, jobs, devices, retry, cache_orthogonal, mine, _needed(plan, mine), progress or Silent())
    runner.go()
    return _outcome(runner)


def share(plan: Plan, rank: int, world: int) -> list[str]:
    """Names of the runs of a rank: every one belongs to one rank; orthogonal ones are dealt out by themselves."""
    by_role = [[name for name, run in plan.runs.items() if run.role == role] for role in ("orthogonal", "runs")]
    return [name for names in by_role for name in names[rank::world]]


def _needed(plan: Plan, mine: Sequence[str]) -> list[str]:
    """Orthogonal runs that these runs wait for, those they wait for first."""
    wanted: set[str] = set()
    waiting = list(mine)
    while waiting:
        others = plan.runs[waiting.pop()].others
        waiting += [other for other in others if other not in wanted]
        wanted |= set(others)
    return [name for name in plan.runs if name in wanted]


def _outcome(runner: _Runner) -> Outcome:
    plan, ended = runner.plan, runner.ended
    names = [name for name in plan.runs if name in ended]
    bad = {name for name in names if ended[name] != "done"}
    return Outcome(
        tuple(name for name in names if ended[name] == "done" and name in runner.mine),
        {name: plan.failure(plan.runs[name]) for name in names if ended[name] == "failed"},
        {
            name: tuple(other for other in plan.runs[name].others if other in bad)
            for name in names
            if ended[name] == "blocked"
        },
    )


def _refuse_absent(device: str, card: str | None) -> None:
    """Nothing, or ConfigError where this machine lacks the device."""
    device_named(device)
    cards = torch.cuda.device_count()  # of those that are visible
    if card is not None and not os.environ.get("CUDA_VISIBLE_DEVICES") and int(card) >= cards:
        raise ConfigError("device", f"card {card}, of {cards}", "a card that is there", "count from 0")


def _placed(device: str) -> tuple[str, str | None]:
    """Device as `run.fit` takes it, and the card to make visible, if one is meant by its number."""
    if not device.isdecimal():
        if device not in {"auto", "cpu", "cuda", "mps"}:
            raise ConfigError("device", f"got '{device}'", "numbers of cards, or auto, cpu, cuda, mps", "correct it")
        return device, None
    visible = [card.strip() for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card.strip()]
    if visible and int(device) >= len(visible):
        came = f"card {device}, of {len(visible)} in CUDA_VISIBLE_DEVICES"
        raise ConfigError("device", came, "a card that is visible", "count from 0")
    return "cuda", visible[int(device)] if visible else device
