"""Shards -> batches on a device, in an order of seed and epoch alone: the only door to at_data's shards."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int64, Num

from at_data.errors import CheckpointError, ConfigError
from at_data.headers import Header
from at_data.shards import UNKNOWN, Dataset, SplitReader, open_dataset

AHEAD = 2  # batches that wait for the GPU while the next is being read
GPU_SHARE = 0.5  # of the free GPU memory that one split may fill
ROWS_PER_UPLOAD = 256
LABELS = 0  # epochs count from 1, so the order of this one is free to shuffle labels by

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """Items on a device: values as the network expects them, codes of target and nuisances (-1 = unknown), ids."""

    values: Float32[torch.Tensor, "batch 1 frames bins"]
    target: Int64[torch.Tensor, "batch"]
    nuisances: dict[str, Int64[torch.Tensor, "batch"]]
    ids: list[str]


@dataclass(frozen=True)
class Split:
    """The items of one split whose target is known.

    `rows` are their places in the reader. Values are multiplied by `gain`, then `offset` is added. `left_out` counts
    the items without a target; `held` keeps copies in the stored type, by the device that they live on.
    """

    reader: SplitReader
    rows: Int64[np.ndarray, "items"]
    target: Int64[np.ndarray, "items"]
    nuisances: dict[str, Int64[np.ndarray, "items"]]
    left_out: int
    gain: float = 1.0
    offset: float = 0.0
    held: dict[str, Num[torch.Tensor, "items frames bins"]] = field(default_factory=dict, repr=False)

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


def order(seed: int, epoch: int, n: int) -> Int64[np.ndarray, "n"]:
    """Permutation of n items for one epoch: the same for the same arguments on every machine and numpy release.

    Philox's raw stream is fixed by its definition; numpy may change how `permutation` uses it.
    """
    raw = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(raw, kind="stable").astype(np.int64)


def epoch_batches(split: Split, batch_size: int, seed: int, epoch: int, device: torch.device) -> Iterator[Batch]:
    """Batches of one training epoch, every item once; the last one may be smaller."""
    return _batches(split, order(seed, epoch, len(split)), batch_size, device)


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


def _batches(
    split: Split, places: Int64[np.ndarray, "items"], batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """Batches at these places of the split, by the fastest way the device and the split's size allow."""
    chunks = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    if not _stays_on_disk(split, device):
        values = _resident(split, places, batch_size, device)
    elif device.type == "cuda":
        values = _pinned(split, chunks, device)
    else:
        values = (torch.from_numpy(_read(split, chunk)).to(device) for chunk in chunks)
    codes = {
        name: torch.from_numpy(column[places]).to(device)
        for name, column in {"": split.target, **split.nuisances}.items()
    }
    ids = split.ids
    for number, (chunk, block) in enumerate(zip(chunks, values, strict=True)):
        here = slice(number * batch_size, number * batch_size + len(chunk))
        scaled = block.float() * split.gain + split.offset if split.is_rescaled else block.float()
        batch = {name: column[here] for name, column in codes.items()}
        yield Batch(scaled.unsqueeze(1), batch.pop(""), batch, [ids[place] for place in chunk.tolist()])


def _read(split: Split, places: Int64[np.ndarray, "batch"]) -> Float32[np.ndarray, "batch frames bins"]:
    return split.reader.read(split.rows[places], np.empty((len(places), *split.reader.shape), np.float32))


def _stays_on_disk(split: Split, device: torch.device) -> bool:
    """Whether items are read when they are needed: always without a GPU, and for a split that would crowd it."""
    if device.type != "cuda" or str(device) in split.held:
        return device.type != "cuda"
    size = len(split) * split.reader.dtype.itemsize * int(np.prod(split.reader.shape))
    return size > GPU_SHARE * torch.cuda.mem_get_info(device)[0]


def _resident(
    split: Split, places: Int64[np.ndarray, "items"], batch_size: int, device: torch.device
) -> Iterator[Num[torch.Tensor, "batch frames bins"]]:
    """Items out of the copy of the whole split on the device, which the first call makes."""
    if str(device) not in split.held:
        whole = torch.empty((len(split), *split.reader.shape), dtype=_torch_dtype(split), device=device)
        for start in range(0, len(split), ROWS_PER_UPLOAD):
            rows = split.rows[start : start + ROWS_PER_UPLOAD]
            whole[start : start + len(rows)] = torch.from_numpy(split.reader.read(rows)).to(device)
        split.held[str(device)] = whole
    chosen = torch.from_numpy(places).to(device)
    for start in range(0, len(places), batch_size):
        yield split.held[str(device)][chosen[start : start + batch_size]]


def _pinned(split: Split, chunks: Sequence[Int64[np.ndarray, "batch"]], device: torch.device) -> Iterator[torch.Tensor]:
    """Items read and copied by one background thread on a stream of its own, so that neither holds up the network.

    torch keeps released pinned blocks and hands them out again when the copies out of them are done, so two or three
    blocks go round.
    """
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copy(chunk: Int64[np.ndarray, "batch"]) -> tuple[torch.Tensor, torch.cuda.Event]:
        block = torch.empty((len(chunk), *split.reader.shape), dtype=_torch_dtype(split), pin_memory=True)
        split.reader.read(split.rows[chunk], block.numpy())
        with torch.cuda.stream(side):
            return block.to(device, non_blocking=True), side.record_event()

    for values, done in ahead(partial(copy, chunk) for chunk in chunks):
        now = torch.cuda.current_stream(device)
        now.wait_event(done)
        values.record_stream(now)
        yield values


def ahead(tasks: Iterable[Callable[[], T]], depth: int = AHEAD) -> Iterator[T]:
    """Results of the tasks in their order, run by one background thread at most `depth` ahead of who asks.

    What a task raises is raised here; leaving early runs no more than the tasks that already wait.
    """
    with ThreadPoolExecutor(1, "batches ahead") as thread:
        waiting: deque[Future[T]] = deque()
        for task in tasks:
            waiting.append(thread.submit(task))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _torch_dtype(split: Split) -> torch.dtype:
    return torch.from_numpy(np.empty(0, split.reader.dtype)).dtype
