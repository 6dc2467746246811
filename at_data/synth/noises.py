"""Synthetic noise of everyday machines, hands and crowds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64
from scipy.signal import butter, sosfilt

from at_data.synth import voices
from at_data.synth.voices import SAMPLE_RATE_HZ

SECONDS = 6
TIME = SECONDS * SAMPLE_RATE_HZ
TIME_S = np.arange(TIME) / SAMPLE_RATE_HZ
CROWD = 6  # voices in a babble


def make(kind: str, dice: np.random.Generator) -> Float32[np.ndarray, "time"]:
    """Six seconds of one kind of noise at -30 to -20 dBFS RMS, or less where its peak would exceed 0.9."""
    samples = NOISES[kind](dice)
    samples = samples / np.sqrt(np.mean(samples**2)) * 10 ** (dice.uniform(-30, -20) / 20)
    return np.asarray(samples * min(1.0, 0.9 / np.abs(samples).max()), np.float32)


def _coloured(dice: np.random.Generator, slope: float) -> Float64[np.ndarray, "time"]:
    """Noise whose power falls with frequency to the power of `slope`: 0 white, 1 pink, 2 brown; RMS 1."""
    spectrum = np.fft.rfft(dice.standard_normal(TIME))
    frequency_hz = np.fft.rfftfreq(TIME, 1 / SAMPLE_RATE_HZ).clip(20)
    samples = np.fft.irfft(spectrum * frequency_hz ** (-slope / 2), TIME)
    return np.asarray(samples / samples.std(), np.float64)


def _band(samples: Float64[np.ndarray, "time"], low_hz: int, high_hz: int) -> Float64[np.ndarray, "time"]:
    """What of the samples lies between two frequencies."""
    return np.asarray(sosfilt(butter(2, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), samples))


def _hum(dice: np.random.Generator, pitch_hz: float, partials: int) -> Float64[np.ndarray, "time"]:
    """Partials of a motor, each weaker than the one below; its speed wanders a little."""
    wander = 1 + 0.01 * np.sin(2 * np.pi * (dice.uniform(0.1, 0.5) * TIME_S + dice.random()))
    cycles = np.cumsum(pitch_hz * wander) / SAMPLE_RATE_HZ
    number = np.arange(1, partials + 1)[:, None]
    partial = np.sin(2 * np.pi * (number * cycles + dice.random((partials, 1)))) * dice.uniform(0.5, 1, (partials, 1))
    return np.asarray((partial / number).sum(axis=0), np.float64)


def _events(dice: np.random.Generator, per_s: float, decay_s: float) -> Float64[np.ndarray, "time"]:
    """Envelope of blows at random instants, each fading within `decay_s`."""
    struck = np.zeros(TIME)
    count = max(SECONDS, dice.poisson(per_s * SECONDS))
    struck[dice.integers(0, TIME, count)] = dice.uniform(0.3, 1.0, count)
    fading = np.exp(-np.arange(int(5 * decay_s * SAMPLE_RATE_HZ)) / (decay_s * SAMPLE_RATE_HZ))
    return np.asarray(np.convolve(struck, fading)[:TIME], np.float64)


def _air_conditioner(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    return _coloured(dice, dice.uniform(1.4, 2.0)) + 0.5 * _hum(dice, dice.uniform(90, 130), 4)


def _babble(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    """Several voices that say digits one after the other, none heeding the others."""
    crowd = voices.draw(int(dice.integers(2**31)), [str(place) for place in range(CROWD)])
    samples = 0.02 * _coloured(dice, 1.0)
    words = tuple(voices.WORDS)
    for voice in crowd.values():
        start = int(dice.integers(-voices.CLIP // 2, 0))
        while start < TIME:
            said = voices.say(voice, words[dice.integers(len(words))], dice)
            heard = slice(max(0, start), min(TIME, start + voices.CLIP))
            samples[heard] += said[heard.start - start : heard.stop - start]
            start += int(dice.uniform(0.5, 0.75) * voices.CLIP)
    return samples


def _copy_machine(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    """A carriage that runs to and fro, with a knock at every turn."""
    turns = dice.uniform(0.8, 1.5) * TIME_S + dice.random()
    swing = np.sin(np.pi * (turns % 1)) ** 2
    knock = np.exp(-40 * (turns % 1)) * _band(_coloured(dice, 0.0), 150, 700)
    run = swing * _band(_coloured(dice, 0.0), 900, 2600)
    return np.asarray(0.1 * _coloured(dice, 1.0) + run + 3 * knock, np.float64)


def _typing(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    clicks = _events(dice, dice.uniform(5, 9), 0.008) * _band(_coloured(dice, 0.0), 1500, 6000)
    thuds = _events(dice, dice.uniform(1, 2), 0.02) * _band(_coloured(dice, 0.0), 150, 600)
    return np.asarray(0.01 * _coloured(dice, 1.0) + clicks + thuds, np.float64)


def _vacuum_cleaner(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    return _coloured(dice, dice.uniform(0.0, 0.4)) + 0.8 * _hum(dice, dice.uniform(350, 600), 8)


def _washer_dryer(dice: np.random.Generator) -> Float64[np.ndarray, "time"]:
    """Water that sloshes as the drum turns."""
    turns = dice.uniform(0.6, 1.1) * TIME_S + dice.random()
    slosh = (0.5 + 0.5 * np.sin(2 * np.pi * turns)) ** 2 * _band(_coloured(dice, 0.5), 300, 900)
    return np.asarray(slosh + 0.3 * _coloured(dice, 2.0) + 0.3 * _hum(dice, dice.uniform(45, 60), 3), np.float64)


NOISES: dict[str, Callable[[np.random.Generator], Float64[np.ndarray, "time"]]] = {
    "AirConditioner": _air_conditioner,
    "Babble": _babble,
    "CopyMachine": _copy_machine,
    "Typing": _typing,
    "VacuumCleaner": _vacuum_cleaner,
    "WasherDryer": _washer_dryer,
    "pink_noise": lambda dice: _coloured(dice, 1.0),
    "white_noise": lambda dice: _coloured(dice, 0.0),
}
