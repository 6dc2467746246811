"""Which recordings are worth comparing, found by sorting words."""

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped, UInt64

from at_data.stages.duplicates.laid import GAP, Laid, Part, bits_of

CROWD = 16  # recordings that may share three bytes of a word before more has to agree
PARTNERS = 16  # recordings of each split that one word leads to
FIRST_LOOK = 0.35  # largest distance of the few words around two places
MOST = 32  # candidates a recording is sure to be compared with in full, for each of the four keys
LOOKED_AT_ONCE = 1 << 14  # candidates given a first look at a time: what the cache holds

# recordings by number, and how many words later the first one's beginning stands in the second
Candidates = tuple[Int64[np.ndarray, "found"], Int64[np.ndarray, "found"], Int64[np.ndarray, "found"]]


def candidates(laid: Laid, part: Part) -> Candidates:
    """Recordings that share a word of this part, and how many words later it stands in the other one."""
    looked_up = laid.looked_up
    keys = laid.words[looked_up] & np.uint32(0xFFFFFFFF ^ (0xFF << part.shift))
    mine = np.flatnonzero((keys * np.uint32(2654435761) >> np.uint32(16)) % np.uint32(part.of) == part.number)
    order = np.sort((keys[mine].astype(np.uint64) << np.uint64(32)) | looked_up[mine].astype(np.uint64))
    groups, places = _groups(laid, order, part.shift)
    one, other = _partners(laid, groups, places)
    alike = _alike(laid, one, other)
    one, other = one[alike], other[alike]
    a, b = laid.owners[one].astype(np.int64), laid.owners[other].astype(np.int64)
    offset = (other - laid.starts[b]) - (one - laid.starts[a])
    return _most_shared(a, b, offset)


def _groups(
    laid: Laid, order: UInt64[np.ndarray, "words"], shift: int
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Numbers of the groups that words belong to, ascending, and their places: a word of each recording in a group.

    `order` holds keys and places in one sorted number. A crowd is parted by a byte of a later word.
    """
    keys, places = (order >> np.uint64(32)), (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
    number, several = _numbered(keys, laid.owners[places], 1)
    number, places = number[several], places[several]
    number, crowded = _numbered(number, laid.owners[places], CROWD)
    parted = np.flatnonzero(crowded)
    codes = (number[parted] << 40) | (laid.later(places[parted], shift).astype(np.int64) << 32) | places[parted]
    codes.sort()
    # numbers of crowds go on where the byte begins, so that no group is called as another
    places[parted] = codes & 0xFFFFFFFF
    number <<= 8
    number[parted] |= (codes >> 32) & 0xFF
    owners = laid.owners[places]
    first = np.ones(number.size, bool)
    first[1:] = (number[1:] != number[:-1]) | (owners[1:] != owners[:-1])
    return number[first], places[first]


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


def _partners(
    laid: Laid, groups: Int64[np.ndarray, "words"], places: Int64[np.ndarray, "words"]
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """Places of words of one group in two recordings."""
    of = laid.sides[laid.owners[places]]
    pools = [(np.flatnonzero((of != side) | (side < 0)), np.flatnonzero(of == side)) for side in np.unique(of)]
    one, other = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for asking, answering in pools:
        if not asking.size or not answering.size:
            continue
        ahead = np.searchsorted(answering, asking, side="right")
        # and the last before it, or the last of a split could be left without any partner
        behind = answering[np.maximum(ahead - 1, 0)]
        fits = (behind < asking) & (groups[behind] == groups[asking])
        one.append(places[behind[fits]])
        other.append(places[asking[fits]])
        live = asking
        for _ in range(PARTNERS):
            within = ahead < answering.size
            live, ahead = live[within], ahead[within]
            found = answering[ahead]
            fits = groups[found] == groups[live]
            live, ahead, found = live[fits], ahead[fits], found[fits]
            one.append(places[live])
            other.append(places[found])
            ahead = ahead + 1
    return np.concatenate(one), np.concatenate(other)


def _alike(laid: Laid, one: Int64[np.ndarray, "n"], other: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Whether the few words around two places are alike: most chance agreements end here."""
    alike = np.zeros(one.size, bool)
    for start in range(0, one.size, LOOKED_AT_ONCE):
        a, b = one[start : start + LOOKED_AT_ONCE], other[start : start + LOOKED_AT_ONCE]
        apart = np.zeros(a.size, np.int16)
        for step in range(-GAP, GAP + 1):
            apart += bits_of(laid.words[a + step] ^ laid.words[b + step])
        alike[start : start + LOOKED_AT_ONCE] = apart <= FIRST_LOOK * (laid.bits_around[a] + laid.bits_around[b])
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
