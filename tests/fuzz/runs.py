"""Checkpoints that strangers offer, and what a run folder holds."""

import io
import json
import pickle
import zipfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
import toy

from at_train import checkpoints, config, networks, results, run_folder
from at_train.checkpoints import Checkpoint, Facts
from at_train.report import folders
from fuzz import mutators
from fuzz.campaigns import Act, Campaign, Files, put

PLAIN = ("run.json", "metrics.jsonl", "scores/test.json", "data.json", "config.yaml")


def facts() -> Facts:
    """Facts of a small network's input."""
    return Facts(
        "toy", "d" * 64, "c" * 64, toy.FRAMES, toy.BINS, toy.AUDIO, toy.STFT, 0.0, 1.0, "word", list(toy.WORDS)
    )


def _checkpoint(folder: Path) -> bytes:
    torch.manual_seed(0)
    network = networks.build("vgg16", len(toy.WORDS), (toy.FRAMES, toy.BINS), 1 / 64)
    optimiser = torch.optim.SGD(network.parameters(), momentum=0.9)
    settings = toy.settings().model_dump(mode="json") | {"width": 1 / 64}
    held = Checkpoint("r" * 64, 2, 1, 0.5, settings, facts(), network.state_dict(), optimiser.state_dict())
    checkpoints.save(folder / "a.pt", held)
    return (folder / "a.pt").read_bytes()


class _Hostile:
    """What runs a program when it is unpickled by whoever lets it."""

    def __reduce__(self) -> Any:
        import os  # noqa: PLC0415

        return os.system, ("touch PWNED",)


def _lay_checkpoint(content: bytes, dice: Random, folder: Path) -> Act:
    path = folder / "a.pt"
    kind = dice.random()
    if kind < 0.35:
        path.write_bytes(mutators.binary([content], dice))
    elif kind < 0.65:
        path.write_bytes(_repacked(content, dice))
    else:
        raw = torch.load(io.BytesIO(content), weights_only=True)
        for _ in range(dice.choice((1, 1, 2))):
            raw = _changed(raw, dice)
        torch.save(raw, path)
    return partial(_use, path)


def _repacked(content: bytes, dice: Random) -> bytes:
    """The checkpoint with one of its parts changed, under a right checksum."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        changed = (
            next(name for name in names if name.endswith("data.pkl")) if dice.random() < 0.7 else dice.choice(names)
        )
        for name in names:
            part = old.read(name)
            if name == changed:
                part = pickle.dumps(_Hostile(), 2) if dice.random() < 0.05 else mutators.binary([part], dice)
            new.writestr(name, part, zipfile.ZIP_DEFLATED if dice.random() < 0.02 else zipfile.ZIP_STORED)
        if dice.random() < 0.02:
            new.writestr("archive/bomb", bytes(50_000_000), zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _changed(made: Any, dice: Random) -> Any:
    if not isinstance(made, (dict, list)) or not made or dice.random() < 0.05:
        return dice.choice((_odd_tensor, mutators.odd_value))(dice)
    key = dice.choice(list(made) if isinstance(made, dict) else range(len(made)))
    if dice.random() < 0.15:
        del made[key]
    else:
        made[key] = _changed(made[key], dice)
    return made


def _odd_tensor(dice: Random) -> Any:
    return dice.choice(
        (
            lambda: torch.zeros(()),
            lambda: torch.zeros(3, dtype=torch.int64),
            lambda: torch.zeros(3, dtype=torch.complex64),
            lambda: torch.full((3,), float("nan")),
            lambda: torch.zeros(1).expand(2**40),
            lambda: torch.zeros(2, 3).to_sparse(),
            lambda: torch.empty(5, device="meta"),
            lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
        )
    )()


def _use(path: Path) -> None:
    checkpoint = checkpoints.load(path)
    checkpoints.refuse_unlike(path, checkpoint.facts, facts())
    network = checkpoints.network(path, checkpoint)
    network(torch.zeros(1, 1, checkpoint.facts.frames, checkpoint.facts.bins))
    checkpoints.restore_optimiser(path, checkpoint, torch.optim.SGD(network.parameters(), momentum=0.9))


def _run(_: Path) -> Files:
    scores = {
        "run": "r" * 64,
        "split": "test",
        "items": 3,
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "classes": ["no", "yes"],
        "confusion": [[1, 0], [0, 2]],
        "groups": {"speaker": {"ada": 1.0}},
        "worst_group": {"speaker": "ada"},
    }
    dataset = {
        "name": "toy",
        "digest": "d" * 64,
        "content": "c" * 64,
        "corpus": "toy",
        "target": "word",
        "classes": ["no", "yes"],
        "counts": {"train": 5},
        "nuisances": ["speaker"],
    }
    run = {
        "digest": "r" * 64,
        "name": "plain",
        "settings": toy.settings(strategy="init", orthogonal=["other"]).model_dump(mode="json"),
        "dataset": dataset,
        "dataset_folder": "/data/toy",
        "dataset_beside": "../data/toy",
        "orthogonal": [{"name": "other", "digest": "o" * 64, "target": "speaker"}],
        "state": "finished",
        "best_epoch": 1,
        "epochs_run": 2,
        "stopped": "epochs",
    }
    lines = [{"run": "r" * 64, "epoch": n, "split": "valid", "values": {"loss": 0.5, "accuracy": 1.0}} for n in (1, 2)]
    return {
        "run.json": json.dumps(run).encode(),
        "metrics.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines).encode(),
        "scores/test.json": json.dumps(scores).encode(),
        "data.json": json.dumps({"name": "toy", "manifest": {"corpus": "toy"}}).encode(),
        "config.yaml": config.dump(toy.settings()).encode(),
    }


def _lay_run(files: Files, dice: Random, folder: Path) -> Act:
    name = dice.choice(PLAIN)
    mutate = {".json": mutators.json_values, ".jsonl": mutators.json_lines, ".yaml": mutators.yaml}[Path(name).suffix]
    put(folder / "runs" / "plain", files | {name: mutate([files[name]], dice)})
    return partial(_look, folder, folder / "runs" / "plain", name)


def _look(study: Path, run: Path, changed: str) -> None:
    folders.gather([study])
    if changed == "config.yaml":
        config.load(run / "config.yaml")
    run_folder.read_finished(run)
    folders.header(results.load_run(run))


CAMPAIGNS = (
    Campaign("runs/checkpoint", 350, _checkpoint, _lay_checkpoint),
    Campaign("runs/folder", 800, _run, _lay_run),
)
