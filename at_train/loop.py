"""One epoch of training, one evaluation; no files, no printing."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from at_data.errors import ConfigError
from at_train import arithmetic
from at_train.batches import Batch

# mean over some items of the batch that the network saw last, and how many they are
Penalty = Callable[[Batch], tuple[Tensor, Tensor | int]]

Learn = Callable[[Batch], Tensor]  # a training step on a batch, what is recorded of it


class DivergedError(ConfigError):
    """A loss is no finite number, so training is over."""


@dataclass(frozen=True)
class Losses:
    """Means over items: task loss (cross-entropy, nats), loss that the strategy adds (0 without one), accuracy.

    `at_loss` is the anti-transfer loss, times beta; under strategy dann the cross-entropy of guessing the nuisance, of
    the items whose value is known, None where it is known of no item.
    """

    task_loss: float
    at_loss: float | None
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Losses of a split and the class codes behind them, in the order of its items."""

    losses: Losses
    ids: list[str]
    target: Int64[np.ndarray, "items"]
    predicted: Int64[np.ndarray, "items"]


def train_epoch(
    network: nn.Module,
    batches: Iterable[Batch],
    optimiser: torch.optim.Optimizer,
    penalty: Penalty | None = None,
    *,
    seed: int,
    epoch: int,
    precision: str = "float32",
    step: Learn | None = None,
) -> Losses:
    """Losses met on the way through one epoch, with dropout and changing weights; the network has learnt.

    `penalty` is called with the batch after each forward pass and added to the task loss. `step` is another way to do
    what `learn` does, such as a captured one. Dropout depends on (seed,
    epoch) alone and torch's own generators are left as they were. The device is never waited for before the end, where
    a loss that is not finite raises DivergedError.
    """
    network.train()
    device = next(network.parameters()).device
    taken = step or partial(learn, network, optimiser, penalty, precision)
    with generators(device, seed, f"dropout of epoch {epoch}"):
        steps = [taken(batch) for batch in batches]
    return _means(steps, f"epoch {epoch}, training", added=penalty is not None)


def learn(
    network: nn.Module, optimiser: torch.optim.Optimizer, penalty: Penalty | None, precision: str, batch: Batch
) -> Float[Tensor, "5"]:
    """What is recorded of one training step, on the device; the network has learnt."""
    optimiser.zero_grad(set_to_none=True)
    with arithmetic.of(precision, batch.values.device):
        task, at, of, logits = _losses(network, batch, penalty)
        with torch.autocast(batch.values.device.type, enabled=False):
            (task + at).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return _record(task, at, of, logits, batch)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    penalty: Penalty | None = None,
    *,
    precision: str = "float32",
    where: str = "evaluation",
) -> Evaluation:
    """Losses and predictions of a network that does not learn; `where` names the occasion in errors."""
    network.eval()
    steps, predicted, target, ids = [], [], [], []
    for batch in batches:
        with arithmetic.of(precision, batch.values.device):
            task, at, of, logits = _losses(network, batch, penalty)
        steps.append(_record(task, at, of, logits, batch))
        predicted.append(logits.argmax(1))
        target.append(batch.target)
        ids.extend(batch.ids)
    losses = _means(steps, where, added=penalty is not None)
    return Evaluation(losses, ids, torch.cat(target).cpu().numpy(), torch.cat(predicted).cpu().numpy())


@contextmanager
def generators(device: torch.device, seed: int, purpose: str) -> Iterator[None]:
    """Torch's generators seeded for one purpose, and put back afterwards."""
    number = int.from_bytes(hashlib.blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=8).digest(), "big") >> 1
    with torch.random.fork_rng([device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(number)
        yield


def _losses(
    network: nn.Module, batch: Batch, penalty: Penalty | None
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Tensor | int, Float[Tensor, "batch classes"]]:
    logits = network(batch.values)
    at, of = penalty(batch) if penalty else (torch.zeros((), device=logits.device), 0)
    return functional.cross_entropy(logits.float(), batch.target), at.float(), of, logits


def _record(
    task: Float[Tensor, ""],
    at: Float[Tensor, ""],
    of: Tensor | int,
    logits: Float[Tensor, "batch classes"],
    batch: Batch,
) -> Float[Tensor, "5"]:
    """Task loss, added loss, share of right predictions, items, items of the added loss: left on the device."""
    right = (logits.detach().argmax(1) == batch.target).float().mean()
    counts = [right.new_full((), count) if isinstance(count, int) else count.float() for count in (len(batch.ids), of)]
    return torch.stack([task.detach(), at.detach(), right, *counts])


def _means(steps: list[Float[Tensor, "5"]], where: str, *, added: bool) -> Losses:
    """Means per item, so that a small last batch counts for what it holds; `added` where a loss is added at all."""
    values = torch.stack(steps).cpu().double().numpy()
    broken = np.flatnonzero(~np.isfinite(values[:, :2]).all(axis=1))
    if len(broken):
        raise DivergedError(
            f"{where}, step {broken[0] + 1}",
            f"task loss {values[broken[0], 0]:g}, added loss {values[broken[0], 1]:g}",
            "finite losses",
            "train in a new folder with a lower learning_rate, or a beta nearer to zero",
        )
    task, at, right, items, of = values.T
    none = None if added else 0.0  # a mean over no item is not 0, which would say that all were guessed
    at_loss = float(np.average(at, weights=of)) if of.any() else none
    return Losses(float(np.average(task, weights=items)), at_loss, float(np.average(right, weights=items)))
