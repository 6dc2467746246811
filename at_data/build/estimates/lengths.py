"""Lengths of recordings as the headers of their files promise them: no sample is decoded."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from at_data import containers, sound_files
from at_data.build.plan import Plan
from at_data.errors import AudioError
from at_data.recordings import Recording, frames_of, samples_in
from at_data.stages import audio, noise, segments

SPREAD = 1000  # headers read, evenly over the plan, where no number of items depends on them
LARGEST = 32  # largest files whose headers are read besides: one of them is the longest


@dataclass(frozen=True, slots=True)
class Promise:
    """What the header of a file says of it."""

    frames: int
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Samples that recordings have at the rate of the dataset, by id, as far as headers were read.

    `lost` says of recordings whose file or stretch will be refused before anything of it is decoded why. `decode_bytes`
    is the memory that the largest of the recordings takes while it is decoded.
    """

    samples: Mapping[str, int]
    lost: Mapping[str, str]
    headers: int
    decode_bytes: int


def one_each(made: Plan) -> bool:
    """Whether every readable recording of a plan gives one segment, however long it is."""
    cut = made.manifest.segment
    return isinstance(cut.hop_s, str) and cut.shorter != "drop"


def items(made: Plan, lengths: Lengths, recording: Recording) -> int:
    """Items that a recording gives; one whose header was not read gives what a recording of any length does."""
    if recording.id in lengths.lost:
        return 0
    mix = made.manifest.noise
    rate_hz, cut = made.manifest.audio.sample_rate_hz, made.manifest.segment
    samples = lengths.samples.get(recording.id, samples_in(cut.length_s, rate_hz))
    return len(segments.starts(samples, cut, rate_hz)) * (1 if mix == "none" else noise.levels(mix))


def by_task(made: Plan, lengths: Lengths) -> dict[int, int]:
    """Items of every task, by its number."""
    return {task.number: sum(items(made, lengths, recording) for recording in task.recordings) for task in made.tasks}


def lengths(made: Plan) -> Lengths:
    """Lengths of all recordings of a plan, or of some where the number of items hangs on none of them."""
    recordings: Sequence[Recording] = made.recordings
    if one_each(made) and len(recordings) > SPREAD:
        recordings = [*recordings[:: len(recordings) // SPREAD], *_largest(made)]
    promises = promised(made.root, {recording.path for recording in recordings})
    rate_hz = made.manifest.audio.sample_rate_hz
    samples: dict[str, int] = {}
    lost: dict[str, str] = {}
    decode_bytes = 0
    for recording in recordings:
        promise = promises[recording.path]
        if isinstance(promise, str):
            lost[recording.id] = promise
            continue
        stretch = decoded(recording, promise)
        if not stretch:
            begins_s, lasts_s = recording.start_s or 0.0, promise.frames / promise.rate_hz
            lost[recording.id] = f"a stretch from {begins_s:g} s that is not in a file of {lasts_s:g} s, or too long"
            continue
        found = resampled(stretch, promise.rate_hz, rate_hz)
        samples[recording.id] = found
        decode_bytes = max(decode_bytes, _decode_bytes(stretch, promise, found, rate_hz))
    return Lengths(samples, lost, len(promises), decode_bytes)


def resampled(samples: int, from_hz: int, to_hz: int) -> int:
    """Samples that soxr makes of so many: halves rounded up."""
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)


def decoded(recording: Recording, promise: Promise) -> int | None:
    """Frames of a recording's stretch of a file; None where it lies outside, or is longer than what is decoded."""
    first, last = frames_of(recording, promise.frames, promise.rate_hz)
    inside = 0 <= first < last <= promise.frames
    return last - first if inside and last - first <= audio.MOST_SAMPLES else None


def promised(root: Path, paths: Iterable[str]) -> dict[str, Promise | str]:
    """Promises of files under a folder; the reason for those that will be refused before anything is decoded."""
    return {path: _header(root / path) for path in sorted(paths)}


def _header(path: Path) -> Promise | str:
    """Promise of a file that `audio.decode` would begin to decode, or why it would not."""
    try:
        file = os.open(path, sound_files.OPEN_FLAGS)
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return sound_files.reason(error)
    try:
        return _promise(file) if stat.S_ISREG(os.fstat(file).st_mode) else "a folder, pipe or device"
    except AudioError as error:
        return error.came
    except (soundfile.SoundFileError, OSError) as error:
        return sound_files.reason(error)
    finally:
        os.close(file)


def _promise(file: int) -> Promise | str:
    """Promise of an open file, or why it would be refused; a container or a file that is refused raises its error."""
    with soundfile.SoundFile(file, closefd=False) as sound:
        containers.check(file, sound.format, "")
        frames, rate_hz, channels = sound.frames, sound.samplerate, sound.channels
    sound_files.refuse_impossible(rate_hz, channels, "")
    if not 0 < frames < audio.UNKNOWN_FRAMES:
        return "a header that does not say how long the file is" if frames else "a header and no samples"
    return Promise(frames, rate_hz, channels)


def _largest(made: Plan) -> list[Recording]:
    """Recordings of the largest files, or the longest stretches: the most memory is for one of them."""
    if all(recording.length_s is not None for recording in made.recordings):
        return sorted(made.recordings, key=lambda r: -(r.length_s or 0.0))[:LARGEST]
    return sorted(made.recordings, key=lambda r: -_file_bytes(made.root / r.path))[:LARGEST]


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _decode_bytes(frames: int, promise: Promise, at_dataset_rate: int, rate_hz: int) -> int:
    """Memory for a recording: its samples in float32, a block of all channels, and what soxr makes of them."""
    block = min(frames * promise.channels, audio.BLOCK_SAMPLES) if promise.channels > 1 else 0
    return 4 * (frames + block + (0 if promise.rate_hz == rate_hz else at_dataset_rate))
