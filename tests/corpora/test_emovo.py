"""EMOVO: Italian abbreviations."""

from pathlib import Path

import pytest
from trees import audio, lay_out

from at_data.corpora import emovo


@pytest.mark.parametrize(
    ("letters", "emotion"),
    [
        ("dis", "disgusted"),
        ("gio", "happy"),
        ("neu", "neutral"),
        ("pau", "fearful"),
        ("rab", "angry"),
        ("sor", "surprised"),
        ("tri", "sad"),
    ],
)
def test_three_letters_stand_for_italian_words(tmp_path: Path, letters: str, emotion: str) -> None:
    (only,) = emovo.recordings(lay_out(tmp_path, audio(f"f2/{letters}-f2-d2.wav")))
    assert only.attributes == {"speaker": "f2", "sex": "female", "emotion": emotion, "sentence": "d2"}


@pytest.mark.parametrize("name", ["fel-f1-b1", "dis-f4-b1", "dis-x1-b1", "dis-f1-l5", "dis-f1", "DIS-F1-B1"])
def test_other_names_say_nothing(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, audio(f"f1/{name}.wav", "f1/dis-f1-b1.wav"))
    found = {recording.id: recording.attributes for recording in emovo.recordings(tmp_path)}
    assert found[f"f1/{name}"] == {}
