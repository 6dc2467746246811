"""The words of all fingerprints behind each other, and which of them a part of the search looks up."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64, Shaped, UInt, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

from at_data import scratch

GAP = 4  # empty words between recordings; the first look takes as many on either side
LATER = 8  # words on which the byte is looked up that parts a crowd: 128 ms, no frame is in both words
LEAST_WORD_BITS = 8  # of a word that is looked up: sparser ones are in every recording
SHIFTS = (0, 8, 16, 24)  # of the byte that may differ
AT_ONCE = 1 << 18  # words sorted at a time: bounds memory
PASSES = 8  # over all words for a byte that may differ: each looks for the words of as many sorts as that leaves
BLOCK = 1 << 16  # words looked at in one go: what the cache holds
RECORDINGS = 1 << 12  # laid in one go
PIECE = 64  # words in a row of a recording of which only pieces are kept; of one twice as long, every second of them
LONG = 4 * PIECE  # words from which on a recording may be half of one that has other pieces
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


Picked = tuple[Shaped[np.ndarray, "words"], Int32[np.ndarray, "words"], Int64[np.ndarray, "sorts"]]
"""Places of words, whose they are, and how many are of every sort."""


@dataclass(frozen=True, slots=True)
class Laid:
    """All words behind each other, with empty ones between recordings and after the last; `long` ones are there twice.

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
        step = -(-of // PASSES)
        return [Part(shift, first, min(first + step, of), of) for shift in SHIFTS for first in range(0, of, step)]

    def rows(self, starts: Int64[np.ndarray, "n"], length: int) -> UInt32[np.ndarray, "n length"]:
        """As many words from each of these places on."""
        found: UInt32[np.ndarray, "n length"] = sliding_window_view(self.words, length)[starts]
        return found

    def sorts(self, part: Part) -> Iterator[Sort]:
        """Words of each sort of a part, all found in one pass, and held on disk until it is their turn."""
        places, owners, ends = scratch.Growing(), scratch.Growing(), [np.zeros(1, np.int64)]
        for start in range(0, self.words.size, BLOCK):
            some, of, counts = self._picked(start, part)
            places.add(some)
            owners.add(of)
            ends.append(ends[-1][-1] + np.cumsum(counts))
        at, whose = places.array(self._kind), owners.array(np.int32)
        for number in range(part.last - part.first):
            here = [(int(before[-1]), found) for before, found in pairwise(ends)]  # of every block
            cuts = [slice(int(found[number - 1]) if number else first, int(found[number])) for first, found in here]
            some = np.concatenate([at[:0], *(at[cut] for cut in cuts)])
            of = np.concatenate([whose[:0], *(whose[cut] for cut in cuts)])
            yield Sort(part.shift, some, self.words[some] & _mask(part), of)

    def later(
        self, places: Shaped[np.ndarray, "n"], owners: Int32[np.ndarray, "n"], shift: int
    ) -> UInt32[np.ndarray, "n"]:
        """A byte of the word that comes later in the same recording; 0 where it has ended."""
        there = places.astype(np.int64) + LATER
        found: UInt32[np.ndarray, "n"] = (self.words[there] >> np.uint32(shift)) & np.uint32(0xFF)
        found[there >= self.starts[owners] + self.sizes[owners]] = 0
        return found

    def _picked(self, start: int, part: Part) -> Picked:
        """Words of one block that are of a part, sort after sort, and how many are of each."""
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
        places = (places + start).astype(self._kind)
        order = np.argsort(sort.astype(np.uint16), kind="stable")  # of so small numbers no comparing is needed
        return places[order], owners[order], np.bincount(sort, minlength=part.last - part.first)

    @property
    def _kind(self) -> type[np.integer[Any]]:
        """Of a place: four bytes as long as those are enough."""
        return np.uint32 if self.words.size <= 1 << 32 else np.int64


def _mask(part: Part) -> np.uint32:
    """Bytes of a word that have to agree."""
    return np.uint32(0xFFFFFFFF ^ (0xFF << part.shift))


def lay(
    words: UInt32[np.ndarray, "words"],
    starts: Int64[np.ndarray, "recordings"],
    sizes: Int32[np.ndarray, "recordings"],
    sides: Int32[np.ndarray, "recordings"],
) -> Laid:
    """Fingerprints behind each other: so many of the words from each start on, none of them empty.

    After all recordings come the `long` ones again, with every second piece of theirs.
    """
    again, whole = long(sizes), sizes
    if again.size:
        starts, sides = np.concatenate([starts, starts[again]]), np.concatenate([sides, sides[again]])
        whole = np.concatenate([sizes, sizes[again]])
        pairs, rest = np.divmod(sizes[again], 2 * PIECE)
        sizes = np.concatenate([sizes, PIECE * pairs + np.minimum(rest, PIECE)]).astype(np.int32)
    places = scratch.zeros(sizes.size, np.int64)
    np.cumsum(sizes[:-1] + np.int32(GAP), out=places[1:])
    places += GAP
    # rows as long as the longest, or the first look, may begin at any word
    end = int(places[-1]) + 2 * max(int(sizes.max()), 2 * GAP + 1) + GAP
    found = scratch.zeros(end, np.uint32)
    bits, dense = scratch.zeros(sizes.size, np.int32), 0
    for start in range(0, sizes.size, RECORDINGS):
        here = slice(start, start + RECORDINGS)
        columns = (places[here].tolist(), starts[here].tolist(), sizes[here].tolist(), whole[here].tolist())
        for place, first, size, held in zip(*columns, strict=True):
            own = words[first : first + held]
            found[place : place + size] = own if held == size else _every_second(own)
        first, last = int(places[start]), int(places[here][-1] + sizes[here][-1])
        counted = bits_of(found[first:last])
        bits[here] = np.add.reduceat(counted, places[here] - first, dtype=np.int32)
        dense += int((counted >= LEAST_WORD_BITS).sum())
    return Laid(sizes, places, bits, sides, found, np.array(dense))


def long(sizes: Int32[np.ndarray, "recordings"]) -> Int64[np.ndarray, "long"]:
    """Recordings so long that a copy, or a cut to half, may keep other pieces than they do."""
    return np.flatnonzero(sizes > LONG)


def _every_second(words: UInt32[np.ndarray, "words"]) -> UInt32[np.ndarray, "fewer"]:
    return np.concatenate([words[start : start + PIECE] for start in range(0, words.size, 2 * PIECE)])


def bits_of(words: UInt[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """Bits set in every word."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counted: UInt8[np.ndarray, "*n"] = np.bitwise_count(words)
        return counted
    halves = _BITS[np.ascontiguousarray(words)[..., None].view(np.uint16)]
    return np.asarray(halves.sum(axis=-1, dtype=np.uint8))
