"""A waveform as STFT magnitudes."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from at_data.errors import ManifestError

# How far from a whole number of samples a window or hop may lie: room for the rounding of decimals, no more.
SAMPLES_TOLERANCE = 1e-6
SHORTEST_WINDOW = 2

AT_ONCE = 512  # frames transformed together: a call takes as long as tens of frames do

# Generalised cosine windows: a0 - (1 - a0) cos.
COSINES = {"hamming": 0.54, "hann": 0.5}


class Stft(BaseModel):
    """The short-time Fourier transform: window shape, window length (which is the FFT's too), and hop."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    window: Literal["hamming", "hann"]
    window_s: float = Field(gt=0, allow_inf_nan=False)
    hop_s: float = Field(gt=0, allow_inf_nan=False)


def magnitude(
    samples: Float32[np.ndarray, "time"],
    stft: Stft,
    sample_rate_hz: int,
    frames: range | None = None,
    out: Float32[np.ndarray, "frames bins"] | None = None,
) -> Float32[np.ndarray, "frames bins"]:
    """STFT magnitudes, rows in time order, columns in rising frequency: all, or some `frames`; in `out` if given.

    Frame `t` is centred on sample `t * hop`; the sound stands among zeros. Magnitudes are divided by the sum of the
    window, so a sine of amplitude 1 in the middle of its bin gives 0.5. One second at 16 kHz with 16 ms windows every
    8 ms gives 126 x 129. A frame has the same bits whichever others are asked for.

    Raises
    ------
    ManifestError
        Window or hop are not whole numbers of samples at this rate, or out of range.

    Notes
    -----
    `abs(scipy.signal.stft(samples, window=..., nperseg=n, noverlap=n - hop)[2]).T`, the features of Guizzo, Weyde
    and Tarroni (2021), which their code stored last frame first.

    Examples
    --------
    >>> stft = Stft(window="hamming", window_s=0.016, hop_s=0.008)
    >>> magnitude(np.zeros(16000, np.float32), stft, 16000).shape
    (126, 129)

    """
    window, hop = _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz)
    if frames is None:
        frames = range(_frames(samples.size, window.size, hop))
    found: np.ndarray = np.empty((len(frames), window.size // 2 + 1), np.float32) if out is None else out
    _transform([(samples, frames)], window, hop, found)
    return found


def magnitudes(
    waveforms: Sequence[Float32[np.ndarray, "_"]], stft: Stft, sample_rate_hz: int
) -> list[Float32[np.ndarray, "_ bins"]]:
    """What `magnitude` gives of each waveform, in less time where they are short; all lie in the same memory."""
    window, hop = _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz)
    frames = [range(_frames(samples.size, window.size, hop)) for samples in waveforms]
    ends = list(accumulate(map(len, frames)))
    found = np.empty((sum(map(len, frames)), window.size // 2 + 1), np.float32)
    _transform(list(zip(waveforms, frames, strict=True)), window, hop, found)
    return [found[end - len(some) : end] for end, some in zip(ends, frames, strict=True)]


def _transform(
    wanted: Sequence[tuple[Float32[np.ndarray, "_"], range]],
    window: Float32[np.ndarray, "window"],
    hop: int,
    out: Float32[np.ndarray, "frames bins"],
) -> None:
    """Write the magnitudes of some frames of waveforms into `out`, one waveform's after the other's."""
    from scipy.fft import rfft  # noqa: PLC0415 - it takes a quarter of a second, and whoever plans needs no transform

    windowed = np.empty((min(AT_ONCE, len(out)), window.size), np.float32)
    done = used = 0
    for samples, frames in wanted:
        left = frames
        while left:
            some = left[: AT_ONCE - used]
            left = left[len(some) :]
            np.multiply(_framed(samples, window.size, hop, some), window, out=windowed[used : used + len(some)])
            used += len(some)
            if used == AT_ONCE or done + used == len(out):
                np.abs(rfft(windowed[:used], axis=1), out=out[done : done + used])
                done, used = done + used, 0


def _framed(
    samples: Float32[np.ndarray, "time"], window_samples: int, hop: int, frames: range
) -> Float32[np.ndarray, "frames window"]:
    """Samples that some frames hear, among zeros."""
    padded = np.zeros((len(frames) - 1) * hop + window_samples, np.float32)
    begin = frames.start * hop - window_samples // 2  # sample that `padded` begins with
    heard = samples[max(0, begin) : max(0, begin + padded.size)]
    padded[max(0, -begin) : max(0, -begin) + heard.size] = heard
    step = padded.itemsize
    return np.ndarray((len(frames), window_samples), np.float32, padded, 0, (hop * step, step))


def heard_frames(n_samples: int, content: tuple[int, int], stft: Stft, sample_rate_hz: int) -> range:
    """Frames of a waveform that hear any of its samples `content[0]` to `content[1]`; the others hear zeros alone."""
    window, hop = _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz)
    frames, before, after = _frames(n_samples, window.size, hop), window.size // 2, -(-window.size // 2)
    first = min(frames - 1, max(0, (content[0] - after) // hop + 1))
    return range(first, max(first + 1, min(frames, -(-(content[1] + before) // hop))))


def excerpt(
    whole: Float32[np.ndarray, "all bins"],
    recording_samples: int,
    samples: Float32[np.ndarray, "time"],
    start: int,
    content: tuple[int, int],
    stft: Stft,
    sample_rate_hz: int,
) -> Float32[np.ndarray, "heard bins"]:
    """Magnitudes of the `heard_frames` of a segment, most of them out of those of its whole recording.

    Bit for bit those of `magnitude`. `whole` holds the magnitudes of all frames of the recording, of
    `recording_samples`. The segment has its `samples[content[0]:content[1]]` from sample `start` of the recording on,
    and zeros around them. Only frames that reach over an end of the segment within the recording are transformed anew.
    The answer may be a view of `whole`.
    """
    window, hop = _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz)
    heard = heard_frames(samples.size, content, stft, sample_rate_hz)
    shift = start - content[0]  # from samples of the segment to those of the recording
    if shift % hop:
        return magnitude(samples, stft, sample_rate_hz, heard)
    frames, before, after = _frames(samples.size, window.size, hop), window.size // 2, -(-window.size // 2)
    # frames that hear the content and nothing else of the recording, and those of which the recording has a frame
    first = max(heard.start, -(shift // hop), 0 if not start else -(-(content[0] + before) // hop))
    reaches_end = start + content[1] - content[0] == recording_samples
    last = min(heard.stop, len(whole) - shift // hop, frames if reaches_end else (content[1] - after) // hop + 1)
    if first >= last:
        return magnitude(samples, stft, sample_rate_hz, heard)
    known = whole[first + shift // hop : last + shift // hop]
    if len(known) == len(heard):
        return known
    values = np.empty((len(heard), whole.shape[1]), np.float32)
    values[first - heard.start : last - heard.start] = known
    for left in (range(heard.start, first), range(last, heard.stop)):
        if left:
            out = values[left.start - heard.start : left.stop - heard.start]
            magnitude(samples, stft, sample_rate_hz, left, out=out)
    return values


def trimmed(values: Float32[np.ndarray, "frames bins"]) -> range:
    """Frames from the first to the last that is not all zeros; none, from 0, where all are.

    Examples
    --------
    >>> item = np.zeros((5, 2), np.float32)
    >>> item[1, 1] = item[3, 0] = 0.5
    >>> trimmed(item)
    range(1, 4)

    """
    if len(values) and (values[0, 0] or values[0].any()) and (values[-1, 0] or values[-1].any()):
        return range(len(values))  # as nearly always; to look at one value costs next to nothing
    (heard,) = values.any(axis=1).nonzero()
    return range(int(heard[0]), int(heard[-1]) + 1) if heard.size else range(0)


def shape(n_samples: int, stft: Stft, sample_rate_hz: int) -> tuple[int, int]:
    """Frames and bins of a waveform's STFT: ceil(samples / hop) + 1, and half the window + 1 (even windows).

    Raises
    ------
    ManifestError
        As `magnitude`.

    """
    window, hop = _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz)
    return _frames(n_samples, window.size, hop), window.size // 2 + 1


def same(one: Stft, other: Stft, sample_rate_hz: int) -> bool:
    """Whether two settings give the same frames at a rate; ManifestError as `magnitude`."""
    (first, first_hop), (second, second_hop) = (
        _plan(stft.window, stft.window_s, stft.hop_s, sample_rate_hz) for stft in (one, other)
    )
    return (one.window, first.size, first_hop) == (other.window, second.size, second_hop)


def _frames(n_samples: int, window: int, hop: int) -> int:
    # Half a window of zeros on each side; an odd window has its middle sample between them.
    return -(-max(0, n_samples - window % 2) // hop) + 1


@lru_cache
def _plan(kind: str, window_s: float, hop_s: float, sample_rate_hz: int) -> tuple[Float32[np.ndarray, "window"], int]:
    """Periodic window divided by its sum, and the hop in samples."""
    length = _whole("window_s", window_s, sample_rate_hz)
    if length < SHORTEST_WINDOW:
        expected = f"at least {SHORTEST_WINDOW} samples"
        raise ManifestError("stft.window_s", f"{length} sample at {sample_rate_hz} Hz", expected, "widen the window")
    hop = _whole("hop_s", hop_s, sample_rate_hz)
    if not 1 <= hop <= length:
        expected = f"1 to {length} (the window)"
        raise ManifestError("stft.hop_s", f"{hop} samples", expected, "lower the hop or widen the window")
    constant = COSINES[kind]
    window = constant - (1 - constant) * np.cos(2 * np.pi * np.arange(length) / length)
    return (window / window.sum()).astype(np.float32), hop


def _whole(key: str, seconds: float, sample_rate_hz: int) -> int:
    """Samples in a duration that must be a whole number of them."""
    exact = seconds * sample_rate_hz
    whole = round(exact)
    if abs(exact - whole) > SAMPLES_TOLERANCE:
        came = f"{seconds} s, which is {exact:.6g} samples at {sample_rate_hz} Hz"
        whole = max(1, whole)
        todo = f"write {whole} / {sample_rate_hz} = {whole / sample_rate_hz!r}"
        raise ManifestError(f"stft.{key}", came, "a whole number of samples", todo)
    return whole
