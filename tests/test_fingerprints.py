"""Copies of a recording keep its fingerprint, other recordings have another, and the search finds one among many."""

import io

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from at_data.build.hearing import fingerprint, heard_in
from at_data.stages import spectra
from at_data.stages.duplicates import LEAST_BITS, PARTNERS, THRESHOLD, Pair, laid, near
from at_data.stages.fingerprints import LONGEST, PIECE, fingerprints

RATE = 16000


def voice(number, seconds=1.0, rate=RATE):
    """Something like speech: a pitch that moves, under formants that jump from syllable to syllable."""
    dice = np.random.default_rng(number)
    time_s = np.arange(int(seconds * rate)) / rate
    syllables = max(2, int(seconds * 5))
    at = np.linspace(0, seconds, syllables)
    phase = 2 * np.pi * np.cumsum(np.interp(time_s, at, dice.uniform(90, 250, syllables))) / rate
    envelope = np.interp(time_s, np.linspace(0, seconds, 2 * syllables), dice.uniform(0.05, 1, 2 * syllables))
    formants = [
        np.interp(time_s, at, dice.uniform(*span, syllables)) for span in ((250, 900), (900, 2200), (2200, 3300))
    ]
    pitch = np.interp(time_s, at, dice.uniform(90, 250, syllables))
    sound = np.zeros(time_s.size)
    for harmonic in range(1, 30):
        level = sum(np.exp(-(((harmonic * pitch - formant) / 150) ** 2)) for formant in formants)
        sound += level * np.sin(harmonic * phase)
    sound = envelope * sound + 0.001 * dice.normal(size=time_s.size)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def recoded(samples, rate, kind, subtype, **how):
    memory = io.BytesIO()
    with soundfile.SoundFile(memory, "w", rate, 1, format=kind, subtype=subtype, **how) as file:
        for start in range(0, samples.size, 4096):
            file.write(samples[start : start + 4096])
    memory.seek(0)
    return soundfile.read(memory, dtype="float32")[0]


def late(samples, seconds, rate=RATE):
    return np.concatenate([np.zeros(int(seconds * rate), np.float32), samples])


MP3 = {"compression_level": 0.6, "bitrate_mode": "CONSTANT"}  # 64 kbit/s at 16 kHz
COPIES = {
    "quieter": lambda x: (np.round(x * 3276.8) / 32768).astype(np.float32),
    "flac": lambda x: recoded(x, RATE, "FLAC", "PCM_16"),
    "mp3": lambda x: recoded(x, RATE, "MP3", "MPEG_LAYER_III", **MP3),
    "late mp3": lambda x: late(recoded(x, RATE, "MP3", "MPEG_LAYER_III", **MP3), 0.04),
    "vorbis": lambda x: recoded(x, RATE, "OGG", "VORBIS", compression_level=0.99),
    "mu-law": lambda x: recoded(x, RATE, "WAV", "ULAW"),
    "half a hop cut off": lambda x: x[128:],
    "silence around": lambda x: np.pad(x, (100, 8000)),
}


def distance(one, other):
    """Distance of two fingerprints, infinite where the search says nothing of them."""
    pairs = near({"a": one, "b": other}, threshold=1.0)
    return pairs[0].distance if pairs else np.inf


def slow_distance(one, other):
    """Smallest distance of two fingerprints over all offsets at which half of the sparser one is compared."""
    best = np.inf
    whole = min(bits(one), bits(other))
    for offset in range(-one.size + 1, other.size):
        a, b = one[max(0, -offset) :], other[max(0, offset) :]
        size = min(a.size, b.size)
        set_in = bits(a[:size]), bits(b[:size])
        if min(set_in) >= max(LEAST_BITS, whole / 2):
            best = min(best, bits(a[:size] ^ b[:size]) / sum(set_in))
    return best


def bits(words):
    return sum(int(word).bit_count() for word in words)


@given(st.integers(0, 20), st.integers(-12, 12))
@settings(max_examples=20)
def test_another_level_is_the_same_fingerprint(number, power):
    samples = voice(number, 0.4)
    np.testing.assert_array_equal(fingerprint(samples, RATE), fingerprint(samples * np.float32(2.0**power), RATE))


