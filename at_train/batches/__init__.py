"""Shards -> batches on a device, in an order of seed and epoch alone: the only door to at_data's shards."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from at_train.batches import devices
from at_train.batches.data import Data, Split
from at_train.batches.devices import ahead, stays_on_disk
from at_train.batches.orders import Runs, order, windows


@dataclass(frozen=True)
class Batch:
    """Items on a device: values as the network expects them, codes of target and nuisances (-1 = unknown), ids."""

    values: Float32[torch.Tensor, "batch 1 frames bins"]
    target: Int64[torch.Tensor, "batch"]
    nuisances: dict[str, Int64[torch.Tensor, "batch"]]
    ids: list[str]


def epoch_batches(
    split: Split, batch_size: int, seed: int, epoch: int, device: torch.device, runs: Runs | None = None
) -> Iterator[Batch]:
    """Batches of one training epoch, every item once; the last one may be smaller. With `runs`, shuffled by runs."""
    if runs is None:
        return _batches(split, order(seed, epoch, len(split)), batch_size, device)
    turns = windows(seed, epoch, len(split), runs)
    chunks = devices.read_ahead(split, turns, batch_size)
    return _batches(split, np.concatenate(turns), batch_size, device, chunks)


def sequential_batches(split: Split, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Batches in the order of the split, every item once."""
    return _batches(split, np.arange(len(split), dtype=np.int64), batch_size, device)


def whole_batches(split: Split, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Batches in the order of the split, each of the full size: the last begins earlier and repeats some items."""
    assert len(split) >= batch_size
    places = np.arange(len(split), dtype=np.int64)
    full = len(split) // batch_size * batch_size
    tail = places[-batch_size:] if full < len(split) else places[:0]
    return _batches(split, np.concatenate([places[:full], tail]), batch_size, device)


def _batches(
    split: Split,
    places: Int64[np.ndarray, "items"],
    batch_size: int,
    device: torch.device,
    read: Iterable[Int64[np.ndarray, "batch"]] | None = None,
) -> Iterator[Batch]:
    """Batches at these places of the split; `read` gives the same places, batch by batch, to who reads from disk."""
    chunks = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    values = devices.values(split, chunks, device, read)
    codes = {
        name: torch.from_numpy(column[places]).to(device)
        for name, column in {"": split.target, **split.nuisances}.items()
    }
    ids = split.ids
    for number, (chunk, block) in enumerate(zip(chunks, values, strict=True)):
        here = slice(number * batch_size, number * batch_size + len(chunk))
        scaled = block * split.gain + split.offset if split.is_rescaled else block
        batch = {name: column[here] for name, column in codes.items()}
        yield Batch(maps(scaled), batch.pop(""), batch, [ids[place] for place in chunk.tolist()])


def maps(items: Float[Tensor, "batch frames bins"]) -> Float[Tensor, "batch 1 frames bins"]:
    """Items as maps of one channel, in the same memory; channels last on a GPU, as networks are there."""
    return channels_last(items) if items.device.type == "cuda" else items.unsqueeze(1)


def channels_last(items: Float[Tensor, "batch frames bins"]) -> Float[Tensor, "batch 1 frames bins"]:
    """Items as maps that torch takes for channels last.

    Maps of one channel lie in both layouts, and torch goes by the stride of the channel: by that of the usual layout
    cuDNN would turn the gradient of the first convolution, the largest map there is, into it at every step.
    """
    return items.unsqueeze(-1).permute(0, 3, 1, 2)


__all__ = [
    "Batch",
    "Data",
    "Runs",
    "Split",
    "ahead",
    "channels_last",
    "epoch_batches",
    "maps",
    "order",
    "sequential_batches",
    "stays_on_disk",
    "whole_batches",
    "windows",
]
