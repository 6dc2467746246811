"""A segment -> the same with noise, drawn for its id alone."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from at_data import seeds
from at_data.build import journal
from at_data.build.hearing import Notes
from at_data.build.plan import Task
from at_data.build.sources import Content, content
from at_data.errors import AudioError, CorpusError
from at_data.recordings import Recording, Segment
from at_data.stages import audio, mixtures, noise

REDRAWS = 16  # placements tried before a noise is called silent
NOISE_BYTES = 64 << 20  # noise waveforms a worker keeps


def noisy(task: Task, mix: noise.Mix, segment: Segment, notes: Notes) -> Iterator[Segment]:
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
            notes.lose(item.id, segment.recording, error)


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
