"""Every group in one of several folds, and the split in which one of them tests."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from at_data.errors import ManifestError
from at_data.rolls import Roll
from at_data.stages.splits import dealing, hashing
from at_data.stages.splits.groups import Classes, Groups, classes_of, grouped
from at_data.stages.splits.settings import Folds, kept_whole

TRAIN, VALID, TEST = range(3)
REMEDY = "set missing_classes: allow, take fewer folds, keep fewer classes, or split by another attribute"


def assign_fold(recordings: Roll, split: Folds, seed: int, target: str | None) -> Int[np.ndarray, "recordings"]:
    """Train (0), valid (1) or test (2) of each recording.

    Which groups make a fold does not depend on which fold tests. ManifestError where there are too few groups, where a
    fold lacks a class and `missing_classes` is `fail`, and where train lacks one.
    """
    groups = grouped(recordings, kept_whole(split))
    classes = classes_of(recordings, groups, target)
    count = split.folds or len(groups.names)
    _refuse_too_few(split, len(groups.names))
    fold = _folds(groups, classes, split, seed)
    _refuse_empty(fold, {number: f"fold {number + 1}" for number in range(count)}, split)
    if split.missing_classes == "fail":
        # of every fold, whichever tests: who begins with the first learns now what the last would say
        every = {number: f"fold {number + 1}" for number in range(count)}
        dealing.refuse_uncovered(fold, classes, every, target, _how(split), REMEDY)
    chosen = np.where(fold == split.number - 1, TEST, TRAIN)
    if split.valid == "next_fold":
        chosen[fold == split.number % count] = VALID
    elif split.valid > 0:
        rest = np.flatnonzero(chosen == TRAIN)
        chosen[rest] = _valid(groups, classes, rest, split, seed)
    parts = {TRAIN: "train", VALID: "valid", TEST: "test"}
    if split.valid == 0:
        del parts[VALID]
    _refuse_empty(chosen, parts, split)
    strict = parts if split.missing_classes == "fail" else {TRAIN: "train"}
    dealing.refuse_uncovered(chosen, classes, strict, target, f"fold {split.fold}, {_how(split)}", REMEDY)
    return np.asarray(chosen[groups.of])


def fold_count(recordings: Roll, split: Folds) -> int:
    """How many folds a split of these recordings has."""
    return split.folds or len(grouped(recordings, kept_whole(split)).names)


def _folds(groups: Groups, classes: Classes, split: Folds, seed: int) -> Int[np.ndarray, "groups"]:
    """Fold of each group, from 0."""
    if split.folds is None:
        return np.argsort(np.argsort(np.array(list(groups.names))))
    if split.method == "stable":
        return hashing.by_fold(groups.names, split.folds, seed, "stable fold")
    shares = np.full(split.folds, 1 / split.folds)
    exchange = split.missing_classes == "fail"
    return dealing.deal(groups.sizes, classes.held, shares, seed, "fold", first_matters=False, exchange=exchange)


def _valid(
    groups: Groups, classes: Classes, rest: Int[np.ndarray, "rest"], split: Folds, seed: int
) -> Int[np.ndarray, "rest"]:
    """Train or valid of the groups that are not tested on."""
    assert split.valid != "next_fold", "a share"
    shares, purpose = np.array([1 - split.valid, split.valid]), f"valid beside fold {split.number}"
    if split.method == "stable":
        return hashing.by_share([groups.names[place] for place in rest.tolist()], shares, seed, purpose)
    return dealing.deal(
        groups.sizes[rest],
        classes.held.of_some(rest, len(groups.names)),
        shares,
        seed,
        purpose,
        first_matters=True,
        exchange=split.missing_classes == "fail",
    )


def _how(split: Folds) -> str:
    if split.folds is None:
        return "one group out of"
    return "by the hash of" if split.method == "stable" else f"best of {dealing.ORDERS} seeded orders of"


def _refuse_too_few(split: Folds, groups: int) -> None:
    wanted = split.folds or max(split.number, 2)
    if groups < wanted:
        raise ManifestError(
            "split.fold",
            f"got {split.fold} and there are {groups} groups",
            f"{wanted} groups or more",
            "take fewer folds, widen keep, or split by another attribute",
        )


def _refuse_empty(numbers: Int[np.ndarray, "groups"], parts: Mapping[int, str], split: Folds) -> None:
    there = set(numbers.tolist())
    empty = [name for number, name in parts.items() if number not in there]
    if empty:
        raise ManifestError(
            "split.fold",
            f"nothing is in {', '.join(empty[: dealing.SHOWN])} of {split.fold}",
            "groups in every fold and split",
            "set method: balanced, take fewer folds, or give valid another share",
        )
