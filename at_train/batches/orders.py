"""The order of items in one epoch: of seed and epoch alone, the same on every machine and numpy release.

Philox's raw stream is fixed by its definition; numpy may change how `permutation` uses it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

LABELS = 0  # epochs count from 1, so the order of this one is free to shuffle labels by


@dataclass(frozen=True, slots=True)
class Runs:
    """Shuffling for disks that are slow at random places: runs of `run` items are read whole, `buffer` items at a time.

    The runs come in random order, and the items of those in the buffer are shuffled among each other.
    """

    run: int
    buffer: int


def order(seed: int, epoch: int, n: int) -> Int64[np.ndarray, "n"]:
    """Permutation of n items for one epoch, each as likely as any other."""
    return np.argsort(_raw(seed, epoch, n), kind="stable").astype(np.int64)


def windows(seed: int, epoch: int, n: int, runs: Runs) -> list[Int64[np.ndarray, "window"]]:
    """Places of n items for one epoch, by what is in the buffer together; each place stands in one window, once.

    A window is as many whole runs as the buffer holds. Where the runs begin differs from epoch to epoch, so that no two
    items are bound to each other. Two items that come one after the other are of one run with a probability of about
    run / buffer, where a permutation has run / n.
    """
    dice = _raw(seed, epoch, 1 + 2 * n)
    first = int(dice[0]) % runs.run  # of a uint64 and a plain number numpy 1 makes a float
    bounds = np.unique(np.concatenate([[0, n], np.arange(first, n, runs.run)]))
    turns = np.argsort(dice[1 : len(bounds)], kind="stable")
    together = max(1, runs.buffer // runs.run)
    found, done = [], 1 + n
    for begin in range(0, len(turns), together):
        pieces = [np.arange(bounds[turn], bounds[turn + 1]) for turn in turns[begin : begin + together].tolist()]
        places = np.concatenate(pieces).astype(np.int64)
        found.append(places[np.argsort(dice[done : done + len(places)], kind="stable")])
        done += len(places)
    return found


def _raw(seed: int, epoch: int, n: int) -> np.ndarray:
    raw: np.ndarray = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return raw
