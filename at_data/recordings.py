"""The nouns that travel the road: Recording and Segment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor

import numpy as np
from jaxtyping import Float32

ROUNDED_S = 0.005  # half of what people round times to


def samples_in(seconds: float, sample_rate_hz: int) -> int:
    """Whole samples in a duration, halves rounded up: the one place where seconds become samples.

    Examples
    --------
    >>> samples_in(0.016, 16000)
    256

    """
    return floor(seconds * sample_rate_hz + 0.5)


@dataclass(frozen=True, slots=True)
class Recording:
    """A promise of audio: where it lies and what the corpus says of it.

    `path` is relative to the corpus root, with forward slashes. `start_s` and `length_s` are None for the whole file.
    `attributes` holds everything the corpus knows, as strings; what it does not know of this recording is absent.
    `published_split` is train, valid, test, or None where the corpus publishes none.
    """

    id: str
    corpus: str
    path: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    start_s: float | None = None
    length_s: float | None = None
    published_split: str | None = None


def frames_of(recording: Recording, frames: int, rate_hz: int) -> tuple[int, int]:
    """First frame of a recording in a file of so many, and the one after its last; neither need lie in the file.

    An end that lies no further beyond the file than rounding to hundredths of a second takes it is the file's own.

    Examples
    --------
    >>> rounded_up = Recording("a@1", "made", "a.wav", start_s=0.5, length_s=0.76)
    >>> frames_of(rounded_up, 20100, 16000)
    (8000, 20100)

    """
    start_s = recording.start_s or 0.0
    first = samples_in(start_s, rate_hz)
    if recording.length_s is None:
        return first, frames
    last = samples_in(start_s + recording.length_s, rate_hz)
    return first, frames if frames < last <= frames + samples_in(ROUNDED_S, rate_hz) else last


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording at the length the task asks for.

    `start` is the sample of the recording it begins at, `content` the range of its own samples that hold the
    recording; the others are padding. `mixing` is what the noise stage drew and measured, or None.
    """

    recording: Recording
    index: int
    samples: Float32[np.ndarray, "time"]
    content: tuple[int, int]
    start: int = 0
    mixing: object | None = None

    @property
    def id(self) -> str:
        """Recording id, and the segment's number in it."""
        return f"{self.recording.id}#{self.index}"
