"""Equal lengths out of any length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.segments import Cut, cut

RATE_HZ = 1_000
RECORDING = Recording("zero/a", "made", "zero/a.wav")
LENGTHS = st.integers(1, 400)  # samples: all draws below are whole samples at RATE_HZ
SHORTER = st.sampled_from(["pad_end", "pad_center", "drop"])
TAILS = st.sampled_from(["drop", "overlap", "overlap_after_two", "pad"])


def settings(length=400, hop=400, shorter="pad_end", tail="drop"):
    return Cut(length_s=length / RATE_HZ, hop_s=hop / RATE_HZ, shorter=shorter, tail=tail)


def ramp(samples):
    """Every sample says where it lay; none is zero, so padding cannot pass for content."""
    return np.arange(1, samples + 1, dtype=np.float32)


def pieces(samples, how):
    return cut(RECORDING, samples, how, RATE_HZ)


def places(segments):
    """First and last position in the recording of every segment's content."""
    return [tuple(int(s.samples[s.content[0] : s.content[1]][end]) for end in (0, -1)) for s in segments]


@pytest.mark.parametrize(("tail", "expected"), [("drop", 2), ("overlap", 3), ("overlap_after_two", 3), ("pad", 3)])
def test_nine_seconds_in_fours_follow_the_rule_for_tails(tail, expected):
    segments = pieces(ramp(9_000), settings(4_000, 4_000, tail=tail))
    assert len(segments) == expected
    assert places(segments)[:2] == [(1, 4_000), (4_001, 8_000)]
    last = {"drop": (4_001, 8_000), "overlap": (5_001, 9_000), "pad": (8_001, 9_000)}
    assert places(segments)[-1] == last[tail.removesuffix("_after_two")]


@pytest.mark.parametrize("tail", ["drop", "overlap", "overlap_after_two", "pad"])
@pytest.mark.parametrize(("length", "hop", "samples"), [(400, 400, 400), (400, 400, 1_200), (400, 200, 1_000)])
def test_no_tail_where_nothing_is_left_over(tail, length, hop, samples):
    segments = pieces(ramp(samples), settings(length, hop, tail=tail))
    assert len(segments) == (samples - length) // hop + 1


# First frames in the order the paper's released code takes them, worked out by hand from its rule: 4 s are 501 frames
# of 8 ms, n s are 125 n + 1; wherever a segment would overrun a recording of more than 1 + hop segments, the last 501
# frames come in its place, be it for the second time.
RELEASED = {
    (0.5, 4): [0],
    (0.5, 5): [0],
    (0.5, 6): [0, 250],
    (0.5, 7): [0, 250, 375, 375],
    (0.5, 8): [0, 250, 500, 500, 500],
    (0.5, 9): [0, 250, 500, 625, 625],
    (0.5, 10): [0, 250, 500, 750, 750, 750],
    (1.0, 4): [0],
    (1.0, 5): [0],
    (1.0, 6): [0],
    (1.0, 7): [0],
    (1.0, 9): [0, 501, 625],
    (1.0, 10): [0, 501, 750],
}


@pytest.mark.parametrize(("share", "seconds"), RELEASED)
def test_tails_after_two_segments_are_those_of_the_released_code_each_once(share, seconds):
    found = places(pieces(ramp(seconds * 1_000), settings(4_000, int(4_000 * share), tail="overlap_after_two")))
    ours = [(first - 1) / 8 for first, _ in found]
    assert ours == pytest.approx(sorted(set(RELEASED[share, seconds])), abs=1)


def test_twice_the_length_without_overlap_is_two_segments_where_the_released_code_finds_it_a_frame_short():
    # 8 s have 1,001 frames and two segments 1,002: there the second half is lost
    found = places(pieces(ramp(8_000), settings(4_000, 4_000, tail="overlap_after_two")))
    assert found == [(1, 4_000), (4_001, 8_000)]


def test_what_one_segment_leaves_over_is_a_tail_or_not():
    lasting = [1_001, 1_400, 1_500, 1_501]
    numbers = {
        tail: [len(pieces(ramp(samples), settings(1_000, 500, tail=tail))) for samples in lasting]
        for tail in ("overlap", "overlap_after_two")
    }
    assert numbers == {"overlap": [2, 2, 2, 3], "overlap_after_two": [1, 1, 2, 3]}


def test_a_long_hop_skips_what_lies_between():
    assert places(pieces(ramp(1_000), settings(200, 500, tail="pad"))) == [(1, 200), (501, 700)]
    assert places(pieces(ramp(1_100), settings(200, 500, tail="pad")))[-1] == (1_001, 1_100)
    assert places(pieces(ramp(1_100), settings(200, 500, tail="overlap")))[-1] == (901, 1_100)


@pytest.mark.parametrize(("shorter", "content"), [("pad_end", (0, 99)), ("pad_center", (150, 249))])
def test_a_short_recording_is_padded_where_asked(shorter, content):
    (segment,) = pieces(ramp(99), settings(400, shorter=shorter))
    assert segment.content == content
    np.testing.assert_array_equal(segment.samples[slice(*content)], ramp(99))
    assert np.count_nonzero(segment.samples) == 99


def test_a_short_recording_is_dropped_where_asked():
    assert pieces(ramp(399), settings(400, shorter="drop", tail="pad")) == []
    assert len(pieces(ramp(400), settings(400, shorter="drop"))) == 1


