"""RAVDESS: seven numbers, speech and song, layouts, and the recordings at hand."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from trees import audio, lay_out

from at_data import corpora, manifest
from at_data.build import build
from at_data.build.plan import plan
from at_data.corpora import ravdess
from at_data.errors import CorpusError
from at_data.verify import verify

SPEECH = "Audio_Speech_Actors_01-24"


def attributes_of(folder: Path, name: str) -> dict[str, str]:
    (only,) = ravdess.recordings(lay_out(folder, audio(f"Actor_01/{name}.wav")))
    return dict(only.attributes)


@pytest.mark.parametrize(
    ("number", "emotion"),
    [
        ("01", "neutral"),
        ("02", "calm"),
        ("03", "happy"),
        ("04", "sad"),
        ("05", "angry"),
        ("06", "fearful"),
        ("07", "disgusted"),
        ("08", "surprised"),
    ],
)
def test_the_third_number_is_the_emotion(tmp_path: Path, number: str, emotion: str) -> None:
    assert attributes_of(tmp_path, f"03-01-{number}-01-02-01-12") == {
        "speaker": "12",
        "sex": "female",
        "modality": "audio",
        "channel": "speech",
        "emotion": emotion,
        "intensity": "normal",
        "sentence": "dogs",
        "take": "1",
    }


def test_odd_actors_are_men() -> None:
    assert [ravdess.ACTORS[actor] for actor in ("01", "02", "23", "24")] == ["male", "female", "male", "female"]
    assert Counter(ravdess.ACTORS.values()) == {"male": 12, "female": 12}


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01", "03-01-01-01-01-01-25", "03-01-01-01-01-01-00", "03-01-01"])
def test_numbers_that_mean_nothing_are_no_attributes(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, audio(f"Actor_01/{name}.wav", "Actor_01/03-01-01-01-01-01-01.wav"))
    found = {recording.id: recording.attributes for recording in ravdess.recordings(tmp_path)}
    assert found[f"Actor_01/{name}"] == {}


def test_a_resampled_copy_in_flac_has_the_ids_of_the_original(tmp_path: Path) -> None:
    lay_out(tmp_path / "a", audio(f"{SPEECH}/Actor_01/03-01-01-01-01-01-01.wav"))
    lay_out(tmp_path / "b", audio("Actor_01/03-01-01-01-01-01-01.flac"))
    (first,), (second,) = ravdess.recordings(tmp_path / "a"), ravdess.recordings(tmp_path / "b")
    assert first.id == second.id == "03-01-01-01-01-01-01"


def test_a_recording_in_two_formats_stands_there_twice(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("Actor_01/03-01-01-01-01-01-01.flac", "Actor_01/03-01-01-01-01-01-01.wav"))
    with pytest.raises(CorpusError, match="stands twice"):
        list(ravdess.recordings(tmp_path))


def test_song_and_the_sound_of_films_are_not_asked_for(tmp_path: Path) -> None:
    names = [
        f"{modality}-{channel}-0{emotion}-01-01-01-{actor:02d}"
        for modality in ("01", "03")
        for channel in ("01", "02")
        for emotion in range(1, 9)
        for actor in range(1, 6)
    ]
    lay_out(tmp_path, {f"all/{name}.wav": "" for name in names})
    made = plan(manifest.load("ravdess_emotion_by_speaker"), tmp_path)
    assert {recording.id[:5] for recording in made.recordings} == {"03-01"}
    assert len(made.recordings) == 40


def test_the_original_is_found_before_a_resampled_copy(tmp_path: Path) -> None:
    for folder in ("RAVDESS_16k", "RAVDESS"):
        (tmp_path / folder).mkdir()
        assert corpora.find("ravdess", tmp_path) == tmp_path / folder


@pytest.mark.real
def test_real_ravdess_at_48_khz_is_one_recording_a_cell(real_data: Path) -> None:
    found = list(ravdess.recordings(real_data / "RAVDESS"))
    cells = Counter((r.attributes["emotion"], r.attributes["speaker"]) for r in found)
    assert len(cells) == len(found) == 16


@pytest.mark.real
def test_real_ravdess_at_16_khz_is_crossed(real_data: Path) -> None:
    found = list(ravdess.recordings(real_data / "RAVDESS_16k"))
    assert len(found) == 720
    assert {r.attributes["channel"] for r in found} == {"speech"}
    cells = Counter((r.attributes["emotion"], r.attributes["speaker"]) for r in found)
    assert len(cells) == 8 * 12
    assert {(emotion == "neutral", count) for (emotion, _), count in cells.items()} == {(True, 4), (False, 8)}
    crossed = Counter((r.attributes["sentence"], r.attributes["take"], r.attributes["speaker"]) for r in found)
    assert set(crossed.values()) == {15}
    assert Counter(r.attributes["intensity"] for r in found) == {"normal": 384, "strong": 336}


@pytest.mark.real
def test_real_ravdess_becomes_datasets_that_share_no_item(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "RAVDESS_16k"
    emotion, speaker = (
        build(manifest.load(name), source, tmp_path) for name in ("ravdess_emotion_by_speaker", "ravdess_speaker")
    )
    assert verify(emotion.folder) == verify(speaker.folder) == []
    proof = json.loads((emotion.folder / "leaks.json").read_text())
    assert {line["verdict"] for line in proof if line["key"] != "sentence"} == {"disjoint"}
    rows = pq.read_table(emotion.folder / "index.parquet").to_pylist()
    assert len(rows) == 720
    held_out = {row["recording"] for row in rows if row["split"] != "train"}
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    assert len(taught) == 720 - len(held_out)
    assert not held_out & taught
