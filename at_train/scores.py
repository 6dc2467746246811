"""How good a run's selected weights are on a split: measured, then written into the run folder."""

from pathlib import Path
from typing import Any

import torch

from at_data.errors import CheckpointError, ConfigError
from at_train import arithmetic, checkpoints, loop, metrics, results, run_folder
from at_train.batches import Data, sequential_batches
from at_train.checkpoints import Facts
from at_train.loop import Evaluation
from at_train.networks import Network
from at_train.seen import forgetful, seen


def device_named(name: str) -> torch.device:
    """Device called `cpu`, `cuda` or `mps`, or for `auto` the first of cuda, mps, cpu that is there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, present in there.items() if present))
    if not there.get(name, False):
        found = ", ".join(kind for kind, present in there.items() if present)
        raise ConfigError("device", f"'{name}' is not there", f"auto or one of: {found}", "choose one of those")
    return torch.device(name)


def score(run: Path, dataset: Path | None = None, split: str = "test", device: str = "auto") -> dict[str, Any]:
    """Scores of a finished run on a split of its own dataset, or of another one; also written into `scores/`.

    Its own is looked for where it was, then where it lay from the run; CheckpointError when other data lie there.
    Another dataset must have the same shape, audio and STFT settings and no class the network does not know; its values
    are scaled as the network's own were, and `seen` counts its items that the network, or one that its run used, was
    trained on; None where the run no longer tells which those were. Raises CheckpointError when it does not fit,
    ConfigError when the split is absent.
    """
    facts = run_folder.read_finished(run)
    path = checkpoints.selected(run, facts["settings"]["selection"])
    checkpoint = checkpoints.load(path, facts["digest"])
    ours = checkpoint.facts
    data = Data.open_as(dataset or own_dataset(run, facts), ours.target, ours.classes, (ours.mean, ours.std))
    if dataset is None:
        refuse_other_data(run, data, facts)
    checkpoints.refuse_unlike(path, ours, Facts(**data.facts()))
    if split not in data.splits or not len(data.splits[split]):
        full = ", ".join(name for name, part in data.splits.items() if len(part))
        raise ConfigError(
            data.folder, f"no {split} items with a known {ours.target}", f"one of: {full}", "choose another split"
        )
    # as training lays it out: in another layout arithmetic rounds otherwise, which bfloat16 makes much of
    network = arithmetic.laid_out(checkpoints.network(path, checkpoint), device_named(device))
    with results.writing(run, "mend that and score the run again"):
        return write(run, facts, network, data, split)


def own_dataset(run: Path, facts: dict[str, Any]) -> Path:
    """Folder of the dataset a run was trained on: where it was then, or, moved together with the run, seen from it."""
    named = Path(facts["dataset_folder"])
    for folder in (named, run.resolve().parent / facts["dataset_beside"]):
        if (folder / "dataset.json").is_file():
            return folder
    raise CheckpointError(
        run, f"its dataset is no longer in {named}", "the dataset it was trained on", "name it with --dataset"
    )


def refuse_other_data(run: Path, data: Data, facts: dict[str, Any]) -> None:
    """Nothing, or CheckpointError where the dataset that was found is not the one the run was trained on."""
    came, expected = data.header.content, facts["dataset"]["content"]
    if came != expected:
        raise CheckpointError(
            data.folder,
            f"content {came[:8]} of dataset {data.header.name}-{data.header.digest[:8]}",
            f"content {expected[:8]}, which run {run} was trained on",
            "name the dataset with --dataset, this one too if you mean it",
        )


def write(run: Path, facts: dict[str, Any], network: Network, data: Data, split: str) -> dict[str, Any]:
    """Scores of one split, written as `<split>.json`, and its predictions as `<split>.csv`.

    Those of the run's own dataset lie in `scores/`, those of another in `scores/<dataset>/`.
    """
    settings = facts["settings"]
    device = next(network.parameters()).device
    batches = sequential_batches(data.splits[split], settings["batch_size"], device)
    result = loop.evaluate(network, batches, precision=settings["precision"], where=f"scoring {split}")
    header = data.header
    own = header.content == facts["dataset"]["content"]
    place = split if own else f"{header.name}-{header.digest[:8]}-{header.content[:8]}/{split}"
    content = summary(facts["digest"], data, split, result)
    if not own:
        content |= {"seen": _seen(run, facts, data, split)}
    named = ([data.classes[code] for code in codes.tolist()] for codes in (result.target, result.predicted))
    results.write_scores(run, place, content, zip(result.ids, *named, strict=True))
    return content


def _seen(run: Path, facts: dict[str, Any], data: Data, split: str) -> int | None:
    """How many items of a split were heard in training; None where the lists are gone, as weights alone can score."""
    if forgetful(run, facts):
        return None
    items = list(zip(data.splits[split].ids, data.splits[split].waveforms, strict=True))
    try:
        return seen(run, facts, data.header.manifest["corpus"], {split: items})[split]
    except CheckpointError:
        return None


def summary(run: str, data: Data, split: str, result: Evaluation) -> dict[str, Any]:
    """What `scores/<split>.json` holds; confusion rows are the true classes, groups the values of each nuisance."""
    groups = {
        name: metrics.group_accuracy(result.target, result.predicted, codes, data.header.attributes[name])
        for name, codes in data.splits[split].nuisances.items()
    }
    return {
        "run": run,
        "dataset": {"name": data.header.name, "digest": data.header.digest, "content": data.header.content},
        "split": split,
        "items": len(result.ids),
        "accuracy": metrics.accuracy(result.target, result.predicted),
        "macro_f1": metrics.macro_f1(result.target, result.predicted, len(data.classes)),
        "task_loss": result.losses.task_loss,
        "classes": list(data.classes),
        "confusion": metrics.confusion(result.target, result.predicted, len(data.classes)).tolist(),
        "groups": groups,
        "worst_group": {name: metrics.worst_group(scores) for name, scores in groups.items() if scores},
    }
