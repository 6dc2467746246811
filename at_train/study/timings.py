"""How long a run will take: from runs of like settings that were timed, or from one step made to be timed."""

import json
import math
import statistics
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from at_train import arithmetic, loop, networks, results
from at_train.batches import Batch, Data
from at_train.config import Settings
from at_train.run import Silent
from at_train.scores import device_named
from at_train.steps import WARM_UP, Captured, Graphs

FORWARD = 1 / 3  # of a training step; what an anti-transfer step or a validated batch takes more (docs/performance.md)
FOLDER = "timings"


class Timer(Silent):
    """Progress that times the epochs of a run and tells `say` what happens."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.tell, self.epoch, self.epochs, self.steps, self.seconds, self.begun = say, 0, 0, 0, 0.0, 0.0

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        """An epoch begins."""
        self.epoch, self.epochs, self.begun = epoch, epochs, time.monotonic()
        self.steps += steps

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        """An epoch ended."""
        self.seconds += time.monotonic() - self.begun
        losses = ", ".join(f"{split} task loss {named['task_loss']:.4f}" for split, named in values.items())
        self.say(f"epoch {self.epoch} of {self.epochs}: {losses}{' (best)' if best else ''}")

    def say(self, text: str) -> None:
        """Tell it on."""
        self.tell(text)

    def write(self, out: Path, run: str, like: str, epochs_run: int) -> None:
        """Keep what was measured for later plans; nothing where no epoch was trained."""
        if self.steps:
            facts = {"like": like, "seconds_per_step": self.seconds / self.steps, "epochs_run": epochs_run}
            results.replace(out / FOLDER / f"{run}.json", (json.dumps(facts) + "\n").encode())


class Clock:
    """Seconds a run will take, as far as known; with a device to try on, one step of each kind is made and timed."""

    def __init__(self, out: Path, trial: str | None = None) -> None:
        self.out, self.trial = out, trial
        self.tried: dict[str, float] = {}

    @cached_property
    def timed(self) -> dict[str, list[dict[str, Any]]]:
        """What was measured, by kind."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted((self.out / FOLDER).glob("*.json")):
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                found.setdefault(str(facts["like"]), []).append(facts)
            except (OSError, ValueError, LookupError, TypeError):
                continue  # an estimate is not worth a refusal
        return found

    def seconds(self, settings: Settings, data: Data) -> float | None:
        """Estimate for a whole run: every epoch it may take, or as many as like runs took; None where nothing tells."""
        steps = -(-len(data.splits["train"]) // settings.batch_size)
        known = self.timed.get(like(settings, data))
        if known:
            epochs = statistics.mean(float(facts["epochs_run"]) for facts in known) if settings.patience else math.inf
            per_step = statistics.median(float(facts["seconds_per_step"]) for facts in known)
            return min(epochs, settings.epochs) * steps * per_step
        if self.trial is None:
            return None
        valid = len(data.splits["valid"]) if "valid" in data.splits else 0
        return settings.epochs * (steps + FORWARD * valid / settings.batch_size) * self._try(settings, data)

    def _try(self, settings: Settings, data: Data) -> float:
        kind = like(settings, data)
        if kind not in self.tried:
            frozen = FORWARD if settings.strategy in {"anti", "dual"} else 0.0
            self.tried[kind] = (1 + frozen) * step_s(settings, data, str(self.trial))
        return self.tried[kind]


def like(settings: Settings, data: Data) -> str:
    """What runs have in common whose steps take as long, and that may stop as early."""
    shape = (data.header.frames, data.header.bins, settings.batch_size, settings.precision)
    until = (settings.patience, settings.epochs) if settings.patience else ()
    kind = (settings.network, settings.width, *shape, settings.strategy, len(settings.layers), *until)
    return " ".join(map(str, kind))


def step_s(settings: Settings, data: Data, device: str) -> float:
    """Seconds of one plain training step as a run does it, the shorter of two, after some to warm up."""
    place, shape = device_named(device), (data.header.frames, data.header.bins)
    drawn = networks.build(settings.network, len(data.classes), shape, settings.width)
    network = arithmetic.laid_out(drawn, place)
    optimiser = arithmetic.adam(network.parameters(), settings.learning_rate, place)
    step: loop.Learn = partial(loop.learn, network, optimiser, None, settings.precision)
    if place.type == "cuda":
        step = Captured(step, settings.batch_size, Graphs(place))
    values = torch.zeros(settings.batch_size, 1, *shape, device=place)
    target = torch.zeros(settings.batch_size, dtype=torch.long, device=place)
    batch = Batch(values, target, {}, [""] * settings.batch_size)
    taken = []
    for _ in range((WARM_UP + 1 if place.type == "cuda" else 1) + 2):
        begun = time.monotonic()
        step(batch).cpu()  # which waits for whatever device it is
        taken.append(time.monotonic() - begun)
    return min(taken[-2:])
