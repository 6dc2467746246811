"""Recordings -> train, valid, test."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Int
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording

SPLITS = ("train", "valid", "test")
ORDERS = 100  # seeded orders tried before a split is called impossible
Fraction = Annotated[float, Field(ge=0, le=1)]


def _one_or_several(value: object) -> str | None:
    return "<one>" if isinstance(value, str) else "<several>" if isinstance(value, (list, tuple)) else None


By = Annotated[
    Annotated[str, Field(min_length=1), Tag("<one>")]
    | Annotated[tuple[str, ...], Field(min_length=1), Tag("<several>")],
    Discriminator(
        _one_or_several,
        custom_error_type="no_branch",
        custom_error_message="expected 'random', 'published', an attribute, or a list of attributes",
    ),
]


class Fractions(BaseModel):
    """Shares of the recordings; `by` is "random", or the attributes whose values stay whole.

    With several attributes, recordings that share a value of any of them stay together, however long the chain.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: By
    train: Annotated[float, Field(gt=0, le=1)]
    valid: Fraction
    test: Fraction

    @field_validator("by")
    @classmethod
    def _name_each_once(cls, by: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(by, str) and len(set(by)) < len(by):
            raise ValueError("an attribute stands twice, expected each once")
        return by

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Fractions":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-9:  # noqa: PLR2004 - rounding of decimal fractions
            raise ValueError(f"train + valid + test is {total:g}, expected 1")
        if self.by == "published":
            raise ValueError(
                "a published split has no fractions: leave train, valid and test out, add valid_from_train and "
                "missing_classes"
            )
        return self


class Published(BaseModel):
    """The split the corpus publishes; where it has no valid part, that share of train, drawn at random.

    `missing_classes` is for classes that train has and the published valid or test part lacks: `fail`, or `allow`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: Literal["published"]
    valid_from_train: Annotated[float, Field(ge=0, lt=1)]
    missing_classes: Literal["fail", "allow"]


def _branch(value: object) -> str | None:
    """Which of the two a value means, so that only that one says what is wrong; None where it does not say."""
    by = value.get("by") if isinstance(value, dict) else getattr(value, "by", None)
    return None if by is None else "<published>" if by == "published" else "<fractions>"


Split = Annotated[
    Annotated[Published, Tag("<published>")] | Annotated[Fractions, Tag("<fractions>")],
    Discriminator(
        _branch,
        custom_error_type="no_branch",
        custom_error_message=(
            "expected a mapping of by, train, valid, test, or of by: published, valid_from_train and missing_classes"
        ),
        custom_error_context={"key": "by"},
    ),
]


def kept_whole(split: Split) -> tuple[str, ...]:
    """Attributes whose values the split promises not to tear apart."""
    if isinstance(split, Published) or split.by == "random":
        return ()
    return (split.by,) if isinstance(split.by, str) else split.by


def assign(recordings: Sequence[Recording], split: Split, seed: int, target: str | None) -> dict[str, str]:
    """Split of every recording id.

    Every class of `target` comes into every split that has a share, or ManifestError says which is missing where.
    Without a target only the shares count.
    """
    if isinstance(split, Published):
        return _published(recordings, split, seed, target)
    if target in kept_whole(split):
        raise ManifestError(
            "split.by",
            f"'{target}' is both the target and kept whole",
            "a target whose classes stand in every split",
            "split by another attribute, or at random",
        )
    labels = _codes(recordings, target, "target") if target else np.zeros(len(recordings), np.int64)
    groups = _components(recordings, kept_whole(split))
    sizes = np.bincount(groups)
    covers = np.zeros((len(sizes), labels.max(initial=-1) + 1), bool)
    covers[groups, labels] = True
    fractions = np.array([split.train, split.valid, split.test])
    chosen = _deal(sizes, covers, fractions, seed)
    if chosen is None:
        raise _uncovered(recordings, groups, target or "recording", covers, fractions, seed)
    return {r.id: SPLITS[chosen[g]] for r, g in zip(recordings, groups.tolist(), strict=True)}


def group_names(recordings: Sequence[Recording], split: Split) -> list[str]:
    """Name of the group each recording stayed with: the values kept whole, or nothing."""
    names = kept_whole(split)
    return ["/".join(recording.attributes[name] for name in names) for recording in recordings]


def _codes(recordings: Sequence[Recording], attribute: str, key: str) -> Int[np.ndarray, "recordings"]:
    values = [recording.attributes.get(attribute) for recording in recordings]
    if None in values:
        unknown = values.count(None)
        known = sorted({name for recording in recordings for name in recording.attributes})
        raise ManifestError(
            key,
            f"{unknown} of {len(values)} recordings have no '{attribute}'",
            f"an attribute every kept recording has; known: {', '.join(known)}",
            "choose another attribute, or leave those recordings out with keep",
        )
    return np.unique(np.array(values, dtype=str), return_inverse=True)[1].astype(np.int64)


def _components(recordings: Sequence[Recording], attributes: Sequence[str]) -> Int[np.ndarray, "recordings"]:
    """Group of each recording: alone, by one attribute, or connected over several."""
    count = len(recordings)
    if not attributes:
        return np.arange(count)
    columns = [_codes(recordings, name, "split.by") for name in attributes]
    if len(columns) == 1:
        return columns[0]
    offsets = np.cumsum([count] + [column.max(initial=0) + 1 for column in columns])
    ends = np.concatenate([column + offset for column, offset in zip(columns, offsets[:-1], strict=True)])
    starts = np.tile(np.arange(count), len(columns))
    graph = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(offsets[-1], offsets[-1]))
    labels = connected_components(graph, directed=False)[1][:count]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _deal(
    sizes: Int[np.ndarray, "groups"], covers: Bool[np.ndarray, "groups classes"], fractions: np.ndarray, seed: int
) -> Int[np.ndarray, "groups"] | None:
    """Split number of each group, or None if no seeded order brings every class everywhere.

    The first order that covers every class and misses no share by more than half the largest group wins; failing
    that, of those that cover, the one that misses least.
    """
    wanted = fractions * sizes.sum()
    best, best_miss = None, np.inf
    for attempt in range(ORDERS):
        order = seeds.generator(seed, "split", str(attempt)).permutation(len(sizes))
        chosen = _deal_once(sizes, order, wanted)
        if not _covered(chosen, covers, fractions):
            continue
        miss = np.abs(np.bincount(chosen, sizes, minlength=len(SPLITS)) - wanted).max()
        if miss < best_miss:
            best, best_miss = chosen, miss
        if miss <= max(1, sizes.max() / 2):
            break
    return best


def _deal_once(sizes: np.ndarray, order: np.ndarray, wanted: np.ndarray) -> Int[np.ndarray, "groups"]:
    """Each group in turn goes to the split that lacks most; groups of one are simply cut in the order drawn."""
    chosen = np.empty(len(sizes), np.int64)
    if sizes.max(initial=0) <= 1:
        bounds = np.floor(np.cumsum(wanted) + 0.5).astype(int)
        for number, piece in enumerate(np.split(order, bounds[:-1])):
            chosen[piece] = number
        return chosen
    lacking = wanted.astype(float).tolist()
    empty = {number for number, share in enumerate(lacking) if share > 0}
    for left, group in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        # the last groups go where nothing is yet: of three groups, three splits get one each
        choices = empty if left <= len(empty) else range(len(lacking))
        number = max(choices, key=lacking.__getitem__)
        chosen[group] = number
        lacking[number] -= float(sizes[group])
        empty.discard(number)
    return chosen


def _covered(chosen: np.ndarray, covers: np.ndarray, fractions: np.ndarray) -> bool:
    return all(covers[chosen == number].any(axis=0).all() for number in range(len(SPLITS)) if fractions[number] > 0)


def _uncovered(
    recordings: Sequence[Recording],
    groups: np.ndarray,
    target: str,
    covers: np.ndarray,
    fractions: np.ndarray,
    seed: int,
) -> ManifestError:
    """What the first order lacked, in words."""
    sizes = np.bincount(groups)
    order = seeds.generator(seed, "split", "0").permutation(len(sizes))
    chosen = _deal_once(sizes, order, fractions * sizes.sum())
    classes = sorted({recording.attributes.get(target, "") for recording in recordings})
    parts = int((fractions > 0).sum())
    scarce = [name for name, n in zip(classes, covers.sum(axis=0).tolist(), strict=True) if n < parts]
    lacks = [
        f"{SPLITS[number]} lacks {', '.join(np.array(classes)[~covers[chosen == number].any(axis=0)][:10])}"
        for number in range(len(SPLITS))
        if fractions[number] > 0 and not covers[chosen == number].any(axis=0).all()
    ]
    hint = f"too few groups hold: {', '.join(scarce[:10])}" if scarce else f"none of {ORDERS} seeded orders did it"
    return ManifestError(
        "split",
        f"no division of {len(sizes)} groups brings every {target} into every split ({'; '.join(lacks) or hint})",
        "every class in every split",
        f"{hint}; keep fewer classes, change the fractions, or split by another attribute",
    )


def _published(recordings: Sequence[Recording], split: Published, seed: int, target: str | None) -> dict[str, str]:
    if target:
        _codes(recordings, target, "target")
    without = [recording.id for recording in recordings if recording.published_split is None]
    if without:
        raise ManifestError(
            "split.by",
            f"{len(without)} recordings have no published split, {without[0]} among them",
            "a published split for every kept recording",
            "leave those recordings out with keep, or split by fractions",
        )
    assigned = {recording.id: str(recording.published_split) for recording in recordings}
    if split.valid_from_train:
        train = sorted(item for item, part in assigned.items() if part == "train")
        order = seeds.generator(seed, "split", "valid_from_train").permutation(len(train))
        for number in order[: round(split.valid_from_train * len(train))].tolist():
            assigned[train[number]] = "valid"
    _refuse_missing_classes(recordings, assigned, target, may_lack=split.missing_classes == "allow")
    return assigned


def _refuse_missing_classes(
    recordings: Sequence[Recording], assigned: Mapping[str, str], target: str | None, *, may_lack: bool
) -> None:
    found: dict[str, set[str]] = {name: set() for name in SPLITS}
    for recording in recordings:
        found[assigned[recording.id]].add(recording.attributes[target] if target else "recording")
    classes = set().union(*found.values())
    for name, present in found.items():
        if not present or (present != classes and not (may_lack and name != "train")):
            absent = ", ".join(sorted(classes - present)[:10])
            raise ManifestError(
                "split",
                f"the published {name} split has no {absent if present else 'recording'}",
                "every class in every split" if present else "recordings in every split",
                "unpack the whole corpus, keep fewer classes, set valid_from_train or missing_classes, or split by "
                "fractions",
            )
