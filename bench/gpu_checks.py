"""Whether ways that should give the same numbers do so on this device."""

from pathlib import Path
from unittest import mock

import gpu_steps
import torch
from gpu_steps import Work

from at_train.batches import Data, devices, epoch_batches

STEPS = 8
MOST = {"float32": 1e-3, "bfloat16": 3e-2}  # nats, after a few steps of Adam on random labels


def captured_from_plain(work: Work, precision: str, layer: str | None) -> str:
    """Largest difference between task losses of steps that are captured and of steps that are not."""
    found = [_losses(work, gpu_steps.as_run(work, precision, layer, captured=captured)) for captured in (True, False)]
    return _apart(found[0][:, 0], found[1][:, 0])


def kept_from_live(work: Work, layer: str) -> str:
    """Largest difference between anti-transfer losses from kept vectors and from the frozen network."""
    found = [_losses(work, gpu_steps.as_run(work, "float32", layer, cached=cached)) for cached in (True, False)]
    return _apart(found[0][:, 1], found[1][:, 1])


def batches_by_every_way(work: Work, folder: Path) -> str:
    """Whether batches that the device holds, that are copied as they are needed, and that a CPU reads are equal."""
    split = Data.open(folder).splits["train"]
    expected = [batch.values for batch in epoch_batches(split, work.batch_size, 1, 1, torch.device("cpu"))]
    unequal = []
    for way, share in {"held": 1.0, "copied": 0.0}.items():
        with mock.patch.object(devices, "GPU_SHARE", share):
            again = Data.open(folder).splits["train"]
            found = [batch.values.cpu() for batch in epoch_batches(again, work.batch_size, 1, 1, work.device)]
        if len(found) != len(expected) or not all(map(torch.equal, found, expected)):
            unequal.append(way)
    return f"{' and '.join(unequal)} ones differ" if unequal else "equal"


def _losses(work: Work, step: gpu_steps.Step) -> torch.Tensor:
    batch = work.batch()
    with torch.random.fork_rng([work.device] if work.device.type == "cuda" else []):
        torch.manual_seed(3)  # of the dropout
        return torch.stack([step(batch) for _ in range(STEPS)]).cpu()


def _apart(one: torch.Tensor, other: torch.Tensor) -> str:
    return f"{(one - other).abs().max().item():.2g}"
