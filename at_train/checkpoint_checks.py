"""What a checkpoint must hold before it is used: plain values of the right types, tensors no larger than the file."""

import math
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

Kind = type | tuple[type, ...]

HELD: dict[str, Kind] = {
    "run": str,
    "epoch": int,
    "best_epoch": (int, type(None)),
    "best_loss": (float, int, type(None)),
    "settings": dict,
    "facts": dict,
    "weights": dict,
    "optimiser": (dict, type(None)),
}
SETTINGS: dict[str, Kind] = {"network": str, "width": (int, float)}
FACTS: dict[str, Kind] = {
    "dataset": str,
    "digest": str,
    "content": str,
    "frames": int,
    "bins": int,
    "audio": dict,
    "stft": dict,
    "mean": (int, float),
    "std": (int, float),
    "target": str,
    "classes": list,
}


def check_parts(archive: ZipFile, most_bytes: int) -> None:
    """Nothing, or BadZipFile where parts are packed, or larger than the file: a few bytes can stand for many."""
    parts = archive.infolist()
    if any(part.compress_type != ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > most_bytes:
        raise BadZipFile("its parts are packed, or larger than the file")


def check(raw: Any, most_bytes: int) -> None:
    """Nothing, or ValueError that says what is not as `save` writes it."""
    _check_types("checkpoint", raw, HELD)
    _check_types("facts", raw["facts"], FACTS)
    if set(raw["facts"]) != set(FACTS):
        raise ValueError("facts that are unknown")
    if not all(isinstance(name, str) for name in raw["facts"]["classes"]):
        raise ValueError("classes that are no text")
    if not all(math.isfinite(raw["facts"][name]) for name in ("mean", "std")):
        raise ValueError("a mean or deviation that is not finite")
    for part in (raw["weights"], raw.get("penalty", {})):
        if not isinstance(part, dict) or not all(isinstance(held, torch.Tensor) for held in part.values()):
            raise ValueError("weights that are no tensors")
        if not all(isinstance(name, str) for name in part):
            raise ValueError("weights without names")
    total = 0
    for tensor in _tensors(raw):
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ValueError("a tensor that is not a plain one")
        total += tensor.numel() * tensor.element_size()
    if total > most_bytes:
        raise ValueError(f"tensors of {total:,} bytes in a file of {most_bytes:,}")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Nothing, or ValueError where settings do not say which network it is."""
    _check_types("settings", settings, SETTINGS)
    if not math.isfinite(settings["width"]):
        raise ValueError("a width that is not finite")


def _check_types(what: str, raw: Any, kinds: Mapping[str, Kind]) -> None:
    if not isinstance(raw, Mapping):
        raise ValueError(f"{what}: {type(raw).__name__}")  # noqa: TRY004 - all that is wrong is told as one
    wrong = [
        name for name, kind in kinds.items() if not isinstance(raw.get(name), kind) or isinstance(raw.get(name), bool)
    ]
    if wrong:
        raise ValueError(f"{what}: {', '.join(wrong)} missing or of another type")


def _tensors(raw: Any) -> Iterator[torch.Tensor]:
    """Every tensor in a value, those that stand in it twice once."""
    seen: dict[int, Any] = {}
    todo = [raw]
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, Mapping):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set)):
            todo += value
