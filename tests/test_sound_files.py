"""A file that stays open gives what one opened anew gives."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import RATE_HZ, noise, stretch, write

from at_data.errors import AudioError
from at_data.sound_files import Opened
from at_data.stages.audio import decode


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "IMA_ADPCM"}),
        ("a.w64", {"subtype": "PCM_24"}),
        ("a.aiff", {"subtype": "PCM_16"}),
        ("a.flac", {"subtype": "PCM_16"}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.mp3", {"subtype": "MPEG_LAYER_III"}),
    ],
)
@given(places=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10)), min_size=2, max_size=6))
def test_stretches_of_a_file_that_stays_open_are_those_of_one_opened_for_each(tmp_path_factory, name, how, places):
    """Back and forth, to the very end and over it."""
    folder = tmp_path_factory.mktemp("open")
    path = write(folder, name, noise(), **how)
    with Opened() as opened:
        for first, tenths in places:
            recording = stretch(first / 10, tenths / 10, name)
            if first + tenths > 10:
                with pytest.raises(AudioError, match="a stretch from"):
                    decode(path, recording, opened=opened)
                continue
            found, rate_hz = decode(path, recording, opened=opened)
            np.testing.assert_array_equal(found, decode(path, recording)[0])
            assert rate_hz == RATE_HZ


def test_a_file_is_opened_once_for_stretches_that_follow_each_other(tmp_path, monkeypatch):
    path = write(tmp_path, "a.flac", noise())
    real, calls = os.open, []
    monkeypatch.setattr("os.open", lambda *given, **named: calls.append(given) or real(*given, **named))
    with Opened() as opened:
        for tenth in (3, 5, 0, 8):
            decode(path, stretch(tenth / 10, 0.1, "a.flac"), opened=opened)
    assert len(calls) == 1
