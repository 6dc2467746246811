"""Folders of runs with made-up results."""

import hashlib
import json

import numpy as np

from at_train import results
from at_train.results import Result

WORDS = ("down", "left", "<up>")  # a class name that HTML must escape
SPEAKERS = ("s1", "s2", "s10")
ITEMS = 30  # of each speaker
SPEAKER_NETWORK = {"name": "speaker", "digest": "5" * 64, "target": "speaker"}
PLAIN = {
    "target": "word",
    "network": "vgg16",
    "width": 0.25,
    "strategy": "none",
    "layers": [],
    "beta": 1.0,
    "aggregation": "gram",
    "similarity": "squared_cosine",
    "variant": "paper",
    "epochs": 50,
    "batch_size": 13,
    "learning_rate": 5e-4,
    "patience": 5,
    "selection": "best",
    "seed": 0,
}
INIT = {"strategy": "init"}
ANTI = {"strategy": "anti", "layers": ["conv5"], "beta": 1.0}


def write_run(root, seed=0, *, state="finished", dataset=None, orthogonal=None, words=WORDS, seen=None, **changes):
    """Folder of a run with made-up results that depend on its settings alone; scores agree with their confusion."""
    settings = PLAIN | changes | {"seed": seed}
    data = {"name": "digits", "digest": "d" * 64, "target": "word"} | (dataset or {})
    data |= {"classes": list(words), "counts": {"train": 300, "valid": 60, "test": 90}, "nuisances": ["speaker"]}
    data.setdefault("content", data["digest"])
    others = orthogonal or (
        [] if settings["strategy"] in {"none", "dann"} else [SPEAKER_NETWORK | ({"seen": seen} if seen else {})]
    )
    digest = hashlib.sha256(json.dumps([settings, data, others]).encode()).hexdigest()
    folder = root / f"{settings['strategy']}-{seed}-{digest[:8]}"
    folder.mkdir(parents=True)
    dice = np.random.default_rng(int(digest[:8], 16))
    epochs = 6 + seed % 3
    facts = {"digest": digest, "name": folder.name, "settings": settings, "dataset": data, "orthogonal": others}
    ended = {"state": state, "best_epoch": epochs - 2, "epochs_run": epochs, "stopped": "patience"}
    results.write_run(folder, facts | ended)
    for epoch in range(1, epochs + 1):
        for split in ("train", "valid"):
            at_loss = 0.6 / epoch if settings["strategy"] in {"anti", "dual", "dann"} else 0.0
            values = {"task_loss": 2 / epoch + dice.uniform(0, 0.2), "at_loss": at_loss, "accuracy": dice.uniform()}
            results.append(folder, Result(digest, epoch, split, values))
    for split in ("train", "valid", "test"):
        rates = dice.uniform(0.6, 0.95, len(SPEAKERS))
        results.write_scores(folder, split, scores(digest, data, split, rates), [])
    return folder


def without(folder, split):
    """Make a run one on data without items in a split."""
    facts = json.loads((folder / "run.json").read_text())
    facts["dataset"]["counts"][split] = 0
    results.write_run(folder, facts)
    (folder / "scores" / f"{split}.json").unlink()


def scores(digest, data, split, rates):
    right = [int(rate * ITEMS) for rate in rates]
    speakers = {name: {"items": ITEMS, "accuracy": hits / ITEMS} for name, hits in zip(SPEAKERS, right, strict=True)}
    worst = min(speakers, key=lambda name: speakers[name]["accuracy"])
    classes = data["classes"]
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    for place, hits in enumerate(right):
        confusion[place, place] = hits
        confusion[place, (place + 1) % len(classes)] += ITEMS - hits
    accuracy = sum(right) / (ITEMS * len(SPEAKERS))
    return {
        "run": digest,
        "dataset": {name: data[name] for name in ("name", "digest", "content")},
        "split": split,
        "items": ITEMS * len(SPEAKERS),
        "accuracy": accuracy,
        "macro_f1": accuracy * 0.99,
        "task_loss": 0.5,
        "classes": classes,
        "confusion": confusion.tolist(),
        "groups": {"speaker": speakers},
        "worst_group": {"speaker": {"value": worst, "accuracy": speakers[worst]["accuracy"]}},
    }
