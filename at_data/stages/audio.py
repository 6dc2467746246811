"""A stretch of a file as a mono float32 waveform at the rate asked for."""

import errno
import os
import stat
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
import xxhash
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from at_data.errors import AudioError
from at_data.recordings import Recording, samples_in

# A header can lie about the rate. Outside these no corpus lives; inside them a lie cannot be told from the truth.
LOWEST_RATE_HZ = 1_000
HIGHEST_RATE_HZ = 768_000

# libsndfile's frame count for a stream that does not say how long it is.
UNKNOWN_FRAMES = 2**63 - 1

# A writer that cannot go back to fill in the length leaves 0 or a number near the top of 31 or 32 bits.
STREAMED_BYTES = 0x7FFF_0000
CHUNK = struct.Struct("<4sI")
MOST_CHUNKS = 64  # a WAV file holds a handful

OGG_PAGE = struct.Struct("<4sBB20xB")
OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # the longest page there can be
OGG_LAST_PAGE = 0x04

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

    Damage is seen where the format lets it be seen: a WAV whose data chunk promises more than the file holds, an Ogg
    without its last page, any file that decodes to fewer frames than its header says. A FLAC or MP3 stretch that ends
    before the damage reads well.

    Raises
    ------
    AudioError
        The file is absent, not audio, empty, cut short or damaged, or has an impossible rate; the stretch lies
        outside it; a sample is not a number.

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
    _refuse_cut_short(sound, file, where)
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


def _refuse_cut_short(sound: soundfile.SoundFile, file: int, where: str) -> None:
    """Compare what the container promises with the size of the file: libsndfile quietly takes what is left."""
    head = os.pread(file, 4, 0)
    if head in (b"RIFF", b"RF64"):
        promised, held = _wav_frames(file)
        if held < promised:
            came = f"cut short: {held} frames held of the {promised} in the header ({sound.frames} decodable)"
            raise AudioError(where, came, "a whole file", "restore it from the corpus")
    elif head == b"OggS" and not _ends_as_ogg(file):
        came = f"cut short: {sound.frames} frames decodable, and no last Ogg page"
        raise AudioError(where, came, "a whole file", "restore it from the corpus")


def _wav_frames(file: int) -> tuple[int, int]:
    """Frames that the data chunk of a WAV promises, and frames it has room for; blocks where the codec packs frames.

    Equal when the header holds no length (streamed files) or no data chunk is found.
    """
    size, position, block_bytes, wide_bytes = os.fstat(file).st_size, 12, 1, 0
    for _ in range(MOST_CHUNKS):
        header = os.pread(file, 24, position)
        if len(header) < CHUNK.size:
            break
        name, data_bytes = CHUNK.unpack_from(header)
        if name == b"data":
            promised_bytes = wide_bytes or data_bytes
            if not promised_bytes or (not wide_bytes and promised_bytes >= STREAMED_BYTES):
                break
            return promised_bytes // block_bytes, min(promised_bytes, size - position - CHUNK.size) // block_bytes
        if name == b"fmt " and len(header) == 24:  # noqa: PLR2004 - the block size stands 12 bytes into the chunk
            block_bytes = struct.unpack_from("<H", header, 20)[0] or 1
        elif name == b"ds64" and len(header) == 24:  # noqa: PLR2004 - the data size stands 8 bytes into the chunk
            wide_bytes = struct.unpack_from("<Q", header, 16)[0]
        position += CHUNK.size + data_bytes + (data_bytes & 1)
    return 0, 0


def _ends_as_ogg(file: int) -> bool:
    """Whether the last page is complete and says that it is the last (RFC 3533, section 6)."""
    size = os.fstat(file).st_size
    tail = os.pread(file, OGG_PAGE_BYTES, max(0, size - OGG_PAGE_BYTES))
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_PAGE.size:
        return False
    _, _, flags, lacings = OGG_PAGE.unpack_from(page)
    whole = OGG_PAGE.size + lacings + sum(page[OGG_PAGE.size : OGG_PAGE.size + lacings])
    return bool(flags & OGG_LAST_PAGE) and len(page) >= whole


def _printable(path: Path) -> str:
    """Path as text that any file and terminal can take, even where a name is not in the system's encoding."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    """The library's own words, without the file number it was handed."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return str(getattr(error, "strerror", None) or error)
