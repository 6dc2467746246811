"""A dataset as one task sees it: its splits, their items, targets and nuisances. The only door to at_data's shards."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Num

from at_data.errors import CheckpointError, ConfigError
from at_data.headers import Header
from at_data.shards import UNKNOWN, Dataset, SplitReader, open_dataset
from at_train.batches.orders import LABELS, order

ITEMS_AT_ONCE = 256  # looked at together


@dataclass(frozen=True)
class Split:
    """The items of one split whose target is known.

    `rows` are their places in the reader. Values are multiplied by `gain`, then `offset` is added. `left_out` counts
    the items without a target; `held` keeps copies in the stored type, by the device that they live on: all items, or
    their real frames where padding is not stored.
    """

    reader: SplitReader
    rows: Int64[np.ndarray, "items"]
    target: Int64[np.ndarray, "items"]
    nuisances: dict[str, Int64[np.ndarray, "items"]]
    left_out: int
    gain: float = 1.0
    offset: float = 0.0
    held: dict[str, Num[torch.Tensor, "..."]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_rescaled(self) -> bool:
        """Whether values differ from the stored ones."""
        return (self.gain, self.offset) != (1.0, 0.0)

    def shuffled(self, seed: int) -> "Split":
        """The same items, their labels dealt out anew: each class keeps its number of items."""
        return replace(self, target=self.target[order(seed, LABELS, len(self))])

    def knowing(self, attribute: str) -> "Split":
        """The same items, whose batches also tell this attribute."""
        return replace(self, nuisances={**self.nuisances, attribute: self.reader.codes(attribute)[self.rows]})

    def not_finite(self) -> list[str]:
        """Ids of items with a value that is no finite number, as no finished dataset has any."""
        found = []
        for start in range(0, len(self), ITEMS_AT_ONCE):
            rows = self.rows[start : start + ITEMS_AT_ONCE]
            fine = np.isfinite(self.reader.read(rows)).all(axis=(1, 2))
            found += [self.ids[start + place] for place in np.flatnonzero(~fine).tolist()]
        return found

    @cached_property
    def ids(self) -> list[str]:
        """Item ids, in the order of `rows`."""
        ids = self.reader.ids
        return [ids[row] for row in self.rows.tolist()]

    @cached_property
    def waveforms(self) -> list[str]:
        """Hash of the recording that each item was cut from, in the order of `rows`."""
        waveforms = self.reader.waveforms
        return [waveforms[row] for row in self.rows.tolist()]


@dataclass(frozen=True)
class Data:
    """A dataset as one task sees it. `classes` are the target's values in the order of their codes."""

    folder: Path
    header: Header
    target: str
    classes: tuple[str, ...]
    splits: dict[str, Split]

    @classmethod
    def open(cls, folder: Path, target: str | None = None, nuisances: Sequence[str] | None = None) -> "Data":
        """Dataset to train on; without `target` the one its manifest names.

        Nuisances default to the manifest's; when another target is chosen, the manifest's own becomes one. Raises
        ConfigError when the target is unknown, has fewer than two values in train, or has a value in another split that
        never occurs in train.
        """
        dataset = open_dataset(folder)
        target = _attribute(dataset, target or dataset.header.target)
        splits = {
            name: _split(dataset.split(name), target, _nuisances(dataset, target, nuisances)) for name in dataset.splits
        }
        data = cls(folder, dataset.header, target, tuple(dataset.header.attributes[target]), splits)
        _refuse_unlearnable(data)
        return data

    def facts(self) -> dict[str, Any]:
        """What a network's input is, in plain values, as `checkpoints.Facts` holds it."""
        header = self.header
        return {
            "dataset": header.name,
            "digest": header.digest,
            "content": header.content,
            "frames": header.frames,
            "bins": header.bins,
            "audio": header.manifest["audio"],
            "stft": header.manifest["stft"],
            "mean": header.scaling.mean,
            "std": header.scaling.std,
            "target": self.target,
            "classes": list(self.classes),
        }

    @classmethod
    def open_as(cls, folder: Path, target: str, classes: Sequence[str], scaling: tuple[float, float]) -> "Data":
        """Dataset to score with a network that knows `classes` and saw values scaled by `scaling` (mean, deviation).

        Codes become those of `classes`, values are taken back to their own units and scaled as the network expects.
        Raises ConfigError when the target is unknown and CheckpointError when it has values the network does not know.
        """
        dataset = open_dataset(folder)
        target = _attribute(dataset, target)
        own = dataset.header.attributes[target]
        strange = [value for value in own if value not in classes]
        if strange:
            raise CheckpointError(
                folder,
                f"{target} has values the network does not know: {', '.join(strange)}",
                f"only: {', '.join(classes)}",
                "build the dataset with `keep` set to those, or score another one",
            )
        recode = np.array([classes.index(value) for value in own], np.int64)
        mean, deviation = scaling
        scale = dataset.header.scaling
        gain, offset = scale.std / deviation, (scale.mean - mean) / deviation
        nuisances = _nuisances(dataset, target, None)
        splits = {
            name: _split(dataset.split(name), target, nuisances, recode=recode, gain=gain, offset=offset)
            for name in dataset.splits
        }
        return cls(folder, dataset.header, target, tuple(classes), splits)


def _attribute(dataset: Dataset, name: str) -> str:
    known = dataset.header.attributes
    if name not in known:
        raise ConfigError(
            dataset.folder, f"no attribute '{name}'", f"one of: {', '.join(known)}", "choose one of those as target"
        )
    return name


def _nuisances(dataset: Dataset, target: str, chosen: Sequence[str] | None) -> tuple[str, ...]:
    if chosen is None:
        chosen = (
            [dataset.header.target, *dataset.header.nuisances]
            if target != dataset.header.target
            else dataset.header.nuisances
        )
    return tuple(_attribute(dataset, name) for name in dict.fromkeys(chosen) if name != target)


def _split(
    reader: SplitReader,
    target: str,
    nuisances: Sequence[str],
    *,
    recode: Int64[np.ndarray, "values"] | None = None,
    gain: float = 1.0,
    offset: float = 0.0,
) -> Split:
    codes = reader.codes(target)
    rows = np.flatnonzero(codes != UNKNOWN).astype(np.int64)
    known = codes[rows] if recode is None else recode[codes[rows]]
    others = {name: reader.codes(name)[rows] for name in nuisances}
    return Split(reader, rows, known, others, len(codes) - len(rows), gain, offset)


def _refuse_unlearnable(data: Data) -> None:
    train = data.splits.get("train")
    if train is None or not len(train):
        raise ConfigError(
            data.folder,
            f"no training item with a known {data.target}",
            "a train split",
            "choose another target or split",
        )
    taught = set(train.target.tolist())
    if len(taught) < 2:  # noqa: PLR2004 - nothing can be learnt from one class
        raise ConfigError(
            data.folder,
            f"every training item has {data.target} '{data.classes[taught.pop()]}'",
            "at least two classes",
            "choose another target, or build the dataset with more values kept",
        )
    for name, split in data.splits.items():
        missing = [data.classes[code] for code in sorted(set(split.target.tolist()) - taught)]
        if missing:
            raise ConfigError(
                data.folder,
                f"{data.target} {', '.join(missing)} in {name} but not in train",
                "every class of every split in train",
                f"build a dataset not split by {data.target} (split: {{by: random, ...}}), or choose another target",
            )
