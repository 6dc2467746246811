"""Recordings of a corpus -> the Recordings a manifest asks for."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from unicodedata import normalize

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, PositiveInt, Tag, model_validator

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.rolls import ABSENT, Ids, Roll
from at_data.rolls.texts import Writer


class MostFrequent(BaseModel):
    """The values of an attribute that most recordings have; of equally frequent ones the first in the alphabet.

    Counted are the recordings that every other line of `keep` lets pass and whose length, where the corpus tells it, is
    from `shortest_s` to `longest_s`; recordings of another length are not kept.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    most_frequent: PositiveInt
    shortest_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    longest_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _in_order(self) -> "MostFrequent":
        if self.shortest_s >= self.longest_s:
            raise ValueError(f"shortest_s is {self.shortest_s:g}, longest_s {self.longest_s:g}, expected less than it")
        return self


def _wish(value: object) -> str | None:
    """Which kind of wish a value is, so that only that one says what is wrong."""
    if isinstance(value, MostFrequent) or (isinstance(value, dict) and "most_frequent" in value):
        return "<most_frequent>"
    if isinstance(value, dict):
        return "<merged>"
    return "<values>" if isinstance(value, (list, tuple)) else None


def in_order(free: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose keys may be written in any order, in the one that a dataset has them."""
    return dict(sorted(free.items()))


Values = Annotated[tuple[str, ...], Field(min_length=1)]
Wish = Annotated[
    Annotated[Values, Tag("<values>")]
    | Annotated[dict[str, Values], Field(min_length=1), AfterValidator(in_order), Tag("<merged>")]
    | Annotated[MostFrequent, Tag("<most_frequent>")],
    Discriminator(
        _wish,
        custom_error_type="no_branch",
        custom_error_message=(
            "expected a list of values, a mapping of new value to the values it stands for, or a mapping of "
            "most_frequent, shortest_s, longest_s"
        ),
    ),
]


class Cap(BaseModel):
    """At most `at` recordings of each value of attribute `by`; values with fewer keep what they have."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: str
    method: Literal["cap"]
    at: PositiveInt


class Undersample(BaseModel):
    """As many recordings of each value of attribute `by` as the rarest value has."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: str
    method: Literal["undersample"]


def _branch(value: object) -> str | None:
    """Which of the rules a value means, so that only that one says what is wrong; None where it means no rule."""
    method = value.get("method") if isinstance(value, dict) else getattr(value, "method", None)
    if method in ("cap", "undersample"):
        return f"<{method}>"
    return "<none>" if value == "none" else None


Balance = Annotated[
    Annotated[Literal["none"], Tag("<none>")]
    | Annotated[Cap, Tag("<cap>")]
    | Annotated[Undersample, Tag("<undersample>")],
    Discriminator(
        _branch,
        custom_error_type="no_branch",
        custom_error_message="expected 'none', or a mapping with method 'cap' (by, at) or 'undersample' (by)",
        custom_error_context={"key": "method"},
    ),
]


@dataclass(frozen=True, slots=True)
class Kept:
    """Recordings a manifest asks for, ids of those it does not, and those of which it cannot be said.

    `unlabelled` holds what is missing of the last by id, `listed` counts all of them.
    """

    recordings: Roll
    unasked: Ids
    unlabelled: dict[str, str]
    listed: int


def keep(recordings: Iterable[Recording], wanted: Mapping[str, Wish], needed: Collection[str] = ()) -> Kept:
    """Recordings whose attributes all have a wanted value, in the order given; merged values are renamed.

    A value is a wanted one where both are the same in Unicode's form NFC, and is kept in that form. A recording with an
    unwanted value is not asked for. One that lacks an attribute that `wanted` or `needed` names, and has no unwanted
    value, is unlabelled: nobody can say whether it belongs.

    Raises
    ------
    ManifestError
        A wanted value occurs nowhere (a misspelt one would otherwise shrink a task in silence), a value is merged into
        two, or no recording has an attribute at all.

    """
    sieve = _Sieve(wanted, needed)
    kept = Roll.of(sieve.over(recordings))
    sieve.refuse_absent()
    for attribute, wish in wanted.items():
        if isinstance(wish, MostFrequent):
            often = _most_frequent(kept, attribute, wish)
            for item in kept.without(often).ids:
                sieve.unasked.add(item)
            kept = often
    return Kept(kept, Ids.of_all(sieve.unasked.texts()), sieve.unlabelled, sieve.listed)


class _Sieve:
    """What a manifest asks for, held against recordings as they pass; what it does not let pass is noted."""

    def __init__(self, wanted: Mapping[str, Wish], needed: Collection[str]) -> None:
        # in alphabetic order, so that the same wishes have the same outcome in whatever order they are written
        self.names = {attribute: _renaming(attribute, wish) for attribute, wish in sorted(wanted.items())}
        _refuse_two_counts(wanted)
        self.wanted, self.needed = wanted, needed
        self.seen: dict[str, set[str]] = {attribute: set() for attribute in (*self.names, *needed)}
        self.others: set[str] = set()
        self.unasked = Writer()
        self.unlabelled: dict[str, str] = {}
        self.listed = 0

    def over(self, recordings: Iterable[Recording]) -> Iterator[Recording]:
        """Those that are asked for."""
        for recording in recordings:
            self.listed += 1
            attributes = recording.attributes
            self.others.update(attributes)
            for attribute, values in self.seen.items():
                if attribute in attributes:
                    values.add(attributes[attribute])
            new, lacking = _fits(recording, self.names, self.wanted)
            if new is None:
                self.unasked.add(recording.id)
                continue
            lacking = lacking or next((attribute for attribute in self.needed if attribute not in attributes), None)
            if lacking:
                self.unlabelled[recording.id] = lacking
            else:
                yield replace(recording, attributes={**attributes, **new}) if new else recording

    def refuse_absent(self) -> None:
        """ManifestError where an attribute occurs nowhere, or a value that is wanted."""
        for attribute, renaming in self.names.items():
            if not self.seen[attribute]:
                raise _unknown(attribute, sorted(self.others), "keep.")
            there = {normalize("NFC", value) for value in self.seen[attribute]}
            absent = [value for value in renaming if value not in there]
            if absent:
                raise ManifestError(
                    f"keep.{attribute}",
                    f"no recording has {', '.join(absent)}",
                    f"values that occur in the corpus: {', '.join(sorted(self.seen[attribute])[:40])}",
                    "check the spelling, or whether the whole corpus was unpacked",
                )
        for attribute in self.needed:
            if not self.seen[attribute]:
                raise _unknown(attribute, sorted(self.others))


def labelled(recordings: Roll, needed: Sequence[str]) -> tuple[Roll, dict[str, str]]:
    """Recordings that have all of these attributes, and the first that each of the others lacks, by id.

    ManifestError where no recording has an attribute at all.
    """
    unlabelled: dict[str, str] = {}
    known = recordings.attributes
    for attribute in needed:
        if attribute not in known:
            raise _unknown(attribute, known)
        lacks = recordings.codes(attribute) == ABSENT
        unlabelled |= dict.fromkeys(recordings.take(lacks).ids, attribute)
        recordings = recordings.take(~lacks)
    return recordings, unlabelled


def _unknown(attribute: str, known: Sequence[str], key: str = "") -> ManifestError:
    return ManifestError(
        f"{key}{attribute}",
        f"no recording has '{attribute}'{_near(attribute, known)}",
        f"attributes of the corpus: {', '.join(known) or 'none'}",
        "choose among those, or check whether the whole corpus was unpacked",
    )


def _near(came: str, known: Sequence[str]) -> str:
    """Hint at the nearest known name, whatever its case, or nothing."""
    by_folded = {name.casefold(): name for name in known}
    found = get_close_matches(came.casefold(), by_folded, n=1)
    return f", did you mean '{by_folded[found[0]]}'?" if found else ""


def _refuse_two_counts(wanted: Mapping[str, Wish]) -> None:
    counted = [attribute for attribute, wish in wanted.items() if isinstance(wish, MostFrequent)]
    if len(counted) > 1:
        raise ManifestError(
            "keep",
            f"most_frequent of {' and of '.join(sorted(counted))}",
            "of one attribute: which recordings count would depend on which is taken first",
            "list the values of the other",
        )


Renaming = dict[str, str]  # value in the corpus, in form NFC -> value in the dataset; empty where every value will do


def _renaming(attribute: str, wish: Wish) -> Renaming:
    if isinstance(wish, MostFrequent):
        return {}
    merged = wish if isinstance(wish, dict) else {value: (value,) for value in wish}
    renaming: Renaming = {}
    for new, values in ((normalize("NFC", new), values) for new, values in merged.items()):
        for value in (normalize("NFC", value) for value in values):
            if renaming.setdefault(value, new) != new:
                raise ManifestError(
                    f"keep.{attribute}",
                    f"'{value}' becomes both '{renaming[value]}' and '{new}'",
                    "each value in one place",
                    "take one of the two away",
                )
    return renaming


def _fits(
    recording: Recording, names: Mapping[str, Renaming], wanted: Mapping[str, Wish]
) -> tuple[Renaming | None, str | None]:
    """What merging renames, None where the recording is not asked for; and an attribute it lacks."""
    new: Renaming = {}
    lacking = None
    for attribute, renaming in names.items():
        value = recording.attributes.get(attribute)
        wish = wanted[attribute]
        if value is None:
            lacking = lacking or attribute
        elif isinstance(wish, MostFrequent):
            length_s = recording.length_s
            if length_s is not None and not wish.shortest_s <= length_s <= wish.longest_s:
                return None, None
        else:
            kept = renaming.get(normalize("NFC", value))
            if kept is None:
                return None, None
            if kept != value:
                new[attribute] = kept
    return new, lacking


def _most_frequent(recordings: Roll, attribute: str, wish: MostFrequent) -> Roll:
    codes, values = recordings.codes(attribute), recordings.values(attribute)
    counts = np.bincount(codes, minlength=len(values)).tolist()
    order = sorted(range(len(values)), key=lambda code: (-counts[code], values[code]))
    chosen = np.zeros(len(values), bool)
    chosen[[code for code in order[: wish.most_frequent] if counts[code]]] = True
    return recordings.take(chosen[codes])


def balance(recordings: Sequence[Recording], rule: Cap | Undersample, seed: int) -> Roll:
    """Recordings left when each value of an attribute is cut to a number, in the order given.

    Which ones stay depends on the seed and each recording's id alone: a corpus that grows moves few of them.
    """
    roll = Roll.of(recordings)
    codes = roll.codes(rule.by)
    without = np.flatnonzero(codes == ABSENT)
    if without.size:
        first = roll[int(without[0])]
        raise ManifestError(
            "balance.by",
            f"{first.id} has no attribute '{rule.by}'",
            "an attribute every kept recording has",
            f"choose one of: {', '.join(sorted(first.attributes))}",
        )
    counts = np.bincount(codes)
    limit = rule.at if isinstance(rule, Cap) else min(counts[counts > 0].tolist(), default=0)
    chosen = np.zeros(codes.size, bool)
    for places in np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1]):
        keys = [seeds.key(seed, "balance", item) for item in roll.take(places).ids]
        chosen[places[sorted(range(len(keys)), key=keys.__getitem__)[:limit]]] = True
    return roll.take(chosen)
