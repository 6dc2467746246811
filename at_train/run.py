"""Settings + dataset + network -> a run folder; resume it."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.tensorboard import SummaryWriter

from at_data.errors import CheckpointError, ConfigError
from at_train import checkpoints, config, environment, loop, networks, results, run_folder, scores, strategies
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Batch, Data, epoch_batches, sequential_batches
from at_train.checkpoints import Checkpoint, Facts
from at_train.config import Settings
from at_train.losses import AntiTransfer
from at_train.networks import Network
from at_train.scores import device_named, score
from at_train.similarities import SIMILARITIES

__all__ = ["Progress", "fit", "score"]


@runtime_checkable
class Progress(Protocol):
    """Who wants to know how training goes."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        """Epoch begins, of at most so many, with so many training steps."""

    def step(self) -> None:
        """One training step is under way."""

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        """Epoch ended with these results by split; `best` if the validation task loss is the lowest so far."""

    def say(self, text: str) -> None:
        """Tell the user something that matters."""


class Silent:
    """Progress that tells nobody."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


@dataclass
class _Training:
    """A run under way: `done` epochs are behind it."""

    out: Path
    digest: str
    settings: Settings
    data: Data
    facts: Facts
    network: Network
    penalty: AntiTransfer | None
    optimiser: torch.optim.Optimizer
    device: torch.device
    done: int = 0
    best_epoch: int | None = None
    best_loss: float | None = None


def fit(
    dataset: Path, out: Path, settings: Settings, device: str = "auto", progress: Progress | None = None
) -> dict[str, Any]:
    """What `run.json` says of the run that was trained, carried on or found finished in `out`.

    The same call on the same folder carries on after the last whole epoch, on a CPU to the very weights of a run that
    was never stopped. A finished run is left alone. ConfigError or CheckpointError, with `out` untouched, when the
    settings cannot be met or the folder holds something else.
    """
    progress = progress or Silent()
    place = device_named(device)
    data = Data.open(dataset, settings.target)
    elsewhere = tuple(str(Path(folder).resolve()) for folder in settings.orthogonal)
    settings = settings.model_copy(update={"target": data.target, "orthogonal": elsewhere})
    _check(settings, data)
    others = strategies.orthogonals(settings)
    digest = config.digest(settings, data.header.content, [other.facts["digest"] for other in others])
    begun = run_folder.claim(out, digest, _plain(settings))
    if begun and begun["state"] == "finished":
        progress.say(f"{out}: already finished, nothing to do")
        return begun
    training = _prepare(out, digest, settings, data, others, place)
    facts = _facts(training, dataset, others)
    with results.writing(out, "mend that; the same command carries on after the last whole epoch"):
        return _carry_out(training, facts, progress)


