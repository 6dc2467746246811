"""Recordings -> train, valid, test."""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np
from jaxtyping import Int

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.rolls import Roll
from at_data.rolls.assignment import Assignment
from at_data.stages.splits import dealing, hashing, listing
from at_data.stages.splits.folds import assign_fold, fold_count
from at_data.stages.splits.given import assign_imported, assign_published, outside
from at_data.stages.splits.groups import classes_of, grouped
from at_data.stages.splits.settings import Folds, Fractions, Imported, Published, Split, kept_whole

SPLITS = ("train", "valid", "test")


def assign(recordings: Sequence[Recording], split: Split, seed: int, target: str | None) -> Assignment:
    """Split of every recording id.

    Every class of `target` comes into every split that has a share, or ManifestError says which is missing where.
    Without a target only the shares count.
    """
    roll = Roll.of(recordings)
    if isinstance(split, Published):
        return Assignment.of(roll, assign_published(roll, split, seed, target), SPLITS)
    if isinstance(split, Imported):
        return Assignment.of(roll, assign_imported(roll, split, target), SPLITS)
    if target in kept_whole(split):
        raise ManifestError(
            "split.by",
            f"'{target}' is both the target and kept whole",
            "a target whose classes stand in every split",
            "split by another attribute, or at random",
        )
    if isinstance(split, Folds):
        chosen = assign_fold(roll, split, seed, target)
    else:
        chosen = _by_share(roll, split, seed, target)
    return Assignment.of(roll, chosen, SPLITS)


def group_names(recordings: Sequence[Recording], split: Split, origin: str | None = None) -> Iterator[str]:
    """Name of the group each recording stayed with: the values kept whole, what an imported file says, or nothing.

    `origin` is the attribute that holds the id of the recording that was split, where these were made of those.
    """
    roll = Roll.of(recordings)
    if isinstance(split, Imported):
        listed = listing.read(split.file, split.sha256)
        ids = (item for (item,) in roll.each((origin,))) if origin else roll.ids
        return (listed[item].group for item in ids)
    names = kept_whole(split)
    return ("/".join(values) for values in roll.each(names)) if names else repeat("", len(roll))


def _by_share(recordings: Roll, split: Fractions, seed: int, target: str | None) -> Int[np.ndarray, "recordings"]:
    """Number of the split of each recording."""
    groups = grouped(recordings, kept_whole(split))
    classes = classes_of(recordings, groups, target)
    shares = np.array([split.train, split.valid, split.test])
    if split.method == "stable":
        chosen = hashing.by_share(groups.names, shares, seed, "stable split")
        how, todo = (
            "by the hash of",
            "set method: balanced, which looks at the classes, keep fewer classes, or change seed",
        )
    else:
        chosen = dealing.deal(groups.sizes, classes.held, shares, seed, "split", first_matters=True, exchange=True)
        how = f"best of {dealing.ORDERS} seeded orders of"
        todo = "keep fewer classes, change the fractions, or split by another attribute"
    parts = {number: SPLITS[number] for number in np.flatnonzero(shares > 0).tolist()}
    dealing.refuse_uncovered(chosen, classes, parts, target, how, todo)
    return np.asarray(chosen[groups.of])


__all__ = [
    "SPLITS",
    "Folds",
    "Fractions",
    "Imported",
    "Published",
    "Split",
    "assign",
    "fold_count",
    "group_names",
    "kept_whole",
    "outside",
]
