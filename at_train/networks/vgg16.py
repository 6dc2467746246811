"""VGG16: configuration D without batch norm, for one input channel (paper, table 1).

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015. The paper's table
leaves out a convolution of the third block, the average pooling and the dropout; its text and the authors' code have
them. Width 1 has 134,259,392 + 4,097 x classes parameters.
"""

from collections import OrderedDict
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from at_data.errors import ConfigError
from at_train.networks import Network

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels; a pooling ends each
HIDDEN = 4096
GRID = 7  # the classifier sees a 7 x 7 average of the last maps, whatever the input's size
SMALLEST = 2 ** len(BLOCKS)  # every pooling halves, and one position must remain


class VGG16(Network):
    """Thirteen convolutions `conv1` to `conv13`, three linear layers, logits out.

    The submodule `features.conv5` ends with its ReLU, so its output is the feature map of the fifth convolution.
    """

    def __init__(self, classes: int, width: float) -> None:
        super().__init__()
        self.features = _features(width)
        self.pool = _Grid(GRID)
        self.classifier = _classifier(classes, width)
        self.layers = {name: f"features.{name}" for name in self.features._modules if name.startswith("conv")}  # noqa: SLF001
        self.apply(_initialise)

    def convolutions(self) -> dict[str, nn.Module]:
        """The Conv2d of each layer, by layer name, in order of depth."""
        return {name: self.get_submodule(f"{path}.convolution") for name, path in self.layers.items()}

    def until(self, layers: Iterable[str]) -> nn.Module:
        """The features up to the deepest of these layers: nine tenths of the weights are the classifier's."""
        parts = list(self.features.named_children())
        last = max(place for place, (name, _) in enumerate(parts) if name in set(layers))
        return nn.Sequential(OrderedDict(features=nn.Sequential(OrderedDict(parts[: last + 1]))))

    def forward(self, x: Float[Tensor, "batch 1 frames bins"]) -> Float[Tensor, "batch classes"]:
        """Logits, one per class."""
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return logits


def build(classes: int, shape: tuple[int, int], width: float = 1.0) -> VGG16:
    """VGG16 for inputs of `shape` (frames, bins), at least 32 each; channels and hidden units scaled by `width`.

    Scaled numbers are rounded, and never below 1.

    Raises
    ------
    ConfigError
        An input too small for five poolings.

    """
    if min(shape) < SMALLEST:
        raise ConfigError(
            "vgg16",
            f"input of {shape[0]} frames x {shape[1]} bins",
            f"{SMALLEST} x {SMALLEST} or more, to be halved {len(BLOCKS)} times",
            "use longer segments, or a longer window for more bins",
        )
    return VGG16(classes, width)


class _Grid(nn.AdaptiveAvgPool2d):
    """Averages over a grid; on MPS by a product along each axis, where torch pools only sizes that divide evenly.

    https://github.com/pytorch/pytorch/issues/96056
    """

    def forward(self, maps: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels grid grid"]:
        if maps.device.type != "mps":
            return super().forward(maps)
        down, across = (functional.adaptive_avg_pool1d(torch.eye(size), GRID).to(maps) for size in maps.shape[2:])
        averages: Tensor = ((maps @ across).mT @ down).mT
        return averages


def _features(width: float) -> nn.Sequential:
    """conv1, conv2, pool1, conv3, ..., conv13, pool5."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels, layer = 1, 0
    for block, sizes in enumerate(BLOCKS, start=1):
        for size in sizes:
            layer += 1
            modules[f"conv{layer}"] = _convolution(channels, channels := _scaled(size, width))
        modules[f"pool{block}"] = nn.MaxPool2d(2)
    return nn.Sequential(modules)


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolution and its ReLU. In place, for memory: only the map before the ReLU is lost, never the layer's own."""
    return nn.Sequential(
        OrderedDict(
            convolution=nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1),
            relu=nn.ReLU(inplace=True),
        )
    )


def _classifier(classes: int, width: float) -> nn.Sequential:
    maps, hidden = _scaled(BLOCKS[-1][-1], width), _scaled(HIDDEN, width)
    return nn.Sequential(
        nn.Linear(maps * GRID * GRID, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(hidden, classes),
    )


def _scaled(size: int, width: float) -> int:
    return max(1, round(size * width))


def _initialise(module: nn.Module) -> None:
    """Random weights, torchvision's scheme for every layer.

    The paper says only "randomly"; its code replaced the first and the last layer, which kept PyTorch's default.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.normal_(module.weight, std=0.01)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
