"""A stretch of a file as a mono float32 waveform at the rate asked for."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
import xxhash
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field

from at_data import plain_wav, streams
from at_data.errors import AudioError
from at_data.recordings import Recording, frames_of
from at_data.sound_files import HIGHEST_RATE_HZ, Opened, Stream, printable, reason, refuse_impossible

# What one recording may take, whatever its header claims: 1 GiB once decoded, and as much again once resampled. That is
# 4.6 hours at 16 kHz, 1.5 hours at 48 kHz; the longest file of the corpora read here lasts under one hour.
MOST_SAMPLES = 1 << 28
BLOCK_SAMPLES = 1 << 20  # read at a time, of all channels: 4 MiB
# MP3 takes bits from frames before: after half a second samples are those of the whole file, but for rounding. Opus
# has a state that fades: after four seconds most are the very same, at its lowest rates some a hundredth apart
RUN_UP_FRAMES = 23_040
RUN_UP_OPUS_S = 4
TRUSTED_SAMPLES = 1 << 22  # a header is believed that far before anything is decoded: 16 MiB, 4 minutes at 16 kHz

# 24 dB beyond full scale. Lossy codecs and float files that were mixed hot go a few dB beyond it; what goes further has
# samples on the scale of integers, or damaged ones, and a single such recording would decide the scale of a dataset.
LOUDEST = 16.0

# libsndfile's frame count for a stream that does not say how long it is.
UNKNOWN_FRAMES = 2**63 - 1


class Audio(BaseModel):
    """How files become waveforms: the rate of the dataset, and the soxr recipe that brings files to it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sample_rate_hz: int = Field(gt=0, le=HIGHEST_RATE_HZ)
    resampler: Literal["soxr_qq", "soxr_lq", "soxr_mq", "soxr_hq", "soxr_vhq"]


def load(root: Path, recording: Recording, audio: Audio) -> Float32[np.ndarray, "time"]:
    """Mono waveform of a recording under its corpus root, at the rate of the dataset.

    Samples are those of the file, untouched, where the rates are equal. Full scale is 1; float files may exceed it.

    Raises
    ------
    AudioError
        As `decode` and `resample`.

    """
    path = root / recording.path
    samples, rate_hz = decode(path, recording)
    try:
        return resample(samples, rate_hz, audio)
    except AudioError as error:
        raise AudioError(printable(path), error.came, error.expected, error.todo) from error


def decode(
    path: Path, recording: Recording, data: bytes | None = None, opened: Opened | None = None
) -> tuple[Float32[np.ndarray, "time"], int]:
    """Mono waveform of a recording at the file's own rate, and that rate in Hz.

    `data` is all that the file holds, where the caller has read it anyway: a plain WAV is then not opened again.
    `opened` keeps another file open for the next call.

    The content says what a file is, not its suffix. Channels are averaged. A stretch is sought, not reached by reading,
    but for a little before it where the codec remembers what came before (MP3, Opus), and but for the few codecs that
    cannot be sought. It runs from sample `samples_in(start_s)` to `samples_in(start_s + length_s)`, so that stretches
    that touch share no sample and leave none out. One whose end was rounded up beyond the file ends with it
    (`frames_of`).

    Read are WAV (RIFF, RF64), FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and W64: the containers in which damage can be
    seen. It is seen where WAV, W64, AIFF or AU promise more than the file holds, in an Ogg without its last page or
    with pages of another sum, in any file that decodes to fewer frames than its header says, in a WAV or W64 whose two
    rates contradict each other. A FLAC or MP3 stretch that ends before the damage reads well, and so does an MP3 whose
    header has no length. Files joined in one are refused where that can be seen, as the first would be taken for the
    whole: a chain of Ogg, and where it is read to its end a FLAC, or an MP3 whose encoder counted its bytes, if the
    next one follows at once or after an ID3 tag.

    Memory grows with what is decoded, never with what a header claims, and ends at `MOST_SAMPLES` of mono waveform and
    a block. A lack of memory is not the file's fault: MemoryError goes to the caller.

    Raises
    ------
    AudioError
        The file is absent, not audio, in another container, empty, cut short or damaged, or has an impossible rate or
        too many channels; the stretch lies outside it or is too long; a sample is not a number, or far beyond full
        scale.

    """
    plain = None if data is None else plain_wav.decode(data)
    where = printable(path)
    if plain is not None:
        return _taken(*plain, recording, where)
    if opened is None:
        with Opened() as alone:
            return decode(path, recording, data, alone)
    try:
        sound = opened.sound(path, where)
        return _read(sound, recording, where), sound.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        opened.close()
        came = f"cannot be decoded ({reason(error)})"
        raise AudioError(where, came, "an undamaged audio file", "restore it from the corpus") from error
    except AudioError:
        opened.close()
        raise