@given(st.floats(1e-3, 100))
@settings(max_examples=20)
def test_a_level_that_rounds_changes_next_to_nothing(gain):
    samples = voice(1)
    assert distance(fingerprint(samples, RATE), fingerprint(samples * np.float32(gain), RATE)) < 0.005


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("seconds", [0.5, 1.0, 4.0])
def test_a_copy_is_near(copy, seconds):
    samples = voice(2, seconds)
    assert distance(fingerprint(samples, RATE), fingerprint(COPIES[copy](samples), RATE)) <= THRESHOLD


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_a_copy_at_another_rate_is_near(rate):
    samples = voice(3, 2.0)
    other = soxr.resample(soxr.resample(samples, RATE, rate), rate, RATE)
    assert distance(fingerprint(samples, RATE), fingerprint(other, RATE)) < THRESHOLD / 2


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=25)
def test_other_sounds_are_far(one, other):
    if one != other:
        assert distance(fingerprint(voice(one), RATE), fingerprint(voice(other), RATE)) > 1.5 * THRESHOLD


def test_cuts_of_one_recording_that_overlap_by_half_are_near():
    samples = voice(4, 3.0)
    one, other = fingerprint(samples[: 2 * RATE], RATE), fingerprint(samples[RATE:], RATE)
    assert distance(one, other) <= THRESHOLD


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(RATE), np.ones(1), np.ones(300)])
def test_what_says_nothing_is_nobodys_duplicate(samples):
    words = fingerprint(samples.astype(np.float32), RATE)
    assert near({"a": words, "b": words}, threshold=1.0) == []


@pytest.mark.parametrize("gain", [np.nan, np.inf, 1e30, 1e-30])
def test_what_no_number_holds_is_empty(gain):
    samples = np.ones(RATE // 2, np.float32)
    samples[2000:4000] = voice(5)[2000:4000]
    with np.errstate(invalid="ignore"):
        assert fingerprint(samples * np.float32(gain), RATE).size == 0


def test_one_bad_sample_is_enough_to_say_nothing():
    samples = voice(5)
    samples[5000] = np.nan
    assert fingerprint(samples, RATE).size == 0


@given(st.integers(0, 3 * RATE), st.sampled_from([4000, 8000, 11025, RATE, 44100]), st.integers(0, 2**31))
def test_any_length_has_a_fingerprint_no_longer_than_its_frames(size, rate, seed):
    samples = np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)
    words = fingerprint(samples, rate)
    assert words.dtype == np.uint32
    assert words.size <= min(LONGEST, size / rate / 0.0155 + 2)
    np.testing.assert_array_equal(words, fingerprint(samples.copy(), rate))


@pytest.mark.parametrize("seconds", [8.1, 8.4, 20])
def test_a_long_recording_keeps_a_bounded_part_that_is_found_again(seconds):
    samples = voice(6, seconds)
    words = fingerprint(samples, RATE)
    assert LONGEST // 2 <= words.size <= LONGEST
    assert distance(words, fingerprint(COPIES["late mp3"](samples), RATE)) <= THRESHOLD


@pytest.mark.parametrize(("seconds", "longer"), [(8.1, 8.3), (16.3, 16.5), (5.5, 9.0), (9.0, 17.0)])
def test_copies_and_cuts_of_which_other_pieces_are_kept_are_near(seconds, longer):
    samples = voice(7, longer)
    whole, cut = fingerprint(samples, RATE), fingerprint(samples[: int(seconds * RATE)], RATE)
    assert near({"a": cut, "b": whole}) == near({"a": whole, "b": cut}) != []
    assert near({"a": cut, "b": whole}, {"a": "test", "b": "train"}) != []
    for other in (8.1, 8.3, 9.0, 16.5):
        assert distance(cut, fingerprint(voice(8, other), RATE)) > 1.5 * THRESHOLD


def test_every_second_piece_of_a_recording_is_what_is_kept_of_one_twice_as_long():
    assert laid.PIECE == PIECE
    for count, held in ((512, 256), (300, 172), (330, 192)):
        words, sizes = np.arange(1, count + 1, dtype=np.uint32), np.array([count], np.int32)
        both = laid.lay(words, np.zeros(1, np.int64), sizes, np.full(1, -1, np.int32))
        again = both.words[both.starts[1] :][: both.sizes[1]] - 1
        assert again.size == held
        assert [int(word) for word in again] == [n for n in range(count) if n // PIECE % 2 == 0]


@given(st.integers(0, 20 * RATE), st.integers(0, 2**31))
@settings(max_examples=30)
def test_spectra_that_are_there_already_give_the_same_fingerprint(size, seed):
    samples = np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)
    whole = spectra.magnitude(samples, heard_in(RATE), RATE)
    np.testing.assert_array_equal(fingerprint(samples, RATE, whole), fingerprint(samples, RATE))


