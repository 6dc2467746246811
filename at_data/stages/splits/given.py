"""Splits that somebody else made: the one a corpus publishes, and the one a file lists."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.splits import listing
from at_data.stages.splits.groups import values_of
from at_data.stages.splits.settings import Imported, Published, Split

PARTS = ("train", "valid", "test")
EXAMPLES = 3  # ids shown of those that do not fit


def outside(recordings: Sequence[Recording], split: Split) -> dict[str, str]:
    """Recordings that a split made by somebody else says nothing of, and why; none where that is to be an error."""
    if isinstance(split, Published):
        reasons = {recording.id: "in no published part" for recording in recordings if not recording.published_split}
    elif isinstance(split, Imported) and split.not_listed == "drop":
        listed = listing.read(split.file, split.sha256)
        reason = f"not listed in {Path(split.file).name}"
        reasons = {recording.id: reason for recording in recordings if recording.id not in listed}
    else:
        return {}
    return {} if len(reasons) == len(recordings) else reasons  # of nothing at all: `assign` says so


def assign_published(
    recordings: Sequence[Recording], split: Published, seed: int, target: str | None
) -> dict[str, str]:
    """Split of every recording id, as the corpus publishes it."""
    if target:
        values_of(recordings, target, "target")
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
    todo = "unpack the whole corpus, keep fewer classes, set valid_from_train or missing_classes, or split by fractions"
    may_lack = split.missing_classes == "allow"
    _refuse_missing_classes(recordings, assigned, target, PARTS, "published", todo, may_lack=may_lack)
    return assigned


def assign_imported(recordings: Sequence[Recording], split: Imported, target: str | None) -> dict[str, str]:
    """Split of every recording id, as the file lists it."""
    if target:
        values_of(recordings, target, "target")
    name = Path(split.file).name
    listed = listing.read(split.file, split.sha256)
    ids = {recording.id for recording in recordings}
    unlisted = [recording.id for recording in recordings if recording.id not in listed]
    if unlisted:
        raise ManifestError(
            "split.file",
            f"{name} does not list {len(unlisted)} of {len(ids)} recordings ({_some(unlisted)})",
            "every kept recording in it",
            "set not_listed: drop, leave them out with keep, or take the file of this corpus",
        )
    absent = [item for item in listed if item not in ids]
    if absent and split.absent == "fail":
        raise ManifestError(
            "split.file",
            f"{name} lists {len(absent)} of {len(listed)} ids that no kept recording has ({_some(absent)})",
            "ids of recordings that the manifest keeps",
            "set absent: allow, unpack the whole corpus, or widen keep and balance",
        )
    assigned = {recording.id: listed[recording.id].part for recording in recordings}
    used = {place.part for place in listed.values()} | {"train"}  # a part the file never names is none
    todo = "set missing_classes, keep fewer classes, or mend the file and its sha256"
    may_lack = split.missing_classes == "allow"
    _refuse_missing_classes(recordings, assigned, target, used, "imported", todo, may_lack=may_lack)
    return assigned


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:EXAMPLES]) + (", ..." if len(ids) > EXAMPLES else "")


def _refuse_missing_classes(
    recordings: Sequence[Recording],
    assigned: Mapping[str, str],
    target: str | None,
    parts: Collection[str],
    kind: str,
    todo: str,
    *,
    may_lack: bool,
) -> None:
    found: dict[str, set[str]] = {name: set() for name in PARTS if name in parts}
    for recording in recordings:
        found[assigned[recording.id]].add(recording.attributes[target] if target else "recording")
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
