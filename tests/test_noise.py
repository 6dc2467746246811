"""Noise recovered by subtraction, and measured."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from at_data.errors import AudioError, ManifestError
from at_data.recordings import Recording, Segment
from at_data.seeds import generator
from at_data.stages.noise import (
    SILENCE_RMS,
    Excerpt,
    Mix,
    Placement,
    draw,
    excerpt,
    mix,
    silent,
)
from at_data.stages.noise_files import divide

RATE_HZ = 8_000
LEVEL_TOLERANCE_DB = 0.01
ROUNDING_DB = 1e-4  # of a level measured twice, in single precision samples
FADE_TOLERANCE_DB = 1.0  # of white noise's level where its ends fade into each other, over 200 samples a fade
LOOP_STEEPNESS = 1.5  # sine and cosine of what is alike add up to 1.41; the slope of the fade is the rest

NOISES = [Recording(f"{kind}_{n}", "made", f"{kind}_{n}.wav", {"noise_type": kind}) for kind in "ab" for n in range(5)]
SHARED = (0.2, 0.2)  # valid, test
SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
BASE = {
    "corpus": "made",
    "keep": {},
    "speech_level_dbfs": -25.0,
    "level_dbfs": [-50, -30],
    "offset": "random",
    "crossfade_s": 0.01,
    "clipping": "none",
    "split": SHARES,
}


def settings(**changes):
    """Settings as a manifest gives them: lists and whole numbers; a key set to None is left out."""
    return Mix(**{key: value for key, value in (BASE | changes).items() if value is not None})


def white(samples=RATE_HZ, level_dbfs=-20.0, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(samples)
    return (drawn * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(drawn**2))).astype(np.float32)


def segment(samples, content=None):
    return Segment(Recording("zero/a", "made", "zero/a.wav"), 0, samples, content or (0, samples.size))


def placed(level_dbfs=None, snr_db=None):
    return Placement(NOISES[0], 0.0, level_dbfs, snr_db)


def level(samples):
    return 10 * np.log10(np.mean(samples.astype(np.float64) ** 2))


def take(noise, how, position=0.0, length=RATE_HZ):
    return excerpt(noise, dataclasses.replace(placed(-40.0), position=position), how, length, RATE_HZ)


LEVELS = st.floats(-60, -1)


@given(LEVELS, LEVELS, LEVELS, LEVELS)
def test_noise_recovered_by_subtraction_has_the_level_asked_for(speech_at, speech_to, noise_at, noise_to):
    speech, noise = white(level_dbfs=speech_at, seed=1), white(level_dbfs=noise_at, seed=2)
    how = settings(speech_level_dbfs=speech_to, level_dbfs=[-60, 0])
    mixed = mix(segment(speech), Excerpt(noise, 0.0), placed(level_dbfs=noise_to), how)
    # In double precision, and with the gain the level asks for, not the one that was reported.
    recovered = mixed.samples - speech.astype(np.float64) * 10 ** ((speech_to - level(speech)) / 20)
    assume(speech_to - noise_to < 50)  # beyond, the rounding of the speech is louder than the tolerance
    assert level(recovered) == pytest.approx(noise_to, abs=LEVEL_TOLERANCE_DB)
    assert mixed.mixing.level_achieved_dbfs == pytest.approx(noise_to, abs=ROUNDING_DB)
    assert mixed.mixing.level_requested_dbfs == noise_to
    assert math.isnan(mixed.mixing.snr_requested_db)


@given(LEVELS, st.floats(-20, 50), st.integers(100, 2_000), st.integers(0, 2_000))
def test_the_snr_counts_speech_where_it_is_and_noise_everywhere(speech_at, snr_db, length, silence):
    speech = white(length, speech_at, seed=1)
    padded = np.concatenate([np.zeros(silence, np.float32), speech, np.zeros(2 * silence, np.float32)])
    how = settings(speech_level_dbfs="leave", level_dbfs=None, snr_db=[-20, 50])
    part = segment(padded, (silence, silence + length))
    mixed = mix(part, Excerpt(white(padded.size, seed=2), 0.0), placed(snr_db=snr_db), how)
    recovered = mixed.samples.astype(np.float64) - padded
    assert level(speech) - level(recovered) == pytest.approx(snr_db, abs=LEVEL_TOLERANCE_DB)
    assert mixed.mixing.snr_achieved_db == pytest.approx(snr_db, abs=ROUNDING_DB)
    assert mixed.mixing.speech_level_dbfs == pytest.approx(speech_at, abs=ROUNDING_DB)
    assert mixed.mixing.speech_gain_db == 0.0
    assert math.isnan(mixed.mixing.level_requested_dbfs)


def test_level_and_snr_agree_with_each_other():
    speech, noise = white(seed=1), Excerpt(white(seed=2), 0.0)
    by_level = mix(segment(speech), noise, placed(level_dbfs=-45.0), settings())
    by_snr = mix(segment(speech), noise, placed(snr_db=20.0), settings(level_dbfs=None, snr_db=[0, 20]))
    assert by_level.mixing.snr_achieved_db == pytest.approx(20.0, abs=ROUNDING_DB)
    np.testing.assert_allclose(by_level.samples, by_snr.samples, atol=1e-6)


def test_a_full_scale_square_is_at_zero_dbfs_and_a_sine_three_below():
    square = np.where(np.arange(RATE_HZ) % 80 < 40, 1.0, -1.0).astype(np.float32)
    sine = np.sin(2 * np.pi * np.arange(RATE_HZ) / 80).astype(np.float32)
    for speech, expected in ((square, 0.0), (sine, -3.0103)):
        how = settings(speech_level_dbfs="leave")
        mixed = mix(segment(speech), Excerpt(white(), 0.0), placed(level_dbfs=-40.0), how)
        assert mixed.mixing.speech_level_dbfs == pytest.approx(expected, abs=ROUNDING_DB)


def test_mixing_keeps_length_type_place_and_what_it_was_given():
    speech, noise = white(seed=1), white(seed=2)
    before = speech.copy(), noise.copy()
    part = segment(speech, (10, 4_000))
    mixed = mix(part, Excerpt(noise, 1.5), placed(level_dbfs=-40.0), settings(clipping="scale", speech_level_dbfs=10))
    assert (mixed.id, mixed.content, mixed.samples.dtype) == (part.id, part.content, np.float32)
    assert mixed.samples.shape == speech.shape
    assert (mixed.mixing.noise, mixed.mixing.noise_offset_s) == ("a_0", 1.5)
    np.testing.assert_array_equal(speech, before[0])
    np.testing.assert_array_equal(noise, before[1])


def test_what_was_measured_fits_a_row_of_a_table():
    mixed = mix(segment(white(seed=1)), Excerpt(white(), 0.0), placed(level_dbfs=-40.0), settings())
    row = dataclasses.asdict(mixed.mixing)
    assert {type(value) for key, value in row.items() if key not in {"noise", "clipped"}} == {float}
    assert (type(row["noise"]), type(row["clipped"])) == (str, int)


def loud(clipping):
    """A mixture whose speech leaves full scale."""
    speech, noise = white(seed=1), Excerpt(white(seed=2), 0.0)
    return mix(segment(speech), noise, placed(level_dbfs=-20.0), settings(speech_level_dbfs=0, clipping=clipping))


def test_clipping_none_counts_and_leaves_what_is_beyond_full_scale():
    mixed = loud("none")
    assert mixed.mixing.clipped == np.count_nonzero(np.abs(mixed.samples) > 1) > 0
    assert mixed.mixing.peak == np.abs(mixed.samples).max() > 1
    assert mixed.mixing.clip_gain_db == 0


def test_clipping_scale_turns_the_mixture_down_to_full_scale_and_reports_levels_after_it():
    left, scaled = loud("none"), loud("scale")
    assert np.abs(scaled.samples).max() == scaled.mixing.peak == 1.0
    assert scaled.mixing.clipped == left.mixing.clipped
    gain = scaled.mixing.clip_gain_db
    assert gain == pytest.approx(-20 * math.log10(left.mixing.peak))
    np.testing.assert_allclose(scaled.samples, left.samples * 10 ** (gain / 20), rtol=1e-5)
    assert scaled.mixing.level_achieved_dbfs == pytest.approx(-20 + gain, abs=ROUNDING_DB)
    assert scaled.mixing.speech_level_dbfs == pytest.approx(gain, abs=ROUNDING_DB)
    assert scaled.mixing.snr_achieved_db == pytest.approx(20, abs=ROUNDING_DB)


def test_clipping_reject_refuses_and_counts():
    with pytest.raises(AudioError, match=rf"zero/a#0: {loud('none').mixing.clipped} samples of the mixture beyond"):
        loud("reject")


@pytest.mark.parametrize("clipping", ["none", "scale", "reject"])
def test_a_mixture_within_full_scale_is_the_same_under_every_policy(clipping):
    quiet = [
        mix(segment(white(seed=1)), Excerpt(white(), 0.0), placed(level_dbfs=-40.0), settings(clipping=policy))
        for policy in ("none", clipping)
    ]
    np.testing.assert_array_equal(quiet[0].samples, quiet[1].samples)
    np.testing.assert_equal(*(dataclasses.asdict(each.mixing) for each in quiet))  # an SNR that nobody asked for is NaN
    assert quiet[1].mixing.clipped == quiet[1].mixing.clip_gain_db == 0


SILENCE = np.zeros(RATE_HZ, np.float32)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, placed(level_dbfs=-40.0)),
        ({"speech_level_dbfs": "leave", "level_dbfs": None, "snr_db": [0, 9]}, placed(snr_db=3.0)),
    ],
)
def test_silent_speech_whose_level_is_asked_for_is_refused(changes, place):
    with pytest.raises(AudioError, match=r"zero/a#0: silent speech"):
        mix(segment(SILENCE), Excerpt(white(), 0.0), place, settings(**changes))


def test_silent_speech_that_is_left_alone_takes_noise_at_a_level():
    mixed = mix(segment(SILENCE), Excerpt(white(), 0.0), placed(level_dbfs=-40.0), settings(speech_level_dbfs="leave"))
    assert level(mixed.samples) == pytest.approx(-40, abs=LEVEL_TOLERANCE_DB)
    assert mixed.mixing.speech_level_dbfs == mixed.mixing.snr_achieved_db == -math.inf


def test_silent_noise_can_be_told_and_is_refused():
    assert silent(Excerpt(SILENCE, 0.0))
    assert silent(Excerpt(SILENCE + np.float32(SILENCE_RMS * 0.9), 0.0))
    assert not silent(Excerpt(SILENCE + np.float32(SILENCE_RMS * 1.1), 0.0))
    with pytest.raises(AudioError, match="silent stretch of noise a_0"):
        mix(segment(white()), Excerpt(SILENCE, 0.0), placed(level_dbfs=-40.0), settings())


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 500), st.integers(0, 500))
def test_an_excerpt_is_the_stretch_of_its_file_that_its_offset_says(position, length, more):
    noise = white(length + more)
    taken = take(noise, settings(), position, length)
    start = round(taken.offset_s * RATE_HZ)
    np.testing.assert_array_equal(taken.samples, noise[start : start + length])


def test_every_place_where_an_excerpt_fits_is_equally_likely():
    noise, dice = white(14), np.random.default_rng(1)
    starts = [round(take(noise, settings(), share, 5).offset_s * RATE_HZ) for share in dice.random(20_000)]
    counts = np.bincount(starts)
    assert counts.size == 10
    assert np.all(np.abs(counts - 2_000) < 5 * math.sqrt(2_000))


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 300), st.integers(1, 1_000), st.integers(0, 200))
def test_a_short_noise_is_looped_at_any_length(position, length, more, crossfade):
    taken = take(white(length), settings(crossfade_s=crossfade / RATE_HZ), position, length + more)
    assert taken.samples.shape == (length + more,)
    assert taken.samples.dtype == np.float32
    assert 0 <= taken.offset_s < length / RATE_HZ
    turn = length - min(crossfade, length // 2)
    np.testing.assert_array_equal(taken.samples[turn:], taken.samples[:-turn][: taken.samples.size - turn])


@given(st.floats(0, 1, exclude_max=True), st.floats(50, 400), st.floats(0, 2 * np.pi), st.integers(100, 400))
def test_a_loop_has_no_jump_beyond_the_steps_of_its_noise(position, hz, phase, crossfade):
    noise = (0.5 * np.sin(2 * np.pi * hz * np.arange(1_500) / RATE_HZ + phase)).astype(np.float32)
    looped = take(noise, settings(crossfade_s=crossfade / RATE_HZ), position, 8_000).samples
    fade_step = 2 * 0.5 * (np.pi / 2) / crossfade  # both ends at their peak, at the steepest of the fade
    assert np.abs(np.diff(looped)).max() < LOOP_STEEPNESS * np.abs(np.diff(noise)).max() + fade_step


def test_without_a_cross_fade_a_loop_is_the_noise_again():
    noise = white(300)
    looped = take(noise, settings(crossfade_s=0), 0.5, 1_000)
    np.testing.assert_array_equal(looped.samples, np.resize(np.roll(noise, -150), 1_000))


def test_the_cross_fade_keeps_the_level_of_noise():
    fades = []
    for seed in range(50):
        looped = take(white(600, seed=seed), settings(crossfade_s=200 / RATE_HZ), 0.0, 800).samples
        fades.append(looped[:200])
    assert level(np.concatenate(fades)) == pytest.approx(-20, abs=FADE_TOLERANCE_DB)
    halves = [level(np.concatenate([fade[part] for fade in fades])) for part in (slice(0, 100), slice(50, 150))]
    assert halves == pytest.approx([-20, -20], abs=FADE_TOLERANCE_DB)


def test_draws_depend_on_the_generator_alone():
    def drawn(items):
        return {item: draw(generator(7, "noise", item), settings(), NOISES) for item in items}

    items = [f"zero/{n}#0" for n in range(50)]
    assert drawn(items) == drawn(reversed(items))
    assert draw(generator(8, "noise", items[0]), settings(), NOISES) != drawn(items)[items[0]]


def test_one_setting_moves_no_other_draw():
    def drawn(**changes):
        return draw(generator(7, "noise", "a#0"), settings(**changes), NOISES)

    base = drawn()
    assert drawn(offset="start") == dataclasses.replace(base, position=0.0)
    other = drawn(level_dbfs=None, snr_db={"one_of": [5]})
    assert other == Placement(base.noise, base.position, None, 5.0)


def test_a_second_draw_is_another():
    dice = generator(7, "noise", "a#0")
    assert draw(dice, settings(), NOISES) != draw(dice, settings(), NOISES)


def test_levels_are_uniform_in_db_and_noises_equally_likely():
    dice = generator(7, "noise", "many")
    drawn = [draw(dice, settings(level_dbfs=[-40, -20]), NOISES) for _ in range(10_000)]
    counts, _ = np.histogram([placement.level_dbfs for placement in drawn], bins=10, range=(-40, -20))
    for tally in (counts, np.unique([placement.noise.id for placement in drawn], return_counts=True)[1]):
        assert tally.size == 10
        assert np.all(np.abs(tally - 1_000) < 5 * math.sqrt(1_000))


def test_one_of_draws_its_values_alone_and_all_of_them():
    dice = generator(7, "noise", "many")
    how = settings(level_dbfs=None, snr_db={"one_of": [20, 25.0, 30]})
    drawn = [draw(dice, how, NOISES).snr_db for _ in range(3_000)]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [20, 25, 30]
    assert counts.min() > 850


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"snr_db": [0, 10]}, "both level_dbfs and snr_db are given, expected exactly one"),
        ({"level_dbfs": None}, "neither level_dbfs nor snr_db is given, expected exactly one"),
        ({"level_dbfs": [-20, -40]}, r"level_dbfs is \[-20, -40\], expected the lower bound first"),
        ({"level_dbfs": [-20]}, "level_dbfs"),
        ({"level_dbfs": [-20, True]}, "level_dbfs"),
        ({"level_dbfs": {"one_of": []}}, "one_of"),
        ({"level_dbfs": {"oneof": [1]}}, "oneof"),
        ({"level_dbfs": [-1e9, 0]}, "greater than or equal to -200"),
        ({"speech_level_dbfs": "loud"}, "'leave'"),
        ({"split": {"train": 0.6, "valid": 0.2, "test": 0.1}}, r"train \+ valid \+ test is 0\.9, expected 1"),
        ({"split": {"train": 0.8, "valid": 0.2, "test": 0.0}}, "greater than 0"),
        ({"crossfade_s": -1}, "crossfade_s"),
        ({"snr": 3}, "snr"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(changes, reason):
    with pytest.raises(ValidationError, match=reason):
        settings(**changes)


@pytest.mark.parametrize("key", [key for key in BASE if key != "level_dbfs"])
def test_nothing_has_a_default(key):
    with pytest.raises(ValidationError, match=key):
        settings(**{key: None})


def files(per_type):
    return [
        Recording(f"{kind}/{n}", "made", f"{kind}/{n}.wav", {"noise_type": kind})
        for kind, many in per_type.items()
        for n in range(many)
    ]


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), min_size=1), st.integers(0, 99))
def test_every_noise_file_is_in_one_split_and_every_type_where_it_can_be(per_type, seed):
    assume(max(per_type.values()) >= 3)
    noises = files(per_type)
    splits = divide(noises, *SHARED, seed)
    assert sorted(r.id for held in splits.values() for r in held) == sorted(r.id for r in noises)
    for kind, many in per_type.items():
        sizes = {name: sum(r.attributes["noise_type"] == kind for r in held) for name, held in splits.items()}
        if many < 3:
            assert sizes == {"train": 1, "valid": 0, "test": many - 1}
        else:
            assert min(sizes.values()) >= 1
            assert all(abs(sizes[name] - SHARES[name] * many) <= 1 for name in sizes)


@given(st.permutations(files({"a": 6, "b": 4})))
def test_the_order_of_the_noise_files_changes_nothing(shuffled):
    assert divide(shuffled, *SHARED, 7) == divide(files({"a": 6, "b": 4}), *SHARED, 7)


def test_the_seed_changes_which_files_go_where():
    assert len({str(divide(files({"a": 10}), *SHARED, seed)) for seed in range(10)}) > 5


def test_another_type_moves_no_file():
    few = divide(files({"a": 10}), *SHARED, 7)
    more = divide(files({"a": 10, "b": 10}), *SHARED, 7)
    assert all({r.id for r in few[name]} <= {r.id for r in more[name]} for name in few)


def test_stretches_of_one_noise_file_stay_together():
    noises = [
        Recording(f"a/{n}@{part}", "made", f"a/{n}.wav", {"noise_type": "a"}, start_s=float(part), length_s=1.0)
        for n in range(6)
        for part in range(4)
    ]
    splits = divide(noises, *SHARED, 7)
    paths = [{r.path for r in held} for held in splits.values()]
    assert sum(map(len, paths)) == len(set().union(*paths)) == 6


def test_types_may_go_by_another_attribute_or_none():
    noises = [Recording(f"{n}", "made", f"{n}.wav", {"place": "street"}) for n in range(5)]
    for by in ("place", "noise_type"):
        assert [len(held) for held in divide(noises, *SHARED, 7, by).values()] == [3, 1, 1]


@pytest.mark.parametrize("per_type", [{}, {"a": 1, "b": 1}, {"a": 2, "b": 2}])
def test_too_few_noise_files_say_how_many_are_needed(per_type):
    with pytest.raises(
        ManifestError, match=r"no noise for \w+: \d files, .*; expected at least 3 files of one noise_type"
    ):
        divide(files(per_type), *SHARED, 7)
