"""Recordings as they are heard: waveforms at the dataset's rate, and what is noted of them for the proof."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32

from at_data.build import journal, kinds, stopwatch
from at_data.build.compact import Fingerprint
from at_data.build.plan import Task
from at_data.build.sources import Contents, Key, taken
from at_data.errors import AudioError
from at_data.recordings import Recording, Segment
from at_data.sound_files import Opened
from at_data.stages import audio, fingerprints, spectra

TOGETHER = 16  # recordings heard together, at most,
TOGETHER_BYTES = 1 << 19  # no more of them when their files held so much,
TOGETHER_S = 16.0  # nor when they are so long together: what a large cache holds
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


@dataclass(slots=True)
class Heard:
    """Samples of a recording at the rate of the dataset, and its magnitudes where the dataset has such frames.

    `number` is the place of the recording in its task.
    """

    number: int
    recording: Recording
    samples: Float32[np.ndarray, "time"]
    from_hz: int
    whole: Float32[np.ndarray, "frames bins"] | None = None

    def magnitude(
        self, segment: Segment, stft: spectra.Stft, sample_rate_hz: int
    ) -> tuple[int, Float32[np.ndarray, "heard bins"]]:
        """Magnitudes of a segment of it that nothing was mixed into, and of which frame on; the others are zeros."""
        samples, content = segment.samples, segment.content
        if self.whole is not None and content == (0, self.samples.size) and samples.size == self.samples.size:
            return 0, self.whole  # the segment is the recording
        heard = spectra.heard_frames(samples.size, content, stft, sample_rate_hz)
        if self.whole is None:
            return heard.start, spectra.magnitude(samples, stft, sample_rate_hz, heard)
        return heard.start, spectra.excerpt(
            self.whole, self.samples.size, samples, segment.start, content, stft, sample_rate_hz
        )


def hear(
    task: Task,
    recordings: Iterable[tuple[int, Recording]],
    notes: Notes,
    opened: Opened,
    skip: Mapping[int, str] = MappingProxyType({}),
) -> Iterator[list[Heard]]:
    """Recordings that can be used, decoded and resampled, in their order: a few short ones, or one, at a time.

    Their sources, hashes and fingerprints are noted, and the losses. `recordings` have numbers; those whose numbers are
    in `skip` are left out as what they did to a worker says. Each stage is done for a few short recordings before the
    next: a processor then has at hand what it needs for it. Whoever lets go of what came before holds one long
    recording at most.
    """
    for some in _together(task, recordings, notes):
        heard: list[Heard] = []
        held_s = 0.0
        for read in some:
            before = len(heard)
            heard += _decoded(*read, notes, opened, skip)
            held_s += sum(found.samples.size / found.from_hz for found in heard[before:])
            if held_s > TOGETHER_S:
                yield _completed(task, heard, notes)
                heard, held_s = [], 0.0
        stopwatch.lap("decode")
        if heard:
            yield _completed(task, heard, notes)


def short(heard: Sequence[Heard], sample_rate_hz: int) -> bool:
    """Whether recordings at the rate of the dataset are so short that several things may be made of them at once."""
    return sum(found.samples.size for found in heard) <= TOGETHER_S * sample_rate_hz


def _completed(task: Task, heard: list[Heard], notes: Notes) -> list[Heard]:
    """Those of some recordings that could be resampled, with their magnitudes; their fingerprints are noted."""
    stopwatch.lap("decode")
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    heard[:] = [found for found in heard if _resampled(found, task, notes)]
    stopwatch.lap("resample")
    if same_frames(settings.stft, rate):
        brief = [found for found in heard if found.samples.size <= WHOLE_S * rate]
        wholes = spectra.magnitudes([found.samples for found in brief], settings.stft, rate)
        for found, whole in zip(brief, wholes, strict=True):
            found.whole = whole
        stopwatch.lap("transform")
    words = _fingerprints([(found.samples, found.whole) for found in heard], rate)
    notes.fingerprints.update(zip((found.recording.id for found in heard), words, strict=True))
    stopwatch.lap("fingerprint")
    return heard


def _together(
    task: Task, recordings: Iterable[tuple[int, Recording]], notes: Notes
) -> Iterator[list[tuple[int, Recording, Path, bytes | None]]]:
    """A few recordings at a time, their files, and the bytes of those that are read here for the first time."""
    some: list[tuple[int, Recording, Path, bytes | None]] = []
    held_bytes = 0
    for number, recording in recordings:
        journal.note(number)
        key: Key = ("corpus", recording.path)
        path, data = task.root / recording.path, None
        if key not in notes.sources:
            notes.sources[key], data = taken(path)
        some.append((number, recording, path, data))
        held_bytes += 0 if data is None else len(data)
        if len(some) == TOGETHER or held_bytes > TOGETHER_BYTES:
            stopwatch.lap("hash the source")
            yield some
            some, held_bytes = [], 0
    stopwatch.lap("hash the source")
    if some:
        yield some


def _decoded(
    number: int,
    recording: Recording,
    path: Path,
    data: bytes | None,
    notes: Notes,
    opened: Opened,
    skip: Mapping[int, str],
) -> list[Heard]:
    """A recording at the rate of its file, its hash noted; nothing where it cannot be used, which is noted."""
    journal.note(number)
    try:
        _refuse_deadly(path, skip.get(number))
        samples, from_hz = audio.decode(path, recording, data, opened)
    except AudioError as error:
        notes.lose(recording.id, recording, error)
        return []
    notes.waveforms[recording.id] = audio.waveform_hash(samples, from_hz)
    return [Heard(number, recording, samples, from_hz)]


def _refuse_deadly(path: Path, death: str | None) -> None:
    """Nothing, or AudioError where a recording is known to have been the death of a worker."""
    if death is not None:
        came, expected = f"its decoder {death}", "a file that can be decoded"
        raise AudioError(path, came, expected, "restore it from the corpus, or leave this recording out")


def _resampled(heard: Heard, task: Task, notes: Notes) -> bool:
    """Whether a recording could be brought to the rate of the dataset; where not, that is noted."""
    journal.note(heard.number)
    try:
        heard.samples = audio.resample(heard.samples, heard.from_hz, task.manifest.audio)
    except AudioError as error:
        notes.lose(heard.recording.id, heard.recording, error)
        return False
    return True


def fingerprint(
    samples: Float32[np.ndarray, "time"], sample_rate_hz: int, whole: Float32[np.ndarray, "frames bins"] | None = None
) -> Fingerprint:
    """Fingerprint of a waveform at the rate of the dataset; `whole` are its magnitudes in the frames of `heard_in`."""
    (words,) = _fingerprints([(samples, whole)], sample_rate_hz)
    return words


def _fingerprints(
    waveforms: Sequence[tuple[Float32[np.ndarray, "_"], Float32[np.ndarray, "_ bins"] | None]], sample_rate_hz: int
) -> list[Fingerprint]:
    stft = heard_in(sample_rate_hz)
    spectra_of = [
        (partial(_frames, samples, stft, sample_rate_hz, whole), spectra.shape(samples.size, stft, sample_rate_hz)[0])
        for samples, whole in waveforms
    ]
    return fingerprints.fingerprints(spectra_of, 1 / stft.window_s) if spectra_of else []


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
