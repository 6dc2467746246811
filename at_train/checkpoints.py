"""Weights with the facts of the data they saw: save, load, refuse."""

import hashlib
import os
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from at_data.errors import CheckpointError, ConfigError
from at_train import checkpoint_checks, networks
from at_train.networks import Network

FORMAT = 1
HOW = ("fused", "foreach", "capturable")  # settings of an optimiser that its device decides
# what torch and zipfile raise of bytes that are no checkpoint
BROKEN = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(AssertionError, BadZipFile, UnpicklingError, MemoryError, Warning, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Facts:
    """What a network's input was: `mean` and `std` scaled the values, `classes` are in the order of the outputs.

    `digest` is that of the dataset's manifest, `content` that of the very data.
    """

    dataset: str
    digest: str
    content: str
    frames: int
    bins: int
    audio: dict[str, Any]
    stft: dict[str, Any]
    mean: float
    std: float
    target: str
    classes: list[str]


@dataclass(frozen=True)
class Checkpoint:
    """A training run at the end of an epoch; `optimiser` is None where training cannot go on from here.

    `penalty` holds what learns beside the network, as the branch of strategy dann, where training can go on.
    """

    run: str
    epoch: int
    best_epoch: int | None
    best_loss: float | None
    settings: dict[str, Any]
    facts: Facts
    weights: dict[str, torch.Tensor]
    optimiser: dict[str, Any] | None
    penalty: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Checkpoint":
        """Checkpoint from what `save` wrote."""
        fields = {name: raw[name] for name in cls.__dataclass_fields__ if name != "penalty"}
        return cls(**{**fields, "facts": Facts(**raw["facts"]), "penalty": raw.get("penalty", {})})


def save(path: Path, checkpoint: Checkpoint) -> None:
    """File that holds a checkpoint; a crash at any moment leaves the earlier one or the new one, whole.

    CheckpointError, with the earlier one kept, when it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    content = {name: getattr(checkpoint, name) for name in checkpoint.__dataclass_fields__}
    try:
        with partial.open("wb") as file:
            torch.save({"format": FORMAT, **content, "facts": asdict(checkpoint.facts)}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            path,
            f"cannot be written ({_short(error)})",
            "room on the disk and leave to write",
            "make room; the same command carries on after the last whole epoch",
        ) from error


def load(path: Path, run: str | None = None) -> Checkpoint:
    """Checkpoint in a file, on the CPU; CheckpointError when there is none, or it is damaged or something else.

    `run` is the digest of the run that it has to be of. Nothing in the file is executed: it may hold tensors and plain
    values only.
    """
    try:
        most_bytes = path.stat().st_size
        _refuse_altered(path, most_bytes)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of tensors that no checkpoint holds
            raw = torch.load(path, map_location="cpu", weights_only=True)
        found = raw["format"]
        if found == FORMAT:
            checkpoint_checks.check(raw, most_bytes)
        checkpoint = Checkpoint.parse(raw) if found == FORMAT else None
    except FileNotFoundError as error:
        raise CheckpointError(
            path, "no such file", "a checkpoint", "name a run folder that `at-train fit` finished"
        ) from error
    except BROKEN as error:
        raise CheckpointError(
            path, f"cannot be read ({_short(error)})", "a whole checkpoint", "train the run again in a new folder"
        ) from error
    if checkpoint is None:
        raise CheckpointError(
            path, f"format {found}", f"format {FORMAT}", "use the release that wrote it, or train again"
        )
    if run is not None and checkpoint.run != run:
        raise CheckpointError(
            path,
            f"a checkpoint of run {checkpoint.run[:8]}",
            f"one of run {run[:8]}, whose folder it lies in",
            "restore the file, or train in a new folder",
        )
    return checkpoint


def _refuse_altered(path: Path, most_bytes: int) -> None:
    """Nothing, or BadZipFile where bytes differ from their checksums, which torch writes but does not read."""
    with ZipFile(path) as archive:
        checkpoint_checks.check_parts(archive, most_bytes)
        altered = archive.testzip()
    if altered:
        raise BadZipFile(f"{altered} does not match its checksum")


def refuse_unlike(path: Path, theirs: Facts, ours: Facts) -> None:
    """Nothing, or CheckpointError that says in which way a network's input differs from a dataset's."""
    for what in ("frames", "bins", "audio", "stft"):
        came, expected = getattr(theirs, what), getattr(ours, what)
        if came != expected:
            raise CheckpointError(
                path,
                f"its network was trained on {what} {_plain(came)}",
                f"{_plain(expected)}, as in dataset {ours.dataset}",
                "build both datasets with the same audio, segment and stft settings, then train the network again",
            )


def restore(path: Path, checkpoint: Checkpoint, network: nn.Module) -> None:
    """The checkpoint's weights in a network; CheckpointError when their names or shapes differ."""
    _put(path, checkpoint.weights, network)


def restore_penalty(path: Path, checkpoint: Checkpoint, penalty: nn.Module) -> None:
    """What learnt beside the network, put back; CheckpointError when names or shapes differ."""
    _put(path, checkpoint.penalty, penalty)


def _put(path: Path, weights: Mapping[str, torch.Tensor], network: nn.Module) -> None:
    _refuse_other_sizes(path, weights, network.state_dict())
    network.load_state_dict(weights)


def _refuse_other_sizes(path: Path, weights: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> None:
    """CheckpointError where names, shapes or types of weights differ."""
    for name in sorted(own.keys() | weights.keys()):
        came = tuple(weights[name].shape) if name in weights else "none"
        expected = tuple(own[name].shape) if name in own else "none"
        if came != expected:
            raise CheckpointError(
                path,
                f"weights {name} of shape {came}",
                f"{expected}",
                "use the checkpoint of a network of the same kind, width and number of classes",
            )
        if weights[name].dtype != own[name].dtype:
            raise CheckpointError(
                path, f"weights {name} of type {weights[name].dtype}", f"{own[name].dtype}", "train the network again"
            )


def restore_optimiser(path: Path, checkpoint: Checkpoint, optimiser: torch.optim.Optimizer) -> None:
    """The checkpoint's optimiser state in an optimiser; CheckpointError when there is none or it does not fit.

    How the optimiser computes stays its own, for the run may go on with another device.
    """
    try:
        held = checkpoint.optimiser or {}
        groups = [
            {**theirs, **{name: ours[name] for name in HOW if name in ours}}
            for theirs, ours in zip(held["param_groups"], optimiser.param_groups, strict=True)
        ]
        optimiser.load_state_dict({**held, "param_groups": groups})
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            path,
            f"its optimiser state cannot be used ({_short(error)})",
            "a checkpoint that training can go on from, as `last.pt` is",
            "restore the file, or train in a new folder",
        ) from error


def network(path: Path, checkpoint: Checkpoint) -> Network:
    """The network that a checkpoint holds, in eval mode."""
    settings, facts = checkpoint.settings, checkpoint.facts
    try:
        checkpoint_checks.check_settings(settings)
        shape = (facts.frames, facts.bins)
        # a width can ask for more than memory: sizes first, then numbers
        planned = networks.outline(settings["network"], len(facts.classes), shape, settings["width"])
        _refuse_other_sizes(path, checkpoint.weights, planned.state_dict())
        built = networks.build(settings["network"], len(facts.classes), shape, settings["width"])
    except (ConfigError, ValueError, TypeError) as error:
        raise CheckpointError(
            path, f"its network cannot be built ({_short(error)})", "a whole checkpoint", "train the run again"
        ) from error
    restore(path, checkpoint, built)
    built.eval()
    return built


def sha256(path: Path) -> str:
    """SHA-256 of a checkpoint's file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def selected(run: Path, selection: str) -> Path:
    """File with the weights that a run is scored by."""
    return run / "checkpoints" / f"{selection}.pt"


def orthogonal(path: Path, run: str, ours: Facts) -> tuple[Network, Facts]:
    """Network of another run's checkpoint, frozen, and its facts; CheckpointError when our data cannot be its input."""
    checkpoint = load(path, run)
    refuse_unlike(path, checkpoint.facts, ours)
    frozen = network(path, checkpoint)
    frozen.requires_grad_(False)
    return frozen, checkpoint.facts


def copy_convolutions(source: Network, target: Network) -> int:
    """Number of tensors copied from the convolutions of one network into those of another, each of them.

    Raises CheckpointError as `refuse_other_convolutions`. The released code of the paper meant to do this and copied
    nothing, so every tensor is compared afterwards.
    """
    refuse_other_convolutions(source, target)
    theirs, ours = _convolution_weights(source), _convolution_weights(target)
    for name, tensor in theirs.items():
        with torch.no_grad():
            ours[name].copy_(tensor)
    assert theirs
    assert all(torch.equal(tensor.cpu(), ours[name].cpu()) for name, tensor in theirs.items())
    return len(theirs)


def refuse_other_convolutions(source: Network, target: Network) -> None:
    """Nothing, or CheckpointError where the convolutions of two networks differ in layers or shapes."""
    theirs, ours = _convolution_weights(source), _convolution_weights(target)
    if theirs.keys() != ours.keys():
        odd = ", ".join(sorted(theirs.keys() ^ ours.keys()))
        raise CheckpointError(
            "orthogonal",
            f"convolutions differ: {odd}",
            "the same network",
            "train the orthogonal run with this --network",
        )
    for name, tensor in theirs.items():
        if tensor.shape != ours[name].shape:
            raise CheckpointError(
                "orthogonal",
                f"{name} of shape {tuple(tensor.shape)}",
                f"{tuple(ours[name].shape)}",
                "train both networks with the same --network and --width",
            )


def freeze(network: Network, layer: str) -> list[str]:
    """Names of the layers that no longer learn: those up to and including `layer`."""
    names = list(network.layers)
    frozen = names[: names.index(layer) + 1]
    for name in frozen:
        network.convolutions()[name].requires_grad_(False)
    return frozen


def _convolution_weights(network: Network) -> dict[str, torch.Tensor]:
    return {
        f"{layer}.{name}": tensor
        for layer, module in network.convolutions().items()
        for name, tensor in module.state_dict(keep_vars=True).items()
    }


def _short(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:120] or type(error).__name__


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)
