"""Which recordings are worth comparing, found by sorting words."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int16, Int32, Int64, Shaped, UInt64

from at_data.stages.duplicates.laid import GAP, Laid, Sort, bits_of

CROWD = 16  # recordings that may share three bytes of a word before more has to agree
PARTNERS = 16  # recordings of each split that one word leads to
FIRST_LOOK = 0.35  # largest distance of the few words around two places
MOST = 32  # candidates a recording is sure to be compared with in full, for each of the four keys
ASKED_AT_ONCE = 1 << 12  # words whose partners are looked at in one go: what the cache holds

# recordings by number, and how many words later the first one's beginning stands in the second
Candidates = tuple[Int64[np.ndarray, "found"], Int64[np.ndarray, "found"], Int64[np.ndarray, "found"]]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Words that agree, group after group, in a group in order of place and one of each recording.

    `around` holds the few words around each, two to a number, and `bits` how many of their bits are set: neighbours
    here are neighbours in memory, wherever they were said.
    """

    groups: Int64[np.ndarray, "words"]
    owners: Int32[np.ndarray, "words"]
    inside: Int32[np.ndarray, "words"]
    """Words of the recording before this one."""
    around: UInt64[np.ndarray, "pairs words"]
    bits: Int16[np.ndarray, "words"]


def candidates(laid: Laid, sort: Sort) -> Candidates:
    """Recordings that share a word of this sort, and how many words later it stands in the other one."""
    grouped = _grouped(laid, sort)
    found = [np.zeros(0, np.int64)]
    for one, other in _partners(grouped.groups, laid.sides[grouped.owners]):
        alike = _alike(grouped, one, other)
        found.append(_codes(grouped, one[alike], other[alike]))
    return _most_shared(np.concatenate(found))


def _grouped(laid: Laid, sort: Sort) -> Grouped:
    """Words of a sort in groups of those that agree; a crowd is parted by a byte of a later word."""
    at, groups = _agreeing(sort)
    groups, crowded = _numbered(groups, sort.owners[at], CROWD)
    parted = np.flatnonzero(crowded)
    later = laid.later(sort.places[at[parted]], sort.owners[at[parted]], sort.shift)
    codes = (groups[parted] << 40) | (later.astype(np.int64) << 32) | at[parted]
    codes.sort()
    # numbers of crowds go on where the byte begins, so that no group is called as another
    at[parted] = codes & 0xFFFFFFFF
    groups <<= 8
    groups[parted] |= (codes >> 32) & 0xFF
    owners = sort.owners[at]
    kept = np.ones(groups.size, bool)
    kept[1:] = (groups[1:] != groups[:-1]) | (owners[1:] != owners[:-1])
    kept &= _askable(groups, laid.sides[owners])
    at, owners = at[kept], owners[kept]
    places = sort.places[at].astype(np.int64)
    around, bits = _around(laid, places)
    return Grouped(groups[kept], owners, (places - laid.starts[owners]).astype(np.int32), around, bits)


