"""Synthetic voices, and the digits they say: source and filter.

A glottal pulse train and noise pass through formant resonators that move from phone to phone. The word decides the
phones; the voice decides pitch, vocal tract, glottis and pace, and brings its own room and microphone; the take varies
pitch, pace, formants and level a little. After D. H. Klatt, "Software for a cascade/parallel formant synthesizer", JASA
67(3), 1980, and D. H. Klatt & L. C. Klatt, JASA 87(2), 1990 (glottal pulse); vowel targets near those of G. E. Peterson
& H. L. Barney, JASA 24(2), 1952.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float32, Float64
from scipy.ndimage import convolve1d
from scipy.signal import lfilter

from at_data import seeds

SAMPLE_RATE_HZ = 16000
CLIP = SAMPLE_RATE_HZ  # samples in a clip: one second
HOP = 160  # samples between two frames; the window is twice as long
REACH = 4 * HOP  # samples a frame may ring: its window, and as much again
FRAMES = CLIP // HOP + 1
UPPER_FORMANTS_HZ = (3500, 4500)  # of every phone
BANDWIDTHS_HZ = np.array((70.0, 90.0, 140.0, 220.0, 300.0))


@dataclass(frozen=True, slots=True)
class Phone:
    """What the mouth does for a while: its length, three formants, and how much of each source sounds."""

    length_s: float
    formants_hz: tuple[int, int, int]
    voice: float = 1.0
    hiss: float = 0.0
    hiss_hz: int = 5000
    hiss_width_hz: int = 1500


PHONES = {
    "ay1": Phone(0.15, (750, 1200, 2450)),
    "ay2": Phone(0.10, (400, 1950, 2550)),
    "eh": Phone(0.12, (550, 1800, 2500)),
    "ey1": Phone(0.12, (480, 1950, 2600)),
    "ey2": Phone(0.12, (330, 2200, 2800)),
    "f": Phone(0.10, (340, 1100, 2100), voice=0.0, hiss=0.16, hiss_hz=6500, hiss_width_hz=3500),
    "ih": Phone(0.12, (400, 1950, 2550)),
    "iy": Phone(0.20, (280, 2250, 2900)),
    "k": Phone(0.03, (300, 1900, 2500), voice=0.0, hiss=0.5, hiss_hz=2400, hiss_width_hz=600),
    "n": Phone(0.10, (260, 1350, 2450), voice=0.35),
    "ao": Phone(0.17, (570, 850, 2400)),
    "ow1": Phone(0.11, (530, 1000, 2350)),
    "ow2": Phone(0.12, (380, 820, 2250)),
    "r": Phone(0.09, (340, 1080, 1450), voice=0.7),
    "s": Phone(0.13, (320, 1500, 2550), voice=0.0, hiss=0.6, hiss_hz=6000, hiss_width_hz=1100),
    "stop": Phone(0.06, (300, 1600, 2550), voice=0.0),
    "t": Phone(0.04, (300, 1700, 2600), voice=0.0, hiss=0.6, hiss_hz=4200, hiss_width_hz=1400),
    "th": Phone(0.10, (320, 1300, 2500), voice=0.0, hiss=0.10, hiss_hz=7200, hiss_width_hz=2500),
    "uh": Phone(0.14, (630, 1200, 2400)),
    "uw1": Phone(0.10, (310, 1350, 2250)),
    "uw2": Phone(0.12, (300, 870, 2250)),
    "v": Phone(0.07, (280, 1050, 2100), voice=0.35, hiss=0.06, hiss_hz=6000, hiss_width_hz=3500),
    "w": Phone(0.08, (300, 620, 2150), voice=0.6),
    "z": Phone(0.10, (280, 1500, 2550), voice=0.25, hiss=0.35, hiss_hz=6000, hiss_width_hz=1100),
}
WORDS = {
    "zero": ("z", "ih", "r", "ow1", "ow2"),
    "one": ("w", "uh", "n"),
    "two": ("t", "uw1", "uw2"),
    "three": ("th", "r", "iy"),
    "four": ("f", "ao", "r"),
    "five": ("f", "ay1", "ay2", "v"),
    "six": ("s", "ih", "stop", "k", "s"),
    "seven": ("s", "eh", "v", "uh", "n"),
    "eight": ("ey1", "ey2", "stop", "t"),
    "nine": ("n", "ay1", "ay2", "n"),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """What a speaker keeps from word to word."""

    pitch_hz: float
    melody: float  # semitones the pitch moves in a word
    tract: float  # factor on all formants: short tracts have high ones
    formants: tuple[float, ...]  # factor on each formant
    open_quotient: float  # share of a glottal cycle in which air flows
    tilt_hz: float  # above it the voice falls by another 6 dB an octave
    breath: float
    jitter: float
    shimmer: float
    vibrato_hz: float
    hiss: float  # factor on the frequency of s, f, t
    pace: float
    room: float  # amplitude of the hiss behind the voice, to the voice's peak
    microphone: float  # factor on amplitudes with each octave


def draw(seed: int, names: Sequence[str]) -> dict[str, Voice]:
    """One voice per name. Each property is spread evenly over its range, so that even a few voices differ."""
    dice = seeds.generator(seed, "voices")

    def spread(low: float, high: float) -> list[float]:
        places = (dice.permutation(len(names)) + dice.random(len(names))) / len(names)
        return list((low * (high / low) ** places).tolist())

    pitch, own = spread(80.0, 260.0), spread(0.86, 1.16)
    columns = {
        "pitch_hz": pitch,
        "melody": spread(0.5, 6.0),
        # high voices mostly come with short tracts, yet not always
        "tract": [(p / 145.0) ** 0.15 * o for p, o in zip(pitch, own, strict=True)],
        "open_quotient": spread(0.4, 0.8),
        "tilt_hz": spread(600.0, 4000.0),
        "breath": spread(0.01, 0.15),
        "jitter": spread(0.002, 0.02),
        "shimmer": spread(0.02, 0.15),
        "vibrato_hz": spread(3.5, 7.0),
        "hiss": spread(0.8, 1.2),
        "pace": spread(0.85, 1.2),
        "room": spread(0.002, 0.02),
        "microphone": spread(0.75, 1.33),
    }
    shifts = zip(*(spread(0.92, 1.09) for _ in BANDWIDTHS_HZ), strict=True)
    rows = zip(*columns.values(), strict=True)
    return {
        name: Voice(**dict(zip(columns, row, strict=True)), formants=shift)
        for name, row, shift in zip(names, rows, shifts, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Score:
    """How one take is spoken, frame by frame."""

    pitch_hz: Float64[np.ndarray, "frames"]
    formants_hz: Float64[np.ndarray, "frames formants"]
    voice: Float64[np.ndarray, "frames"]
    hiss: Float64[np.ndarray, "frames"]
    hiss_hz: Float64[np.ndarray, "frames"]
    hiss_width_hz: Float64[np.ndarray, "frames"]


def say(voice: Voice, word: str, dice: np.random.Generator) -> Float32[np.ndarray, "time"]:
    """One second in which the voice says the word once, over the hiss of its room; peak at -12 to -2 dBFS."""
    score = _score(voice, word, dice)
    tone, noise = _sources(voice, score, dice)
    frequency_hz = np.fft.rfftfreq(REACH, 1 / SAMPLE_RATE_HZ)
    distance = (frequency_hz - score.hiss_hz[:, None]) / score.hiss_width_hz[:, None]
    spectra = _spectra(tone) * _tract(score.formants_hz)
    spectra += _spectra(noise) * (score.hiss[:, None] * np.exp(-0.5 * distance**2))
    spectra *= voice.microphone ** np.log2(frequency_hz.clip(60) / 1000)
    samples = _join(spectra)
    samples /= np.abs(samples).max()
    samples += voice.room * dice.uniform(0.7, 1.4) * dice.standard_normal(CLIP)
    return np.asarray(samples * (10 ** (dice.uniform(-12, -2) / 20) / np.abs(samples).max()), np.float32)


def _score(voice: Voice, word: str, dice: np.random.Generator) -> _Score:
    phones = [PHONES[name] for name in WORDS[word]]
    lengths_s = np.array([phone.length_s for phone in phones]) * dice.uniform(0.75, 1.3, len(phones)) / voice.pace
    ends_s = np.cumsum(lengths_s * min(1.0, 0.7 / lengths_s.sum()))  # the slowest still fit into the clip
    at_s = np.arange(FRAMES) * HOP / SAMPLE_RATE_HZ - dice.uniform(0.05, 0.25)
    sounding = (at_s >= 0) & (at_s < ends_s[-1])
    held = [phones[place] for place in np.searchsorted(ends_s, at_s.clip(0, ends_s[-1] * 0.999), side="right")]
    moving = np.array([(*phone.formants_hz, *UPPER_FORMANTS_HZ) for phone in held], np.float64)
    moving *= voice.tract * np.array(voice.formants) * dice.normal(1.0, 0.04, BANDWIDTHS_HZ.size)
    slow, quick = np.hanning(9)[1:-1], np.array((0.25, 0.5, 0.25))
    amounts = convolve1d(np.array([(p.voice, p.hiss) for p in held]) * sounding[:, None], quick, axis=0, mode="nearest")
    fall = dice.normal(0.5, 0.4) * voice.melody * (0.5 - at_s / ends_s[-1]) + dice.normal(0.0, 0.7)
    vibrato = 0.25 * np.sin(2 * np.pi * (voice.vibrato_hz * at_s + dice.random()))
    return _Score(
        pitch_hz=voice.pitch_hz * 2 ** ((fall.clip(-6, 6) + vibrato) / 12),
        formants_hz=convolve1d(moving, slow / slow.sum(), axis=0, mode="nearest").clip(150, 0.45 * SAMPLE_RATE_HZ),
        voice=amounts[:, 0],
        hiss=amounts[:, 1],
        hiss_hz=voice.hiss * np.array([phone.hiss_hz for phone in held]),
        hiss_width_hz=np.array([phone.hiss_width_hz for phone in held], np.float64),
    )


def _sources(
    voice: Voice, score: _Score, dice: np.random.Generator
) -> tuple[Float64[np.ndarray, "time"], Float64[np.ndarray, "time"]]:
    """What the glottis sends into the tract, and white noise for the frication."""
    time, frames = np.arange(CLIP), np.arange(FRAMES) * HOP
    cycles = np.cumsum(np.interp(time, frames, score.pitch_hz)) / SAMPLE_RATE_HZ
    number = cycles.astype(np.int64)
    # jitter moves the instant of each cycle, shimmer its strength
    wobble = dice.normal(0.0, 1.0, (2, number[-1] + 1))
    opened = (cycles - number) / (voice.open_quotient * (1 + voice.jitter * wobble[0, number]))
    pulse = np.where(opened < 1, 2 * opened - 3 * opened**2, 0.0) * (1 + voice.shimmer * wobble[1, number])
    pole = np.exp(-2 * np.pi * voice.tilt_hz / SAMPLE_RATE_HZ)
    pulse = lfilter([1 - pole], [1, -pole], pulse)
    noise = dice.standard_normal((2, CLIP))
    glottis = pulse / np.sqrt(np.mean(pulse**2)) + voice.breath * noise[0] * (opened < 1)
    return np.asarray(glottis * np.interp(time, frames, score.voice), np.float64), noise[1]


def _tract(formants_hz: Float64[np.ndarray, "frames formants"]) -> Complex128[np.ndarray, "frames bins"]:
    """Transfer function of the resonators in cascade, each 1 at 0 Hz (Klatt 1980, eq. 2)."""
    delay = np.exp(-2j * np.pi * np.arange(REACH // 2 + 1) / REACH)
    radius = np.exp(-np.pi * BANDWIDTHS_HZ / SAMPLE_RATE_HZ)
    turn = 2 * radius * np.cos(2 * np.pi * formants_hz / SAMPLE_RATE_HZ)
    poles = np.ones((len(formants_hz), delay.size), np.complex128)
    for place, size in enumerate(radius):
        poles *= (1 - turn[:, place : place + 1] * delay + size**2 * delay**2) / (1 - turn[:, place, None] + size**2)
    return 1 / poles


def _spectra(samples: Float64[np.ndarray, "time"]) -> Complex128[np.ndarray, "frames bins"]:
    """Spectra of overlapping windows that add up to the samples."""
    padded = np.pad(samples, HOP)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP)[::HOP]
    return np.asarray(np.fft.rfft(windows * np.hanning(2 * HOP + 1)[:-1], REACH), np.complex128)


def _join(spectra: Complex128[np.ndarray, "frames bins"]) -> Float64[np.ndarray, "time"]:
    """Samples of overlapping frames, each ringing on into the next ones."""
    frames = np.fft.irfft(spectra, REACH)
    joined = np.zeros((FRAMES + REACH // HOP - 1, HOP))
    for place in range(REACH // HOP):
        joined[place : place + FRAMES] += frames[:, place * HOP : (place + 1) * HOP]
    return joined.reshape(-1)[HOP : HOP + CLIP]
