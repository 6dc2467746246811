"""What the frozen network says of every item, computed once and kept beside the run, in place of a pass at every step.

A convolution may round otherwise when it gets another number of items at a time, not because of which items they are or
in which order (torch 2.13 on an x86 CPU: batches of one or two items differ from larger ones in the seventh digit). So
the vectors are computed in batches of exactly the size that training uses, and a batch of another size, the last of an
epoch, is not answered: there the frozen network runs as it does without the cache. That makes the two ways equal to the
bit on a CPU.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from at_data.errors import ConfigError
from at_train import arithmetic, results
from at_train.batches import Batch, Split, whole_batches
from at_train.losses import AntiTransfer

FOLDER = "orthogonal_cache"
GB = 1e9
GPU_SHARE = 0.3  # of the free GPU memory that one array may fill
ROWS_PER_COPY = 256

Arrays = dict[str, np.ndarray]  # layer -> items x size, mapped into memory


class Comparison(nn.Module):
    """Anti-transfer loss of a batch and its number of items, from `kept` vectors where those know the batch."""

    def __init__(self, penalty: AntiTransfer) -> None:
        super().__init__()
        self.penalty = penalty
        self.kept: KeptVectors | Answer | None = None

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        """Loss of the batch that the watched network saw last."""
        vectors = self.kept.of(batch) if self.kept else None
        value = self.penalty(batch.values) if vectors is None else self.penalty.against(vectors)
        return value, len(batch.ids)

    @contextmanager
    def answered(self, vectors: Mapping[str, Tensor]) -> Iterator[None]:
        """Within it every batch is compared with these vectors."""
        kept, self.kept = self.kept, Answer(dict(vectors))
        try:
            yield
        finally:
            self.kept = kept

    def unwatch(self) -> None:
        """Remove every hook from the watched network."""
        self.penalty.unwatch()


@dataclass(frozen=True)
class Answer:
    """The same vectors whatever the batch."""

    vectors: dict[str, Tensor]

    def of(self, _batch: Batch) -> dict[str, Float[Tensor, "_ _"]] | None:
        """They."""
        return self.vectors


@dataclass(frozen=True)
class KeptVectors:
    """Vectors of whole batches: of each split the places of its items by id, and an array for each layer.

    `resident` holds arrays that a GPU had room for, by the place of their split and their layer.
    """

    batch_size: int
    splits: tuple[tuple[dict[str, int], Arrays], ...]
    resident: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def move(self, device: torch.device) -> int:
        """Bytes copied to a GPU: every array that fills no more than its share of the memory still free there."""
        moved = 0
        for number, (_, arrays) in enumerate(self.splits):
            for layer, array in arrays.items():
                if device.type == "cuda" and array.nbytes <= GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
                    self.resident[number, layer] = _copied(array, device)
                    moved += array.nbytes
        return moved

    def of(self, batch: Batch) -> dict[str, Float[Tensor, "_ _"]] | None:
        """Vectors of these items by layer, on their device; None for a batch of another size than was computed."""
        if len(batch.ids) != self.batch_size:
            return None
        for number, (places, arrays) in enumerate(self.splits):
            if batch.ids[0] in places:
                rows = [places[item] for item in batch.ids]
                return {layer: self._rows(number, layer, rows, batch.values.device) for layer in arrays}
        return None

    def _rows(self, number: int, layer: str, rows: list[int], device: torch.device) -> Float[Tensor, "_ _"]:
        """Rows of one array, by way of pinned memory where they go to a GPU: that copy does not wait for it."""
        resident, cuda = self.resident.get((number, layer)), device.type == "cuda"
        if resident is not None:
            return resident[torch.tensor(rows, pin_memory=cuda).to(device, non_blocking=True)]
        found = torch.from_numpy(self.splits[number][1][layer][rows])
        return found.pin_memory().to(device, non_blocking=True) if cuda else found.to(device)


@dataclass(frozen=True)
class Maker:
    """How vectors are computed: `about` is everything beside the items that decides their bits."""

    folder: Path
    penalty: AntiTransfer
    batch_size: int
    device: torch.device
    precision: str
    about: Mapping[str, Any]

    def open(self, splits: Mapping[str, Split]) -> KeptVectors:
        """Vectors of the splits that fill a batch, computed now where the folder does not hold these very ones.

        ConfigError, before anything is computed, when the disk has no room for them.
        """
        full = {name: split for name, split in splits.items() if len(split) >= self.batch_size}
        sizes = self._sizes(next(iter(full.values()))) if full else {}
        absent = {name: split for name, split in full.items() if self._arrays(name, split, sizes) is None}
        self._refuse_small_disk(sum(map(len, absent.values())) * sum(sizes.values()) * 4)
        for name, split in absent.items():
            self._make(name, split, sizes)
        opened = []
        for name, split in full.items():
            arrays = self._arrays(name, split, sizes)
            assert arrays is not None, "absent ones have just been made"
            opened.append(({item: place for place, item in enumerate(split.ids)}, arrays))
        return KeptVectors(self.batch_size, tuple(opened))

    def bytes(self, splits: Mapping[str, Split]) -> int:
        """Size on disk of the vectors of all these splits."""
        full = [split for split in splits.values() if len(split) >= self.batch_size]
        return sum(map(len, full)) * sum(self._sizes(full[0]).values()) * 4 if full else 0

    def _sizes(self, split: Split) -> dict[str, int]:
        """Numbers per item, by layer."""
        item = torch.zeros(1, 1, *split.reader.shape, device=self.device)
        return {name: vectors.shape[1] for name, vectors in self.penalty.vectors(item).items()}

    def _digest(self, name: str, split: Split) -> str:
        ids = hashlib.sha256("\n".join(split.ids).encode()).hexdigest()
        facts = {**self.about, "split": name, "items": ids, "batch_size": self.batch_size, "precision": self.precision}
        penalty = self.penalty
        facts |= {"layers": penalty.frozen_layers, "aggregation": penalty.aggregation, "variant": penalty.variant}
        facts |= {"gain": penalty.gain, "offset": penalty.offset}
        facts |= {"device": self.device.type, "torch": torch.__version__}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _arrays(self, name: str, split: Split, sizes: Mapping[str, int]) -> Arrays | None:
        """Arrays that the folder holds of this split; None when they are absent, damaged or of something else."""
        try:
            if json.loads((self.folder / f"{name}.json").read_text())["digest"] != self._digest(name, split):
                return None
            arrays = {
                layer: np.asarray(np.load(self._file(name, layer), mmap_mode="r", allow_pickle=False))
                for layer in sizes
            }
        except (OSError, ValueError, LookupError, TypeError):
            return None
        whole = all(arrays[layer].shape == (len(split), size) for layer, size in sizes.items())
        return arrays if whole else None

    def _file(self, name: str, layer: str) -> Path:
        return self.folder / f"{name}.{layer}.npy"

    def _make(self, name: str, split: Split, sizes: Mapping[str, int]) -> None:
        """The files of one split: the arrays, then the key that makes them count."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        partial = {layer: self._file(name, layer).with_suffix(".partial") for layer in sizes}
        files = {layer: path.open("wb") for layer, path in partial.items()}
        try:
            for layer, file in files.items():
                shape = {"descr": "<f4", "fortran_order": False, "shape": (len(split), sizes[layer])}
                np.lib.format.write_array_header_1_0(file, shape)
            # written, not mapped: a full disk is then an error and no signal
            for vectors in self._vectors(split):
                for layer, rows in vectors.items():
                    files[layer].write(rows.tobytes())
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        finally:
            for file in files.values():
                file.close()
        for layer, path in partial.items():
            path.replace(self._file(name, layer))
        key = {"digest": self._digest(name, split)}
        results.replace(self.folder / f"{name}.json", (json.dumps(key) + "\n").encode())

    def _vectors(self, split: Split) -> Iterator[Arrays]:
        """Vectors of all items in the order of the split; what the last batch repeats is left out."""
        done = 0
        for batch in whole_batches(split, self.batch_size, self.device):
            with arithmetic.of(self.precision, self.device):
                found = self.penalty.vectors(batch.values)
            fresh = min(self.batch_size, len(split) - done)
            yield {layer: rows[-fresh:].float().cpu().numpy().astype("<f4") for layer, rows in found.items()}
            done += fresh

    def _refuse_small_disk(self, size: int) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if size > free:
            raise ConfigError(
                self.folder,
                f"needs {size / GB:.1f} GB, {free / GB:.1f} GB are free",
                "room for what the frozen network says of every item",
                "make room, compare an earlier layer or another aggregation, or leave --cache-orthogonal out",
            )


def _copied(array: np.ndarray, device: torch.device) -> Tensor:
    """A mapped array on a device, some rows at a time."""
    whole = torch.empty(array.shape, device=device)
    for start in range(0, len(array), ROWS_PER_COPY):
        rows = torch.from_numpy(np.array(array[start : start + ROWS_PER_COPY]))
        whole[start : start + len(rows)] = rows.to(device)
    return whole


def remove(run: Path) -> None:
    """No kept vectors in a run folder: they serve training alone, and are made again when they are wanted."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)
