"""Campaigns carried out in child processes: a crash is one case's, and the campaign goes on."""

import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from at_data import guard
from at_data.errors import AtError
from at_data.guard import Ended, Limits
from fuzz import watching
from fuzz.campaigns import Campaign, cleared
from fuzz.kinds import campaign as campaign_of

SLOW_S = 5.0  # beyond this, a case is a finding even where it ends


@dataclass
class Tally:
    """What came of a campaign: how many inputs were taken and refused, and what should not have happened."""

    name: str
    cases: int = 0
    taken: int = 0
    refused: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    most_bytes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {how}" for how, count in sorted(self.crashes.items())) or "none"
        return (
            f"{self.name}: {self.cases} cases in {self.seconds:.1f} s, {self.taken} taken, {self.refused} refused, "
            f"children lost: {ended}, slowest {self.slowest_s:.2f} s, most memory {self.most_bytes / 2**20:.0f} MiB, "
            f"{len(self.findings)} findings"
        )


def run(campaign: Campaign, seed: int, numbers: Iterable[int], folder: Path) -> Tally:
    """What came of these cases of a campaign; `folder` is used for nothing else."""
    begun, tally, numbers = time.monotonic(), Tally(campaign.name), list(numbers)
    attempt = Attempt(campaign.name, seed, str(folder))
    for number, answer in zip(numbers, guard.each(attempt, numbers, campaign.limits), strict=True):
        tally.cases += 1
        if isinstance(answer, Ended):
            tally.crashes[answer.text] += 1
            tally.lost.append(f"{campaign.name} {seed} {number}: the child {answer.text}")
            if not campaign.crashes:
                tally.findings.append(tally.lost[-1])
            continue
        tally.taken += answer["how"] == "taken"
        tally.refused += answer["how"] == "refused"
        tally.slowest_s = max(tally.slowest_s, answer["seconds"])
        tally.most_bytes = max(tally.most_bytes, answer["bytes"])
        problems = answer["problems"]
        if answer["seconds"] > SLOW_S:
            problems.append(f"took {answer['seconds']:.1f} s")
        tally.findings += [f"{campaign.name} {seed} {number}: {problem}" for problem in problems]
    tally.seconds = time.monotonic() - begun
    return tally


class Attempt:
    """What makes the cases of a campaign; a child that receives it has imported what it needs."""

    def __init__(self, name: str, seed: int, folder: str) -> None:
        self.given = (name, seed, folder)
        campaign_of(name)

    def __reduce__(self) -> Any:
        return Attempt, self.given

    def __call__(self, number: int) -> dict[str, Any]:
        return attempted(*self.given, number)


_states: dict[str, Any] = {}


def attempted(name: str, seed: int, folder: str, number: int) -> dict[str, Any]:
    """How one case ended; the same for the same name, seed and number."""
    campaign, home = campaign_of(name), Path(folder)
    case, nowhere = home / "case", home / "nowhere"
    if name not in _states:
        _prepare(campaign, home, nowhere)
    cleared(case, keeps=campaign.keeps)
    act = campaign.lay(_states[name], Random(f"{name} {seed} {number}"), case)
    before = watching.tree(case)
    watching.forget_peak()
    held, begun = watching.memory_bytes("VmRSS"), time.monotonic()
    writable = case / campaign.out if campaign.out else None
    with watching.watched(writable) as watch:
        how, problems = _outcome(act)
    seconds = time.monotonic() - begun
    taken = max(0, watching.memory_bytes("VmHWM") - held)
    inside = f"{writable}{os.sep}" if writable else None
    changed = {path for path, _ in watching.tree(case).items() ^ before.items()}
    problems += [f"{path} was changed" for path in changed if not (inside and f"{path}{os.sep}".startswith(inside))]
    problems += [f"{path.name} was made in the current folder" for path in nowhere.iterdir()]
    return {"how": how, "problems": problems + watch.seen, "seconds": seconds, "bytes": taken}


def _prepare(campaign: Campaign, home: Path, nowhere: Path) -> None:
    nowhere.mkdir(parents=True, exist_ok=True)
    os.chdir(nowhere)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)  # decoders tell the terminal what they think of each input
    seeds = home / "seeds"
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir()
    _states[campaign.name] = campaign.prepare(seeds)
    if len(_states) == 1:
        watching.install()


def _outcome(act: Callable[[], object]) -> tuple[str, list[str]]:
    """Whether an input was taken or refused, and what is wrong with how."""
    try:
        act()
    except AtError as error:
        return "refused", _of_error(error)
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        where = next(
            (f for f in reversed(frames) if "/at_data/" in f.filename or "/at_train/" in f.filename), frames[-1]
        )
        return "raised", [f"{type(error).__name__}: {error} at {Path(where.filename).name}:{where.lineno}"[:300]]
    return "taken", []


def _of_error(error: AtError) -> list[str]:
    """What is wrong with a refusal: no words, words no terminal can print, or too little memory as its reason."""
    problems = []
    if not all((error.where, error.came, error.expected, error.todo)):
        problems.append(f"an error with an empty part: {error!r}")
    try:
        str(error).encode()
    except UnicodeEncodeError:
        problems.append(f"an error that cannot be printed: {error!r}"[:300])
    if len(str(error)) > 20_000:
        problems.append(f"an error of {len(str(error)):,} characters: {str(error)[:100]!r}")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            problems.append(f"refused for want of memory: {error}"[:300])
        cause = cause.__cause__
    return problems


__all__ = ["Limits", "Tally", "attempted", "run"]
