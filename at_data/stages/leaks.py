"""The proof of what two splits share: groups, waveforms, near-duplicates, noise."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.rolls import ABSENT, Roll
from at_data.rolls.assignment import Assignment

HELD_OUT = "held out"  # of a subset: what the other dataset validates or tests on, and this one does not hold
# the fourth is there where a bias was drawn, and holds other recordings of train's own groups
SPLITS = ("train", "valid", "test", "test_conflicting")
OF_ONE_GROUP = ("train", "test_conflicting")
WAVEFORM, NEAR = "waveform", "near-duplicate"  # keys of the proof that are no attributes
NOISE, NOISE_WAVEFORM = "noise file", "noise waveform"
EXAMPLES = 10  # shared values named in the proof; the count is always whole

Verdict = Literal["disjoint", "shared by design", "LEAK"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the proof: a pair of splits, a key, and what they share under it.

    `unknown` counts the recordings of the two that lack an attribute: of those nothing is proved. In datasets of before
    they were not counted.
    """

    splits: tuple[str, str]
    key: str
    shared: int
    examples: tuple[str, ...]
    verdict: Verdict
    unknown: int = 0

    @property
    def told(self) -> str:
        """Verdict, and of how many recordings it says nothing."""
        return self.verdict + (f"; {self.key} of {self.unknown} recordings unknown" if self.unknown else "")


def prove(
    recordings: Iterable[Recording], assigned: Mapping[str, str], groups: Collection[str], waived: Collection[str]
) -> list[Line]:
    """Lines for every pair of splits and every group attribute.

    A shared value is a LEAK unless the attribute is waived by name; what a bias held out of train is of train's own
    groups by design.
    """
    roll = Roll.of(recordings)
    placed = Assignment.over(roll, assigned)
    placed.refuse_absent(roll)  # or they would be in no line
    parted = {split: placed.part(roll, split) for split in placed.names}
    return prove_parted({split: some for split, some in parted.items() if len(some)}, groups, waived)


def prove_parted(parted: Mapping[str, Roll], groups: Collection[str], waived: Collection[str]) -> list[Line]:
    """As `prove`, of the recordings of every split."""
    lines = []
    for name in sorted(set(groups)):
        values = {split: set(recordings.held(name)) for split, recordings in parted.items()}
        lacking = {
            split: np.unique(recordings.rows[recordings.codes(name) == ABSENT]).size
            for split, recordings in parted.items()
        }
        if_shared: Verdict = "shared by design" if name in waived else "LEAK"
        lines += [
            replace(
                line,
                verdict="shared by design" if line.shared and line.splits == OF_ONE_GROUP else line.verdict,
                unknown=sum(lacking[split] for split in line.splits),
            )
            for line in _compare(name, values, if_shared, parted)
        ]
    return lines


def refuse(lines: Iterable[Line], where: object) -> None:
    """Nothing, or ManifestError naming every leak."""
    leaks = [line for line in lines if line.verdict == "LEAK"]
    if not leaks:
        return
    told = "; ".join(
        f"{line.shared} values of {line.key} in both {' and '.join(line.splits)} ({', '.join(line.examples[:3])})"
        for line in leaks
    )
    keys = ", ".join(dict.fromkeys(line.key for line in leaks))
    of_noise = {NOISE, NOISE_WAVEFORM}.issuperset(line.key for line in leaks)
    advice = f"split by {keys}, or, where that is meant, name {keys} under `shared`"
    raise ManifestError(
        where,
        f"splits that leak: {told}",
        "nothing in two splits that the manifest does not share",
        "remove all but one copy of each noise" if of_noise else advice,
    )


def prove_disjoint(key: str, values: Mapping[str, set[str]], *, waived: bool = False) -> list[Line]:
    """Lines for values that no two splits may share: waveform hashes, noise files."""
    return _compare(key, values, "shared by design" if waived else "LEAK", set(values))


def prove_alike(
    pairs: Iterable[tuple[str, str]], assigned: Mapping[str, str], splits: Collection[str], *, waived: bool
) -> list[Line]:
    """Lines for pairs of recordings that are nearly the same: how many have one end in each of two splits."""
    across: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for pair in pairs:
        first, second = sorted(pair)
        across[frozenset((assigned[first], assigned[second]))].append(f"{first} = {second}")
    lines = []
    for line in _compare(NEAR, {}, "LEAK", splits):
        found = sorted(across[frozenset(line.splits)])
        verdict: Verdict = "shared by design" if waived else "LEAK"
        lines.append(Line(line.splits, NEAR, len(found), tuple(found[:EXAMPLES]), verdict) if found else line)
    return lines


RANK = {HELD_OUT: -1, "test": 0, "test_conflicting": 1, "valid": 2, "train": 3}  # the more protected first


def less_protected(pairs: Iterable[tuple[str, str]], assigned: Mapping[str, str]) -> dict[str, str]:
    """Of pairs that no two splits may hold: the ids to leave out, each with a partner that stays or goes for another.

    Leaving out every key of the answer ends all sharing: train gives up first, then valid, then what contradicts a
    bias.
    """
    losers: dict[str, str] = {}
    ranked = [sorted(pair, key=lambda item: (-RANK[assigned[item]], item)) for pair in pairs]
    for loser, keeper in sorted(ranked, key=lambda pair: (-RANK[assigned[pair[0]]], pair)):
        if assigned[loser] != assigned[keeper] and loser not in losers and keeper not in losers:
            losers[loser] = keeper
    return losers


def shared_waveforms(hashes: Mapping[str, str], assigned: Mapping[str, str]) -> dict[str, str]:
    """Recording id -> id of the recording with the same waveform that stands in a more protected split.

    Tests are protected before valid, valid before train; leaving out every key of the answer ends all sharing.
    """
    by_hash: defaultdict[str, list[str]] = defaultdict(list)
    for item, digest in hashes.items():
        by_hash[digest].append(item)
    losers = {}
    for items in by_hash.values():
        if len(items) == 1:
            continue
        keeper = min(items, key=lambda item: (RANK[assigned[item]], item))
        losers.update({item: keeper for item in items if assigned[item] != assigned[keeper]})
    return losers


def _compare(key: str, values: Mapping[str, set[str]], if_shared: Verdict, splits: Collection[str]) -> list[Line]:
    lines = []
    for pair in combinations([place for place in (*SPLITS, HELD_OUT) if place in splits], 2):
        common = sorted(values.get(pair[0], set()) & values.get(pair[1], set()))
        verdict: Verdict = if_shared if common else "disjoint"
        lines.append(Line(pair, key, len(common), tuple(common[:EXAMPLES]), verdict))
    return lines
