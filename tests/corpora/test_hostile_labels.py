"""What fuzzing found in the readers of label files, each once."""

import os
import sqlite3
from contextlib import closing

import pytest
from trees import lay_out

from at_data import corpora
from at_data.errors import CorpusError

LABELS = {
    "audiomnist": "data/audioMNIST_meta.txt",
    "esc50": "meta/esc50.csv",
    "good_sounds": "takes.json",
    "iemocap": "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    "librispeech": "SPEAKERS.TXT",
    "nsynth": "nsynth-test/examples.json",
}


def refused(name, folder, match):
    with pytest.raises(CorpusError, match=match) as told:
        list(corpora.load(name).recordings(folder))
    assert str(told.value).encode()


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("kind", ["pipe", "endless device", "folder"])
def test_what_is_no_file_is_not_read_as_labels(kind, name, tmp_path):
    file = lay_out(tmp_path, corpora.load(name).EXAMPLE["files"]) / LABELS[name]
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    refused(name, tmp_path, "folder, pipe or device|no table|no such file")


def test_a_ctm_file_that_is_an_endless_device_is_refused(tmp_path):
    lay_out(tmp_path, corpora.load("librispeech").EXAMPLE["files"])
    (tmp_path / "times.ctm").symlink_to("/dev/zero")
    refused("librispeech", tmp_path, "device")


def test_a_ctm_line_of_two_megabytes_is_refused(tmp_path):
    lay_out(tmp_path, corpora.load("librispeech").EXAMPLE["files"])
    (tmp_path / "times.ctm").write_text("60-1-0009 1 0.0 0.1 " + "x" * (2 << 20))
    refused("librispeech", tmp_path, "line 1")


@pytest.mark.parametrize("name", ["audiomnist", "nsynth", "good_sounds"])
def test_half_a_surrogate_pair_is_no_text(name, tmp_path):
    file = lay_out(tmp_path, corpora.load(name).EXAMPLE["files"]) / LABELS[name]
    text = file.read_text()
    file.write_text(text.replace('": "', '": "\\ud800', 1))
    refused(name, tmp_path, "surrogate")


@pytest.mark.parametrize(
    "line", ['{"path": "a.wav", "word": "\\ud800"}', "[" * 100_000, '{"path": ' + "9" * 5_000 + "}"]
)
def test_a_line_of_json_that_says_nothing_is_refused_with_its_number(line, tmp_path):
    (tmp_path / "recordings.jsonl").write_text(line)
    refused("table", tmp_path, "line 1")


def test_a_name_that_is_not_in_utf8_is_refused_by_name(tmp_path):
    lay_out(tmp_path, corpora.load("ms_snsd").EXAMPLE["files"])
    with open(os.fsencode(tmp_path) + b"/noise_train/caf\xe9_1.wav", "wb"):  # noqa: PTH123 - bytes are the point
        pass
    refused("ms_snsd", tmp_path, "not in UTF-8")


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE takes(id, sound_id, microphone, filename, junk AS (zeroblob(70000000)))",
        "CREATE TABLE takes(id, sound_id, microphone, filename, junk AS (hex(zeroblob(30000))))",
        "CREATE VIRTUAL TABLE takes USING fts5(id, sound_id, microphone, filename)",
    ],
)
def test_a_database_that_computes_is_refused(schema, tmp_path):
    lay_out(tmp_path, {"sound_files/a/b/0.wav": None})
    with closing(sqlite3.connect(tmp_path / "database.sqlite")) as connection:
        connection.execute("CREATE TABLE packs(id, name)")
        connection.execute("CREATE TABLE sounds(id, pack_id, instrument, klass)")
        connection.execute("INSERT INTO packs VALUES (1, 'a')")
        connection.execute("INSERT INTO sounds VALUES (1, 1, 'flute', 'good-sound')")
        connection.execute(schema)
        rows = [(str(number), "1", "b", f"sound_files/a/b/{number}.wav") for number in range(50)]
        connection.executemany("INSERT INTO takes(id, sound_id, microphone, filename) VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    refused("good_sounds", tmp_path, "cannot be read|larger than the file|no table")
