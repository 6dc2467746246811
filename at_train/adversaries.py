"""A branch that guesses a nuisance from a layer's feature map, its gradient reversed on the way into the network.

Ganin and Lempitsky, "Unsupervised domain adaptation by backpropagation", ICML 2015; Ganin et al., "Domain-adversarial
training of neural networks", JMLR 17, 2016. The branch learns to guess, the network below it learns to leave nothing to
guess by. Their weight of the reversed gradient rises with training; here it is `beta` throughout.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from at_data.errors import ConfigError
from at_train import feature_maps
from at_train.batches import Batch
from at_train.feature_maps import Watched

HIDDEN = 256  # units of the branch
STRANGER = -1  # code of a value that no training item has


class Adversary(nn.Module):
    """Cross-entropy of guessing a nuisance, in nats, and how many items of a batch it is the mean of.

    The layer's map is averaged over its positions and goes through a linear layer of 256 units, a ReLU, and a linear
    layer with an output for each value that occurs in training. Items whose value is unknown or does not occur there
    are left out. Backwards, the branch gets the gradient of this loss, the watched network `-beta` times it.

    Parameters
    ----------
    layer : str
        Module name in the watched network.
    channels : int
        Channels of that layer's map.
    nuisance : str
        Attribute to guess, one that batches tell.
    taught : array of int
        Its codes on the training items, -1 where unknown.
    beta : float
        Weight of the reversed gradient; below zero the network learns the nuisance too.

    Raises
    ------
    ConfigError
        Fewer than two values in training.

    """

    recode: Tensor

    def __init__(
        self, layer: str, channels: int, nuisance: str, taught: Int64[np.ndarray, "items"], beta: float
    ) -> None:
        super().__init__()
        known = np.unique(taught[taught >= 0])
        if len(known) < 2:  # noqa: PLR2004 - one value is no question
            raise ConfigError(
                "nuisance",
                f"the training items have {len(known)} known values of {nuisance}",
                "two or more to tell apart",
                "choose another attribute",
            )
        self.layer = layer
        self.nuisance = nuisance
        self.beta = float(beta)
        self.branch = nn.Sequential(nn.Linear(channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(known)))
        recode = torch.full((int(known.max()) + 2,), STRANGER)  # the last is for -1, which looks up the last
        recode[torch.from_numpy(known)] = torch.arange(len(known))
        self.register_buffer("recode", recode, persistent=False)
        self._watched: Watched | None = None

    def watch(self, network: nn.Module) -> "Adversary":
        """Itself, now keeping the layer's map of every forward pass of `network`; ends an earlier watch."""
        modules = feature_maps.named(network, [self.layer], "layer")
        self.unwatch()
        self._watched = Watched(network, modules)
        return self

    def unwatch(self) -> None:
        """Remove every hook from the watched network and forget its map."""
        if self._watched:
            self._watched.end()
        self._watched = None

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
        """Loss of the batch that the watched network saw last, 0 where no value is known, and the items behind it."""
        assert self._watched is not None, "watch a network first"
        pooled = self._watched.take()[self.layer].mean((2, 3))
        logits = self.branch(_Reversed.apply(pooled, self.beta))  # type: ignore[no-untyped-call]
        codes = self.places(batch.nuisances[self.nuisance])
        total = functional.cross_entropy(logits.float(), codes, ignore_index=STRANGER, reduction="sum")
        count = (codes != STRANGER).sum()
        return total / count.clamp_min(1), count

    def places(self, codes: Int64[Tensor, "batch"]) -> Int64[Tensor, "batch"]:
        """Outputs that stand for these codes of the nuisance, -1 where none does."""
        last = len(self.recode) - 1
        return self.recode[torch.where((codes < 0) | (codes > last), last, codes)]

    def strangers(self, codes: Int64[np.ndarray, "items"]) -> int:
        """How many of these items are left out, since their value is unknown or does not occur in training."""
        return int((self.places(torch.from_numpy(codes).to(self.recode.device)) == STRANGER).sum())


class _Reversed(torch.autograd.Function):
    """Forwards the values as they are, backwards the gradient times -beta."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, beta: float) -> Tensor:
        ctx.beta = beta
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * -ctx.beta, None
