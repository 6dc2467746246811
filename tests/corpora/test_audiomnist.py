"""AudioMNIST: names, what is known of speakers, and the two datasets."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.corpora import audiomnist
from at_data.errors import CorpusError
from at_data.verify import verify

META = "data/audioMNIST_meta.txt"
NO_FACTS: dict[str, str | None] = {META: '{"99": {}}'}


def write_corpus(folder: Path, speakers: int = 10, takes: int = 4) -> Path:
    for number in range(1, speakers + 1):
        home = folder / "data" / f"{number:02d}"
        home.mkdir(parents=True)
        for digit in range(10):
            for take in range(takes):
                samples = np.random.default_rng([number, digit, take]).normal(0, 0.1, 4800)
                soundfile.write(home / f"{digit}_{number:02d}_{take}.wav", samples, 48000)
    facts = {"accent": "German", "age": 30, "gender": "male", "native speaker": "no", "recordingroom": "Kino"}
    return lay_out(folder, {META: json.dumps({f"{number:02d}": facts for number in range(1, speakers + 1)})})


def facts_of(folder: Path, **facts: object) -> dict[str, str]:
    lay_out(folder, audio("data/01/0_01_0.wav") | {META: json.dumps({"01": facts})})
    (only,) = audiomnist.recordings(folder)
    return dict(only.attributes)


def test_digit_speaker_and_take_are_in_the_name(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("data/60/7_60_49.wav") | NO_FACTS)
    (only,) = audiomnist.recordings(tmp_path)
    assert only.attributes == {"digit": "7", "speaker": "60", "take": "49"}


@pytest.mark.parametrize("room", ["VR-Room", "VR-room", "vr-room", "vr-romm"])
def test_one_room_and_one_accent_have_one_spelling(tmp_path: Path, room: str) -> None:
    found = facts_of(tmp_path, accent="german", recordingroom=room)
    assert (found["accent"], found["room"]) == ("German", "vr-room")


@pytest.mark.parametrize(
    ("age", "known"), [(30, "30"), ("25", "25"), ("1234", None), (1234, None), ("", None), (None, None)]
)
def test_an_age_of_1234_is_none(tmp_path: Path, age: object, known: str | None) -> None:
    assert facts_of(tmp_path, age=age).get("age") == known


def test_what_is_not_said_of_a_speaker_is_absent(tmp_path: Path) -> None:
    assert facts_of(tmp_path, gender="female", origin=" ") == {
        "digit": "0",
        "speaker": "01",
        "take": "0",
        "sex": "female",
    }


def test_speakers_without_their_description_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"audioMNIST_meta\.txt: no such file.*whole corpus"):
        list(audiomnist.recordings(lay_out(tmp_path, audio("data/01/0_01_0.wav"))))


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("", "cannot be read"),
        ('{"01": ', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("{}", "describes no speaker"),
        ('{"01": {"gender": ["male"]}}', "says of speaker 01 what is neither text nor number"),
        ("[]", "holds something else"),
        ('{"01": "male"}', "holds something else"),
    ],
)
def test_a_broken_description_is_refused_by_name(tmp_path: Path, text: str, came: str) -> None:
    lay_out(tmp_path, audio("data/01/0_01_0.wav") | {META: text})
    with pytest.raises(CorpusError, match=rf"audioMNIST_meta\.txt: {came}.*one object per speaker"):
        list(audiomnist.recordings(tmp_path))


def test_wav_files_of_another_naming_are_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"2 wav files in data/, none of this corpus"):
        list(audiomnist.recordings(lay_out(tmp_path, audio("data/a/one.wav", "data/b/two.wav") | NO_FACTS)))


def test_the_two_datasets_share_no_held_out_item(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "AudioMNIST")
    digit, speaker = (
        build(manifest.load(name), corpus, tmp_path / "out")
        for name in ("audiomnist_digit_by_speaker", "audiomnist_speaker")
    )
    assert verify(digit.folder) == verify(speaker.folder) == []
    rows = pq.read_table(digit.folder / "index.parquet").to_pylist()
    assert Counter(row["split"] for row in rows) == {"train": 240, "valid": 80, "test": 80}
    assert len({(row["attribute.speaker"], row["split"]) for row in rows}) == 10
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    assert taught == {row["recording"] for row in rows if row["split"] == "train"}