def _carry_out(training: _Training, facts: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What `run.json` says at the end; the folder is looked at again, for only now no other process can change it."""
    out = training.out
    with run_folder.locked(out):
        begun = run_folder.claim(out, training.digest, _plain(training.settings))
        if begun and begun["state"] == "finished":
            progress.say(f"{out}: finished by another process, nothing to do")
            return begun
        _resume(training)
        _lay_out(training, facts)
        _warn(progress, facts, training.data)
        if training.done:
            progress.say(f"{out}: carrying on after epoch {training.done}")
        stopped = _train(training, progress)
        return _finish(training, facts, stopped)


def _check(settings: Settings, data: Data) -> None:
    """Nothing, or ConfigError for a name that does not exist or a dataset without what the schedule needs."""
    config.check_known("network", settings.network, networks.names())
    config.check_known("aggregation", settings.aggregation, AGGREGATIONS)
    config.check_known("similarity", settings.similarity, SIMILARITIES)
    with torch.device("meta"):
        layers = networks.build(
            settings.network, len(data.classes), (data.header.frames, data.header.bins), settings.width
        ).layers
    for layer in settings.layers:
        config.check_known("layer", layer, layers)
    if not _has_valid(data) and (settings.patience or settings.selection == "best"):
        raise ConfigError(
            data.folder,
            f"no valid items with a known {data.target}",
            "a valid split, for early stopping and the best epoch",
            "set patience none and selection last, or build the dataset with a valid split",
        )


def _has_valid(data: Data) -> bool:
    return "valid" in data.splits and len(data.splits["valid"]) > 0


def _prepare(
    out: Path, digest: str, settings: Settings, data: Data, others: list[strategies.Orthogonal], device: torch.device
) -> _Training:
    """A run as it begins. Initial weights are drawn from the seed alone."""
    facts = Facts(**data.facts())
    with loop.generators(torch.device("cpu"), settings.seed, "initial weights"):
        network = networks.build(settings.network, len(data.classes), (facts.frames, facts.bins), settings.width)
    penalty = strategies.apply(settings, network, others, facts)
    # a quarter off a step on the CPU too (docs/performance.md)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if penalty:
        penalty.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=settings.learning_rate)
    return _Training(out, digest, settings, data, facts, network, penalty, optimiser, device)


def _resume(training: _Training) -> None:
    """Put weights, optimiser and counts back as the last checkpoint has them, if any, and drop what came after it."""
    last = checkpoints.selected(training.out, "last")
    if last.is_file():
        _restore(training, last)
    results.truncate(training.out, training.done)  # results are written before weights are


def _restore(training: _Training, last: Path) -> None:
    """Weights, optimiser and counts as this checkpoint has them; CheckpointError when it is not one of this run."""
    checkpoint = checkpoints.load(last)
    if checkpoint.run != training.digest:
        raise CheckpointError(
            last,
            f"a checkpoint of run {checkpoint.run[:8]}",
            f"one of run {training.digest[:8]}",
            "restore the file, or train in a new folder",
        )
    checkpoints.restore(last, checkpoint, training.network)
    checkpoints.restore_optimiser(last, checkpoint, training.optimiser)
    training.done, training.best_epoch, training.best_loss = (
        checkpoint.epoch,
        checkpoint.best_epoch,
        checkpoint.best_loss,
    )
    if checkpoint.epoch == checkpoint.best_epoch:  # a kill may have come between the two files
        checkpoints.save(checkpoints.selected(training.out, "best"), replace(checkpoint, optimiser=None))


def _facts(training: _Training, dataset: Path, others: list[strategies.Orthogonal]) -> dict[str, Any]:
    """What `run.json` says of a run that begins."""
    data, header = training.data, training.data.header
    corpus, folder = header.manifest["corpus"], dataset.resolve()
    held_out = {
        name: list(zip(split.ids, split.waveforms, strict=True))
        for name, split in data.splits.items()
        if name != "train"
    }
    return {
        "digest": training.digest,
        "name": training.out.resolve().name,
        "settings": _plain(training.settings),
        "dataset": {
            "name": header.name,
            "digest": header.digest,
            "content": header.content,
            "corpus": corpus,
            "target": data.target,
            "classes": list(data.classes),
            "counts": {name: len(split) for name, split in data.splits.items()},
            "left_out": {name: split.left_out for name, split in data.splits.items()},
            "nuisances": list(data.splits["train"].nuisances),
        },
        "dataset_folder": str(folder),
        "dataset_beside": os.path.relpath(folder, training.out.resolve().parent),
        "orthogonal": [other.entry(corpus, held_out) for other in others],
        "state": "running",
        "best_epoch": None,
        "epochs_run": 0,
        "stopped": None,
    }


def _lay_out(training: _Training, facts: dict[str, Any]) -> None:
    """Every file but results and weights: written at each start, for a kill may have come in between."""
    out, data = training.out, training.data
    results.write_run(out, facts)  # the first, so that a folder without it was never begun
    sessions = environment.sessions(out, training.done + 1, training.device)
    texts = {
        "config.yaml": config.dump(training.settings),
        "data.json": data.header.model_dump_json(indent=1) + "\n",
        "train_ids.txt": _lines(data.splits["train"].ids),
        "train_waveforms.txt": _lines(set(data.splits["train"].waveforms)),
        "environment.json": json.dumps(sessions, indent=1) + "\n",
    }
    for name, text in texts.items():
        results.replace(out / name, text.encode())


def _lines(entries: Iterable[str]) -> str:
    return "".join(f"{entry}\n" for entry in sorted(entries))


def _plain(settings: Settings) -> dict[str, Any]:
    """Settings without the folders of other runs, which are known by their digests."""
    return settings.model_dump(mode="json", exclude={"orthogonal"})


def _warn(progress: Progress, facts: dict[str, Any], data: Data) -> None:
    for name, split in data.splits.items():
        if split.left_out:
            progress.say(f"warning: {split.left_out} {name} items have no known {data.target} and are left out")
    for other in facts["orthogonal"]:
        for name, count in other["seen"].items():
            if count:
                progress.say(
                    f"warning: the orthogonal run {other['name']} was trained on {count} {name} items of this dataset"
                )


def _train(training: _Training, progress: Progress) -> str:
    """Why training stopped: `epochs` or `patience`. Every epoch ends with a checkpoint it can go on from."""
    with SummaryWriter(str(training.out), purge_step=training.done + 1 if training.done else None) as events:
        while (stopped := _stopped(training)) is None:
            values, best = _epoch(training, progress)
            for split, named in values.items():
                results.append(training.out, results.Result(training.digest, training.done, split, named))
                for name, value in named.items():
                    events.add_scalar(f"{name}/{split}", value, training.done)
            events.flush()
            _save(training, best=best)
            progress.end(values, best=best)
    return stopped


def _stopped(training: _Training) -> str | None:
    settings = training.settings
    if training.done >= settings.epochs:
        return "epochs"
    waited = training.done - training.best_epoch if training.best_epoch else 0
    return "patience" if settings.patience and waited >= settings.patience else None


def _epoch(training: _Training, progress: Progress) -> tuple[dict[str, dict[str, float]], bool]:
    """Results by split of the next epoch, and whether its validation task loss is the lowest so far."""
    settings, train, epoch = training.settings, training.data.splits["train"], training.done + 1
    progress.begin(epoch, settings.epochs, -(-len(train) // settings.batch_size))
    batches = epoch_batches(train, settings.batch_size, settings.seed, epoch, training.device)
    learnt = loop.train_epoch(
        training.network,
        _watched(batches, progress),
        training.optimiser,
        training.penalty,
        seed=settings.seed,
        epoch=epoch,
        precision=settings.precision,
    )
    values, best = {"train": asdict(learnt)}, False
    if _has_valid(training.data):
        held_out = sequential_batches(training.data.splits["valid"], settings.batch_size, training.device)
        where = f"epoch {epoch}, validation"
        valid = loop.evaluate(
            training.network, held_out, training.penalty, precision=settings.precision, where=where
        ).losses
        values["valid"] = asdict(valid)
        best = training.best_loss is None or valid.task_loss < training.best_loss
        if best:
            training.best_epoch, training.best_loss = epoch, valid.task_loss
    training.done = epoch
    return values, best


def _watched(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        progress.step()
        yield batch


def _save(training: _Training, *, best: bool) -> None:
    """`last.pt`, the point to go on from, then `best.pt`, which is made again from it if a kill comes between."""
    checkpoint = Checkpoint(
        training.digest,
        training.done,
        training.best_epoch,
        training.best_loss,
        _plain(training.settings),
        training.facts,
        training.network.state_dict(),
        training.optimiser.state_dict(),
    )
    (training.out / "checkpoints").mkdir(exist_ok=True)
    checkpoints.save(checkpoints.selected(training.out, "last"), checkpoint)
    if best:
        checkpoints.save(checkpoints.selected(training.out, "best"), replace(checkpoint, optimiser=None))


def _finish(training: _Training, facts: dict[str, Any], stopped: str) -> dict[str, Any]:
    """Scores of every split with the selected weights; then, and only then, the run is called finished."""
    path = checkpoints.selected(training.out, training.settings.selection)
    if training.penalty:
        training.penalty.unwatch()
    checkpoints.restore(path, checkpoints.load(path), training.network)
    facts = {**facts, "best_epoch": training.best_epoch, "epochs_run": training.done, "stopped": stopped}
    for name, split in training.data.splits.items():
        if len(split):
            scores.write(training.out, facts, training.network, training.data, name)
    facts["state"] = "finished"
    results.write_run(training.out, facts)
    return facts
