"""The words of all fingerprints behind each other, and what of them is looked up."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, Int32, Int64, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

GAP = 4  # empty words between recordings; the first look takes as many on either side
LATER = 8  # words on which the byte is looked up that parts a crowd: 128 ms, no frame is in both words
LEAST_WORD_BITS = 8  # of a word that is looked up: sparser ones are in every recording
SHIFTS = (0, 8, 16, 24)  # of the byte that may differ
AT_ONCE = 1 << 20  # words sorted at a time: bounds memory
_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts that a search falls into: the byte that may differ, and which words are looked up, of how many.

    Nothing of one part is needed for another, so they may be searched anywhere and in any order.
    """

    shift: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Laid:
    """All words behind each other, with empty ones between recordings and after the last.

    `sizes`, `starts` and `sides` are of recordings: words, place of the first, number of the split (-1 for all where
    splits do not matter). `owners` says whose word stands in a place, `looked_up` holds the places of words worth it.
    `bits_before` counts the bits set in all words before a place, `bits_around` in the few around it.
    """

    sizes: Int64[np.ndarray, "recordings"]
    starts: Int64[np.ndarray, "recordings"]
    sides: Int32[np.ndarray, "recordings"]
    words: UInt32[np.ndarray, "words"]
    owners: Int32[np.ndarray, "places"]
    looked_up: Int64[np.ndarray, "dense"]
    bits_before: Int64[np.ndarray, "ends"]
    bits_around: Int16[np.ndarray, "places"]

    def parts(self) -> list[Part]:
        """Parts of a search, as many as memory asks for."""
        count = max(1, -(-self.looked_up.size // AT_ONCE))
        return [Part(shift, number, count) for shift in SHIFTS for number in range(count)]

    def rows(self, starts: Int64[np.ndarray, "n"], length: int) -> UInt32[np.ndarray, "n length"]:
        """As many words from each of these places on."""
        found: UInt32[np.ndarray, "n length"] = sliding_window_view(self.words, length)[starts]
        return found

    def later(self, places: Int64[np.ndarray, "n"], shift: int) -> UInt32[np.ndarray, "n"]:
        """A byte of the word that comes later in the same recording; 0 where it has ended."""
        there = np.minimum(places + LATER, self.owners.size - 1)
        found: UInt32[np.ndarray, "n"] = (self.words[there] >> np.uint32(shift)) & np.uint32(0xFF)
        found[self.owners[there] != self.owners[places]] = 0
        return found

    def bits(self, starts: Int64[np.ndarray, "n"], sizes: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """Bits set in stretches of words."""
        counted: Int64[np.ndarray, "n"] = self.bits_before[starts + sizes] - self.bits_before[starts]
        return counted


def lay(fingerprints: Sequence[UInt32[np.ndarray, "_"]], sides: Int32[np.ndarray, "recordings"]) -> Laid:
    """Fingerprints behind each other, none of them empty."""
    sizes = np.array([words.size for words in fingerprints], np.int64)
    starts = GAP + np.concatenate([[0], np.cumsum(sizes + GAP)[:-1]]).astype(np.int64)
    end = int(starts[-1] + sizes[-1]) + GAP
    owners = np.zeros(end, np.int32)
    owners[GAP:] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes + GAP)
    inside = np.ones(end - GAP, bool)
    inside[:GAP] = False
    for gap in range(GAP):
        inside[starts[1:] - 1 - gap] = False
    # a row as long as the longest may begin at any word
    words = np.zeros(end + max(int(sizes.max()), 2 * GAP + 1), np.uint32)
    words[: end - GAP][inside] = np.concatenate(fingerprints)
    bits = bits_of(words)
    bits_before = np.concatenate([[0], np.cumsum(bits, dtype=np.int64)])
    around = np.zeros(end, np.int16)
    around[GAP : end - GAP] = bits_before[2 * GAP + 1 : end + 1] - bits_before[: end - 2 * GAP]
    looked_up = np.flatnonzero(bits >= LEAST_WORD_BITS)
    return Laid(sizes, starts, sides, words, owners, looked_up, bits_before, around)


def bits_of(words: UInt32[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Bits set in every word."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counted: UInt8[np.ndarray, "*n"] = np.bitwise_count(words)
        return counted
    return np.asarray(_BITS[words & np.uint32(0xFFFF)] + _BITS[words >> np.uint32(16)])
