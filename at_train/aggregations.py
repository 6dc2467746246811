"""A pair of feature maps -> a pair of vectors per item, and the table of the ways to do so.

Paper, section 5.5. Maps are `batch channels height width`, vectors `batch size`. Every way is differentiable and works
in float32 at least, also under autocast: what is small in a Gram matrix is lost in bfloat16. Maps that do not fit each
other raise ConfigError.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from at_data.errors import ConfigError

# The axes of the second map are free here, so that a misfit is told as ConfigError.
Ours = Float[Tensor, "batch channels height width"]
Theirs = Float[Tensor, "_ _ _ _"]
Vectors = tuple[Float[Tensor, "batch size"], Float[Tensor, "batch size"]]
Aggregation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Alone = Callable[[Tensor], Tensor]

COMPRESSION = 0.001  # exponent of the compressed product, paper 5.5
WHOLE = 4  # channels of a Gram matrix are filled up to a multiple: else a CPU may round by an item's place in its batch
FLOOR = 1e-10  # added before it, as the authors' code does: a dead channel must not make the product 0

BATCH, CHANNELS, HEIGHT, WIDTH = range(4)


def gram(ours: Ours, theirs: Theirs) -> Vectors:
    """Gram matrices of the channels (equation 1), flattened: channels^2 numbers per item.

    Divided by height x width, which the cosine does not see, so that the size of the map does not decide an MSE.
    Heights and widths may differ.
    """
    _check_fit("gram", ours, theirs, BATCH, CHANNELS)
    return _gram(ours), _gram(theirs)


def channel_mean(ours: Ours, theirs: Theirs) -> Vectors:
    """Mean over channels: height x width numbers per item. Channels may differ in number."""
    _check_fit("mean", ours, theirs, BATCH, HEIGHT, WIDTH)
    return _mean(ours), _mean(theirs)


def channel_sum(ours: Ours, theirs: Theirs) -> Vectors:
    """Sum over channels: height x width numbers per item. Channels may differ in number."""
    _check_fit("sum", ours, theirs, BATCH, HEIGHT, WIDTH)
    return _sum(ours), _sum(theirs)


def channel_max(ours: Ours, theirs: Theirs) -> Vectors:
    """Largest value over channels: height x width numbers per item. Channels may differ in number."""
    _check_fit("max", ours, theirs, BATCH, HEIGHT, WIDTH)
    return _max(ours), _max(theirs)


def compressed_product(ours: Ours, theirs: Theirs) -> Vectors:
    """Product over channels of (x + 1e-10)^0.001: height x width numbers per item. Channels may differ in number.

    Meant for maps after a ReLU; values below 0, which have no real power, count as 0.
    """
    _check_fit("compressed_product", ours, theirs, BATCH, HEIGHT, WIDTH)
    return _compressed_product(ours), _compressed_product(theirs)


def flat(ours: Ours, theirs: Theirs) -> Vectors:
    """The maps themselves, flattened: channels x height x width numbers per item."""
    _check_fit("none", ours, theirs, BATCH, CHANNELS, HEIGHT, WIDTH)
    return _flat(ours), _flat(theirs)


AGGREGATIONS: dict[str, Aggregation] = {
    "gram": gram,
    "mean": channel_mean,
    "sum": channel_sum,
    "max": channel_max,
    "compressed_product": compressed_product,
    "none": flat,
}


def _gram(maps: Tensor) -> Tensor:
    with torch.autocast(maps.device.type, enabled=False):
        channels = _full(maps).flatten(2)
        count, missing = channels.shape[1], -channels.shape[1] % WHOLE
        if missing:
            channels = functional.pad(channels, (0, 0, 0, missing))
        nothing = channels.new_zeros(1, 1, 1)  # the division comes with the product: one pass over channels^2 less
        scale = 1 / channels.shape[2]
        product = torch.baddbmm(nothing, channels, channels.mT, beta=0, alpha=scale)
        return product[:, :count, :count].flatten(1)


def _mean(maps: Tensor) -> Tensor:
    return _full(maps).mean(1).flatten(1)


def _sum(maps: Tensor) -> Tensor:
    return _full(maps).sum(1).flatten(1)


def _max(maps: Tensor) -> Tensor:
    return _full(maps).amax(1).flatten(1)


def _flat(maps: Tensor) -> Tensor:
    return _full(maps).flatten(1)


def _compressed_product(maps: Tensor) -> Tensor:
    # A sum of logarithms: the product itself would leave the range of a float long before the power brings it back.
    logarithms = (_full(maps).clamp_min(0) + FLOOR).log()
    return (COMPRESSION * logarithms.sum(1)).exp().flatten(1)


def _full(maps: Tensor) -> Tensor:
    """The maps in float32, or in float64 if they are."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _check_fit(where: str, ours: Tensor, theirs: Tensor, *axes: int) -> None:
    if any(ours.shape[axis] != theirs.shape[axis] for axis in axes):
        names = ("batch", "channels", "height", "width")
        came = f"maps of {tuple(ours.shape)} and {tuple(theirs.shape)}"
        raise ConfigError(
            where,
            came,
            f"equal {', '.join(names[axis] for axis in axes)}",
            "compare layers that fit, or choose another aggregation",
        )


# Those of AGGREGATIONS that look at one map at a time, as a half: only what they make of a frozen network can be kept.
ALONE: dict[str, Alone] = {
    "gram": _gram,
    "mean": _mean,
    "sum": _sum,
    "max": _max,
    "compressed_product": _compressed_product,
    "none": _flat,
}
