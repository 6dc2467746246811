"""Made-up run folders, for what a report of many runs costs (for `growth_steps.py`)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from at_train import results
from at_train.results import Result

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = tuple(f"s{number:02d}" for number in range(20))
ITEMS, EPOCHS, SEEDS = 30, 20, 5  # items of each speaker
SPEAKER_NETWORK = {"name": "speaker", "digest": "5" * 64, "target": "speaker"}
DATASET = {"name": "digits", "digest": "d" * 64, "content": "d" * 64, "target": "word", "classes": list(WORDS)}
DATASET |= {"counts": {"train": 3000, "valid": 600, "test": 600}, "nuisances": ["speaker"]}
SETTINGS = {"target": "word", "network": "vgg16", "width": 0.25, "strategy": "none", "layers": [], "beta": 1.0}
SETTINGS |= {"aggregation": "gram", "similarity": "squared_cosine", "variant": "paper", "epochs": 50, "batch_size": 13}
SETTINGS |= {"learning_rate": 5e-4, "patience": 5, "selection": "best"}


def make(root: Path, runs: int) -> list[Path]:
    """Folders of so many runs: five seeds each without, and with anti-transfer at one layer after the other."""
    return [_run(root, number // SEEDS, number % SEEDS) for number in range(runs)]


def _run(root: Path, kind: int, seed: int) -> Path:
    settings: dict[str, Any] = {**SETTINGS, "seed": seed}
    if kind:
        settings |= {"strategy": "anti", "layers": [f"conv{(kind - 1) % 13 + 1}"], "beta": 1.0 + (kind - 1) // 13}
    others = [SPEAKER_NETWORK] if kind else []
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    folder = root / f"{settings['strategy']}-{kind}-{seed}"
    folder.mkdir(parents=True)
    facts = {"digest": digest, "name": folder.name, "settings": settings, "dataset": DATASET, "orthogonal": others}
    ended = {"state": "finished", "best_epoch": EPOCHS - 2, "epochs_run": EPOCHS, "stopped": "patience"}
    results.write_run(folder, facts | ended)
    dice = np.random.default_rng([kind, seed])
    for epoch in range(1, EPOCHS + 1):
        for split in ("train", "valid"):
            values = {"task_loss": 2 / epoch + dice.uniform(0, 0.2), "at_loss": 0.6 * bool(kind) / epoch}
            results.append(folder, Result(digest, epoch, split, values | {"accuracy": dice.uniform()}))
    for split in ("train", "valid", "test"):
        results.write_scores(folder, split, _scores(digest, split, dice), [])
    return folder


def _scores(digest: str, split: str, dice: np.random.Generator) -> dict[str, Any]:
    right = dice.binomial(ITEMS, dice.uniform(0.6, 0.95, len(SPEAKERS))).tolist()
    speakers = {name: {"items": ITEMS, "accuracy": hits / ITEMS} for name, hits in zip(SPEAKERS, right, strict=True)}
    worst = min(speakers, key=lambda name: speakers[name]["accuracy"])
    confusion = np.zeros((len(WORDS), len(WORDS)), int)
    for place, hits in enumerate(right):
        at = place % len(WORDS)
        confusion[at, at] += hits
        confusion[at, (at + 1) % len(WORDS)] += ITEMS - hits
    accuracy = sum(right) / (ITEMS * len(SPEAKERS))
    return {
        "run": digest,
        "dataset": {name: DATASET[name] for name in ("name", "digest", "content")},
        "split": split,
        "items": ITEMS * len(SPEAKERS),
        "accuracy": accuracy,
        "macro_f1": accuracy * 0.99,
        "task_loss": 0.5,
        "classes": list(WORDS),
        "confusion": confusion.tolist(),
        "groups": {"speaker": speakers},
        "worst_group": {"speaker": {"value": worst, "accuracy": speakers[worst]["accuracy"]}},
    }
