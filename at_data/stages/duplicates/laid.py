"""The words of all fingerprints behind each other, and which of them a part of the search looks up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

GAP = 4  # empty words between recordings; the first look takes as many on either side
LATER = 8  # words on which the byte is looked up that parts a crowd: 128 ms, no frame is in both words
LEAST_WORD_BITS = 8  # of a word that is looked up: sparser ones are in every recording
SHIFTS = (0, 8, 16, 24)  # of the byte that may differ
AT_ONCE = 1 << 20  # words sorted at a time: bounds memory
PASSES = 8  # over all words for a byte that may differ: each looks for the words of as many sorts as that leaves
MOST_SORTS = 8  # of one pass: what it finds is held until it is sorted
BLOCK = 1 << 16  # words looked at in one go: what the cache holds
RECORDINGS = 1 << 12  # laid in one go
_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts that a search falls into: the byte that may differ, and which words are looked up, of how many.

    Words are dealt into so many (`of`) sorts by three of their bytes; a part is of the sorts `first` to `last`. Nothing
    of one part is needed for another, so they may be searched anywhere and in any order.
    """

    shift: int
    first: int
    last: int
    of: int


@dataclass(frozen=True, slots=True)
class Sort:
    """Words that are sorted together, in order of place: where each stands, its key, and whose it is."""

    shift: int
    places: Shaped[np.ndarray, "words"]
    keys: UInt32[np.ndarray, "words"]
    owners: Int32[np.ndarray, "words"]


Picked = tuple[Shaped[np.ndarray, "words"], Int32[np.ndarray, "words"]]
"""Places of words, and whose they are."""


@dataclass(frozen=True, slots=True)
class Laid:
    """All words behind each other, with empty ones between recordings and after the last.

    `sizes`, `starts`, `bits` and `sides` are of recordings: words, place of the first, bits set in all of them, number
    of the split (-1 for all where splits do not matter). `dense` counts the words worth looking up. Nothing else is
    held of a word than itself: what is asked about few of them at a time is counted again.
    """

    sizes: Int32[np.ndarray, "recordings"]
    starts: Int64[np.ndarray, "recordings"]
    bits: Int32[np.ndarray, "recordings"]
    sides: Int32[np.ndarray, "recordings"]
    words: UInt32[np.ndarray, "words"]
    dense: Int64[np.ndarray, ""]

    def parts(self) -> list[Part]:
        """Parts of a search, as many as memory asks for."""
        of = max(1, -(-int(self.dense) // AT_ONCE))
        step = min(MOST_SORTS, -(-of // PASSES))
        return [Part(shift, first, min(first + step, of), of) for shift in SHIFTS for first in range(0, of, step)]

    def rows(self, starts: Int64[np.ndarray, "n"], length: int) -> UInt32[np.ndarray, "n length"]:
        """As many words from each of these places on."""
        found: UInt32[np.ndarray, "n length"] = sliding_window_view(self.words, length)[starts]
        return found

    def sorts(self, part: Part) -> Iterator[Sort]:
        """Words of each sort of a part, all found in one pass."""
        found: list[list[Picked]] = [[] for _ in range(part.first, part.last)]
        for start in range(0, self.words.size, BLOCK):
            for sort, picked in zip(found, self._picked(start, part), strict=True):
                sort.append(picked)
        for sort in found:
            places, owners = (np.concatenate(column) for column in zip(*sort, strict=True))
            sort.clear()
            yield Sort(part.shift, places, self.words[places] & _mask(part), owners)

    def later(
        self, places: Shaped[np.ndarray, "n"], owners: Int32[np.ndarray, "n"], shift: int
    ) -> UInt32[np.ndarray, "n"]:
        """A byte of the word that comes later in the same recording; 0 where it has ended."""
        there = places.astype(np.int64) + LATER
        found: UInt32[np.ndarray, "n"] = (self.words[there] >> np.uint32(shift)) & np.uint32(0xFF)
        found[there >= self.starts[owners] + self.sizes[owners]] = 0
        return found

    def _picked(self, start: int, part: Part) -> Iterator[Picked]:
        """Of each sort of a part the words of one block."""
        words = np.asarray(self.words[start : start + BLOCK])
        sort = words & _mask(part)
        sort *= np.uint32(2654435761)
        sort >>= np.uint32(16)
        whole = sort // np.uint32(part.of)  # numpy is slow to take remainders
        whole *= np.uint32(part.of)
        sort -= whole
        sort -= np.uint32(part.first)  # of those before the first a very large number
        places = np.flatnonzero(sort < np.uint32(part.last - part.first))
        places = places[bits_of(words[places]) >= LEAST_WORD_BITS]
        sort = sort[places]
        first, last = np.searchsorted(self.starts, [start, start + words.size])
        ends = np.append(self.starts[first:last] - start, words.size)
        owners = np.repeat(np.arange(first - 1, last, dtype=np.int32), np.diff(ends, prepend=0))[places]
        # four bytes a place as long as those are enough
        places = (places + start).astype(np.uint32 if self.words.size <= 1 << 32 else np.int64)
        for number in range(part.last - part.first):
            here = np.flatnonzero(sort == number)
            yield places[here], owners[here]


def _mask(part: Part) -> np.uint32:
    """Bytes of a word that have to agree."""
    return np.uint32(0xFFFFFFFF ^ (0xFF << part.shift))


def lay(
    fingerprints: Mapping[str, UInt32[np.ndarray, "_"]], ids: Sequence[str], sides: Int32[np.ndarray, "recordings"]
) -> Laid:
    """Fingerprints of these recordings behind each other, none of them empty."""
    sizes = np.fromiter((fingerprints[name].size for name in ids), np.int32, len(ids))
    starts = GAP + np.concatenate([[0], np.cumsum(sizes[:-1] + np.int64(GAP))]).astype(np.int64)
    # rows as long as the longest, or the first look, may begin at any word
    words = np.zeros(int(starts[-1]) + 2 * max(int(sizes.max()), 2 * GAP + 1) + GAP, np.uint32)
    bits, dense = np.zeros(sizes.size, np.int32), 0
    for start in range(0, sizes.size, RECORDINGS):
        here = starts[start : start + RECORDINGS]
        for place, name in zip(here.tolist(), ids[start : start + RECORDINGS], strict=True):
            some = fingerprints[name]
            words[place : place + some.size] = some
        end = int(here[-1] + sizes[start : start + RECORDINGS][-1])
        counted = bits_of(words[here[0] : end])
        bits[start : start + RECORDINGS] = np.add.reduceat(counted, here - here[0], dtype=np.int32)
        dense += int((counted >= LEAST_WORD_BITS).sum())
    return Laid(sizes, starts, bits, sides, words, np.array(dense))


def bits_of(words: UInt[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Bits set in every word."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counted: UInt8[np.ndarray, "*n"] = np.bitwise_count(words)
        return counted
    halves = _BITS[np.ascontiguousarray(words)[..., None].view(np.uint16)]
    return np.asarray(halves.sum(axis=-1, dtype=np.uint8))
