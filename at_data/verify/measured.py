"""What a header says of all items, measured again in the index."""

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np

from at_data.headers import Header
from at_data.manifest import Manifest
from at_data.stages import bias
from at_data.verify.index import Index, same_numbers

SUMMED_UP = ("level_achieved_dbfs", "snr_achieved_db", "speech_level_dbfs", "peak")


def contradictions(index: Index, header: Header, made: Manifest) -> Iterator[str]:
    """Lines where classes, noise or bias are not what the rows of the index make."""
    classes = _class_counts(index, header)
    if classes != header.class_counts:
        yield f"class_counts: says {json.dumps(header.class_counts)}, the index has {json.dumps(classes)}"
    noise = _noise(index) if made.noise != "none" else None
    if noise is not None and header.noise is not None and not same_numbers(noise, header.noise):
        differing = sorted(key for key in noise.keys() | header.noise.keys() if noise.get(key) != header.noise.get(key))
        yield f"noise: {', '.join(differing)} are not what the index makes"
    if header.bias is not None:
        yield from _bias(index, header, made)


def _class_counts(index: Index, header: Header) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {split: Counter() for split in header.counts}
    for split, name in zip(index.texts("split"), index.texts(f"attribute.{header.target}"), strict=True):
        counted[str(split)][str(name)] += 1
    return {split: dict(sorted(found.items())) for split, found in counted.items()}


def _noise(index: Index) -> dict[str, float | int]:
    """Achieved levels over all items where they are finite, and how much clips."""
    found: dict[str, float | int] = {"items": len(index.table)}
    for name in SUMMED_UP:
        values = index.numbers(f"noise.{name}")
        values = values[np.isfinite(values)]
        if len(values):
            found |= {
                f"{name}_min": values.min().item(),
                f"{name}_mean": values.mean().item(),
                f"{name}_max": values.max().item(),
            }
    clipped = index.numbers("noise.clipped")
    return found | {"clipped_items": int((clipped > 0).sum()), "clipped_samples": int(clipped.sum())}


def _bias(index: Index, header: Header, made: Manifest) -> Iterator[str]:
    said = header.bias
    assert said is not None, "only of a dataset with a bias"
    rule = made.bias if made.bias != "none" else made.subset.bias if made.subset != "none" else "none"
    assert rule != "none", "the header has a bias where its manifest has one"
    target = made.target if made.bias != "none" or made.subset == "none" else made.subset.target
    if (said.target, said.nuisance) != (target, rule.attribute):
        yield f"bias: says {said.nuisance} predicts {said.target}, the manifest {rule.attribute} and {target}"
        return
    if sorted(said.favoured) != (["train", "valid"] if made.bias != "none" else []):
        yield f"bias: favoured is of {', '.join(said.favoured) or 'no split'}"
    by_split: dict[str, list[tuple[str, str]]] = {split: [] for split in header.counts}
    columns = (index.texts("split"), index.texts(f"attribute.{said.nuisance}"), index.texts(f"attribute.{target}"))
    for split, value, name in zip(*columns, strict=True):
        by_split[str(split)].append((str(value), str(name)))
    for split, pairs in by_split.items():
        found = bias.dependence(pairs)
        favoured = said.favoured.get(split)
        if favoured is not None and pairs:
            hits = sum(name in favoured.get(value, ()) for value, name in pairs)
            found["favoured_share"] = round(hits / len(pairs), bias.DIGITS)
        if not _alike(found, said.splits.get(split, {})):
            yield f"bias: says {json.dumps(said.splits.get(split))} of {split}, the index has {json.dumps(found)}"


def _alike(found: dict[str, float], said: dict[str, float]) -> bool:
    """Whether two measurements agree to the digits that are kept."""
    last = 1.5 * 10.0**-bias.DIGITS
    return found.keys() == said.keys() and all(abs(found[key] - said[key]) <= last for key in said)
