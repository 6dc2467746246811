"""Recordings in which target and nuisance are crossed -> fewer, in which the nuisance predicts the target."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_serializer

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.rolls.assignment import Assignment

CONFLICTING = "test_conflicting"  # the split of what the bias held out of train
BIASED = ("train", "valid")  # the splits a bias is drawn in
DIGITS = 6  # behind the point of what is measured
ROUNDING = 1e-3  # what a strength may lack of the chance level: not every share can be written out

Cells = Mapping[str, Mapping[str, Sequence[str]]]
"""Value of the nuisance -> class -> ids of its recordings."""


class Bias(BaseModel):
    """Every value of the attribute `with` favours so many classes of the target.

    `strength` is the share of a value's recordings that are of its favoured classes: at chance level, favoured classes
    divided by all, the nuisance says nothing of the target; at 1 nothing but the favoured classes is left.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    attribute: Annotated[str, Field(min_length=1, alias="with")]  # `with` is a word of Python
    favoured: PositiveInt
    strength: Annotated[float, Field(ge=0, le=1)]

    @model_serializer
    def _as_written(self) -> dict[str, str | int | float]:
        return {"with": self.attribute, "favoured": self.favoured, "strength": self.strength}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a bias made of a split: the split of every recording that is used, and how the others are accounted for.

    `favoured` holds, for train and valid, the favoured classes of each value; `unused` how many recordings of each of
    the two are in no split any more.
    """

    assigned: dict[str, str]
    favoured: dict[str, dict[str, tuple[str, ...]]]
    unused: dict[str, int]


def draw(
    recordings: Sequence[Recording], assigned: Mapping[str, str], bias: Bias, seed: int, target: str, key: str = "bias"
) -> Drawn:
    """Splits with a bias: train and valid thinned out, a fourth split of what contradicts train's, test untouched.

    What a value of train has of classes it does not favour, and train does not keep, becomes `test_conflicting`. How
    many recordings a value keeps does not depend on the strength, and what a stronger bias keeps of a class that is
    not favoured, or a weaker one of a favoured class, the other keeps too. `key` names the setting in errors.

    Raises
    ------
    ManifestError
        Target and nuisance are not crossed, the split tears values of the nuisance apart, or there are too few values
        or recordings for a bias of this kind.

    """
    # gone through again and again
    recordings = list(recordings)
    assigned = assigned.as_dict() if isinstance(assigned, Assignment) else dict(assigned)
    classes = sorted({recording.attributes[target] for recording in recordings})
    _refuse_impossible(bias, target, len(classes), key)
    _refuse_torn(recordings, assigned, bias.attribute, key)
    drawn = Drawn({item: split for item, split in assigned.items() if split not in BIASED}, {}, {})
    for split in BIASED:
        cells = _cells([r for r in recordings if assigned[r.id] == split], bias.attribute, target)
        _refuse_uncrossed(cells, classes, bias.attribute, target, split, key)
        if split == "train":
            _refuse_too_few_values(len(cells), len(classes), bias, key)
        dealt = deal(sorted(cells), classes, bias.favoured, seed, split)
        drawn.favoured[split] = {value: tuple(order[: bias.favoured]) for value, order in sorted(dealt.items())}
        drawn.unused[split] = 0
        for value, order in dealt.items():
            _draw_one(drawn, split, cells[value], order, bias, seed)
    _refuse_lost(recordings, drawn.assigned, classes, target, key)
    return drawn


def deal(values: Iterable[str], classes: Iterable[str], favoured: int, seed: int, split: str) -> dict[str, list[str]]:
    """Classes in the order in which each value likes them, the first so many its favoured ones.

    Values stand in a seeded order, classes on a seeded ring. Each value favours the classes that follow those of the
    value before it, so that over all values no class is favoured more than once oftener than another.
    """
    people = sorted(values, key=lambda value: seeds.key(seed, f"bias {split} value", value))
    ring = sorted(classes, key=lambda name: seeds.key(seed, f"bias {split} class", name))
    starts = ((place * favoured) % len(ring) for place in range(len(people)))
    return {value: ring[start:] + ring[:start] for value, start in zip(people, starts, strict=True)}


def shares(there: Sequence[int], favoured: int, strength: float) -> list[int]:
    """How many recordings of each class a value keeps; the first so many classes are its favoured ones.

    In all it keeps what it has of its favoured classes, or less where a class is too rare for an even spread at chance
    level: the same number at every strength. `round(strength x all)` of them, halves up, are of favoured classes.

    Examples
    --------
    >>> shares([10] * 10, 3, 0.9)
    [9, 9, 9, 1, 1, 1, 0, 0, 0, 0]
    >>> shares([10] * 10, 3, 0.3)
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 3]

    """
    size = min(sum(there[:favoured]), len(there) * min(there))
    wanted = floor(max(strength, favoured / len(there)) * size + 0.5)
    return _evenly(there[:favoured], wanted) + _evenly(there[favoured:], size - wanted)


def dependence(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Mutual information in bits and Cramer's V (not corrected for chance) of two attributes, one pair an item.

    Both are 0 where an attribute has one value only, or there is no item.
    """
    if not pairs:
        return {"mutual_information_bits": 0.0, "cramers_v": 0.0}
    rows, columns = (np.unique(np.array(side, str), return_inverse=True)[1] for side in zip(*pairs, strict=True))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    joint = table / len(pairs)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    met = joint > 0
    bits = (joint[met] * np.log2(joint[met] / expected[met])).sum().item()
    smaller = min(table.shape) - 1
    v = np.sqrt(((joint - expected) ** 2 / expected).sum() / smaller).item() if smaller else 0.0
    # what lies beyond is the noise of adding up, and no two machines have the same
    return {"mutual_information_bits": abs(round(bits, DIGITS)), "cramers_v": round(v, DIGITS)}


