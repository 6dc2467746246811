"""The epochs of a run: learnt, validated, written down, until the schedule ends them."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from at_train import loop, results
from at_train.batches import Batch, Runs, epoch_batches, sequential_batches, stays_on_disk
from at_train.checkpoints import Checkpoint
from at_train.kept_vectors import GB, Comparison, KeptVectors
from at_train.loop import Learn, Losses
from at_train.progress import Progress
from at_train.saving import Saver, on_host, snapshot
from at_train.steps import Captured, Graphs
from at_train.training import Training, checkpoint, save, why_stopped


def train(training: Training, progress: Progress) -> str:
    """Why training stopped: `epochs` or `patience`. Every epoch ends with a checkpoint it can go on from."""
    if not training.settings.epochs:
        save(training.out, checkpoint(training), best=False)
    begun = training.done + 1 if training.done else None
    step = _step(training, progress)
    events = SummaryWriter(str(training.out), purge_step=begun)
    with events, Saver(background=_in_background(training.device)) as saver:
        while (stopped := why_stopped(training)) is None:
            values, best = _epoch(training, progress, step)
            held = snapshot(checkpoint(training)) if saver.background else checkpoint(training)
            saver.do(partial(_write_down, training.out, held, values, events, best=best))
            del held  # or the weights that it copied stay until the next ones are copied
            progress.end(values, best=best)
    return stopped


def _in_background(device: torch.device) -> bool:
    """Whether a thread writes while training goes on: where the two do not take turns."""
    return device.type == "cuda"


def _write_down(
    out: Path, held: Checkpoint, values: dict[str, dict[str, float]], events: SummaryWriter, *, best: bool
) -> None:
    """What an epoch leaves on the disk: results, the first, then weights, so that no weights are without results."""
    held = on_host(held)
    for split, named in values.items():
        results.append(out, results.Result(held.run, held.epoch, split, named))
        for name, value in named.items():
            events.add_scalar(f"{name}/{split}", value, held.epoch)
    events.flush()
    save(out, held, best=best)


def _step(training: Training, progress: Progress) -> Learn | None:
    """A training step that a GPU replays; None where steps are done as they are."""
    if training.device.type != "cuda":
        return None
    settings, penalty = training.settings, training.penalty
    progress.say("steps are captured as a graph; the Adam is a fused one; weights are written by a thread")
    if isinstance(penalty, Comparison) and isinstance(penalty.kept, KeptVectors):
        moved = penalty.kept.move(training.device)
        progress.say(f"{moved / GB:.2f} GB of kept vectors are held by the GPU")
    train = training.splits["train"]  # the first to be read; the others find what it leaves of the memory
    where = "read as they are needed" if stays_on_disk(train, training.device) else "held by the GPU"
    progress.say(f"{len(train)} training items are {where}")
    learn = partial(loop.learn, training.network, training.optimiser, penalty, settings.precision)
    comparison = penalty if isinstance(penalty, Comparison) else None
    return Captured(learn, settings.batch_size, Graphs(training.device), comparison, progress.say)


def _epoch(training: Training, progress: Progress, step: Learn | None) -> tuple[dict[str, dict[str, float]], bool]:
    """Results by split of the next epoch, and whether its validation task loss is the lowest so far."""
    settings, train, epoch = training.settings, training.splits["train"], training.done + 1
    progress.begin(epoch, settings.epochs, -(-len(train) // settings.batch_size))
    runs = None if settings.shuffle_buffer is None else Runs(settings.shuffle_run, settings.shuffle_buffer)
    batches = epoch_batches(train, settings.batch_size, settings.seed, epoch, training.device, runs)
    learnt = loop.train_epoch(
        training.network,
        _watched(batches, progress),
        training.optimiser,
        training.penalty,
        seed=settings.seed,
        epoch=epoch,
        precision=settings.precision,
        step=step,
    )
    values, best = {"train": _named(learnt)}, False
    if "valid" in training.splits:
        held_out = sequential_batches(training.splits["valid"], settings.batch_size, training.device)
        where = f"epoch {epoch}, validation"
        valid = loop.evaluate(
            training.network, held_out, training.penalty, precision=settings.precision, where=where
        ).losses
        values["valid"] = _named(valid)
        best = training.best_loss is None or valid.task_loss < training.best_loss
        if best:
            training.best_epoch, training.best_loss = epoch, valid.task_loss
    training.done = epoch
    return values, best


def _named(losses: Losses) -> dict[str, float]:
    """Losses by name, those that there are."""
    return {name: value for name, value in asdict(losses).items() if value is not None}


def _watched(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        progress.step()
        yield batch
