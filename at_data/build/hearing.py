"""One recording as it is heard: its waveform at the dataset's rate, and what is noted of it for the proof."""

from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Float32

from at_data.build import kinds, stopwatch
from at_data.build.compact import Fingerprint
from at_data.build.plan import Task
from at_data.build.sources import Contents, taken
from at_data.errors import AudioError
from at_data.recordings import Recording, Segment
from at_data.sound_files import Opened
from at_data.stages import audio, fingerprints, spectra

WHOLE_S = 60.0  # longer recordings are not transformed in one go: their spectra would take more than themselves


@dataclass(slots=True)
class Notes:
    """What a task notes of its recordings while their items pass: hashes, fingerprints, sources, noises, losses."""

    waveforms: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)
    sources: Contents = field(default_factory=dict)
    noises: dict[str, str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def lose(self, item: str, recording: Recording, error: AudioError) -> None:
        """Note that an item, or all of a recording, cannot be used."""
        reason = f"{error.came}; expected {error.expected}"
        self.left_out.append(
            {"id": item, "recording": recording.id, "kind": kinds.BAD, "reason": reason, "todo": error.todo}
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """Samples of a recording at the rate of the dataset, and its magnitudes where the dataset has such frames."""

    samples: Float32[np.ndarray, "time"]
    whole: Float32[np.ndarray, "frames bins"] | None

    def magnitude(
        self, segment: Segment, stft: spectra.Stft, sample_rate_hz: int
    ) -> tuple[int, Float32[np.ndarray, "heard bins"]]:
        """Magnitudes of a segment of it that nothing was mixed into, and of which frame on; the others are zeros."""
        samples, content = segment.samples, segment.content
        heard = spectra.heard_frames(samples.size, content, stft, sample_rate_hz)
        if self.whole is None:
            return heard.start, spectra.magnitude(samples, stft, sample_rate_hz, heard)
        size = self.samples.size
        return heard.start, spectra.excerpt(self.whole, size, samples, segment.start, content, stft, sample_rate_hz)


def hear(task: Task, recording: Recording, notes: Notes, opened: Opened, death: str | None = None) -> Heard:
    """A recording, decoded and resampled; its source, hash and fingerprint are noted.

    AudioError where it cannot be used, or is known to have been the `death` of a worker.
    """
    path, data = task.root / recording.path, None
    if ("corpus", recording.path) not in notes.sources:
        notes.sources["corpus", recording.path], data = taken(path)
    stopwatch.lap("hash the source")
    if death is not None:
        came, expected = f"its decoder {death}", "a file that can be decoded"
        raise AudioError(path, came, expected, "restore it from the corpus, or leave this recording out")
    samples, from_hz = audio.decode(path, recording, data, opened)
    notes.waveforms[recording.id] = audio.waveform_hash(samples, from_hz)
    stopwatch.lap("decode")
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    resampled = audio.resample(samples, from_hz, settings.audio)
    stopwatch.lap("resample")
    whole = None
    if resampled.size <= WHOLE_S * rate and same_frames(settings.stft, rate):
        whole = spectra.magnitude(resampled, settings.stft, rate)
        stopwatch.lap("transform")
    notes.fingerprints[recording.id] = fingerprint(resampled, rate, whole)
    stopwatch.lap("fingerprint")
    return Heard(resampled, whole)


def fingerprint(
    samples: Float32[np.ndarray, "time"], sample_rate_hz: int, whole: Float32[np.ndarray, "frames bins"] | None = None
) -> Fingerprint:
    """Fingerprint of a waveform at the rate of the dataset; `whole` are its magnitudes in the frames of `heard_in`."""
    stft = heard_in(sample_rate_hz)
    frames, _ = spectra.shape(samples.size, stft, sample_rate_hz)
    part = partial(_frames, samples, stft, sample_rate_hz, whole)
    return fingerprints.fingerprint(part, frames, 1 / stft.window_s)


def _frames(
    samples: Float32[np.ndarray, "time"],
    stft: spectra.Stft,
    sample_rate_hz: int,
    whole: Float32[np.ndarray, "frames bins"] | None,
    wanted: range,
) -> Float32[np.ndarray, "some bins"]:
    """Some frames of a waveform, out of the `whole` of them where they are known."""
    if whole is None:
        return spectra.magnitude(samples, stft, sample_rate_hz, wanted)
    return whole[wanted.start : wanted.stop]


@lru_cache(maxsize=16)
def heard_in(sample_rate_hz: int) -> spectra.Stft:
    """Windows of fingerprints at a rate, in whole samples."""
    window, hop = (max(2, round(seconds * sample_rate_hz)) for seconds in (fingerprints.WINDOW_S, fingerprints.HOP_S))
    return spectra.Stft(window=fingerprints.WINDOW, window_s=window / sample_rate_hz, hop_s=hop / sample_rate_hz)


@lru_cache(maxsize=16)
def same_frames(stft: spectra.Stft, sample_rate_hz: int) -> bool:
    """Whether the frames of a dataset are those of the fingerprints."""
    return spectra.same(stft, heard_in(sample_rate_hz), sample_rate_hz)
