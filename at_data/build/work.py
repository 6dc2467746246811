"""The spectrograms of one shard, not yet scaled: a task in, a part file and numbers out, the same bytes everywhere."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xxhash
from jaxtyping import Float, Float32, UInt32

from at_data import seeds
from at_data.build import journal, kinds
from at_data.build.parts import Row, Summary, part_path, record, words_path, write_summary
from at_data.build.plan import Task
from at_data.build.sources import Content, Contents, content
from at_data.errors import AudioError, CorpusError
from at_data.recordings import Recording, Segment
from at_data.stages import audio, fingerprints, mixtures, noise, quiet, segments, spectra

REDRAWS = 16  # placements tried before a noise is called silent
NOISE_BYTES = 64 << 20  # noise waveforms a worker keeps

Fingerprint = UInt32[np.ndarray, "_"]


@dataclass(slots=True)
class Notes:
    """What a task notes of its recordings while their items pass: hashes, fingerprints, sources, noises, losses."""

    waveforms: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)
    sources: Contents = field(default_factory=dict)
    noises: dict[str, str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)


def build_part(task: Task, folder: Path, skip: Mapping[int, str] = MappingProxyType({})) -> int:
    """Number of recordings left out; the task's spectrograms stand in its part file, its numbers in its summary.

    Recordings at the places in `skip` are left out unread, as what they did to an earlier worker says.
    """
    rows: list[Row] = []
    notes = Notes()
    digest = xxhash.xxh3_128()
    with part_path(folder, task.number).open("wb") as file:
        for number, recording in enumerate(task.recordings):
            journal.note(number)
            try:
                if not task.file:
                    _hear(task, recording, notes, skip.get(number))
                    continue
                for segment, values in items(task, recording, notes, skip.get(number)):
                    file.write(values.data)
                    digest.update(values.data)
                    sums = spectra.measure(values)
                    start_s = segment.start / task.manifest.audio.sample_rate_hz
                    mixing = None if segment.mixing is None else record(segment.mixing)
                    rows.append(Row(number, segment.index, start_s, (sums.count, sums.total, sums.squares), mixing))
            except AudioError as error:
                notes.left_out.append(_bad(recording.id, recording, error))
    summary = Summary(
        rows=rows,
        waveforms=notes.waveforms,
        left_out=notes.left_out,
        sources=notes.sources,
        noises=notes.noises,
        fingerprints={item: len(words) for item, words in notes.fingerprints.items()},
        part=digest.hexdigest(),
        words=_write_words(words_path(folder, task.number), notes.fingerprints.values()),
    )
    write_summary(folder, task.number, summary)
    return summary.bad


def _write_words(path: Path, fingerprints: Iterable[Fingerprint]) -> str:
    """Hash of the file that holds the fingerprints one after the other."""
    data = b"".join(words.astype("<u4", copy=False).tobytes() for words in fingerprints)
    path.write_bytes(data)
    return xxhash.xxh3_128_hexdigest(data)


def items(
    task: Task, recording: Recording, notes: Notes, death: str | None = None
) -> Iterator[tuple[Segment, Float[np.ndarray, "frames bins"]]]:
    """Segments of one recording and their magnitudes; what is left out is noted.

    AudioError where it cannot be used, or is known to have been the `death` of a worker.
    """
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    samples, from_hz = _hear(task, recording, notes, death)
    resampled = audio.resample(samples, from_hz, settings.audio)
    faint = None if settings.quiet == "keep" or not resampled.size else quiet.reason(resampled, settings.quiet)
    cut = [] if faint else segments.cut(recording, resampled, settings.segment, rate, settings.seed)
    if not cut:
        reason = faint or f"shorter than {settings.segment.length_s:g} s"
        notes.left_out.append({"id": recording.id, "recording": recording.id, "kind": kinds.DROPPED, "reason": reason})
    for piece in cut:
        for segment in _noisy(task, settings.noise, piece, notes) if settings.noise != "none" else (piece,):
            yield segment, spectra.magnitude(segment.samples, settings.stft, rate)


def _hear(task: Task, recording: Recording, notes: Notes, death: str | None) -> tuple[Float32[np.ndarray, "time"], int]:
    """Waveform of a recording at its own rate, and that rate; its source, hash and fingerprint are noted."""
    path = task.root / recording.path
    if ("corpus", recording.path) not in notes.sources:
        notes.sources["corpus", recording.path] = content(path)
    if death is not None:
        came, expected = f"its decoder {death}", "a file that can be decoded"
        raise AudioError(path, came, expected, "restore it from the corpus, or leave this recording out")
    samples, from_hz = audio.decode(path, recording)
    notes.waveforms[recording.id] = audio.waveform_hash(samples, from_hz)
    notes.fingerprints[recording.id] = fingerprints.fingerprint(samples, from_hz)
    return samples, from_hz


def _noisy(task: Task, mix: noise.Mix, segment: Segment, notes: Notes) -> Iterator[Segment]:
    """The segment with noise, at every level asked for: drawn for its id alone, and again while it is silent."""
    assert task.noise_root is not None, "a plan that mixes noise has a folder of it"
    audio_settings = task.manifest.audio
    dice = seeds.generator(task.manifest.seed, "noise", segment.id)
    noises = _own_noise(task, segment.recording) if isinstance(mix, noise.Task) else task.noises
    for _ in range(REDRAWS):
        placement = noise.draw(dice, mix, noises)
        found = _noise(task.noise_root, placement.noise, audio_settings)
        notes.sources["noise", placement.noise.path] = found.content
        notes.noises[placement.noise.id] = found.waveform
        excerpt = noise.excerpt(found.samples, placement, mix, segment.samples.size, audio_settings.sample_rate_hz)
        if not noise.silent(excerpt):
            break
    placements = noise.at_levels(placement, mix)
    for number, placed in enumerate(placements):
        item = replace(segment, index=segment.index * len(placements) + number)
        try:
            yield noise.mix(item, excerpt, placed, mix)
        except AudioError as error:
            notes.left_out.append(_bad(item.id, segment.recording, error))


def _own_noise(task: Task, recording: Recording) -> list[Recording]:
    return [found for found in task.noises if found.id == recording.attributes[mixtures.NOISE]]


@dataclass(frozen=True, slots=True)
class _Noise:
    """A noise at the rate of the dataset, the hash of that, and what its file held."""

    samples: Float32[np.ndarray, "time"]
    waveform: str
    content: Content


class _Waveforms:
    """Noise waveforms read lately, and what their files held, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held: OrderedDict[tuple[Path, str, audio.Audio], _Noise] = OrderedDict()

    def get(self, root: Path, recording: Recording, settings: audio.Audio) -> _Noise:
        key = (root, recording.id, settings)
        if key not in self.held:
            found = content(root / recording.path)
            with journal.shared(root / recording.path):
                samples = audio.load(root, recording, settings)
            self.held[key] = _Noise(samples, audio.waveform_hash(samples, settings.sample_rate_hz), found)
            while len(self.held) > 1 and sum(known.samples.nbytes for known in self.held.values()) > self.limit_bytes:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        return self.held[key]


_WAVEFORMS = _Waveforms(NOISE_BYTES)  # one per worker process


def _noise(root: Path, recording: Recording, settings: audio.Audio) -> _Noise:
    """A noise read; a noise that cannot be read ends the build, for its absence would change every draw."""
    try:
        return _WAVEFORMS.get(root, recording, settings)
    except AudioError as error:
        raise CorpusError(
            root / recording.path, error.came, error.expected, "mend or remove this noise file"
        ) from error


def _bad(item: str, recording: Recording, error: AudioError) -> dict[str, str]:
    reason = f"{error.came}; expected {error.expected}"
    return {"id": item, "recording": recording.id, "kind": kinds.BAD, "reason": reason, "todo": error.todo}
