"""Files in, waveforms out: right samples, or a reason."""

import itertools
import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sounds import PCM_16_STEP, RATE_HZ, noise, settings, stretch, tone, whole, write

from at_data.errors import AudioError
from at_data.recordings import Recording, samples_in
from at_data.stages import audio
from at_data.stages.audio import Audio, decode, load, resample, waveform_hash

RESAMPLED_TONE_TOLERANCE = 1e-3  # of full scale, away from the ends, for soxr HQ


def test_float_wav_comes_back_bit_for_bit(tmp_path):
    samples = noise() * 20  # beyond full scale: float files may
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    loaded = load(tmp_path, whole(), settings())
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, samples)


@pytest.mark.parametrize(("name", "how"), [("a.wav", {"subtype": "PCM_16"}), ("a.flac", {}), ("a.aiff", {})])
def test_sixteen_bits_come_back_within_one_step(tmp_path, name, how):
    samples = noise()
    write(tmp_path, name, samples, **how)
    np.testing.assert_allclose(load(tmp_path, whole(name), settings()), samples, atol=PCM_16_STEP)


def test_content_not_suffix_says_what_a_file_is(tmp_path):
    samples = noise()
    write(tmp_path, "a.wav", samples, format="FLAC", subtype="PCM_24")
    np.testing.assert_allclose(load(tmp_path, whole(), settings()), samples, atol=PCM_16_STEP)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_mono_is_the_mean_of_the_channels(tmp_path, channels):
    samples = noise(channels=channels)
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    expected = samples.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(load(tmp_path, whole(), settings()), expected, atol=1e-7)


def test_names_in_another_encoding_are_read_and_can_be_reported(tmp_path):
    name = os.fsdecode(b"gr\xfc\xdfe.wav")  # latin-1 on a UTF-8 system
    (tmp_path / name).write_bytes(write(tmp_path, "a.wav", noise()).read_bytes())
    assert load(tmp_path, whole(name), settings()).size == RATE_HZ
    (tmp_path / name).write_bytes(b"not audio")
    with pytest.raises(AudioError) as caught:
        load(tmp_path, whole(name), settings())
    assert "gr\\xfc\\xdfe.wav" in str(caught.value).encode("utf-8").decode()


@pytest.fixture(scope="module")
def ten_seconds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stretches")
    samples = noise(10 * RATE_HZ)
    write(folder, "a.flac", samples, subtype="PCM_24")
    return folder, load(folder, whole("a.flac"), settings())


@given(st.integers(0, 9_000_000), st.integers(100, 1_000_000))
def test_a_stretch_is_that_part_of_the_whole(ten_seconds, start_us, length_us):
    folder, samples = ten_seconds
    start_s, length_s = start_us / 1e6, length_us / 1e6
    loaded = load(folder, stretch(start_s, length_s, "a.flac"), settings())
    first, last = int(start_s * RATE_HZ + 0.5), int((start_s + length_s) * RATE_HZ + 0.5)
    np.testing.assert_array_equal(loaded, samples[first:last])


