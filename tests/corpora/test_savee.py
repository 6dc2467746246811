"""SAVEE: one or two letters of emotion, and two layouts."""

from pathlib import Path

import pytest
from trees import audio, lay_out

from at_data.corpora import savee


@pytest.mark.parametrize(
    ("sentence", "emotion"),
    [
        ("a15", "angry"),
        ("d01", "disgusted"),
        ("f01", "fearful"),
        ("h01", "happy"),
        ("n30", "neutral"),
        ("sa01", "sad"),
        ("su01", "surprised"),
    ],
)
def test_letters_before_the_number_are_the_emotion(tmp_path: Path, sentence: str, emotion: str) -> None:
    (only,) = savee.recordings(lay_out(tmp_path, audio(f"AudioData/JK/{sentence}.wav")))
    assert only.attributes == {"speaker": "JK", "sex": "male", "emotion": emotion, "sentence": sentence}


@pytest.mark.parametrize("path", ["AudioData/KL/su07.wav", "KL/su07.wav", "ALL/KL_su07.wav", "KL_su07.wav"])
def test_both_layouts_give_one_id(tmp_path: Path, path: str) -> None:
    (only,) = savee.recordings(lay_out(tmp_path, audio(path)))
    assert (only.id, only.path) == ("KL_su07", path)


def test_both_layouts_side_by_side_are_two_copies(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("ALL/KL_su07.wav", "AudioData/KL/su07.wav"))
    with pytest.raises(savee.CorpusError, match=r"KL_su07 stands twice: ALL/KL_su07\.wav and AudioData/KL/su07\.wav"):
        list(savee.recordings(tmp_path))


@pytest.mark.parametrize("path", ["AB/a01.wav", "KL/s01.wav", "KL/a1.wav", "a01.wav", "KLM_a01.wav", "xKL_a01.wav"])
def test_other_names_say_nothing(tmp_path: Path, path: str) -> None:
    lay_out(tmp_path, audio(path, "DC/a01.wav"))
    found = {recording.path: recording.attributes for recording in savee.recordings(tmp_path)}
    assert found[path] == {}
