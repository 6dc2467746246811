"""Fingerprints -> the pairs of recordings that hold the same sound.

Two words of 32 bits that agree in three of their four bytes make a candidate, as in the search of Haitsma and Kalker
(ISMIR 2002), which looks up words with a few bits flipped. Candidates are found by sorting, never by comparing all
with all, so time grows as n log n. A candidate is laid over the other one where the words agree; its distance is
Dice's: bits set in one alone, divided by the bits set in both together. It is the bit error rate where half the bits
are set, and about 0.5 for words set at random.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt32

THRESHOLD = 0.2  # docs/results/near_duplicates.md
LEAST_BITS = 64  # set in the stretch compared: less is no evidence
LEAST_SHARE = 0.5  # of the bits of the sparser recording that have to lie in the stretch compared
LEAST_WORD_BITS = 8  # of a word that is looked up: sparser ones are in every recording
PARTNERS = 16  # recordings of each split that one word leads to
GAP = 4  # empty words between recordings; the first look takes as many on either side
FIRST_LOOK = 0.35  # largest distance of those few words
KEYS = tuple(np.uint32(0xFFFFFFFF ^ (0xFF << shift)) for shift in (0, 8, 16, 24))
MOST = 32  # candidates a recording is sure to be compared with in full, for each of the four keys
AT_ONCE = 1 << 20  # words sorted at a time, and
COMPARED_AT_ONCE = 1 << 22  # words compared at a time: both bound memory
_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)

# recordings by number, and how many words later the first one's beginning stands in the second
Candidates = tuple[Int64[np.ndarray, "found"], Int64[np.ndarray, "found"], Int64[np.ndarray, "found"]]


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two recordings that hold the same sound, in order of id; 0 is the distance of equal fingerprints."""

    one: str
    other: str
    distance: float


def near(
    fingerprints: Mapping[str, UInt32[np.ndarray, "_"]],
    splits: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
) -> list[Pair]:
    """Pairs no further apart than the threshold, in order of id; with `splits`, those that stand in different ones.

    The answer does not depend on the order of the mapping. A stretch that holds half of the sparser recording is
    enough, so two cuts of one recording are found where they overlap by half. What many recordings share is capped:
    of those that hold one and the same word, each is compared with the next 16 of every split in order of id, and
    with the last before it. So of 10,000 copies of one hum every one is in some pair, and not every pair is named.
    Recordings with an empty fingerprint are in no pair.
    """
    ids = sorted(name for name, words in fingerprints.items() if words.size)
    if not ids:
        return []
    laid = _Laid([fingerprints[name] for name in ids])
    names = sorted({splits[name] for name in ids}) if splits else []
    sides = np.array([names.index(splits[name]) for name in ids]) if splits else None
    best: dict[tuple[int, int], float] = {}
    for one, other, offset in _candidates(laid, sides):
        distances = _distances(laid, one, other, offset)
        found = distances <= threshold
        for a, b, distance in zip(one[found].tolist(), other[found].tolist(), distances[found].tolist(), strict=True):
            key = (a, b)
            best[key] = min(best.get(key, 1.0), distance)
    return [Pair(ids[a], ids[b], distance) for (a, b), distance in sorted(best.items())]