REMEMBERING = [
    *(
        {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": mode, "compression_level": level}
        for mode, level in (("CONSTANT", 0.9), ("VARIABLE", 0.5), ("CONSTANT", 0.2))
    ),
    {"format": "OGG", "subtype": "VORBIS"},
    {"format": "OGG", "subtype": "OPUS"},
    *({"format": "WAV", "subtype": name} for name in ("GSM610", "G721_32", "MS_ADPCM", "IMA_ADPCM", "NMS_ADPCM_16")),
]


@pytest.mark.parametrize(
    ("how", "rate_hz"),
    [
        pytest.param(how, rate_hz, id="-".join(map(str, [*how.values(), rate_hz])))
        for how in REMEMBERING
        for rate_hz in (8_000, 16_000, 22_050, 48_000)
        if (how["subtype"], rate_hz) != ("OPUS", 22_050)  # which that codec lacks
    ],
)
def test_a_stretch_is_that_part_of_the_whole_whatever_the_codec_remembers(tmp_path, how, rate_hz):
    chirp = np.sin(2 * np.pi * np.cumsum(np.geomspace(100, 3_000, 4 * rate_hz)) / rate_hz) * np.hanning(4 * rate_hz)
    samples = (0.5 * chirp + 0.02 * noise(4 * rate_hz)).astype(np.float32)
    path = write(tmp_path, "a.bin", samples, rate_hz, **how)
    everything, _ = decode(path, whole("a.bin"))
    for start_s in np.linspace(0.01, 3.6, 15).round(3):
        found, _ = decode(path, stretch(float(start_s), 0.2, "a.bin"))
        first = samples_in(float(start_s), rate_hz)
        # a decoder that rounds in blocks rounds otherwise from another beginning
        np.testing.assert_allclose(found, everything[first : first + found.size], atol=3e-7)


@given(st.lists(st.floats(0.01, 9.9), min_size=1, max_size=5, unique=True).map(sorted))
def test_stretches_that_touch_leave_no_sample_out_and_share_none(ten_seconds, marks_s):
    folder, samples = ten_seconds
    edges = [0.0, *marks_s, 10.0]
    pairs = [(a, b) for a, b in itertools.pairwise(edges) if b - a > 1 / RATE_HZ]
    if len(pairs) == len(edges) - 1:
        parts = [load(folder, stretch(a, b - a, "a.flac"), settings()) for a, b in pairs]
        np.testing.assert_array_equal(np.concatenate(parts), samples)


def test_a_start_alone_reads_to_the_end(ten_seconds):
    folder, samples = ten_seconds
    loaded = load(folder, Recording("a@9", "made", "a.flac", start_s=9.0), settings())
    np.testing.assert_array_equal(loaded, samples[9 * RATE_HZ :])


@pytest.mark.parametrize(("start_s", "length_s"), [(9.5, 0.5001), (9.5, 0.505), (0.0, 10.0049)])
def test_an_end_that_was_rounded_up_beyond_the_file_is_the_end_of_the_file(ten_seconds, start_s, length_s):
    folder, samples = ten_seconds
    loaded = load(folder, stretch(start_s, length_s, "a.flac"), settings())
    np.testing.assert_array_equal(loaded, samples[round(start_s * RATE_HZ) :])


@pytest.mark.parametrize(
    ("start_s", "length_s"),
    [(9.5, 0.506), (9.5, 0.6), (10.0, 1.0), (10.0, 0.004), (-0.1, 1.0), (1.0, 0.0), (1.0, -0.5)],
)
def test_a_stretch_outside_its_file_is_refused(ten_seconds, start_s, length_s):
    with pytest.raises(AudioError, match=r"stretch from .* \(a@1\); expected a stretch within 0 to 10\.000000 s"):
        load(ten_seconds[0], stretch(start_s, length_s, "a.flac"), settings())


@pytest.mark.parametrize("from_hz", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("resampler", ["soxr_mq", "soxr_hq", "soxr_vhq"])
def test_a_tone_is_the_same_tone_at_another_rate(from_hz, resampler):
    resampled = resample(tone(from_hz), from_hz, settings(resampler=resampler))
    assert resampled.size == RATE_HZ
    inner = slice(1_000, -1_000)
    np.testing.assert_allclose(resampled[inner], tone(RATE_HZ)[inner], atol=RESAMPLED_TONE_TOLERANCE)


def test_samples_at_the_right_rate_are_not_touched():
    samples = noise()
    assert resample(samples, RATE_HZ, settings()) is samples


def test_too_little_for_one_sample_at_the_new_rate_is_refused(tmp_path):
    write(tmp_path, "a.wav", noise(1), rate_hz=96_000)
    with pytest.raises(AudioError, match="1 samples at 96000 Hz, nothing once resampled to 8000 Hz"):
        load(tmp_path, whole(), settings(8_000))


LONG = [
    {"format": "WAV", "subtype": "PCM_16"},
    {"format": "WAV", "subtype": "IMA_ADPCM"},
    {"format": "FLAC"},
    {"format": "OGG", "subtype": "VORBIS"},
    {"format": "OGG", "subtype": "OPUS"},
    {"format": "MP3"},
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("how", LONG, ids=lambda how: "-".join(how.values()))
def test_reading_in_blocks_changes_no_bit(tmp_path, monkeypatch, how, channels):
    write(tmp_path, "a.bin", noise(5 * RATE_HZ, channels), **how)
    with soundfile.SoundFile(tmp_path / "a.bin") as sound:
        once = sound.read(sound.frames, dtype="float32", always_2d=True)
    expected = once[:, 0] if channels == 1 else (once[:, 0] + once[:, 1]) / np.float32(2)
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1_001)
    monkeypatch.setattr(audio, "TRUSTED_SAMPLES", 1_500)
    np.testing.assert_array_equal(decode(tmp_path / "a.bin", whole("a.bin"))[0], expected)


def test_samples_that_are_no_numbers_are_counted_over_all_blocks(tmp_path, monkeypatch):
    samples = noise()
    samples[[4_000, 9_000, 15_999]] = np.nan
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 1_000)
    with pytest.raises(AudioError, match=r"3 samples that are NaN or infinite, the first at 0\.250 s"):
        load(tmp_path, whole(), settings())


def test_a_recording_that_is_too_long_is_refused_and_its_stretches_are_not(tmp_path, monkeypatch):
    write(tmp_path, "a.flac", noise(2 * RATE_HZ))
    monkeypatch.setattr(audio, "MOST_SAMPLES", 20_000)
    came = r"32000 samples at 16000 Hz \(0\.0 hours\); expected at most 20000 in one recording; .* list stretches"
    with pytest.raises(AudioError, match=came):
        load(tmp_path, whole("a.flac"), settings())
    assert load(tmp_path, stretch(1.0, 1.0, "a.flac"), settings()).size == RATE_HZ
    with pytest.raises(AudioError, match=r"48000 samples at 48000 Hz .*at most 20000"):  # longer once resampled
        load(tmp_path, stretch(1.0, 1.0, "a.flac"), settings(48_000))


def test_no_file_stays_open(tmp_path):
    write(tmp_path, "a.wav", noise())
    (tmp_path / "b.wav").write_bytes(b"not audio")
    lowest_free = os.dup(0)
    os.close(lowest_free)
    for _ in range(20):
        load(tmp_path, whole(), settings())
        with pytest.raises(AudioError):
            load(tmp_path, whole("b.wav"), settings())
    still_free = os.dup(0)
    os.close(still_free)
    assert still_free == lowest_free


def test_equal_waveforms_have_equal_hashes_whatever_holds_them(tmp_path):
    samples = np.round(noise() * 32768).astype(np.float32) / 32768
    write(tmp_path, "a.wav", samples, subtype="PCM_16")
    write(tmp_path, "b.flac", samples, subtype="PCM_24")
    one, other = (load(tmp_path, whole(name), settings()) for name in ("a.wav", "b.flac"))
    assert waveform_hash(one, RATE_HZ) == waveform_hash(other, RATE_HZ)
    assert len(waveform_hash(one, RATE_HZ)) == 32
    assert waveform_hash(one, RATE_HZ) == waveform_hash(np.stack([one, one], axis=1)[:, 0], RATE_HZ)


@given(st.integers(0, RATE_HZ - 1))
def test_one_changed_sample_or_the_rate_changes_the_hash(position):
    samples = noise()
    before = waveform_hash(samples, RATE_HZ)
    assert waveform_hash(samples, 8_000) != before
    samples[position] += np.float32(PCM_16_STEP)
    assert waveform_hash(samples, RATE_HZ) != before


@pytest.mark.parametrize(
    "bad", [{"sample_rate_hz": 0}, {"resampler": "kaiser_best"}, {"sample_rate_hz": 16e3}, {"mono": True}]
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValidationError):
        Audio(**({"sample_rate_hz": RATE_HZ, "resampler": "soxr_hq"} | bad))


@pytest.mark.real
def test_real_files_of_every_corpus_load(real_data):
    # Two of each folder that holds audio; one RAVDESS file is FLAC under the name of WAV.
    by_folder = {}
    for path in sorted(real_data.rglob("*")):
        if path.suffix in {".wav", ".flac", ".ogg"}:
            by_folder.setdefault(path.relative_to(real_data).parts[0], []).append(path)
    for paths in by_folder.values():
        for path in (paths[0], paths[-1]):
            samples = load(real_data, whole(str(path.relative_to(real_data))), settings())
            assert samples.size
            assert np.abs(samples).max() > 0
