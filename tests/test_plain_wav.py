"""A plain WAV decoded from memory is what libsndfile makes of it; anything else is left to libsndfile."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from at_data import plain_wav
from at_data.recordings import Recording
from at_data.stages import audio

HEADER_BYTES = 44


def written(samples, rate=16_000, **how):
    memory = io.BytesIO()
    soundfile.write(memory, samples, rate, **({"format": "WAV", "subtype": "PCM_16"} | how))
    return memory.getvalue()


def by_libsndfile(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)


@given(
    arrays.arrays(np.int16, st.tuples(st.integers(1, 500), st.integers(1, 5))),
    st.sampled_from([8_000, 16_000, 44_100, 48_000, 96_000]),
)
def test_samples_are_libsndfiles_bit_for_bit(samples, rate):
    data = written(samples, rate)
    found, found_rate = plain_wav.decode(data)
    expected, expected_rate = by_libsndfile(data)
    assert found_rate == expected_rate == rate
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"LIST", b"smpl", b"data", b"fmt ", b"\0\0\0\0"]), st.binary(max_size=9)), max_size=4
    )
)
def test_a_file_with_other_chunks_is_left_to_the_library(chunks):
    data = written(np.arange(-50, 50, dtype=np.int16))
    more = b"".join(struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2) for name, body in chunks)
    for place in (12, 36, len(data)):
        found = plain_wav.decode(data[:place] + more + data[place:])
        assert (found is None) == bool(more)


@pytest.mark.parametrize(
    "how",
    [{"subtype": "PCM_24"}, {"subtype": "FLOAT"}, {"subtype": "ULAW"}, {"subtype": "PCM_U8"}, {"format": "WAVEX"},
     {"format": "FLAC"}, {"format": "RF64"}, {"format": "W64"}, {"format": "AIFF"}, {"endian": "BIG"}],
    ids=str,
)  # fmt: skip
def test_other_files_are_left_to_the_library(how):
    assert plain_wav.decode(written(np.zeros(100), **how)) is None


@given(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255))
def test_a_damaged_header_gives_what_the_library_gives_or_nothing(position, value):
    data = bytearray(written(np.arange(1000, dtype=np.int16)))
    data[position] = value
    found = plain_wav.decode(bytes(data))
    if found is not None:
        expected, rate = by_libsndfile(bytes(data))
        assert found[1] == rate
        np.testing.assert_array_equal(found[0], expected)


@given(st.integers(0, 2043))
def test_a_file_cut_short_is_left_to_who_says_so(size):
    assert plain_wav.decode(written(np.arange(1000, dtype=np.int16))[:size]) is None


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("stretch", [(None, None), (0.25, 0.5), (0.5, None)])
def test_a_waveform_is_the_same_from_memory_and_from_the_file(tmp_path, channels, stretch):
    samples = np.random.default_rng(channels).uniform(-1, 1, (16_000, channels))
    path = tmp_path / "a.wav"
    path.write_bytes(written(samples))
    recording = Recording("a", "corpus", "a.wav", start_s=stretch[0], length_s=stretch[1])
    (from_memory, rate), (from_file, file_rate) = (
        audio.decode(path, recording, data) for data in (path.read_bytes(), None)
    )
    assert rate == file_rate
    np.testing.assert_array_equal(from_memory, from_file)
