"""Fingerprints -> the pairs of recordings that hold the same sound.

Two words of 32 bits that agree in three of their four bytes make a candidate, as in the search of Haitsma and Kalker
(ISMIR 2002), which looks up words with a few bits flipped. Where many recordings agree in them, a byte of a later word
has to agree as well, so that what a word leads to does not grow with the corpus. Candidates are found by sorting, never
by comparing all with all, so time grows as n log n. A candidate is laid over the other one where the words agree; its
distance is Dice's: bits set in one alone, divided by the bits set in both together. It is the bit error rate where half
the bits are set, and about 0.5 for words set at random.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt32

from at_data.stages.duplicates.candidates import PARTNERS, candidates
from at_data.stages.duplicates.laid import Laid, Part, bits_of, lay, long

THRESHOLD = 0.2  # docs/results/near_duplicates.md
LEAST_BITS = 64  # set in the stretch compared: less is no evidence
LEAST_SHARE = 0.5  # of the bits of the sparser recording that have to lie in the stretch compared
COMPARED_AT_ONCE = 1 << 18  # words compared at a time: what the cache holds


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two recordings that hold the same sound, in order of id; 0 is the distance of equal fingerprints."""

    one: str
    other: str
    distance: float


Found = tuple[Int64[np.ndarray, "found"], Int64[np.ndarray, "found"], Float64[np.ndarray, "found"]]
"""Pairs that a part leads to, as places in order of id, and how far apart they are."""

Run = Callable[[Laid, Sequence[Part], float], Iterable[Found]]
"""What every part of a search leads to."""


def near(
    fingerprints: Mapping[str, UInt32[np.ndarray, "_"]],
    splits: Mapping[str, str] | None = None,
    threshold: float = THRESHOLD,
    run: Run | None = None,
) -> list[Pair]:
    """Pairs no further apart than the threshold, in order of id; with `splits`, those that stand in different ones.

    The answer does not depend on the order of the mapping. A stretch that holds half of the sparser recording is
    enough, so two cuts of one recording are found where they overlap by half; where pieces are all that is kept of one
    of them, where they begin together and neither is more than twice as long. What many recordings share is capped:
    of those that hold one and the same word, each is compared with the next 16 of every split in order of id, and
    with the last before it. So of 10,000 copies of one hum every one is in some pair, and not every pair is named.
    Recordings with an empty fingerprint are in no pair.

    `run` gives what every part leads to, as `search` does; without it they are searched here, one after the other.
    """
    ids = sorted(name for name, words in fingerprints.items() if words.size)
    if not ids:
        return []
    numbers = {name: place for place, name in enumerate(sorted(set(splits.values())))} if splits else {}
    sides = np.fromiter((numbers[splits[name]] if splits else -1 for name in ids), np.int32, len(ids))
    sizes = np.fromiter((fingerprints[name].size for name in ids), np.int32, len(ids))
    words = np.concatenate([fingerprints[name] for name in ids])
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    return [
        Pair(ids[one], ids[other], apart) for one, other, apart in pairs(words, starts, sizes, sides, threshold, run)
    ]


def pairs(
    words: UInt32[np.ndarray, "words"],
    starts: Int64[np.ndarray, "recordings"],
    sizes: Int32[np.ndarray, "recordings"],
    sides: Int32[np.ndarray, "recordings"],
    threshold: float = THRESHOLD,
    run: Run | None = None,
) -> list[tuple[int, int, float]]:
    """As `near`, of recordings in order of their ids: places of the two of every pair, and how far they are apart.

    Fingerprints are so many words from a start on, at least one; `sides` are numbers of splits, -1 for all where splits
    do not matter.
    """
    if not sizes.size:
        return []
    laid = lay(words, starts, sizes, sides)
    of = np.concatenate([np.arange(sizes.size, dtype=np.int32), long(sizes).astype(np.int32)])
    best: dict[tuple[int, int], float] = {}
    parts = laid.parts()
    answers = (run or _alone)(laid, parts, threshold)
    del laid  # whoever searches holds it as long as it is needed
    for one, other, distances in answers:
        # every second piece of both would be less evidence than all of them
        told = (np.minimum(one, other) < sizes.size) & (of[one] != of[other])
        pairs = np.sort(np.stack([of[one[told]], of[other[told]]], axis=1), axis=1)
        for (a, b), distance in zip(pairs.tolist(), distances[told].tolist(), strict=True):
            best[a, b] = min(best.get((a, b), 1.0), distance)
    return [(a, b, distance) for (a, b), distance in sorted(best.items())]


def _alone(laid: Laid, parts: Sequence[Part], threshold: float) -> Iterator[Found]:
    """What every part leads to, one after the other."""
    for part in parts:
        yield search(laid, part, threshold)


def search(laid: Laid, part: Part, threshold: float) -> Found:
    """Pairs that one part of the words leads to, no further apart than the threshold."""
    found: list[Found] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for sort in laid.sorts(part):
        one, other, offset = candidates(laid, sort)
        distances = _distances(laid, one, other, offset)
        near_by = distances <= threshold
        found.append((one[near_by], other[near_by], distances[near_by]))
    one, other, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    return one, other, distances


def _distances(
    laid: Laid, a: Int64[np.ndarray, "n"], b: Int64[np.ndarray, "n"], offset: Int64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """Distances of candidates over the whole stretch they share; infinite where it is no evidence."""
    from_a, from_b = np.maximum(0, -offset), np.maximum(0, offset)
    sizes = np.minimum(laid.sizes[a] - from_a, laid.sizes[b] - from_b)
    from_a, from_b = from_a + laid.starts[a], from_b + laid.starts[b]
    least = np.maximum(LEAST_BITS, LEAST_SHARE * np.minimum(laid.bits[a], laid.bits[b]))
    distances = np.full(a.size, np.inf)
    order = np.argsort(sizes, kind="stable")
    start = 0
    while start < order.size:  # those of about one length together
        length = int(sizes[order[min(start + COMPARED_AT_ONCE // int(sizes[order[start]]), order.size) - 1]])
        chunk = order[start : start + max(1, COMPARED_AT_ONCE // length)]
        length = int(sizes[chunk[-1]])
        beyond = np.arange(length) >= sizes[chunk, None]
        rows = laid.rows(from_a[chunk], length), laid.rows(from_b[chunk], length)
        for words in rows:
            words[beyond] = 0
        bits_a, bits_b, apart = (bits_of(w).sum(axis=1, dtype=np.int64) for w in (*rows, rows[0] ^ rows[1]))
        enough = np.minimum(bits_a, bits_b) >= least[chunk]
        distances[chunk[enough]] = apart[enough] / (bits_a + bits_b)[enough]
        start += chunk.size
    return distances


__all__ = ["PARTNERS", "THRESHOLD", "Found", "Laid", "Pair", "Part", "Run", "near", "pairs", "search"]
