"""Splits that somebody else made: the one a corpus publishes, and the one a file lists."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from at_data import seeds
from at_data.errors import ManifestError
from at_data.rolls import ABSENT, Roll
from at_data.stages.splits import listing
from at_data.stages.splits.groups import values_of
from at_data.stages.splits.listing import PARTS
from at_data.stages.splits.settings import Imported, Published, Split

EXAMPLES = 3  # ids shown of those that do not fit


def outside(recordings: Roll, split: Split) -> dict[str, str]:
    """Recordings that a split made by somebody else says nothing of, and why; none where that is to be an error."""
    if isinstance(split, Published):
        without = recordings.take(_published(recordings) == ABSENT)
        # of nothing at all: `assign` says so
        return {} if len(without) == len(recordings) else dict.fromkeys(without.ids, "in no published part")
    if isinstance(split, Imported) and split.not_listed == "drop":
        listed = listing.read(split.file, split.sha256)
        reason = f"not listed in {Path(split.file).name}"
        reasons = {item: reason for item in recordings.ids if item not in listed}
        return {} if len(reasons) == len(recordings) else reasons
    return {}


def assign_published(
    recordings: Roll, split: Published, seed: int, target: str | None
) -> Int8[np.ndarray, "recordings"]:
    """Place in `PARTS` of every recording, as the corpus publishes it."""
    if target:
        values_of(recordings, target, "target")
    assigned = _published(recordings)
    without = np.flatnonzero(assigned == ABSENT)
    if without.size:
        raise ManifestError(
            "split.by",
            f"{without.size} recordings have no published split, {recordings.ids[int(without[0])]} among them",
            "a published split for every kept recording",
            "leave those recordings out with keep, or split by fractions",
        )
    if split.valid_from_train:
        train = np.flatnonzero(assigned == PARTS.index("train"))
        train = train[np.argsort(recordings.columns.ids.ranks[recordings.rows[train]], kind="stable")]
        order = seeds.generator(seed, "split", "valid_from_train").permutation(train.size)
        assigned[train[order[: round(split.valid_from_train * train.size)]]] = PARTS.index("valid")
    todo = "unpack the whole corpus, keep fewer classes, set valid_from_train or missing_classes, or split by fractions"
    may_lack = split.missing_classes == "allow"
    _refuse_missing_classes(recordings, assigned, target, PARTS, "published", todo, may_lack=may_lack)
    return assigned


def _published(recordings: Roll) -> Int8[np.ndarray, "recordings"]:
    """Place in `PARTS` of every recording, ABSENT where it is in no published part."""
    published = recordings.columns.published
    places = [PARTS.index(value) if value in PARTS else ABSENT for value in published.values]
    return np.asarray(np.array([*places, ABSENT], np.int8)[published.codes_of(recordings.rows)])


def assign_imported(recordings: Roll, split: Imported, target: str | None) -> Int8[np.ndarray, "recordings"]:
    """Place in `PARTS` of every recording, as the file lists it."""
    if target:
        values_of(recordings, target, "target")
    name = Path(split.file).name
    listed = listing.read(split.file, split.sha256)
    unlisted = [item for item in recordings.ids if item not in listed]
    if unlisted:
        fails = split.not_listed == "fail"  # under `drop` they are left out before, unless that leaves nothing
        raise ManifestError(
            "split.file",
            f"{name} does not list {len(unlisted)} of {len(recordings)} recordings ({_some(unlisted)})",
            "every kept recording in it" if fails else "some kept recording in it",
            ("set not_listed: drop, leave them out with keep, or " if fails else "") + "take the file of this corpus",
        )
    # all are listed: there are more in the list, or there is nothing else in it
    if len(listed) > len(recordings) and split.absent == "fail":
        ids = set(recordings.ids)
        absent = [item for item in listed if item not in ids]
        raise ManifestError(
            "split.file",
            f"{name} lists {len(absent)} of {len(listed)} ids that no kept recording has ({_some(absent)})",
            "ids of recordings that the manifest keeps",
            "set absent: allow, unpack the whole corpus, or widen keep and balance",
        )
    assigned = np.fromiter((PARTS.index(listed[item].part) for item in recordings.ids), np.int8, len(recordings))
    used = {place.part for place in listed.values()} | {"train"}  # a part the file never names is none
    todo = "set missing_classes, keep fewer classes, or mend the file and its sha256"
    may_lack = split.missing_classes == "allow"
    _refuse_missing_classes(recordings, assigned, target, used, "imported", todo, may_lack=may_lack)
    return assigned


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:EXAMPLES]) + (", ..." if len(ids) > EXAMPLES else "")


def _refuse_missing_classes(
    recordings: Roll,
    assigned: Int8[np.ndarray, "recordings"],
    target: str | None,
    parts: Collection[str],
    kind: str,
    todo: str,
    *,
    may_lack: bool,
) -> None:
    found: dict[str, set[str]] = {}
    for number, name in enumerate(PARTS):
        some = recordings.take(assigned == number)
        if name in parts:
            found[name] = set(some.held(target) if target else ["recording"][: len(some)])
    classes = set().union(*found.values())
    for name, present in found.items():
        if not present or (present != classes and not (may_lack and name != "train")):
            absent = ", ".join(sorted(classes - present)[:10])
            raise ManifestError(
                "split",
                f"the {kind} {name} split has no {absent if present else 'recording'}",
                "every class in every split" if present else "recordings in every split",
                todo,
            )
