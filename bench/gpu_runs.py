"""Whole epochs to be timed, and accuracies to be compared."""

import functools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import gpu_data
import gpu_steps
import torch
from gpu_steps import Work

from at_train import arithmetic, checkpoints, loop, networks
from at_train.batches import Batch, Data, devices, epoch_batches, sequential_batches
from at_train.config import Settings

EPOCHS = 5


@dataclass(frozen=True)
class Overhead:
    """Seconds of an epoch of a run, of its validation, and the share that is neither that nor training.

    `written_bytes_s` is how fast a checkpoint gets to this disk while nothing else is done.
    """

    epoch_s: float
    valid_s: float
    share: float
    written_bytes_s: float


class Stamps:
    """Progress that keeps the moments at which epochs began."""

    def __init__(self) -> None:
        self.begun: list[float] = []

    def begin(self, _epoch: int, _epochs: int, _steps: int) -> None:
        """One more."""
        self.begun.append(time.perf_counter())

    def step(self) -> None:
        """Nothing."""

    def end(self, _values: dict[str, dict[str, float]], *, best: bool) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Printed, as a comment of the table."""
        print(f"# {text}", flush=True)


def stalls(work: Work, folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Shares of epochs that go beyond as many steps on one batch, by the way that items take to the device.

    Each epoch stands beside bare steps of its own.
    """
    ways = {"split resident": 1.0, "pinned thread": 0.0} if work.device.type == "cuda" else {"from disk": 1.0}
    step = gpu_steps.as_run(work, "bfloat16")
    for way, share in ways.items():
        train = Data.open(folder).splits["train"]
        with mock.patch.object(devices, "GPU_SHARE", share):
            epoch = functools.partial(_epoch, work, step, train)
            epoch(1)
            found = []
            for number in range(2, 2 + gpu_steps.TURNS):
                taken, count = epoch(number)
                bare = gpu_steps.turn(work, step, work.batch(), count) * count
                found.append((taken - bare) / taken)
        yield way, found


def _epoch(work: Work, step: gpu_steps.Step, train: object, epoch: int) -> tuple[float, int]:
    gpu_steps.wait(work.device)
    began, count = time.perf_counter(), 0
    for batch in epoch_batches(train, work.batch_size, 1, epoch, work.device):
        step(batch)
        count += 1
    gpu_steps.wait(work.device)
    return time.perf_counter() - began, count


def overhead(work: Work, dataset: Path, out: Path) -> Overhead:
    """A run's epochs, the last ones, against the same training and validation alone."""
    from at_train.run import fit  # noqa: PLC0415 - needs tensorboard, which may be missing

    stamps = Stamps()
    settings = Settings(
        width=work.width,
        batch_size=work.batch_size,
        epochs=EPOCHS,
        patience=None,
        precision="bfloat16",
        seed=1,
        learning_rate=1e-5,  # that of the reference: labels are random, and a network that collapses is a quicker one
    )
    fit(dataset, out, settings, work.device.type, stamps)
    epoch_s = (stamps.begun[-1] - stamps.begun[2]) / (EPOCHS - 3)
    data, network = Data.open(dataset), work.network()
    optimiser = arithmetic.adam(network.parameters(), 1e-5, work.device)
    learn = functools.partial(loop.learn, network, optimiser, None, "bfloat16")
    graphs = gpu_steps.Graphs(work.device) if _cuda(work) else None
    captured = gpu_steps.Captured(learn, work.batch_size, graphs, say=gpu_steps.refuse) if graphs else learn
    bare = []
    for epoch in (1, 2, 3, 4):
        began = time.perf_counter()
        batches = epoch_batches(data.splits["train"], work.batch_size, 1, epoch, work.device)
        loop.train_epoch(network, batches, optimiser, seed=1, epoch=epoch, precision="bfloat16", step=captured)
        middle = time.perf_counter()
        held_out = sequential_batches(data.splits["valid"], work.batch_size, work.device)
        loop.evaluate(network, held_out, precision="bfloat16")
        bare.append((time.perf_counter() - middle, time.perf_counter() - began))
    valid_s, whole_s = (statistics.median(column) for column in zip(*bare[1:], strict=True))
    return Overhead(epoch_s, valid_s, (epoch_s - whole_s) / epoch_s, _written_bytes_s(out))


def _written_bytes_s(run: Path) -> float:
    path = run / "checkpoints" / "last.pt"
    held = checkpoints.load(path)
    began = time.perf_counter()
    checkpoints.save(path, held)
    return path.stat().st_size / (time.perf_counter() - began)


def _cuda(work: Work) -> bool:
    return work.device.type == "cuda"


def accuracies(device: torch.device, seeds: int, *, quick: bool) -> list[tuple[float, float]]:
    """Test accuracy with float32 and with bfloat16, for each seed: the same items, weights to begin with and order."""
    return [
        tuple(_accuracy(device, seed, kind, quick=quick) for kind in ("float32", "bfloat16")) for seed in range(seeds)
    ]


def _accuracy(device: torch.device, seed: int, precision: str, *, quick: bool) -> float:
    shape, width, items, passes = ((32, 33), 1 / 32, 80, 1) if quick else ((64, 65), 0.125, 4000, 8)
    torch.manual_seed(seed)
    network = networks.build("vgg16", gpu_data.CLASSES, shape, width).to(device, memory_format=torch.channels_last)
    optimiser = arithmetic.adam(network.parameters(), 1e-3, device)
    draw = functools.partial(gpu_data.separable, shape, device=device)
    taught: list[Batch] = draw(items, 40, 1000 + seed)
    for epoch in range(1, passes + 1):
        loop.train_epoch(network, taught, optimiser, seed=seed, epoch=epoch, precision=precision)
    return loop.evaluate(network, draw(max(80, items // 2), 200, 2000 + seed), precision=precision).losses.accuracy