def _agreeing(sort: Sort) -> tuple[Int64[np.ndarray, "words"], Int64[np.ndarray, "words"]]:
    """Words of which two recordings have the key, by their place in the sort, and numbers of their groups, in order."""
    # one number sorts faster than two
    order = sort.keys.astype(np.uint64) << np.uint64(32)
    order |= np.arange(order.size, dtype=np.uint64)
    order.sort()
    alone = np.ones(order.size + 1, bool)
    np.greater((order[1:] ^ order[:-1]), np.uint64(0xFFFFFFFF), out=alone[1:-1])
    order = order[~(alone[1:] & alone[:-1])]  # most are alone
    at = (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
    number, several = _numbered(order >> np.uint64(32), sort.owners[at], 1)
    return at[several], number[several]


def _numbered(
    keys: Shaped[np.ndarray, "words"], owners: Int32[np.ndarray, "words"], limit: int
) -> tuple[Int64[np.ndarray, "words"], Bool[np.ndarray, "words"]]:
    """Number of the group of equal keys that each word is in, and whether more recordings than a limit share it."""
    new = np.ones(keys.size, bool)
    new[1:] = keys[1:] != keys[:-1]
    first = new.copy()
    first[1:] |= owners[1:] != owners[:-1]
    number = np.cumsum(new) - 1
    return number, (np.bincount(number[first]) > limit)[number] if keys.size else new


def _askable(groups: Int64[np.ndarray, "words"], of: Int32[np.ndarray, "words"]) -> Bool[np.ndarray, "words"]:
    """Whether the group of a word has words of two splits: within one nobody is asked."""
    if not groups.size or (of[0] < 0):
        return np.ones(groups.size, bool)
    new = np.concatenate([[True], groups[1:] != groups[:-1]])
    edges = np.flatnonzero(new)
    several = np.minimum.reduceat(of, edges) != np.maximum.reduceat(of, edges)
    return np.asarray(several[np.cumsum(new) - 1])


def _around(
    laid: Laid, places: Int64[np.ndarray, "words"]
) -> tuple[UInt64[np.ndarray, "pairs words"], Int16[np.ndarray, "words"]]:
    """Words around places, two to a number, and how many of their bits are set."""
    around = np.zeros((GAP + 1, places.size), np.uint64)
    bits = np.zeros(places.size, np.int16)
    for start in range(0, places.size, ASKED_AT_ONCE):
        here = slice(start, start + ASKED_AT_ONCE)
        for step in range(2 * GAP + 1):
            words = laid.words[places[here] + (step - GAP)]
            bits[here] += bits_of(words)
            around[step // 2, here] |= words.astype(np.uint64) << np.uint64(32 * (step % 2))
    return around, bits


def _partners(
    groups: Int64[np.ndarray, "words"], of: Int32[np.ndarray, "words"]
) -> Iterator[tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]]:
    """Words of one group in two recordings, by their place among all, some at a time; `of` are their splits.

    Each is paired with the next ones of every other split, and with the last before it, or the last of a split could be
    left without any partner.
    """
    if not groups.size:
        return
    edges = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1], [True]]))
    group = np.repeat(np.arange(edges.size - 1), np.diff(edges))
    for side in np.unique(of):
        answers = of == side
        answering, asking = np.flatnonzero(answers), np.flatnonzero(~answers | (side < 0))
        before = np.concatenate([[0], np.cumsum(answers)])  # those that answer before a place
        first, last = before[edges[:-1]], before[edges[1:]]
        for start in range(0, asking.size, ASKED_AT_ONCE):
            some = asking[start : start + ASKED_AT_ONCE]
            ahead = before[some + 1]
            if side >= 0:
                later = some[ahead > first[group[some]]]
                yield answering[before[later + 1] - 1], later
            counts = np.minimum(last[group[some]] - ahead, PARTNERS)
            skipped = np.cumsum(counts) - counts
            yield np.repeat(some, counts), answering[np.arange(counts.sum()) + np.repeat(ahead - skipped, counts)]


def _alike(grouped: Grouped, one: Int64[np.ndarray, "n"], other: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Whether the few words around two places are alike: most chance agreements end here."""
    apart = np.zeros(one.size, np.int16)
    for words in grouped.around:
        apart += bits_of(words[one] ^ words[other])
    return np.asarray(apart <= FIRST_LOOK * (grouped.bits[one] + grouped.bits[other]))


def _codes(grouped: Grouped, one: Int64[np.ndarray, "n"], other: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Two recordings and how many words later one begins, in a number: it sorts faster than three.

    There is room for 8 million recordings, long ones counted twice, and for offsets of 32,000 words.
    """
    a, b = grouped.owners[one].astype(np.int64), grouped.owners[other].astype(np.int64)
    later = grouped.inside[other] - grouped.inside[one]
    return np.asarray((a << 40) | (b << 16) | (later + (1 << 15)))


def _most_shared(codes: Int64[np.ndarray, "n"]) -> Candidates:
    """Every pair once, at the offset that most words ask for; of one recording only those that share most words."""
    codes = np.sort(codes)
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])) if codes.size else np.zeros(0, np.int64)
    votes = np.diff(np.append(starts, codes.size))
    codes = codes[starts]
    order = np.lexsort((codes, -votes, codes >> 16))
    codes, votes = codes[order], votes[order]
    pairs = codes >> 16
    kept = np.concatenate([[True], pairs[1:] != pairs[:-1]]) if codes.size else np.zeros(0, bool)
    codes, votes = codes[kept], votes[kept]
    a, b = codes >> 40, (codes >> 16) & 0xFFFFFF
    chosen = (_rank(a, votes, codes) < MOST) | (_rank(b, votes, codes) < MOST)
    return a[chosen], b[chosen], (codes[chosen] & 0xFFFF) - (1 << 15)


def _rank(
    of: Int64[np.ndarray, "n"], votes: Int64[np.ndarray, "n"], codes: Int64[np.ndarray, "n"]
) -> Int64[np.ndarray, "n"]:
    """Places of candidates among those of one recording: most votes first, then in order of their codes."""
    order = np.lexsort((codes, -votes, of))
    ranks = np.empty(of.size, np.int64)
    ranks[order] = np.arange(of.size) - np.searchsorted(of[order], of[order])
    return ranks