def test_an_empty_waveform_gives_no_segment():
    assert pieces(np.zeros(0, np.float32), settings()) == []


def test_a_padded_tail_is_padded_at_its_end_even_where_short_recordings_are_centred():
    segments = pieces(ramp(500), settings(400, 400, shorter="pad_center", tail="pad"))
    assert segments[-1].content == (0, 100)


@given(st.integers(0, 3_000), LENGTHS, LENGTHS, SHORTER, TAILS)
def test_every_segment_has_the_length_asked_for_and_its_own_number(samples, length, hop, shorter, tail):
    segments = pieces(ramp(samples), settings(length, hop, shorter, tail))
    assert all(s.samples.shape == (length,) and s.samples.dtype == np.float32 for s in segments)
    assert [s.index for s in segments] == list(range(len(segments)))
    assert [s.id for s in segments] == [f"zero/a#{index}" for index in range(len(segments))]


@given(st.integers(0, 3_000), LENGTHS, LENGTHS, SHORTER, TAILS)
def test_no_stretch_comes_twice_and_all_come_in_order(samples, length, hop, shorter, tail):
    starts = [first for first, _ in places(pieces(ramp(samples), settings(length, hop, shorter, tail)))]
    assert starts == sorted(set(starts))


@given(st.integers(1, 3_000), LENGTHS, st.data(), st.sampled_from(["overlap", "pad"]))
def test_every_sample_is_in_a_segment_unless_tails_are_dropped(samples, length, data, tail):
    hop = data.draw(st.integers(1, length))
    segments = pieces(ramp(samples), settings(length, hop, tail=tail))
    seen = np.unique(np.concatenate([s.samples for s in segments]))
    np.testing.assert_array_equal(seen[seen > 0], ramp(samples))


@given(st.integers(1, 3_000), LENGTHS)
def test_cut_then_join_gives_the_original_plus_zeros(samples, length):
    joined = np.concatenate([s.samples for s in pieces(ramp(samples), settings(length, length, tail="pad"))])
    np.testing.assert_array_equal(joined[:samples], ramp(samples))
    assert not joined[samples:].any()
    assert joined.size - samples < length


@given(st.integers(1, 3_000), LENGTHS, LENGTHS, SHORTER, TAILS)
def test_outside_its_content_a_segment_is_silent(samples, length, hop, shorter, tail):
    for segment in pieces(ramp(samples), settings(length, hop, shorter, tail)):
        first, last = segment.content
        assert np.all(segment.samples[first:last] > 0)
        assert not segment.samples[:first].any()
        assert not segment.samples[last:].any()


def test_segments_without_padding_are_not_copied():
    samples = ramp(1_000)
    segments = pieces(samples, settings(400, 200, tail="overlap"))
    assert all(np.shares_memory(segment.samples, samples) for segment in segments)


@pytest.mark.parametrize("key", ["length_s", "hop_s"])
def test_less_than_a_sample_is_refused_by_key(key):
    how = Cut(**({"length_s": 1.0, "hop_s": 1.0, "shorter": "drop", "tail": "drop"} | {key: 1e-4}))
    with pytest.raises(ManifestError, match=rf"segment\.{key}: 0\.0001 s; expected at least one sample at 1000 Hz"):
        pieces(ramp(10), how)


@pytest.mark.parametrize("bad", [{"length_s": 0.0}, {"hop_s": -1.0}, {"tail": "wrap"}, {"shorter": None}, {"pad": 1}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValidationError):
        Cut(**({"length_s": 1.0, "hop_s": 1.0, "shorter": "drop", "tail": "drop"} | bad))


def test_whole_seconds_may_be_written_without_a_point():
    assert Cut(length_s=4, hop_s=4, shorter="drop", tail="drop").length_s == 4.0


def one(where):
    return Cut(length_s=0.4, hop_s=where, shorter="pad_end", tail="overlap")


def test_one_at_start_takes_the_first_segment_and_no_tail():
    assert places(pieces(ramp(1_000), one("one_at_start"))) == [(1, 400)]
    assert places(pieces(ramp(100), one("one_at_start"))) == [(1, 100)]


@given(samples=st.integers(401, 3_000), seed=st.integers(0, 2**32))
def test_one_at_random_is_one_whole_segment_of_the_recording(samples, seed):
    (segment,) = cut(RECORDING, ramp(samples), one("one_at_random"), RATE_HZ, seed)
    assert segment.content == (0, 400)
    np.testing.assert_array_equal(segment.samples, ramp(samples)[segment.start : segment.start + 400])


def test_one_at_random_reaches_both_ends_and_depends_on_seed_and_recording_alone():
    starts = [cut(RECORDING, ramp(403), one("one_at_random"), RATE_HZ, seed)[0].start for seed in range(200)]
    assert set(starts) == {0, 1, 2, 3}
    assert starts == [cut(RECORDING, ramp(403), one("one_at_random"), RATE_HZ, seed)[0].start for seed in range(200)]
    other = Recording("another", "made", "zero/a.wav")
    assert starts != [cut(other, ramp(403), one("one_at_random"), RATE_HZ, seed)[0].start for seed in range(200)]


def test_one_at_random_pads_what_is_shorter():
    (segment,) = cut(RECORDING, ramp(100), one("one_at_random"), RATE_HZ, 1)
    assert segment.content == (0, 100)
    assert segment.start == 0
