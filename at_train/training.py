"""A run under way: how it begins, what it goes on from, what it saves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from at_data.errors import ConfigError
from at_train import arithmetic, checkpoints, config, loop, networks, results, strategies
from at_train.adversaries import Adversary
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Data, Split
from at_train.checkpoints import Checkpoint, Facts
from at_train.config import Settings
from at_train.kept_vectors import Comparison
from at_train.networks import Network
from at_train.seen import forgetful
from at_train.similarities import SIMILARITIES
from at_train.strategies import Orthogonal


@dataclass
class Training:
    """A run under way: `done` epochs are behind it."""

    out: Path
    digest: str
    settings: Settings
    data: Data
    facts: Facts
    network: Network
    splits: dict[str, Split]  # training and validation items as training sees them; scores are of those of `data`
    penalty: Comparison | Adversary | None
    optimiser: torch.optim.Optimizer
    device: torch.device
    done: int = 0
    best_epoch: int | None = None
    best_loss: float | None = None


def why_stopped(training: Training) -> str | None:
    """Why training is over, `epochs` or `patience`; None while it is not."""
    settings = training.settings
    if training.done >= settings.epochs:
        return "epochs"
    waited = training.done - training.best_epoch if training.best_epoch else 0
    return "patience" if settings.patience and waited >= settings.patience else None


def check(settings: Settings, data: Data) -> None:
    """Nothing, or ConfigError for a name that does not exist or a dataset without what the schedule needs."""
    config.check_known("network", settings.network, networks.names())
    config.check_known("aggregation", settings.aggregation, AGGREGATIONS)
    config.check_known("similarity", settings.similarity, SIMILARITIES)
    shape = (data.header.frames, data.header.bins)
    layers = networks.outline(settings.network, len(data.classes), shape, settings.width).layers
    for layer in settings.layers:
        config.check_known("layer", layer, layers)
    if settings.nuisance is not None:
        config.check_known("nuisance", settings.nuisance, data.header.attributes)
    if settings.nuisance == data.target:
        raise ConfigError(
            "nuisance", f"got {data.target}, the target", "another attribute", "unlearn what is not asked"
        )
    if not _has_valid(data) and (settings.patience or settings.selection == "best"):
        raise ConfigError(
            data.folder,
            f"no valid items with a known {data.target}",
            "a valid split, for early stopping and the best epoch",
            "set patience none and selection last, or build the dataset with a valid split",
        )


def _has_valid(data: Data) -> bool:
    return "valid" in data.splits and len(data.splits["valid"]) > 0


def prepare(
    out: Path, digest: str, settings: Settings, data: Data, others: list[Orthogonal], device: torch.device
) -> Training:
    """A run as it begins. Initial weights are drawn from the seed alone, with dice of their own beside the network."""
    facts, splits = Facts(**data.facts()), _taught(settings, data)
    with loop.generators(torch.device("cpu"), settings.seed, "initial weights"):
        network = networks.build(settings.network, len(data.classes), (facts.frames, facts.bins), settings.width)
    with loop.generators(torch.device("cpu"), settings.seed, "initial weights beside the network"):
        penalty = strategies.apply(settings, network, others, facts, splits["train"])
    arithmetic.laid_out(network, device)
    if penalty:
        arithmetic.laid_out(penalty, device)
    weights = [*network.parameters(), *(penalty.parameters() if penalty else ())]
    optimiser = arithmetic.adam(weights, settings.learning_rate, device)
    return Training(out, digest, settings, data, facts, network, splits, penalty, optimiser, device)


def _taught(settings: Settings, data: Data) -> dict[str, Split]:
    """Training and validation items as training sees them: with the nuisance to unlearn, with the labels to learn.

    Validation labels stay true: they tell what a network that learnt shuffled ones knows of the task.
    """
    splits = {name: data.splits[name] for name in ("train", "valid") if name == "train" or _has_valid(data)}
    if settings.nuisance is not None:
        splits = {name: split.knowing(settings.nuisance) for name, split in splits.items()}
    if settings.labels == "shuffled":
        splits["train"] = splits["train"].shuffled(settings.seed)
    return splits


def resume(training: Training) -> None:
    """Put weights, optimiser and counts back as the last checkpoint has them, if any, and drop what came after it."""
    last = checkpoints.selected(training.out, "last")
    if last.is_file():
        _restore(training, last)
    results.truncate(training.out, training.done)  # results are written before weights are


def _restore(training: Training, last: Path) -> None:
    """Weights, optimiser and counts as this checkpoint has them; CheckpointError when it is not one of this run."""
    checkpoint = checkpoints.load(last, training.digest)
    checkpoints.restore(last, checkpoint, training.network)
    if training.penalty:
        checkpoints.restore_penalty(last, checkpoint, training.penalty)
    checkpoints.restore_optimiser(last, checkpoint, training.optimiser)
    training.done, training.best_epoch, training.best_loss = (
        checkpoint.epoch,
        checkpoint.best_epoch,
        checkpoint.best_loss,
    )
    if checkpoint.epoch == checkpoint.best_epoch:  # a kill may have come between the two files
        checkpoints.save(checkpoints.selected(training.out, "best"), replace(checkpoint, optimiser=None, penalty={}))


def checkpoint(training: Training) -> Checkpoint:
    """The point to go on from; it shares its tensors with the run."""
    return Checkpoint(
        training.digest,
        training.done,
        training.best_epoch,
        training.best_loss,
        plain(training.settings),
        training.facts,
        training.network.state_dict(),
        training.optimiser.state_dict(),
        training.penalty.state_dict() if training.penalty else {},
    )


def save(out: Path, held: Checkpoint, *, best: bool) -> None:
    """`last.pt`, the point to go on from, then `best.pt`, which is made again from it if a kill comes between."""
    (out / "checkpoints").mkdir(exist_ok=True)
    checkpoints.save(checkpoints.selected(out, "last"), held)
    if best:
        checkpoints.save(checkpoints.selected(out, "best"), replace(held, optimiser=None, penalty={}))


def warnings(training: Training, orthogonal: list[dict[str, Any]], others: list[Orthogonal]) -> Iterator[str]:
    """What the user should know before the run goes on; `orthogonal` are the entries of `run.json`."""
    for name, split in training.data.splits.items():
        if split.left_out:
            yield f"{split.left_out} {name} items have no known {training.data.target} and are left out"
    for other, run in zip(orthogonal, others, strict=True):
        if forgetful(run.folder, run.facts):
            yield f"the orthogonal run {other['name']} does not tell what the runs that it used were trained on"
        who = f"the orthogonal run {other['name']}{', or a run that it used,' if run.facts['orthogonal'] else ''}"
        for name, count in other["seen"].items():
            if count:
                yield f"{who} was trained on {count} {name} items of this dataset"
    yield from _strangers(training)
    for run in strategies.begun_alike(training.settings, len(training.data.classes), others):
        yield _alike(run)


def _alike(other: Orthogonal) -> str:
    """What to say of an orthogonal run that began with this run's own convolutions."""
    name = other.facts["name"]
    if other.facts["epochs_run"]:
        same = "for seed, network, width and number of classes are the same"
        said = f"the orthogonal run {name} began at the very weights that this network began at, {same}"
    else:
        said = f"the untrained orthogonal run {name} was drawn as this network, so it is this network's own beginning"
    return f"{said}; give one of the two another --seed"


def _strangers(training: Training) -> Iterator[str]:
    penalty = training.penalty
    if isinstance(penalty, Adversary):
        for name, split in training.splits.items():
            count = penalty.strangers(split.nuisances[penalty.nuisance])
            if count:
                which = (
                    f"{count} of {len(split)} {name} items have a {penalty.nuisance} that is unknown or not in training"
                )
                yield f"{which}: they are left out of the nuisance loss"


def plain(settings: Settings) -> dict[str, Any]:
    """Settings without the folders of other runs, which are known by their digests."""
    return settings.model_dump(mode="json", exclude={"orthogonal"})
