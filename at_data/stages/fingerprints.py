"""A waveform -> its fingerprint: one word of 32 bits every 16 ms, that survives another level, rate or codec.

The words are those of Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): does the step
between two neighbouring bands grow or shrink with time? Three things differ, because recordings here are short and
may be still: steps are compared over 64 ms and not from frame to frame; a change has to exceed 3e-5 of the energy of
the loudest band, so that codec noise in silence says nothing; and a bit is set for a growth only, so that what does
not change has no bits. `duplicates` compares such words.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Int64, UInt32
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

WINDOW_S, HOP_S = 0.032, 0.016
LOWEST_HZ, HIGHEST_HZ = 250.0, 3400.0  # what a recording at 8 kHz still holds
BANDS = 33  # one more than the bits of a word
SMOOTHED = 3  # frames summed, against a copy that starts between two frames
LAG = 4  # frames between the two energies compared
AROUND = (SMOOTHED - 1 + LAG) // 2  # frames a word looks back, and ahead
LEAST_CHANGE = 3e-5  # of the loudest band of the recording: 45 dB
LONGEST = 512  # words of one recording
PIECE = 64  # words in a row of a recording that has more


def fingerprint(samples: Float32[np.ndarray, "time"], sample_rate_hz: int) -> UInt32[np.ndarray, "words"]:
    """Words of a recording in order of time; none where nothing in it changes.

    The same bands in hertz and the same times are taken at every rate. Of a recording of more than 512 words (8.2 s)
    pieces of 64 are taken, every second, fourth, eighth ... of them, so that at most 512 remain. Ends count as
    silence. Silence has an empty fingerprint, and so has what is not finite, or shorter than about 50 ms.
    """
    window = _window(sample_rate_hz)
    padded = samples if samples.size >= window.size else np.pad(samples, (0, window.size - samples.size))
    frames = 1 + int((padded.size - window.size) / (HOP_S * sample_rate_hz))
    wanted = _wanted(frames)
    energies = np.zeros((*wanted.shape, BANDS), np.float32)
    there = (wanted >= 0) & (wanted < frames)
    energies[there] = _energies(padded, wanted[there], window, sample_rate_hz)
    loudest = energies.max()
    if not 0 < loudest < np.inf:
        return np.zeros(0, np.uint32)
    smooth = energies[:, : 1 - SMOOTHED].copy()
    for shift in range(1, SMOOTHED):
        smooth += energies[:, shift : energies.shape[1] - SMOOTHED + 1 + shift]
    steps = smooth[:, :, :-1] - smooth[:, :, 1:]
    grown = steps[:, LAG:] - steps[:, :-LAG] > SMOOTHED * LEAST_CHANGE * loudest
    words = np.packbits(grown.reshape(-1, BANDS - 1), axis=1, bitorder="little").view("<u4")[:, 0]
    words = words[:frames].astype(np.uint32)
    return words if words.any() else words[:0]


def _wanted(frames: int) -> Int64[np.ndarray, "pieces frames"]:
    """Numbers of the frames whose energies are needed, a row for each piece, with those around it."""
    if frames <= LONGEST:
        return np.arange(-AROUND, frames + AROUND)[None]
    apart = PIECE
    while -(-frames // apart) * PIECE > LONGEST:
        apart *= 2
    return np.arange(0, frames, apart)[:, None] + np.arange(-AROUND, PIECE + AROUND)


def _energies(
    samples: Float32[np.ndarray, "time"],
    frames: Int64[np.ndarray, "frames"],
    window: Float32[np.ndarray, "window"],
    sample_rate_hz: int,
) -> Float32[np.ndarray, "frames bands"]:
    starts = (frames * (HOP_S * sample_rate_hz)).astype(np.int64)
    cuts = sliding_window_view(samples, window.size)
    size = fft.next_fast_len(window.size, real=True)
    first, bank = _bank(sample_rate_hz)
    energies = np.empty((frames.size, BANDS), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for piece in range(0, frames.size, PIECE):  # what fits the cache
            spectrum = fft.rfft(cuts[starts[piece : piece + PIECE]] * window, size)[:, first : first + len(bank)]
            energies[piece : piece + PIECE] = (spectrum.real**2 + spectrum.imag**2) @ bank
    return energies


@lru_cache(maxsize=16)
def _window(sample_rate_hz: int) -> Float32[np.ndarray, "window"]:
    size = max(2, round(WINDOW_S * sample_rate_hz))
    # the scale of the spectrum does not depend on the rate, nor on the size
    return (np.hanning(size + 1)[:size] * 2 / size).astype(np.float32)


@lru_cache(maxsize=16)
def _bank(sample_rate_hz: int) -> tuple[int, Float32[np.ndarray, "bins bands"]]:
    """First bin that any band holds, and the weight of the bins in triangular bands of equal width in mel."""
    size = fft.next_fast_len(_window(sample_rate_hz).size, real=True)
    hertz = np.fft.rfftfreq(size, 1 / sample_rate_hz)
    low, high = 2595 * np.log10(1 + np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    weights = [np.interp(hertz, edges[band : band + 3], [0, 1, 0]) for band in range(BANDS)]
    first, last = np.searchsorted(hertz, [LOWEST_HZ, HIGHEST_HZ])
    return int(first), np.stack(weights, axis=1)[first:last].astype(np.float32)
