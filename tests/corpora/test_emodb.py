"""EmoDB: German letters, who the speakers are, and the recordings at hand."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.corpora import emodb
from at_data.manifest import Manifest
from at_data.verify import verify

AT_HAND = ["neutral", "happy", "sad", "angry"]


def attributes_of(folder: Path, name: str) -> dict[str, str]:
    (only,) = emodb.recordings(lay_out(folder, audio(f"wav/{name}.wav")))
    return dict(only.attributes)


@pytest.mark.parametrize(
    ("letter", "emotion"),
    [
        ("W", "angry"),
        ("L", "bored"),
        ("E", "disgusted"),
        ("A", "fearful"),
        ("F", "happy"),
        ("T", "sad"),
        ("N", "neutral"),
    ],
)
def test_letters_stand_for_german_words(tmp_path: Path, letter: str, emotion: str) -> None:
    assert attributes_of(tmp_path, f"10b03{letter}c")["emotion"] == emotion


def test_five_women_and_five_men_are_known_by_number() -> None:
    assert Counter(sex for sex, _ in emodb.SPEAKERS.values()) == {"female": 5, "male": 5}
    assert sorted(emodb.SPEAKERS) == ["03", *(f"{number:02d}" for number in range(8, 17))]


def test_the_version_is_the_last_letter_where_there_is_one(tmp_path: Path) -> None:
    assert attributes_of(tmp_path / "a", "11a05Wd")["version"] == "d"
    assert "version" not in attributes_of(tmp_path / "b", "11a05W")


@pytest.mark.parametrize("name", ["03a01fa", "03c01Fa", "3a01Fa", "03a01Fab", "03a01F1", "03a01Xa"])
def test_other_names_say_nothing(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, audio(f"wav/{name}.wav", "wav/03a01Na.wav"))
    found = {recording.id: recording.attributes for recording in emodb.recordings(tmp_path)}
    assert found[f"wav/{name}"] == {}


def of_four(name: str) -> Manifest:
    """The shipped manifest over the emotions at hand."""
    raw = yaml.safe_load(manifest.shipped()[name].read_text())
    return manifest.parse(raw | {"keep": {"emotion": AT_HAND}}, name)


@pytest.mark.real
def test_real_emodb_has_four_emotions_of_seven_speakers(real_data: Path) -> None:
    found = list(emodb.recordings(real_data / "emodb"))
    assert len(found) == 225
    assert Counter(r.attributes["emotion"] for r in found) == {"angry": 84, "neutral": 56, "happy": 46, "sad": 39}
    speakers = Counter(r.attributes["speaker"] for r in found)
    assert speakers == {"03": 39, "08": 42, "09": 30, "10": 21, "11": 35, "12": 22, "13": 36}
    assert len({(r.attributes["speaker"], r.attributes["emotion"]) for r in found}) == 28
    assert len({r.attributes["sentence"] for r in found}) == 10


@pytest.mark.real
def test_real_emodb_becomes_datasets_that_share_no_item(real_data: Path, tmp_path: Path) -> None:
    emotion, speaker = (
        build(of_four(name), real_data / "emodb", tmp_path) for name in ("emodb_emotion_by_speaker", "emodb_speaker")
    )
    assert verify(emotion.folder) == verify(speaker.folder) == []
    rows = pq.read_table(emotion.folder / "index.parquet").to_pylist()
    assert len({row["recording"] for row in rows}) == 225
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    assert taught == {row["recording"] for row in rows if row["split"] == "train"}
