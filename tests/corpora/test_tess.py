"""TESS: how the published files are misspelt, and two speakers."""

from collections import Counter
from pathlib import Path

import pytest
from trees import audio, lay_out

from at_data import manifest
from at_data.build.plan import plan
from at_data.corpora import tess

FOLDERS = ("OAF_angry", "OAF_Fear", "OAF_Pleasant_surprise", "OAF_Sad", "YAF_pleasant_surprised", "YAF_sad")


def test_the_name_counts_and_not_how_the_folder_is_spelt(tmp_path: Path) -> None:
    lay_out(tmp_path, audio(*(f"{folder}/{folder[:3]}_{folder[4:7].lower()}_ps.wav" for folder in FOLDERS)))
    assert {recording.attributes["emotion"] for recording in tess.recordings(tmp_path)} == {"surprised"}


@pytest.mark.parametrize("name", ["OA_bite_neutral", "OAF_bite_neutral"])
def test_the_speaker_that_lacks_a_letter_is_the_older_one(tmp_path: Path, name: str) -> None:
    (only,) = tess.recordings(lay_out(tmp_path, audio(f"OAF_neutral/{name}.wav")))
    assert only.id == "OAF_bite_neutral"
    assert (only.attributes["speaker"], only.attributes["word"], only.path) == (
        "OAF",
        "bite",
        f"OAF_neutral/{name}.wav",
    )


def test_both_spellings_of_one_recording_stand_there_twice(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("OAF_neutral/OA_bite_neutral.wav", "OAF_neutral/OAF_bite_neutral.wav"))
    with pytest.raises(tess.CorpusError, match="OAF_bite_neutral stands twice"):
        list(tess.recordings(tmp_path))


@pytest.mark.parametrize("name", ["YA_back_sad", "OAF_back_calm", "OAF__sad", "OAF_back", "oaf_back_sad"])
def test_other_names_say_nothing(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, audio(f"YAF_sad/{name}.wav", "YAF_sad/YAF_back_sad.wav"))
    found = {recording.id: recording.attributes for recording in tess.recordings(tmp_path)}
    assert found[f"YAF_sad/{name}"] == {}


def test_by_speaker_one_trains_and_the_other_tests(tmp_path: Path) -> None:
    names = [
        f"{who}_{word}_{emotion}.wav" for who in tess.AGES for word in ("back", "bite") for emotion in tess.EMOTIONS
    ]
    made = plan(manifest.load("tess_emotion_by_speaker"), lay_out(tmp_path, dict.fromkeys(names, "")))
    parts = {(r.attributes["speaker"], made.assigned[r.id]) for r in made.recordings}
    assert sorted(part for _, part in parts) == ["test", "train"]
    assert Counter(made.assigned.values()) == {"train": 14, "test": 14}
