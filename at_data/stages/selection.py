"""Recordings of a corpus -> the Recordings a manifest asks for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, PositiveInt, Tag

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording


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


def keep(recordings: Iterable[Recording], wanted: Mapping[str, Sequence[str]]) -> list[Recording]:
    """Recordings whose attributes all have a wanted value, in the order given.

    Raises ManifestError when a wanted value occurs nowhere: a misspelt one would otherwise shrink a task in silence.
    """
    sets = {name: frozenset(values) for name, values in wanted.items()}
    seen: dict[str, set[str]] = {name: set() for name in wanted}
    kept = []
    for recording in recordings:
        values = {name: recording.attributes.get(name) for name in sets}
        for name, value in values.items():
            if value is not None:
                seen[name].add(value)
        if all(value in sets[name] for name, value in values.items()):
            kept.append(recording)
    for name, values_wanted in wanted.items():
        absent = [value for value in values_wanted if value not in seen[name]]
        if absent:
            found = ", ".join(sorted(seen[name])[:40]) or "no value at all"
            raise ManifestError(
                f"keep.{name}",
                f"no recording has {', '.join(absent)}",
                f"values that occur in the corpus: {found}",
                "check the spelling, or whether the whole corpus was unpacked",
            )
    return kept


def balance(recordings: Sequence[Recording], rule: Cap | Undersample, seed: int) -> list[Recording]:
    """Recordings left when each value of an attribute is cut to a number, in the order given.

    Which ones stay depends on the seed and each recording's id alone: a corpus that grows moves few of them.
    """
    groups: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if rule.by not in recording.attributes:
            raise ManifestError(
                "balance.by",
                f"{recording.id} has no attribute '{rule.by}'",
                "an attribute every kept recording has",
                f"choose one of: {', '.join(sorted(recording.attributes))}",
            )
        groups[recording.attributes[rule.by]].append(recording)
    limit = rule.at if isinstance(rule, Cap) else min(map(len, groups.values()), default=0)
    chosen = {
        recording.id
        for members in groups.values()
        for recording in sorted(members, key=lambda r: seeds.key(seed, "balance", r.id))[:limit]
    }
    return [recording for recording in recordings if recording.id in chosen]
