"""A waveform as segments of equal length: cut and padded."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording, Segment, samples_in


class Cut(BaseModel):
    """Where segments start, how long they are, and what becomes of what does not fit.

    Segments start every `hop_s`. Less than `length_s` makes them overlap; more skips what lies between them. In place
    of seconds, `one_at_start` takes the first segment and no other, `one_at_random` one from a random place.

    `shorter` is for recordings shorter than a segment: `pad_end` puts zeros after them, `pad_center` on both sides
    (the odd one after), `drop` makes no segment of them.

    `tail` is for what the last whole segment leaves over at the end, as for 9 s cut every 4 s into 4 s: `drop` gives
    two segments and leaves out the last second, `overlap` adds one made of the last 4 s, `pad` adds one made of the
    last second and zeros. `overlap_after_two` is `overlap` where two whole segments or more come before it, that is in
    recordings longer than a segment and a hop, as the paper's released code has it: 7 s cut every 4 s give one segment.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    length_s: float = Field(gt=0, allow_inf_nan=False)
    hop_s: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False), Tag("<seconds>")]
        | Annotated[Literal["one_at_start", "one_at_random"], Tag("<one>")],
        Discriminator(lambda value: "<one>" if isinstance(value, str) else "<seconds>"),
    ]
    shorter: Literal["pad_end", "pad_center", "drop"]
    tail: Literal["drop", "overlap", "overlap_after_two", "pad"]


def cut(
    recording: Recording, samples: Float32[np.ndarray, "time"], cut: Cut, sample_rate_hz: int, seed: int = 0
) -> list[Segment]:
    """Segments of a waveform in time order, each exactly `samples_in(length_s)` long, no stretch twice.

    Segments without padding are views of the waveform. An empty waveform gives none. The seed and the recording's id
    decide where `one_at_random` is: every place where the segment fits is equally likely.

    Raises
    ------
    ManifestError
        Length or hop are less than one sample.

    Examples
    --------
    >>> nine_s = Recording("a", "corpus", "a.wav")
    >>> four_s = Cut(length_s=4.0, hop_s=4.0, shorter="pad_end", tail="pad")
    >>> [segment.content for segment in cut(nine_s, np.ones(9 * 8000, np.float32), four_s, 8000)]
    [(0, 32000), (0, 32000), (0, 8000)]

    """
    length, hop = _grid(cut, sample_rate_hz)
    segments = []
    first = _starts(samples.size, cut, length, hop)
    if cut.hop_s == "one_at_random" and samples.size > length:
        first = [int(seeds.generator(seed, "segment", recording.id).integers(samples.size - length + 1))]
    for index, start in enumerate(first):
        stretch = samples[start : start + length]
        content = (0, length)
        if stretch.size < length:
            stretch, content = _pad(stretch, length, centred=samples.size < length and cut.shorter == "pad_center")
        segments.append(Segment(recording, index, stretch, content, start))
    return segments


def starts(n_samples: int, cut: Cut, sample_rate_hz: int) -> list[int]:
    """First sample of every segment that `cut` makes of so many; 0 for the one that begins at random.

    Raises ManifestError as `cut` does.

    Examples
    --------
    >>> starts(7 * 8000, Cut(length_s=4.0, hop_s=2.0, shorter="drop", tail="overlap"), 8000)
    [0, 16000, 24000]

    """
    return _starts(n_samples, cut, *_grid(cut, sample_rate_hz))


def _starts(n_samples: int, cut: Cut, length: int, hop: int) -> list[int]:
    """First sample of every segment, of so many samples, that `cut` makes."""
    if n_samples < length:
        return [0] if n_samples and cut.shorter != "drop" else []
    if isinstance(cut.hop_s, str):
        return [0]
    found = list(range(0, n_samples - length + 1, hop))
    if cut.tail == "overlap_after_two" and len(found) == 1:
        return found
    following = found[-1] + hop
    # Nothing is over when the last segment reaches the end, or when the end lies in the gap that a long hop skips.
    if cut.tail != "drop" and found[-1] + length < n_samples and following < n_samples:
        found.append(following if cut.tail == "pad" else n_samples - length)
    return found


def _grid(cut: Cut, sample_rate_hz: int) -> tuple[int, int]:
    """Samples in a segment, and from one start to the next."""
    length = samples_in(cut.length_s, sample_rate_hz)
    hop = length if isinstance(cut.hop_s, str) else samples_in(cut.hop_s, sample_rate_hz)
    if length and hop:
        return length, hop
    key, value = ("hop_s", cut.hop_s) if length else ("length_s", cut.length_s)
    expected = f"at least one sample at {sample_rate_hz} Hz"
    raise ManifestError(f"segment.{key}", f"{value} s", expected, "make it longer")


def _pad(
    stretch: Float32[np.ndarray, "time"], length: int, *, centred: bool
) -> tuple[Float32[np.ndarray, "length"], tuple[int, int]]:
    """The stretch among zeros, and where it lies."""
    first = (length - stretch.size) // 2 if centred else 0
    last = first + stretch.size
    padded = np.zeros(length, np.float32)
    padded[first:last] = stretch
    return padded, (first, last)
