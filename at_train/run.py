"""Settings + dataset + network -> a run folder; resume it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from at_data.errors import ConfigError, ShardError
from at_train import (
    checkpoints,
    config,
    environment,
    epochs,
    kept_vectors,
    results,
    run_folder,
    scores,
    seen,
    strategies,
)
from at_train.batches import Data
from at_train.config import Settings
from at_train.kept_vectors import GB, Comparison, Maker
from at_train.loop import DivergedError
from at_train.progress import Progress, Silent
from at_train.scores import device_named, score
from at_train.training import Training, check, plain, prepare, resume, warnings, why_stopped

__all__ = ["Progress", "Silent", "fit", "score"]

ENDED = (run_folder.FINISHED, run_folder.DIVERGED)  # states of a run that needs no more training


def fit(
    dataset: Path,
    out: Path,
    settings: Settings,
    device: str = "auto",
    progress: Progress | None = None,
    *,
    cache_orthogonal: bool = False,
) -> dict[str, Any]:
    """What `run.json` says of the run that was trained, carried on or found ended in `out`.

    The same call on the same folder carries on after the last whole epoch, on a CPU to the very weights of a run that
    was never stopped. A finished run is left alone, and so is one that diverged: its `state` is then `diverged`, its
    results so far are kept. ConfigError or CheckpointError, with `out` untouched, when the settings cannot be met or
    the folder holds something else; ShardError when a loss is no number because values of the dataset are none.

    `cache_orthogonal` keeps what the frozen network of anti and dual says of every item in `out` until the run has
    ended: faster, on a CPU the same to the bit.
    """
    progress = progress or Silent()
    place = device_named(device)
    data = Data.open(dataset, settings.target)
    elsewhere = tuple(str(Path(os.path.expanduser(folder)).resolve()) for folder in settings.orthogonal)  # noqa: PTH111
    settings = settings.model_copy(update={"target": data.target, "orthogonal": elsewhere})
    check(settings, data)
    others = strategies.orthogonals(settings)
    digest = config.digest(settings, data.header.content, [other.facts["digest"] for other in others])
    begun = run_folder.claim(out, digest, plain(settings))
    if begun and begun["state"] in ENDED:
        progress.say(f"{out}: {_ended(begun)}")
        return begun
    training = prepare(out, digest, settings, data, others, place)
    maker = _maker(training, others) if cache_orthogonal else None
    facts = _facts(training, dataset, others)
    with results.writing(out, "mend that; the same command carries on after the last whole epoch"):
        return _carry_out(training, facts, others, maker, progress)


def _ended(facts: dict[str, Any]) -> str:
    """What to say of a run that needs no more work, whatever the reason."""
    if facts["state"] == run_folder.FINISHED:
        return "already finished, nothing to do"
    diverged = facts["diverged"]
    return f"diverged in epoch {diverged['epoch']} ({diverged['message']}); {run_folder.MEND}"


def _carry_out(
    training: Training,
    facts: dict[str, Any],
    others: list[strategies.Orthogonal],
    maker: Maker | None,
    progress: Progress,
) -> dict[str, Any]:
    """What `run.json` says at the end; the folder is looked at again, for only now no other process can change it."""
    out = training.out
    with run_folder.locked(out):
        begun = run_folder.claim(out, training.digest, plain(training.settings))
        if begun and begun["state"] in ENDED:
            progress.say(f"{out}: another process was here: {_ended(begun)}")
            return begun
        known = results.read(out)
        resume(training)
        if known and not training.done:
            progress.say(f"warning: {out}: there is no checkpoint to go on from, so training begins again")
        _lay_out(training, facts, others)
        for warning in warnings(training, facts["orthogonal"], others):
            progress.say(f"warning: {warning}")
        if training.done:
            progress.say(f"{out}: carrying on after epoch {training.done}")
        if maker and isinstance(training.penalty, Comparison):
            size = maker.bytes(training.splits) / GB
            progress.say(f"keeping what the orthogonal network says of every item: {size:.2f} GB in {maker.folder}")
            training.penalty.kept = maker.open(training.splits)
        try:
            facts = _finish(training, facts, epochs.train(training, progress))
        except DivergedError as error:
            kept_vectors.remove(out)  # first: what damaged data made must not outlive them
            _refuse_damaged(training.data)
            facts = _diverge(training, facts, error)
            progress.say(f"{out}: {_ended(facts)}")
        else:
            kept_vectors.remove(out)
        return facts


def _maker(training: Training, others: list[strategies.Orthogonal]) -> Maker:
    """What keeps the words of the frozen network; ConfigError where there is none, or its words cannot be kept."""
    if not isinstance(training.penalty, Comparison):
        raise ConfigError(
            "--cache-orthogonal",
            f"strategy '{training.settings.strategy}', which asks no other network while it trains",
            f"strategy {' or '.join(sorted(strategies.COMPARING))}",
            "leave the flag out",
        )
    training.penalty.penalty.refuse_keeping()
    about = {"weights": checkpoints.sha256(others[-1].weights), "content": training.data.header.content}
    settings, folder = training.settings, training.out / kept_vectors.FOLDER
    return Maker(folder, training.penalty.penalty, settings.batch_size, training.device, settings.precision, about)


def _facts(training: Training, dataset: Path, others: list[strategies.Orthogonal]) -> dict[str, Any]:
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
        "settings": plain(training.settings),
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


def _lay_out(training: Training, facts: dict[str, Any], others: list[strategies.Orthogonal]) -> None:
    """Every file but results and weights: written at each start, for a kill may have come in between."""
    out, data = training.out, training.data
    inherited = dict(zip(seen.INHERITED, strategies.inherited(others), strict=True)) if others else {}
    results.write_run(out, facts)  # the first, so that a folder without it was never begun
    sessions = environment.sessions(out, training.done + 1, training.device)
    texts = {
        "config.yaml": config.dump(training.settings),
        "data.json": data.header.model_dump_json(indent=1) + "\n",
        "train_ids.txt": _lines(data.splits["train"].ids),
        "train_waveforms.txt": _lines(set(data.splits["train"].waveforms)),
        **{name: _lines(entries) for name, entries in inherited.items()},
        "environment.json": json.dumps(sessions, indent=1) + "\n",
    }
    for name, text in texts.items():
        results.replace(out / name, text.encode())


def _lines(entries: Iterable[str]) -> str:
    return "".join(f"{entry}\n" for entry in sorted(entries))


def _finish(training: Training, facts: dict[str, Any], stopped: str) -> dict[str, Any]:
    """Scores of every split with the selected weights; then, and only then, the run is called finished."""
    path = checkpoints.selected(training.out, training.settings.selection)
    if training.penalty:
        training.penalty.unwatch()
    checkpoints.restore(path, checkpoints.load(path, training.digest), training.network)
    facts = {**facts, "best_epoch": training.best_epoch, "epochs_run": training.done, "stopped": stopped}
    for name, split in training.data.splits.items():
        if len(split):
            scores.write(training.out, facts, training.network, training.data, name)
    facts["state"] = run_folder.FINISHED
    results.write_run(training.out, facts)
    return facts


def _refuse_damaged(data: Data) -> None:
    """Nothing, or ShardError where it is the dataset that holds what is no number."""
    for name, split in data.splits.items():
        items = split.not_finite()
        if items:
            raise ShardError(
                data.folder,
                f"{len(items)} {name} items hold values that are not finite, {items[0]} is the first",
                "numbers, as `at-prepare build` writes them",
                "run `at-prepare verify` on it and build it again; the run can then be carried on",
            )


def _diverge(training: Training, facts: dict[str, Any], error: DivergedError) -> dict[str, Any]:
    """What `run.json` says of a run that a loss has ended; weights and results of the epochs before stay."""
    scoring = why_stopped(training) is not None
    ended = {
        "best_epoch": training.best_epoch,
        "epochs_run": training.done,
        "state": run_folder.DIVERGED,
        "diverged": {
            "epoch": training.done + (not scoring),
            "message": f"{error.where}: {error.came}",
        },
    }
    facts = {**facts, **ended}
    results.write_run(training.out, facts)
    return facts