@given(st.lists(st.tuples(st.sampled_from(["noise", "nan", "loud", "silence"]), st.integers(0, 2 * RATE)), max_size=6))
@settings(max_examples=30)
def test_fingerprints_of_several_recordings_are_those_of_each_alone(kinds):
    stft = heard_in(RATE)
    made, alone = [], []
    for kind, size in [*kinds, ("noise", 12 * RATE), ("noise", RATE)]:
        level = np.float32({"noise": 0.1, "nan": np.nan, "loud": 1e30, "silence": 0}[kind])
        samples = level * np.random.default_rng(len(made)).standard_normal(size, np.float32)
        whole = spectra.magnitude(samples, stft, RATE)
        made.append((lambda some, whole=whole: whole[some.start : some.stop], len(whole)))
        alone.append(fingerprint(samples, RATE))
    for together, words in zip(fingerprints(made, 1 / stft.window_s), alone, strict=True):
        np.testing.assert_array_equal(together, words)
    assert alone[-1].size


def flipped(words, share, seed):
    """Words of which some bits are the other way round."""
    flips = np.packbits(np.random.default_rng(seed).random((words.size, 32)) < share, axis=1).view(np.uint32)[:, 0]
    return words ^ flips


def made(count, size=61):
    dice = np.random.default_rng(7)
    return {f"{item:05d}": dice.integers(0, 2**32, size, dtype=np.uint32) for item in range(count)}


def test_the_search_finds_every_copy_among_many_and_nothing_else():
    many = made(3000)
    copies = {f"copy of {name}": flipped(words[4:], 0.04, int(name)) for name, words in list(many.items())[:200]}
    found = near(many | copies)
    assert {(pair.one, pair.other) for pair in found} == {(name[8:], name) for name in copies}
    for pair in found:
        assert pair.distance == pytest.approx(slow_distance(many[pair.one], copies[pair.other]))


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_recordings_changes_nothing(random):
    many = made(100)
    many |= {f"copy of {name}": flipped(words, 0.03, int(name)) for name, words in list(many.items())[:30]}
    splits = {name: ("train", "test")[len(name) % 2] for name in many}
    mixed = list(many.items())
    random.shuffle(mixed)
    assert near(dict(mixed)) == near(many)
    assert near(dict(mixed), splits) == near(many, splits)


def test_with_splits_only_pairs_across_them_are_told():
    words = made(2)
    sounds = {"a": words["00000"], "b": words["00000"], "c": words["00000"], "d": words["00001"]}
    splits = {"a": "train", "b": "test", "c": "train", "d": "test"}
    assert near(sounds, splits) == [Pair("a", "b", 0.0), Pair("b", "c", 0.0)]
    assert near(sounds) == [Pair("a", "b", 0.0), Pair("a", "c", 0.0), Pair("b", "c", 0.0)]
    assert near(sounds, dict.fromkeys(sounds, "train")) == []


def test_many_copies_of_one_sound_are_all_told_of_but_not_all_their_pairs():
    one = made(1)["00000"]
    hums = {f"{item:05d}": one for item in range(600)}
    splits = {name: "train" if int(name) < 550 else "test" for name in hums}
    for found in (near(hums), near(hums, splits)):
        assert {name for pair in found for name in (pair.one, pair.other)} == set(hums)
        assert len(found) <= PARTNERS * len(hums)


def test_nothing_is_near_where_there_is_nothing():
    empty = np.zeros(0, np.uint32)
    assert near({}) == []
    assert near({"a": empty}, {"a": "train"}) == []
    assert near({"a": empty, "b": empty, "c": made(1)["00000"]}) == []


@pytest.mark.real
def test_spoken_digits_are_found_in_their_copies_and_told_apart(real_data):
    files = sorted((real_data / "free-spoken-digit-dataset" / "recordings").glob("*_theo_1*.wav"))[:60]
    originals = {path.stem: fingerprint(soundfile.read(path, dtype="float32")[0], 8000) for path in files}
    copies = {}
    for path in files:
        copy = recoded(soundfile.read(path, dtype="float32")[0], 8000, "OGG", "VORBIS", compression_level=0.99)
        copies[f"copy of {path.stem}"] = fingerprint(late(copy, 0.03, 8000), 8000)
    found = near(originals | copies, dict.fromkeys(originals, "train") | dict.fromkeys(copies, "test"))
    told = {pair.other for pair in found if pair.other == f"copy of {pair.one}"}
    told |= {pair.one for pair in found if pair.one == f"copy of {pair.other}"}
    assert len(told) >= 0.9 * len(files)
    assert len(found) - len(told) <= 0.05 * len(files)


def test_the_search_takes_for_pieces_what_fingerprints_are_made_of() -> None:
    assert laid.PIECE == PIECE  # stages do not import each other