class _Laid:
    """All words behind each other, with empty ones between recordings."""

    def __init__(self, fingerprints: list[UInt32[np.ndarray, "_"]]) -> None:
        self.sizes = np.array([words.size for words in fingerprints], np.int64)
        self.starts = GAP + np.concatenate([[0], np.cumsum(self.sizes + GAP)[:-1]]).astype(np.int64)
        self.words = np.zeros(int(self.starts[-1] + self.sizes[-1]) + GAP, np.uint32)
        for start, words in zip(self.starts, fingerprints, strict=True):
            self.words[start : start + words.size] = words
        self.bits_before = np.concatenate([[0], np.cumsum(_bits(self.words), dtype=np.int64)])
        self.bits_around = np.zeros(self.words.size, np.int16)
        self.bits_around[GAP:-GAP] = self.bits_before[2 * GAP + 1 :] - self.bits_before[: -2 * GAP - 1]
        self.owners = np.repeat(np.arange(len(fingerprints), dtype=np.int32), self.sizes + GAP)
        self.owners = np.concatenate([np.zeros(GAP, np.int32), self.owners])

    def bits(self, starts: Int64[np.ndarray, "n"], sizes: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """Bits set in stretches of words."""
        counted: Int64[np.ndarray, "n"] = self.bits_before[starts + sizes] - self.bits_before[starts]
        return counted


def _candidates(laid: _Laid, sides: Int64[np.ndarray, "recordings"] | None) -> Iterator[Candidates]:
    """Recordings that share a word, and how many words later it stands in the other one; some more than once."""
    looked_up = np.flatnonzero(_bits(laid.words) >= LEAST_WORD_BITS)
    parts = -(-looked_up.size // AT_ONCE)
    for key in KEYS:
        keys = laid.words[looked_up] & key
        part_of = (keys * np.uint32(2654435761) >> np.uint32(16)) % np.uint32(max(1, parts))
        for part in range(parts):
            mine = part_of == part
            order = np.sort((keys[mine].astype(np.uint64) << np.uint64(32)) | looked_up[mine].astype(np.uint64))
            one, other = _partners(laid, order, sides)
            alike = _alike(laid, one, other)
            one, other = one[alike], other[alike]
            a, b = laid.owners[one].astype(np.int64), laid.owners[other].astype(np.int64)
            offset = (other - laid.starts[b]) - (one - laid.starts[a])
            yield _most_shared(a, b, offset)


def _partners(
    laid: _Laid, order: np.ndarray, sides: Int64[np.ndarray, "recordings"] | None
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Places of words with one key in two recordings, from keys and places in one sorted number."""
    keys, places = (order >> np.uint64(32)), (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
    owners = laid.owners[places]
    again = (keys[1:] == keys[:-1]) & (owners[1:] == owners[:-1])
    first = np.concatenate([[True], ~again]) if keys.size else np.zeros(0, bool)
    keys, places, owners = keys[first], places[first], owners[first]
    same = keys[1:] == keys[:-1]
    shared = np.zeros(keys.size, bool)
    shared[1:] |= same
    shared[:-1] |= same
    keys, places, owners = keys[shared], places[shared], owners[shared]
    if sides is None:
        pools = [(np.arange(keys.size), np.arange(keys.size))]
    else:
        of = sides[owners]
        pools = [(np.flatnonzero(of != side), np.flatnonzero(of == side)) for side in np.unique(of)]
    one, other = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for asking, answering in pools:
        ahead = np.searchsorted(answering, asking, side="right")
        # and the last before it, or the last of a split could be left without any partner
        behind = answering[np.maximum(ahead - 1, 0)]
        fits = (behind < asking) & (keys[behind] == keys[asking])
        one.append(places[behind[fits]])
        other.append(places[asking[fits]])
        live = asking
        for _ in range(PARTNERS):
            within = ahead < answering.size
            live, ahead = live[within], ahead[within]
            found = answering[ahead]
            fits = keys[found] == keys[live]
            live, ahead, found = live[fits], ahead[fits], found[fits]
            one.append(places[live])
            other.append(places[found])
            ahead = ahead + 1
    return np.concatenate(one), np.concatenate(other)


def _alike(laid: _Laid, one: Int64[np.ndarray, "n"], other: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Whether the few words around two places are alike: most chance agreements end here."""
    apart = np.zeros(one.size, np.int16)
    for step in range(-GAP, GAP + 1):
        apart += _bits(laid.words[one + step] ^ laid.words[other + step])
    alike: Bool[np.ndarray, "n"] = apart <= FIRST_LOOK * (laid.bits_around[one] + laid.bits_around[other])
    return alike


def _most_shared(a: Int64[np.ndarray, "n"], b: Int64[np.ndarray, "n"], offset: Int64[np.ndarray, "n"]) -> Candidates:
    """Every pair once, at the offset that most words ask for; of one recording only those that share most words."""
    # one number sorts faster than three: room for 8 million recordings, and for offsets of 32,000 words
    codes = np.sort((a << 40) | (b << 16) | (offset + (1 << 15)))
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


def _distances(
    laid: _Laid, a: Int64[np.ndarray, "n"], b: Int64[np.ndarray, "n"], offset: Int64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """Distances of candidates over the whole stretch they share; infinite where it is no evidence."""
    from_a, from_b = np.maximum(0, -offset), np.maximum(0, offset)
    sizes = np.minimum(laid.sizes[a] - from_a, laid.sizes[b] - from_b)
    from_a, from_b = from_a + laid.starts[a], from_b + laid.starts[b]
    bits_a, bits_b = laid.bits(from_a, sizes), laid.bits(from_b, sizes)
    whole = np.minimum(laid.bits(laid.starts[a], laid.sizes[a]), laid.bits(laid.starts[b], laid.sizes[b]))
    enough = np.minimum(bits_a, bits_b) >= np.maximum(LEAST_BITS, LEAST_SHARE * whole)
    distances = np.full(a.size, np.inf)
    kept = np.flatnonzero(enough)
    ends = np.cumsum(sizes[kept])
    for low in range(0, int(ends[-1]) if kept.size else 0, COMPARED_AT_ONCE):
        chunk = kept[(ends > low) & (ends <= low + COMPARED_AT_ONCE)]
        if chunk.size:
            first = np.concatenate([[0], np.cumsum(sizes[chunk])[:-1]])
            within = np.arange(int(sizes[chunk].sum())) - np.repeat(first, sizes[chunk])
            words_a = laid.words[np.repeat(from_a[chunk], sizes[chunk]) + within]
            words_b = laid.words[np.repeat(from_b[chunk], sizes[chunk]) + within]
            apart = np.add.reduceat(_bits(words_a ^ words_b), first, dtype=np.int64)
            distances[chunk] = apart / (bits_a[chunk] + bits_b[chunk])
    return distances


def _bits(words: UInt32[np.ndarray, "n"]) -> UInt8[np.ndarray, "n"]:
    """Bits set in every word."""
    counted: UInt8[np.ndarray, "n"] = _BITS[words & np.uint32(0xFFFF)] + _BITS[words >> np.uint32(16)]
    return counted
