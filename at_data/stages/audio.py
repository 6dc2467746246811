"""A stretch of a file as a mono float32 waveform at the rate asked for."""

import errno
import os
import stat
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
import xxhash
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from at_data import containers
from at_data.errors import AudioError
from at_data.recordings import Recording, samples_in

# A header can lie about the rate. Outside these no corpus lives; inside them a lie cannot be told from the truth.
LOWEST_RATE_HZ = 1_000
HIGHEST_RATE_HZ = 768_000

# libsndfile's frame count for a stream that does not say how long it is.
UNKNOWN_FRAMES = 2**63 - 1

# Not inherited by workers, and never waiting on a pipe that lies among the files.
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Audio(BaseModel):
    """How files become waveforms: the rate of the dataset, and the soxr recipe that brings files to it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sample_rate_hz: int = Field(gt=0)
    resampler: Literal["soxr_qq", "soxr_lq", "soxr_mq", "soxr_hq", "soxr_vhq"]


def load(root: Path, recording: Recording, audio: Audio) -> Float32[np.ndarray, "time"]:
    """Mono waveform of a recording under its corpus root, at the rate of the dataset.

    Samples are those of the file, untouched, where the rates are equal. Full scale is 1; float files may exceed it.

    Raises
    ------
    AudioError
        As `decode`; also when the stretch is too short to leave one sample at the new rate.

    """
    path = root / recording.path
    samples, rate_hz = decode(path, recording)
    resampled = resample(samples, rate_hz, audio)
    if not resampled.size:
        came = f"{samples.size} samples at {rate_hz} Hz, nothing once resampled to {audio.sample_rate_hz} Hz"
        raise AudioError(_printable(path), came, "at least one sample", "leave this recording out")
    return resampled


def decode(path: Path, recording: Recording) -> tuple[Float32[np.ndarray, "time"], int]:
    """Mono waveform of a recording at the file's own rate, and that rate in Hz.

    The content says what a file is, not its suffix. Channels are averaged. A stretch is sought, never reached by
    reading; it runs from sample `samples_in(start_s)` to `samples_in(start_s + length_s)`, so that stretches that
    touch share no sample and leave none out.

    Read are WAV (RIFF, RF64), FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and W64: the containers in which damage can be
    seen. It is seen where WAV, W64, AIFF or AU promise more than the file holds, in an Ogg without its last page, in
    any file that decodes to fewer frames than its header says, in a WAV or W64 whose two rates contradict each other.
    A FLAC or MP3 stretch that ends before the damage reads well, and so does an MP3 whose header has no length.

    Raises
    ------
    AudioError
        The file is absent, not audio, in another container, empty, cut short or damaged, or has an impossible rate;
        the stretch lies outside it; a sample is not a number.

    """
    where = _printable(path)
    try:
        file = os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:
        missing = isinstance(error, OSError) and error.errno == errno.ENOENT
        came = "no such file" if missing else f"cannot be opened ({_reason(error)})"
        raise AudioError(where, came, "a readable audio file", "restore it from the corpus") from error
    try:
        _refuse_what_is_no_file(file, where)
        # libsndfile is handed the open file: names in another encoding, and suffixes that mislead, never reach it.
        with soundfile.SoundFile(file, closefd=False) as sound:
            samples = _read(sound, file, recording, where)
            return samples, sound.samplerate
    except (soundfile.SoundFileError, OSError, MemoryError) as error:
        came = f"cannot be decoded ({_reason(error)})"
        raise AudioError(where, came, "an undamaged audio file", "restore it from the corpus") from error
    finally:
        os.close(file)


def resample(samples: Float32[np.ndarray, "time"], from_hz: int, audio: Audio) -> Float32[np.ndarray, "resampled"]:
    """Waveform at the rate of the dataset; the very same array when it is there already."""
    if from_hz == audio.sample_rate_hz:
        return samples
    quality = audio.resampler.removeprefix("soxr_").upper()
    resampled: np.ndarray = soxr.resample(samples, from_hz, audio.sample_rate_hz, quality)
    return resampled


def waveform_hash(samples: Float32[np.ndarray, "time"], sample_rate_hz: int) -> str:
    """128-bit xxh3 of the samples and their rate, in hex: equal for equal waveforms, whatever the files are called."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(samples).data, seed=sample_rate_hz)


def _refuse_what_is_no_file(file: int, where: str) -> None:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(where, "a folder, pipe or device", "an audio file", "correct the corpus folder")
    if not status.st_size:
        raise AudioError(where, "an empty file (0 bytes)", "an audio file", "restore it from the corpus")


def _read(sound: soundfile.SoundFile, file: int, recording: Recording, where: str) -> Float32[np.ndarray, "time"]:
    """Samples of the stretch, mono, every one a number."""
    rate_hz, frames = sound.samplerate, sound.frames
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        expected = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz"
        raise AudioError(where, f"a sample rate of {rate_hz} Hz", expected, "mend the header or leave the file out")
    containers.check(file, sound.format, where)
    if not frames:
        raise AudioError(where, "a header and no samples", "at least one sample", "leave this recording out")
    if frames == UNKNOWN_FRAMES:
        came = "a header that does not say how long the file is"
        raise AudioError(where, came, "a length in the header", "decode the file and write it anew")
    first, last = _stretch(recording, frames, rate_hz, where)
    if first:
        sound.seek(first)
    samples = _mono(sound.read(last - first, dtype="float32"))
    if samples.size < last - first:
        came = f"cut short: {first + samples.size} frames decoded of the {frames} in the header"
        raise AudioError(where, came, "a whole file", "restore it from the corpus")
    finite = np.isfinite(samples)
    if not finite.all():
        came = f"{samples.size - np.count_nonzero(finite)} samples that are NaN or infinite, the first at "
        came += f"{(first + int(np.argmin(finite))) / rate_hz:.3f} s"
        raise AudioError(where, came, "finite samples", "restore the file or leave it out")
    return samples


def _mono(samples: np.ndarray) -> Float32[np.ndarray, "time"]:
    """Mean of the channels; column by column, as numpy is slow along a short last axis."""
    if samples.ndim == 1:
        return samples
    mono = samples[:, 0].copy()
    with np.errstate(all="ignore"):  # infinities are reported by the caller
        for channel in range(1, samples.shape[1]):
            mono += samples[:, channel]
        mono /= np.float32(samples.shape[1])
    return mono


def _stretch(recording: Recording, frames: int, rate_hz: int, where: str) -> tuple[int, int]:
    """First frame of the stretch, and the one after its last."""
    start_s = recording.start_s or 0.0
    first = samples_in(start_s, rate_hz)
    last = frames if recording.length_s is None else samples_in(start_s + recording.length_s, rate_hz)
    if not 0 <= first < last <= frames:
        came = f"a stretch from {first / rate_hz:.6f} to {last / rate_hz:.6f} s ({recording.id})"
        expected = f"a stretch within 0 to {frames / rate_hz:.6f} s, at least one sample long"
        raise AudioError(where, came, expected, "correct the corpus's time marks or leave the recording out")
    return first, last


def _printable(path: Path) -> str:
    """Path as text that any file and terminal can take, even where a name is not in the system's encoding."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    """The library's own words, without the file number it was handed."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return str(getattr(error, "strerror", None) or error)
