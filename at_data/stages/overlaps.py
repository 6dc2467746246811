"""Stretches of one file that share samples: which of them give way where they stand in different splits."""

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

ROUNDED_S = 0.005  # by which stretches that touch overlap where their times were rounded to hundredths of a second
NOBODY = -1


def losers(
    files: Int[np.ndarray, "stretches"],
    starts_s: Float64[np.ndarray, "stretches"],
    stops_s: Float64[np.ndarray, "stretches"],
    ranks: Int[np.ndarray, "stretches"],
) -> Int64[np.ndarray, "stretches"]:
    """Place of a stretch that each one shares samples with and gives way to, NOBODY where it stays.

    `files` are numbers of the files that stretches lie in; a whole file ends at infinity. `ranks` say how protected
    their splits are, the lowest first: a stretch gives way to those of lower ranks that stay. Those of one rank share
    what they like.

    Examples
    --------
    >>> zeros, ranks = np.zeros(3, int), np.array([3, 0, 3])
    >>> losers(zeros, np.array([0.0, 0.5, 1.0]), np.array([0.7, 1.0, 1.5]), ranks).tolist()
    [1, -1, -1]

    """
    found = np.full(files.size, NOBODY, np.int64)
    numbers = np.flatnonzero(of_several_ranks(files, ranks))
    if not numbers.size:
        return found
    # the files behind each other on one line, further apart than any stretch of them is long
    _, file = np.unique(files[numbers], return_inverse=True)
    ends = stops_s[numbers]
    length = 1.0 + max(ends[np.isfinite(ends)].max(initial=0.0), starts_s[numbers].max())
    first = file * length + starts_s[numbers]
    last = file * length + np.minimum(ends, length - ROUNDED_S)
    stay = np.zeros(0, np.int64)  # places among `numbers` of those that stay
    for rank in np.unique(ranks[numbers]):
        mine = np.flatnonzero(ranks[numbers] == rank)
        keeper = _reaching(first, last, stay, mine)
        found[numbers[mine]] = np.where(keeper == NOBODY, NOBODY, numbers[keeper])
        stay = np.concatenate([stay, mine[keeper == NOBODY]])
    return found


def of_several_ranks(
    files: Int[np.ndarray, "stretches"], ranks: Int[np.ndarray, "stretches"]
) -> Bool[np.ndarray, "stretches"]:
    """Whether the file of each stretch has stretches of more than one rank: others give way to none."""
    count = int(files.max(initial=-1)) + 1
    lowest, highest = np.full(count, np.iinfo(np.int8).max, np.int8), np.full(count, np.iinfo(np.int8).min, np.int8)
    np.minimum.at(lowest, files, ranks)
    np.maximum.at(highest, files, ranks)
    return np.asarray((lowest < highest)[files])


def _reaching(
    first: Float64[np.ndarray, "n"],
    last: Float64[np.ndarray, "n"],
    stay: Int64[np.ndarray, "stay"],
    mine: Int64[np.ndarray, "mine"],
) -> Int64[np.ndarray, "mine"]:
    """For each of mine one of those that stay which it shares more than rounding with, or NOBODY."""
    if not stay.size:
        return np.full(mine.size, NOBODY, np.int64)
    stay = stay[np.argsort(first[stay], kind="stable")]
    reach = np.maximum.accumulate(last[stay])
    owner = np.maximum.accumulate(np.where(last[stay] == reach, np.arange(stay.size), 0))
    before = np.searchsorted(first[stay], last[mine] - ROUNDED_S, side="left") - 1  # the last that begins earlier
    there = (before >= 0) & (reach[before] > first[mine] + ROUNDED_S)
    return np.where(there, stay[owner[before]], NOBODY)
