"""The table of networks: the files in this folder, one network each, by file name.

A network module offers `build(classes, shape, width) -> Network` and nothing else that others use.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from at_data.errors import ConfigError


class Network(nn.Module):
    """What every network offers: logits from spectrograms, and its feature maps by layer name.

    `layers` maps a layer's name (`conv1`, ...) to the submodule whose output is that layer's feature map, after its
    ReLU, in order of depth.
    """

    layers: dict[str, str]

    def convolutions(self) -> dict[str, nn.Module]:
        """Modules that hold each layer's weights, by layer name, in order of depth.

        The first weights of each have a row for every channel of the layer's map.
        """
        raise NotImplementedError

    def until(self, layers: Iterable[str]) -> nn.Module:
        """The part of this network, weights shared, that makes the maps of these layers, under the same module names.

        A network whose parts cannot be told apart answers itself.
        """
        assert all(layer in self.layers for layer in layers)
        return self

    def forward(self, x: Float[Tensor, "batch 1 frames bins"]) -> Float[Tensor, "batch classes"]:
        """Logits, one per class: the softmax of the paper's output layer belongs to the cross-entropy."""
        raise NotImplementedError


def names() -> tuple[str, ...]:
    """Names of all networks, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def build(name: str, classes: int, shape: tuple[int, int], width: float = 1.0) -> Network:
    """Randomly initialised network for inputs of `shape` (frames, bins).

    `width` scales the number of channels and hidden units: 1 is the published size, less is for CPUs and tests.

    Raises
    ------
    ConfigError
        Unknown name, or a size that cannot be built.

    """
    if name not in names():
        raise ConfigError("network", f"unknown name '{name}'", f"one of {', '.join(names())}", "choose a known one")
    if classes < 1:
        raise ConfigError("classes", f"got {classes}", "1 or more", "check the target's vocabulary")
    if width <= 0:
        raise ConfigError("width", f"got {width}", "a number above 0", "1 is the published size")
    try:
        network: Network = importlib.import_module(f"{__name__}.{name}").build(classes, shape, width)
    except (RuntimeError, OverflowError) as error:  # torch has no other for sizes that no memory holds
        came = f"got {width}, a network that cannot be made ({' '.join(str(error).split())})"
        raise ConfigError("width", came, "one that memory holds", "choose a smaller one") from error
    return network


@lru_cache
def outline(name: str, classes: int, shape: tuple[int, int], width: float = 1.0) -> Network:
    """The same on torch's device `meta`: layers and shapes without numbers. Made once for all who ask, as it is slow.

    Raises ConfigError as `build`.
    """
    with torch.device("meta"):
        return build(name, classes, shape, width)
