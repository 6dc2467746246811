"""The memory that anti-transfer needs as the paper's equation 4 has it (section 5.7): from shapes alone."""

import torch

from at_train import feature_maps
from at_train.networks import Network

BYTES = 4  # of a float32

MapShape = tuple[int, int, int]  # channels, height, width


def compared_bytes(shape: MapShape, batch_size: int, vector: int | None = None, *, mixed: bool = False) -> int:
    """Term of one layer: its feature map and what it is compared by, of both networks.

    `vector` counts the numbers an item is compared by: without it channels x channels, a Gram matrix. `mixed` is the
    Gram matrix of the authors' code instead, one of all items' channels with each other.

    To the letter, one item of VGG16 needs 8.4 MB at the first layer and 2.3 MB at the last, thirteen items need 109 and
    30. The paper names 62 and 714 MB. Thirteen items with the mixed matrix need 114 and 357 MB: only so is the last
    layer the dearer one, and twice the 357 is the 714. No reading that we know of gives the 62.
    """
    channels, height, width = shape
    per_item = channels**2 if vector is None else vector
    aggregated = (batch_size * channels) ** 2 if mixed else batch_size * per_item
    return 2 * (aggregated + batch_size * channels * height * width) * BYTES


def encoder_bytes(network: Network) -> int:
    """Size of the weights of all convolutions: E of the equation.

    58.9 MB for VGG16, where the paper has about 1150 MB, which no weights explain.
    """
    return sum(weight.numel() for part in network.convolutions().values() for weight in part.parameters()) * BYTES


def map_shapes(outline: Network, frames: int, bins: int) -> dict[str, MapShape]:
    """Shape of each layer's feature map of one item, by layer; `outline` is a network on torch's device `meta`."""
    modules = feature_maps.named(outline, list(outline.layers.values()), "layer")
    with torch.no_grad():
        maps = feature_maps.first_maps(modules, lambda: outline(torch.zeros(1, 1, frames, bins, device="meta")))
    return {name: _three(maps[module].shape[1:]) for name, module in outline.layers.items()}


def _three(sizes: torch.Size) -> MapShape:
    channels, height, width = sizes
    return channels, height, width
