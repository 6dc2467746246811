"""Datasets of random items, without a recording: on disk for runs, in memory for accuracies."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from at_data import headers, shards
from at_train.batches import Batch

CLASSES = 10
BLOCK = 512  # items that are drawn; the others are these again


def on_disk(folder: Path, shape: tuple[int, int], counts: dict[str, int]) -> Path:
    """Finished dataset folder with so many items in each split, half precision, uncompressed."""
    (folder / "shards").mkdir(parents=True)
    drawn = np.random.default_rng(1).normal(size=(min(BLOCK, *counts.values()), *shape)).astype(np.float16)
    listed = [_shard(folder, split, count, drawn) for split, count in counts.items()]
    facts = {
        "format": headers.FORMAT,
        "name": folder.name,
        "digest": "d" * 64,
        "content": "",
        "listing": "l" * 64,
        "manifest": {"corpus": "made", "audio": {"sample_rate_hz": 16000}, "stft": {"window": "hamming"}},
        "licence": "CC0",
        "source": "made",
        "citation": "none",
        "target": "word",
        "nuisances": [],
        "attributes": {"word": [str(code) for code in range(CLASSES)]},
        "frames": shape[0],
        "bins": shape[1],
        "dtype": "float16",
        "compression": "none",
        "padding": "stored",
        "scaling": {"mean": 0.0, "std": 1.0},
        "counts": counts,
        "class_counts": {},
        "hours": {},
        "recordings": {"listed": 0, "held": 0},
        "left_out": {},
        "bias": None,
        "duplicates": {"waveforms": 0, "recordings": 0, "with_several_labels": 0},
        "noise": None,
        "shards": listed,
        "files": {},
        "versions": {},
    }
    said = headers.Header.model_validate(facts)
    headers.write(folder, said.model_copy(update={"content": headers.content(said)}))
    return folder


def _shard(folder: Path, split: str, count: int, drawn: np.ndarray) -> headers.Shard:
    path = folder / "shards" / f"{split}-00000-of-00001.h5"
    ids = [f"{split}{item}#0" for item in range(count)]
    blocks = (drawn[: count - start] for start in range(0, count, len(drawn)))
    sha256 = shards.write_shard(
        path,
        "d" * 64,
        blocks,
        (count, *drawn.shape[1:]),
        {"word": np.arange(count) % CLASSES},
        ids,
        [hashlib.sha256(item.encode()).hexdigest() for item in ids],
        target="word",
        dtype="float16",
        compression="none",
    )
    return headers.Shard(file=f"shards/{path.name}", split=split, items=count, sha256=sha256)


def separable(shape: tuple[int, int], count: int, batch_size: int, seed: int, device: torch.device) -> list[Batch]:
    """Batches of noise with a band that tells the class, in some items plainly, in others too faintly for anybody."""
    dice = torch.Generator().manual_seed(seed)
    values = torch.randn(count, 1, *shape, generator=dice)
    codes = torch.arange(count) % CLASSES
    strengths = BAND * torch.rand(count, 1, 1, 1, generator=dice)
    values += strengths * (torch.arange(shape[1]) * CLASSES // shape[1] == codes[:, None])[:, None, None, :]
    values, codes = values.to(device), codes.to(device)
    parts = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    return [Batch(values[part], codes[part], {}, [str(item) for item in range(count)][part]) for part in parts]


BAND = 1.0  # what the band adds at most to noise of deviation 1