def _cells(recordings: Iterable[Recording], attribute: str, target: str) -> dict[str, dict[str, list[str]]]:
    cells: dict[str, dict[str, list[str]]] = {}
    for recording in recordings:
        value, name = recording.attributes[attribute], recording.attributes[target]
        cells.setdefault(value, {}).setdefault(name, []).append(recording.id)
    return cells


def _draw_one(
    drawn: Drawn, split: str, cells: Mapping[str, Sequence[str]], order: Sequence[str], bias: Bias, seed: int
) -> None:
    """Enter what one value of the nuisance keeps, and where the rest of its recordings goes."""
    kept = shares([len(cells[name]) for name in order], bias.favoured, bias.strength)
    for place, (name, number) in enumerate(zip(order, kept, strict=True)):
        # by id alone, so that what a strength keeps of a class is part of what another keeps more of
        items = sorted(cells[name], key=lambda item: seeds.key(seed, "bias", item))
        drawn.assigned.update(dict.fromkeys(items[:number], split))
        if split == "train" and place >= bias.favoured:
            drawn.assigned.update(dict.fromkeys(items[number:], CONFLICTING))
        else:
            drawn.unused[split] += len(items) - number


def _evenly(there: Sequence[int], total: int) -> list[int]:
    """So many in all, as evenly as what is there allows; the first get what is over."""
    kept = [0] * len(there)
    while total:
        places = [place for place, most in enumerate(there) if kept[place] < most]
        step = max(1, min(total // len(places), *(there[place] - kept[place] for place in places)))
        for place in places[:total]:
            kept[place] += step
            total -= step
    return kept


def _refuse_impossible(bias: Bias, target: str, classes: int, key: str) -> None:
    if bias.attribute == target:
        raise ManifestError(
            f"{key}.with", f"'{target}' is the target itself", "another attribute", "name the nuisance to tie it to"
        )
    if bias.favoured >= classes:
        raise ManifestError(
            f"{key}.favoured",
            f"{bias.favoured} of {classes} classes",
            f"less than all {classes}",
            "lower it, or keep more classes",
        )
    chance = bias.favoured / classes
    if bias.strength < chance - ROUNDING:
        raise ManifestError(
            f"{key}.strength",
            f"{bias.strength:g} is below chance level",
            f"{chance:.4g} ({bias.favoured} of {classes} classes, no dependence) to 1",
            "raise it, or favour fewer classes",
        )


def _refuse_torn(recordings: Sequence[Recording], assigned: Mapping[str, str], attribute: str, key: str) -> None:
    """The test is to hold values of the nuisance that train never met."""
    where: dict[str, str] = {}
    for recording in recordings:
        value, split = recording.attributes[attribute], assigned[recording.id]
        other = where.setdefault(value, split)
        if other != split:
            raise ManifestError(
                key,
                f"{attribute} '{value}' stands in {other} and {split}",
                f"a split that keeps '{attribute}' whole, for the test is of values that train never met",
                f"split by {attribute}, or take a published split that holds whole ones out",
            )


def _refuse_uncrossed(cells: Cells, classes: Sequence[str], attribute: str, target: str, split: str, key: str) -> None:
    lacking = [(value, name) for value, held in sorted(cells.items()) for name in classes if name not in held]
    if lacking:
        value, name = lacking[0]
        more = f" ({len(lacking) - 1} more combinations are absent)" if len(lacking) > 1 else ""
        raise ManifestError(
            f"{key}.with",
            f"{attribute} '{value}' in {split} has no {target} '{name}'{more}",
            f"{target} and {attribute} crossed: every combination recorded",
            "leave that value or that class out with keep",
        )


def _refuse_too_few_values(values: int, classes: int, bias: Bias, key: str) -> None:
    if values * bias.favoured < classes:
        raise ManifestError(
            f"{key}.favoured",
            f"{values} values of {bias.attribute} in train favour {bias.favoured} of {classes} classes each",
            f"{ceil(classes / bias.favoured)} values or more, so that each class is favoured by one",
            "favour more classes, keep fewer, or give train more values",
        )


def _refuse_lost(
    recordings: Sequence[Recording], assigned: Mapping[str, str], classes: Sequence[str], target: str, key: str
) -> None:
    found: dict[str, set[str]] = {"train": set(), CONFLICTING: set()}
    for recording in recordings:
        split = assigned.get(recording.id)
        if split in found:
            found[split].add(recording.attributes[target])
    lost = [name for name in classes if name not in found["train"]]
    if lost or not found[CONFLICTING]:
        raise ManifestError(
            key,
            f"train is left without {target} {', '.join(lost[:10])}" if lost else f"nothing is left for {CONFLICTING}",
            "several recordings of every combination",
            "keep more recordings, or fewer classes",
        )
