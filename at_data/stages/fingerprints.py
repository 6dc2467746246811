"""Spectra of a recording -> its fingerprint: one word of 32 bits every 16 ms, that survives another level or codec.

The words are those of Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): does the step
between two neighbouring bands grow or shrink with time? Three things differ, because recordings here are short and
may be still: steps are compared over 64 ms and not from frame to frame; a change has to exceed 3e-5 of the energy of
the loudest band, so that codec noise in silence says nothing; and a bit is set for a growth only, so that what does
not change has no bits. `duplicates` compares such words.

The spectra are those of 16 ms Hamming windows every 8 ms, which most datasets are made of: who has them has paid.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt32

WINDOW: Literal["hamming"] = "hamming"  # of the spectra
WINDOW_S, HOP_S = 0.016, 0.008
FRAMES = 2  # of those in a word
LOWEST_HZ, HIGHEST_HZ = 250.0, 3400.0  # what a recording at 8 kHz still holds
BANDS = 33  # one more than the bits of a word
SMOOTHED = 3  # words whose energy is summed, against a copy that starts between two
LAG = 4  # words between the two energies compared
AROUND = (SMOOTHED - 1 + LAG) // 2  # words a word looks back, and ahead
LEAST_CHANGE = 3e-5  # of the loudest band of the recording: 45 dB
LONGEST = 512  # words of one recording
PIECE = 64  # words in a row of a recording that has more

Spectra = Callable[[range], Float32[np.ndarray, "frames bins"]]
"""Magnitudes of some frames of a recording; asked for are only such as it has."""


def fingerprints(recordings: Sequence[tuple[Spectra, int]], bin_hz: float) -> list[UInt32[np.ndarray, "_"]]:
    """Words of every recording in order of time; none where nothing in it changes.

    A recording is its frames, as they are asked for, and how many they are; `bin_hz` is how far apart their bins are.
    Of one of more than 512 words (8.2 s) pieces of 64 are taken, every second, fourth, eighth ... of them, so that at
    most 512 remain. Ends count as silence. Silence has an empty fingerprint, and so has what is not finite. Several
    short ones together take less time than one after the other.
    """
    pieces = [list(_pieces(-(-frames // FRAMES))) for _, frames in recordings]
    sizes = [sum(map(len, some)) for some in pieces]
    energies = np.zeros((sum(sizes), BANDS), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        first = 0
        for (spectra, frames), some in zip(recordings, pieces, strict=True):
            for piece in some:
                _add_energies(spectra, piece, frames, bin_hz, energies[first : first + len(piece)])
                first += len(piece)
        loudest = np.maximum.reduceat(energies.max(axis=1), [0, *accumulate(sizes[:-1])])
        words = _words(energies, np.repeat(loudest, sizes))
    found = []
    first = 0
    for (_, frames), some, most in zip(recordings, pieces, loudest.tolist(), strict=True):
        starts = accumulate(map(len, some), initial=first)
        own = [words[start : start + len(piece) - 2 * AROUND] for start, piece in zip(starts, some, strict=False)]
        whole = np.concatenate(own)[: -(-frames // FRAMES)]
        found.append(whole if 0 < most < np.inf and whole.any() else whole[:0])
        first += sum(map(len, some))
    return found


def _words(
    energies: Float32[np.ndarray, "rows bands"], loudest: Float32[np.ndarray, "rows"]
) -> UInt32[np.ndarray, "words"]:
    """The word of every row but the last few, of rows of energies and what is loudest in the recording of each."""
    last = len(energies) - SMOOTHED + 1
    smooth = energies[:last] + energies[1 : last + 1]
    for shift in range(2, SMOOTHED):
        smooth += energies[shift : shift + last]
    steps = smooth[:, :-1] - smooth[:, 1:]
    least = SMOOTHED * LEAST_CHANGE * loudest[: last - LAG, None]
    grown = steps[LAG:] - steps[:-LAG] > least
    return np.packbits(grown, axis=1, bitorder="little").view("<u4")[:, 0].astype(np.uint32)


def _pieces(count: int) -> Iterator[range]:
    """Words whose energies are needed, as ranges of one size, with those around them; some may not be there."""
    if count <= LONGEST:
        yield range(-AROUND, count + AROUND)
        return
    apart = PIECE
    while -(-count // apart) * PIECE > LONGEST:
        apart *= 2
    for first in range(0, count, apart):
        yield range(first - AROUND, first + PIECE + AROUND)


def _add_energies(
    spectra: Spectra, words: range, frames: int, bin_hz: float, energies: Float32[np.ndarray, "words bands"]
) -> None:
    """Write the energy of every band in every word; those that are not there are left as they are."""
    bins, bank = _bank(bin_hz)
    there = range(max(0, FRAMES * words.start), min(frames, FRAMES * words.stop))
    powers = np.square(spectra(there)[:, bins])
    summed = powers[0::FRAMES]
    summed[: len(powers) // FRAMES] += powers[1::FRAMES]
    first = there.start // FRAMES - words.start
    # a low rate has fewer bins
    np.matmul(summed, bank[: summed.shape[1]], out=energies[first : first + len(summed)])


@lru_cache(maxsize=16)
def _bank(bin_hz: float) -> tuple[slice, Float32[np.ndarray, "bins bands"]]:
    """Bins that any band holds, and how much of each every band holds: bands are equally wide in mel, and touch."""
    centres = np.arange(int(HIGHEST_HZ / bin_hz) + 2) * bin_hz
    lowest, highest = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 1) / 2595) - 1)
    upper = np.minimum(edges[1:], centres[:, None] + bin_hz / 2)
    lower = np.maximum(edges[:-1], centres[:, None] - bin_hz / 2)
    shares = np.maximum(0, upper - lower) / bin_hz
    held = np.flatnonzero(shares.any(axis=1))
    return slice(int(held[0]), int(held[-1]) + 1), shares[held].astype(np.float32)