def resample(samples: Float32[np.ndarray, "time"], from_hz: int, audio: Audio) -> Float32[np.ndarray, "resampled"]:
    """Waveform at the rate of the dataset; the very same array when it is there already.

    Raises
    ------
    AudioError
        It would be longer than `MOST_SAMPLES`, or have no sample.

    """
    if from_hz == audio.sample_rate_hz:
        return samples
    _refuse_too_long(samples.size * audio.sample_rate_hz // from_hz, audio.sample_rate_hz, "a waveform")
    quality = audio.resampler.removeprefix("soxr_").upper()
    resampled: np.ndarray = soxr.resample(samples, from_hz, audio.sample_rate_hz, quality)
    if not resampled.size:
        came = f"{samples.size} samples at {from_hz} Hz, nothing once resampled to {audio.sample_rate_hz} Hz"
        raise AudioError("a waveform", came, "at least one sample", "leave this recording out")
    return resampled


def waveform_hash(samples: Float32[np.ndarray, "time"], sample_rate_hz: int) -> str:
    """128-bit xxh3 of the samples and their rate, in hex: equal for equal waveforms, whatever the files are called."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(samples).data, seed=sample_rate_hz)


def _taken(
    frames: Float32[np.ndarray, "frames channels"], rate_hz: int, recording: Recording, where: str
) -> tuple[Float32[np.ndarray, "time"], int]:
    """The stretch of a file decoded already, mono."""
    refuse_impossible(rate_hz, frames.shape[1], where)
    first, last = _stretch(recording, len(frames), rate_hz, where)
    _refuse_too_long(last - first, rate_hz, where)
    if frames.shape[1] == 1:
        return frames[first:last, 0], rate_hz
    mono = np.empty(last - first, np.float32)
    _mean(frames[first:last], mono)
    return mono, rate_hz


def _read(sound: Stream, recording: Recording, where: str) -> Float32[np.ndarray, "time"]:
    """Samples of the stretch, mono, every one a number."""
    rate_hz, frames = sound.samplerate, sound.frames
    if not frames:
        raise AudioError(where, "a header and no samples", "at least one sample", "leave this recording out")
    if frames == UNKNOWN_FRAMES:
        came = "a header that does not say how long the file is"
        raise AudioError(where, came, "a length in the header", "decode the file and write it anew")
    first, last = _stretch(recording, frames, rate_hz, where)
    _refuse_too_long(last - first, rate_hz, where)
    _go_to(sound, first)
    samples, faults = _decoded(sound, last - first)
    if last == frames:
        streams.check_end(sound.file, sound.format, where)
    lacking = last - first - samples.size
    if lacking > (sound.guessed if last == frames and samples.size else 0):
        came = f"cut short: {first + samples.size} frames decoded of the {frames} in the header"
        raise AudioError(where, came, "a whole file", "restore it from the corpus")
    if faults.wrong:
        came = f"{faults.wrong} samples that are NaN or infinite, the first at {(first + faults.first) / rate_hz:.3f} s"
        raise AudioError(where, came, "finite samples", "restore the file or leave it out")
    if faults.loudest:
        came = f"samples of up to {faults.loudest:g}, where full scale is 1"
        expected = f"at most {LOUDEST:g}, which is {20 * math.log10(LOUDEST):.0f} dB beyond it"
        todo = "divide its samples by what full scale is in them (32768 if they are 16-bit integers), or leave it out"
        raise AudioError(where, came, expected, todo)
    return samples


def _go_to(sound: Stream, frame: int) -> None:
    """Have this be the frame that is read next.

    A codec that remembers what it decoded before is sought a little earlier, and one that cannot be sought is read
    from its beginning.
    """
    if frame or sound.read_from:
        run_up = RUN_UP_OPUS_S * sound.samplerate if sound.subtype == "OPUS" else RUN_UP_FRAMES
        start = frame if sound.forgets else max(0, frame - run_up) if sound.can_be_sought else 0
        if start or sound.read_from:
            sound.seek(start)
        block = max(1, BLOCK_SAMPLES // sound.channels)
        while start < frame:
            got = len(sound.read(min(block, frame - start), dtype="float32"))
            if not got:
                break  # cut short, which who reads on is told
            start += got
    sound.read_from = True


def _refuse_too_long(samples: int, rate_hz: int, where: str) -> None:
    if samples > MOST_SAMPLES:
        came = f"{samples} samples at {rate_hz} Hz ({samples / rate_hz / 3600:.1f} hours)"
        expected = f"at most {MOST_SAMPLES} in one recording"
        raise AudioError(where, came, expected, "cut the file, or list stretches of it as recordings of their own")


@dataclass(slots=True)
class _Faults:
    """How many samples are no numbers, the place of the first such, and the loudest of those beyond `LOUDEST`."""

    wrong: int = 0
    first: int = 0
    loudest: float = 0.0

    def look(self, samples: Float32[np.ndarray, "block"], place: int) -> None:
        """Note what is wrong with some samples, of which the first has this place."""
        if samples.size and samples.max() <= LOUDEST and samples.min() >= -LOUDEST:  # a NaN is neither
            return
        finite = np.isfinite(samples)
        wrong = samples.size - int(np.count_nonzero(finite))
        if wrong and not self.wrong:
            self.first = place + int(np.argmin(finite))
        self.wrong += wrong
        self.loudest = max(self.loudest, float(np.abs(samples[finite]).max(initial=0.0)))


def _decoded(sound: Stream, length: int) -> tuple[Float32[np.ndarray, "time"], _Faults]:
    """As many mono samples as there are, up to `length`, and what is wrong with them."""
    block = max(1, BLOCK_SAMPLES // sound.channels)
    samples: Float32[np.ndarray, "time"] = np.empty(min(length, TRUSTED_SAMPLES), np.float32)
    filled, faults = 0, _Faults()
    while filled < length:
        if filled == samples.size:  # in place where the system can; no view of it is alive here
            samples.resize(min(length, 2 * filled), refcheck=False)
        wanted = min(block, samples.size - filled)
        got = _read_block(sound, samples[filled : filled + wanted])
        if not sound.bounded:
            faults.look(samples[filled : filled + got], filled)
        filled += got
        if got < wanted:
            break
    return samples[:filled], faults


def _read_block(sound: Stream, mono: Float32[np.ndarray, "block"]) -> int:
    """Number of frames read; `mono` begins with the mean of their channels."""
    if sound.channels == 1:
        return len(sound.read(out=mono))
    frames = sound.read(mono.size, dtype="float32")
    _mean(frames, mono[: len(frames)])
    return len(frames)


def _mean(frames: Float32[np.ndarray, "block channels"], mono: Float32[np.ndarray, "block"]) -> None:
    """Write the mean of the channels into `mono`."""
    mono[:] = frames[:, 0]
    with np.errstate(all="ignore"):  # infinities are reported by the caller
        for channel in range(1, frames.shape[1]):  # column by column, as numpy is slow along a short last axis
            mono += frames[:, channel]
        mono /= np.float32(frames.shape[1])


def _stretch(recording: Recording, frames: int, rate_hz: int, where: str) -> tuple[int, int]:
    """First frame of the stretch, and the one after its last."""
    first, last = frames_of(recording, frames, rate_hz)
    if not 0 <= first < last <= frames:
        came = f"a stretch from {first / rate_hz:.6f} to {last / rate_hz:.6f} s ({recording.id})"
        expected = f"a stretch within 0 to {frames / rate_hz:.6f} s, at least one sample long"
        raise AudioError(where, came, expected, "correct the corpus's time marks or leave the recording out")
    return first, last
