"""STFT magnitudes held to three libraries."""

import librosa
import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from at_data.errors import ManifestError
from at_data.stages.spectra import (
    Stft,
    excerpt,
    heard_frames,
    magnitude,
    magnitudes,
    shape,
)

RATE_HZ = 16_000
WINDOW, HOP = 256, 128
SINGLE_PRECISION_TOLERANCE = 1e-6  # of full scale: float32 transforms of 256 points against float64 ones


def settings(window="hamming", window_samples=WINDOW, hop_samples=HOP):
    return Stft(window=window, window_s=window_samples / RATE_HZ, hop_s=hop_samples / RATE_HZ)


def noise(samples=RATE_HZ, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tone(bin_number, samples=RATE_HZ):
    return np.sin(2 * np.pi * bin_number / WINDOW * np.arange(samples)).astype(np.float32)


def spectrogram(samples, how=None):
    return magnitude(samples, how or settings(), RATE_HZ)


@given(st.sampled_from(["hamming", "hann"]), st.integers(8, 600), st.data())
def test_magnitudes_are_those_of_scipy(window, window_samples, data):
    hop = data.draw(st.integers(1 + window_samples // 8, window_samples))
    samples = noise(data.draw(st.integers(window_samples, 4_000)))
    values = spectrogram(samples, settings(window, window_samples, hop))
    overlap = window_samples - hop
    _, _, expected = scipy.signal.stft(
        samples.astype(np.float64), window=window, nperseg=window_samples, noverlap=overlap
    )
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, np.abs(expected).T, atol=SINGLE_PRECISION_TOLERANCE)


@pytest.mark.parametrize("window", ["hamming", "hann"])
def test_magnitudes_are_those_of_librosa_up_to_the_windows_sum(window):
    samples = noise()
    expected = np.abs(
        librosa.stft(samples, n_fft=WINDOW, hop_length=HOP, window=window, center=True, pad_mode="constant")
    )
    total = scipy.signal.get_window(window, WINDOW).sum()
    np.testing.assert_allclose(
        spectrogram(samples, settings(window)), expected.T / total, atol=SINGLE_PRECISION_TOLERANCE
    )


@pytest.mark.parametrize("window", ["hamming", "hann"])
def test_magnitudes_are_those_of_torch_up_to_the_windows_sum(window):
    samples = noise()
    weights = {"hamming": torch.hamming_window, "hann": torch.hann_window}[window](WINDOW, periodic=True)
    expected = torch.stft(
        torch.from_numpy(samples), WINDOW, HOP, window=weights, center=True, pad_mode="constant", return_complex=True
    )
    np.testing.assert_allclose(
        spectrogram(samples, settings(window)),
        (expected.abs() / weights.sum()).T.numpy(),
        atol=SINGLE_PRECISION_TOLERANCE,
    )


@pytest.mark.parametrize(("seconds", "frames"), [(1, 126), (4, 501), (6, 751)])
def test_the_papers_lengths_give_the_papers_shapes(seconds, frames):
    samples = noise(seconds * RATE_HZ)
    assert spectrogram(samples).shape == shape(samples.size, settings(), RATE_HZ) == (frames, 129)


@given(st.integers(1, 5_000), st.integers(2, 600), st.data())
def test_shape_says_what_magnitude_gives(samples, window_samples, data):
    how = settings(
        window_samples=window_samples, hop_samples=data.draw(st.integers(1 + window_samples // 8, window_samples))
    )
    assert spectrogram(noise(samples), how).shape == shape(samples, how, RATE_HZ)


@pytest.mark.parametrize("bin_number", [1, 16, 64, 127])
def test_a_tone_lands_in_its_bin_with_half_its_amplitude(bin_number):
    inner = spectrogram(tone(bin_number))[1:-1]
    assert set(inner.argmax(axis=1)) == {bin_number}
    if 1 < bin_number < 127:  # next to the ends its mirror image leaks in
        np.testing.assert_allclose(inner[:, bin_number], 0.5, atol=SINGLE_PRECISION_TOLERANCE)


def test_an_impulse_lands_in_its_frame():
    samples = np.zeros(RATE_HZ, np.float32)
    samples[8 * HOP] = 1.0
    values = spectrogram(samples)
    assert set(values.argmax(axis=0)) == {8}
    # The next frame has it at its first sample, where a hamming window is not yet zero.
    np.testing.assert_array_equal(np.flatnonzero(values.sum(axis=1) > SINGLE_PRECISION_TOLERANCE), [8, 9])


def test_silence_stays_silence():
    assert not spectrogram(np.zeros(RATE_HZ, np.float32)).any()


def test_rows_are_in_time_order():
    rising = np.linspace(0, 1, RATE_HZ, dtype=np.float32) * tone(32)
    loudness = spectrogram(rising)[1:-1, 32]
    assert np.all(np.diff(loudness) > 0)


def test_twice_the_samples_twice_the_magnitudes():
    np.testing.assert_array_equal(spectrogram(2 * noise()), 2 * spectrogram(noise()))


def test_magnitudes_can_be_written_in_place_and_leave_the_samples_alone():
    samples, out = noise(), np.empty((3, 126, 129), np.float32)
    before = samples.copy()
    written = magnitude(samples, settings(), RATE_HZ, out=out[1])
    assert np.shares_memory(written, out)
    np.testing.assert_array_equal(out[1], spectrogram(samples))
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("window_s", "hop_s", "rate_hz", "reason"),
    [
        (0.016, 0.008, 22_050, r"stft\.window_s: 0\.016 s, which is 352\.8 samples at 22050 Hz"),
        (0.02, 0.0101, 22_050, r"stft\.hop_s: .* expected a whole number of samples; write 223 / 22050"),
        (1 / 16_000, 1 / 16_000, 16_000, r"stft\.window_s: 1 sample .* expected at least 2 samples"),
        (0.016, 0.032, 16_000, r"stft\.hop_s: 512 samples; expected 1 to 256"),
        (0.016, 1e-12, 16_000, r"stft\.hop_s: 0 samples; expected 1 to 256"),
    ],
)
def test_windows_and_hops_that_are_not_whole_or_out_of_range_are_refused(window_s, hop_s, rate_hz, reason):
    how = Stft(window="hann", window_s=window_s, hop_s=hop_s)
    with pytest.raises(ManifestError, match=reason):
        magnitude(noise(), how, rate_hz)
    with pytest.raises(ManifestError, match=reason):
        shape(RATE_HZ, how, rate_hz)


@pytest.mark.parametrize("seconds", [256 / 44_100, 0.02321995464852608])
def test_decimals_that_round_to_whole_samples_are_accepted(seconds):
    how = Stft(window="hann", window_s=seconds, hop_s=seconds)
    assert shape(44_100, how, 44_100)[1] == round(seconds * 44_100) // 2 + 1


@pytest.mark.parametrize("bad", [{"window": "kaiser"}, {"window_s": 0.0}, {"hop_s": float("inf")}, {"n_fft": 512}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValidationError):
        Stft(**({"window": "hann", "window_s": 0.016, "hop_s": 0.008} | bad))


@given(
    st.integers(1, 20_000),
    st.integers(0, 150),
    st.integers(1, 12_000),
    st.integers(0, 5_000),
    st.sampled_from([(256, 128), (512, 128), (256, 256), (255, 64), (200, 150)]),
)
def test_an_excerpt_has_the_bits_of_a_transform_of_its_own(recorded, hops, length, before, windows):
    """Segments anywhere in a recording, with silence before and after, at any phase of the frames."""
    how = settings("hamming", *windows)
    recording = np.random.default_rng(recorded).normal(0, 0.1, recorded).astype(np.float32)
    start = min(recorded - 1, hops * windows[1])
    heard = recording[start : start + max(1, length - before)]
    for placed in (before, before // windows[1] * windows[1], 0):
        samples = np.zeros(max(length, placed + heard.size), np.float32)
        samples[placed : placed + heard.size] = heard
        whole, content = magnitude(recording, how, RATE_HZ), (placed, placed + heard.size)
        found, expected = np.zeros(shape(samples.size, how, RATE_HZ), np.float32), magnitude(samples, how, RATE_HZ)
        frames = heard_frames(samples.size, content, how, RATE_HZ)
        found[frames.start : frames.stop] = excerpt(whole, recorded, samples, start, content, how, RATE_HZ)
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_some_frames_have_the_bits_they_have_among_all():
    samples = noise()
    whole = magnitude(samples, settings(), RATE_HZ)
    for some in (range(3), range(5, 6), range(40, 71), range(len(whole) - 2, len(whole))):
        found = magnitude(samples, settings(), RATE_HZ, some)
        np.testing.assert_array_equal(found.view(np.uint32), whole[some.start : some.stop].view(np.uint32))


@given(st.lists(st.integers(0, 6000), max_size=6), st.sampled_from([(256, 128), (100, 33), (7, 7)]))
@hypothesis_settings(max_examples=40)
def test_magnitudes_of_several_waveforms_have_the_bits_of_each_alone(sizes, windows):
    stft = settings("hann", *windows)
    waveforms = [noise(size, seed=place) for place, size in enumerate(sizes)]
    found = magnitudes(waveforms, stft, RATE_HZ)
    assert len(found) == len(waveforms)
    for one, samples in zip(found, waveforms, strict=True):
        np.testing.assert_array_equal(one.view(np.uint32), magnitude(samples, stft, RATE_HZ).view(np.uint32))
