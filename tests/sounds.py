"""Recordings made for tests of what reads them."""

from pathlib import Path

import numpy as np
import soundfile

from at_data.recordings import Recording
from at_data.stages.audio import Audio

RATE_HZ = 16_000
PCM_16_STEP = 1 / 32768


def noise(samples=RATE_HZ, channels=None, seed=0):
    shape = samples if channels is None else (samples, channels)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(rate_hz, hz=440.0, length_s=1.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * length_s)) / rate_hz)).astype(np.float32)


def write(folder, name, samples, rate_hz=RATE_HZ, **how):
    path = folder / name
    soundfile.write(path, samples, rate_hz, **how)
    return path


def whole(name="a.wav"):
    return Recording(Path(name).stem, "made", name)


def stretch(start_s, length_s, name="a.wav"):
    return Recording("a@1", "made", name, start_s=start_s, length_s=length_s)


def settings(rate_hz=RATE_HZ, resampler="soxr_hq"):
    return Audio(sample_rate_hz=rate_hz, resampler=resampler)
