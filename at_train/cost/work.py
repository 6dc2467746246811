"""What is trained for a row of costs: one network, a batch, and what the row's strategy does with them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from at_train import arithmetic, checkpoints, loop, networks
from at_train.adversaries import Adversary
from at_train.batches import Batch, maps
from at_train.config import Settings
from at_train.kept_vectors import Comparison, KeptVectors
from at_train.losses import AntiTransfer
from at_train.memory_formula import map_shapes
from at_train.networks import Network
from at_train.steps import Captured, Graphs, Recorder

NUISANCE = "nuisance"

Penalty = Comparison | Adversary


@dataclass(frozen=True)
class Case:
    """What one row is about. `layer` is where a strategy compares, freezes up to, or unlearns."""

    strategy: str
    layer: str | None = None
    cached: bool = False


def cases(layers: Sequence[str], *, keepable: bool = True) -> list[Case]:
    """What `cost` has rows for, the plain one first; anti cached where its vectors are `keepable`."""
    last = layers[-1]
    anti = [Case("anti", layer) for layer in layers]
    cached = [Case("anti", last, cached=True)] if keepable else []
    return [Case("none"), Case("init"), Case("freeze", last), *anti, *cached, Case("dual", last), Case("dann", last)]


@dataclass(frozen=True)
class Work:
    """What is trained: settings, of which strategy and layers do not count, and the items' shape and classes."""

    settings: Settings
    frames: int
    bins: int
    classes: int
    device: str

    def network(self) -> Network:
        """A network on the device, as training lays it out."""
        settings = self.settings
        drawn = networks.build(settings.network, self.classes, (self.frames, self.bins), settings.width)
        return arithmetic.laid_out(drawn, torch.device(self.device))

    def outline(self) -> Network:
        """A network without weights, of which only shapes are known."""
        settings = self.settings
        return networks.outline(settings.network, self.classes, (self.frames, self.bins), settings.width)

    def batch(self) -> Batch:
        """Random items."""
        size = self.settings.batch_size
        values = maps(torch.randn(size, self.frames, self.bins, device=self.device))
        codes = torch.arange(size, device=self.device) % self.classes
        return Batch(values, codes, {NUISANCE: codes}, [str(item) for item in range(size)])


def penalty_of(work: Work, case: Case, network: Network, frozen: Network, batch: Batch) -> Penalty | None:
    """What the case adds to the loss, not yet watching."""
    settings = work.settings
    if case.layer is None or case.strategy == "freeze":
        return None
    if case.strategy == "dann":
        channels = map_shapes(work.outline(), work.frames, work.bins)[case.layer][0]
        known = np.arange(max(2, work.classes), dtype=np.int64)
        return Adversary(network.layers[case.layer], channels, NUISANCE, known, settings.beta).to(work.device)
    penalty = _anti_transfer(settings, frozen, [network.layers[case.layer]])
    comparison = Comparison(penalty)
    if case.cached:
        device = torch.device(work.device)
        with arithmetic.of(settings.precision, device):
            vectors = {name: each.float().cpu().numpy() for name, each in penalty.vectors(batch.values).items()}
        comparison.kept = KeptVectors(settings.batch_size, (({item: int(item) for item in batch.ids}, vectors),))
        comparison.kept.move(device)
    return comparison


def _anti_transfer(settings: Settings, frozen: Network, layers: Sequence[str]) -> AntiTransfer:
    names = [name for name, path in frozen.layers.items() if path in layers]
    cut = frozen.until(names)
    return AntiTransfer(cut, layers, settings.beta, settings.aggregation, settings.similarity, settings.variant)


@contextmanager
def applied(case: Case, network: Network, penalty: Penalty | None) -> Iterator[None]:
    """Within it the network is trained as the case has it."""
    if case.strategy == "freeze" and case.layer is not None:
        checkpoints.freeze(network, case.layer)
    watching = penalty.penalty if isinstance(penalty, Comparison) else penalty
    if watching is not None:
        watching.watch(network)
    try:
        yield
    finally:
        if watching is not None:
            watching.unwatch()
        network.requires_grad_(True)


def recorder_of(work: Work) -> Recorder | None:
    """What captures steps on the device, as a run has them captured; None where it does not."""
    device = torch.device(work.device)
    return Graphs(device) if device.type == "cuda" else None


def step_of(
    work: Work,
    network: Network,
    optimiser: torch.optim.Optimizer,
    penalty: Penalty | None,
    recorder: Recorder | None,
    say: Callable[[str], None] = lambda _text: None,
) -> loop.Learn:
    """A training step, as a run does it: with a recorder, captured."""
    learn = partial(loop.learn, network, optimiser, penalty, work.settings.precision)
    if recorder is None:
        return learn
    comparison = penalty if isinstance(penalty, Comparison) else None
    return Captured(learn, work.settings.batch_size, recorder, comparison, say)


def take(network: Network, optimiser: torch.optim.Optimizer, learn: loop.Learn, batch: Batch, count: int) -> None:
    """`count` steps of the same batch, as an epoch takes them."""
    loop.train_epoch(network, [batch] * count, optimiser, seed=0, epoch=1, step=learn)
