"""The proof that no group and no waveform stands in two splits."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from at_data.recordings import Recording

# the fourth is there where a bias was drawn, and holds other recordings of train's own groups
SPLITS = ("train", "valid", "test", "test_conflicting")
OF_ONE_GROUP = ("train", "test_conflicting")
EXAMPLES = 10  # shared values named in the proof; the count is always whole

Verdict = Literal["disjoint", "shared by design", "LEAK"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the proof: a pair of splits, a key, and what they share under it."""

    splits: tuple[str, str]
    key: str
    shared: int
    examples: tuple[str, ...]
    verdict: Verdict


def prove(
    recordings: Sequence[Recording],
    assigned: Mapping[str, str],
    groups: Collection[str],
    promised: Collection[str],
) -> list[Line]:
    """Lines for every pair of splits and every group attribute.

    A shared value is a LEAK where the manifest `promised` to keep the attribute whole, and by design elsewhere; what a
    bias held out of train is by design of train's groups.
    """
    lines = []
    for name in sorted({*groups, *promised}):
        values: defaultdict[str, set[str]] = defaultdict(set)
        for recording in recordings:
            if name in recording.attributes:
                values[assigned[recording.id]].add(recording.attributes[name])
        if_shared: Verdict = "LEAK" if name in promised else "shared by design"
        lines += [
            replace(line, verdict="shared by design") if line.shared and line.splits == OF_ONE_GROUP else line
            for line in _compare(name, values, if_shared, set(assigned.values()))
        ]
    return lines


def prove_disjoint(key: str, values: Mapping[str, set[str]], *, waived: bool = False) -> list[Line]:
    """Lines for values that no two splits may share: waveform hashes, noise files."""
    return _compare(key, values, "shared by design" if waived else "LEAK", set(values))


def shared_waveforms(hashes: Mapping[str, str], assigned: Mapping[str, str]) -> dict[str, str]:
    """Recording id -> id of the recording with the same waveform that stands in a more protected split.

    Tests are protected before valid, valid before train; leaving out every key of the answer ends all sharing.
    """
    rank = {"test": 0, "test_conflicting": 1, "valid": 2, "train": 3}
    by_hash: defaultdict[str, list[str]] = defaultdict(list)
    for item, digest in hashes.items():
        by_hash[digest].append(item)
    losers = {}
    for items in by_hash.values():
        if len(items) == 1:
            continue
        keeper = min(items, key=lambda item: (rank[assigned[item]], item))
        losers.update({item: keeper for item in items if assigned[item] != assigned[keeper]})
    return losers


def _compare(key: str, values: Mapping[str, set[str]], if_shared: Verdict, splits: Collection[str]) -> list[Line]:
    lines = []
    for pair in combinations([s for s in SPLITS if s in splits], 2):
        common = sorted(values.get(pair[0], set()) & values.get(pair[1], set()))
        verdict: Verdict = if_shared if common else "disjoint"
        lines.append(Line(pair, key, len(common), tuple(common[:EXAMPLES]), verdict))
    return lines
