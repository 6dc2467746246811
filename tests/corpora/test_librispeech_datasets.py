"""LibriSpeech: datasets of words."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml

from at_data import manifest
from at_data.build import build, plan
from at_data.corpora import librispeech
from at_data.errors import CorpusError
from at_data.verify import verify

VOCABULARY = ("the", "and", "man", "went", "home")


def write_corpus(folder: Path, *, subsets: dict[str, int]) -> Path:
    """So many speakers of each subset, each with one chapter of three utterances of ten words and their lines."""
    rows, number = [], 0
    for subset, speakers in subsets.items():
        for _ in range(speakers):
            number += 1
            name = f"{number}-{number}7"
            home = folder / subset / name.replace("-", "/")
            home.mkdir(parents=True)
            rows.append(f"{number} | {'FM'[number % 2]} | {subset} | 1.0 | Reader\n")
            lines = []
            for utterance in range(3):
                dice = np.random.default_rng([number, utterance])
                lengths = dice.integers(100, 500, 11) / 1000
                ends = np.cumsum(lengths)
                spoken = [VOCABULARY[n % (3 if n < 8 else 5)] for n in range(utterance, utterance + 10)]
                soundfile.write(
                    home / f"{name}-{utterance:04d}.flac", dice.normal(0, 0.1, round(ends[-1] * 16000)), 16000
                )
                times = ",".join(f"{end:.3f}" for end in [*ends, ends[-1]])
                lines.append(f'{name}-{utterance:04d} ",{",".join(spoken).upper()}," "{times}"\n')
            (home / f"{name}.alignment.txt").write_text("".join(lines))
    (folder / "SPEAKERS.TXT").write_text("".join(rows))
    return folder


def shipped(**changes):
    raw = yaml.safe_load(manifest.shipped()["librispeech_words"].read_text())
    raw["keep"]["word"]["most_frequent"] = 3
    return manifest.parse(raw | changes, "here")


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "LibriSpeech", subsets={"train-clean-100": 4, "dev-clean": 2, "test-clean": 2})


def rows_of(built):
    return pq.read_table(built.folder / "index.parquet").to_pylist()


def test_the_most_frequent_words_become_a_dataset_whose_speakers_stand_in_one_split(corpus, tmp_path):
    built = build(shipped(), corpus, tmp_path / "out")
    assert verify(built.folder) == []
    rows = rows_of(built)
    assert {row["attribute.word"] for row in rows} == {"the", "and", "man"}
    spoken = Counter(r.attributes["word"] for r in librispeech.recordings(corpus))
    assert Counter(row["attribute.word"] for row in rows) == {word: spoken[word] for word in ("the", "and", "man")}
    lines = json.loads((built.folder / "leaks.json").read_text())
    assert {line["verdict"] for line in lines if line["key"] in {"speaker", "chapter"}} == {"disjoint"}


def test_the_words_of_a_file_stand_in_one_shard_or_go_on_in_the_next(corpus):
    """So a file is opened and hashed once, and not for every word."""
    store = yaml.safe_load(manifest.shipped()["librispeech_words"].read_text())["store"]
    made = plan(shipped(store=store | {"recordings_per_shard": 10}), corpus)
    for split in {task.split for task in made.tasks}:
        dealt = [recording.path for task in made.tasks if task.split == split for recording in task.recordings]
        files = list(dict.fromkeys(dealt))
        assert [path for path in files for _ in range(dealt.count(path))] == dealt
        assert files != sorted(files) or len(files) < 4
    assert all(len(task.recordings) <= 10 for task in made.tasks)


def test_what_has_no_word_or_no_length_is_left_out_with_its_reason(corpus, tmp_path):
    file = corpus / "train-clean-100/1/17/1-17.alignment.txt"
    first, *_ = file.read_text().splitlines(keepends=True)
    file.write_text(first + '1-17-0001 "THE,AND,MAN,THE" "0.000,0.200,0.300,99.0"\n')
    made = shipped(keep={"word": ["the", "and", "man"]})
    built = build(made, corpus, tmp_path / "out", max_bad=0.05)
    left_out = {
        entry["id"]: entry["reason"]
        for entry in map(json.loads, (built.folder / "quarantine.jsonl").read_text().splitlines())
    }
    assert left_out["1-17-0002"] == "no word"
    assert "at least one sample" in left_out["1-17-0001/0"]
    assert "99.0" in left_out["1-17-0001/3"]
    assert len(left_out) == 3


# the real ones


@pytest.mark.real
def test_real_utterances_have_no_times_of_their_own(real_data):
    with pytest.raises(CorpusError, match="no word times for any of 69 utterances") as caught:
        list(librispeech.recordings(real_data / "LibriSpeech"))
    assert all(name in str(caught.value) for name in (".alignment.txt", ".TextGrid", "CTM"))


def share_out(source: Path, folder: Path) -> Path:
    """The real recordings, linked, with each word given as much of its utterance as it has letters."""
    shutil.copy(source / "SPEAKERS.TXT", folder)
    for transcript in sorted(source.rglob("*.trans.txt")):
        home = folder / transcript.parent.relative_to(source)
        home.mkdir(parents=True)
        lines = []
        for line in transcript.read_text().splitlines():
            utterance, *spoken = line.split()
            (home / f"{utterance}.flac").symlink_to(transcript.parent / f"{utterance}.flac")
            length_s = soundfile.info(home / f"{utterance}.flac").duration
            letters = np.cumsum([len(word) for word in spoken])
            ends = [f"{int(end * 1000) / 1000:.3f}" for end in [0, *letters / letters[-1] * length_s, length_s]]
            lines.append(f'{utterance} ",{",".join(spoken)}," "{",".join(ends)}"\n')
        (home / transcript.name.replace(".trans.", ".alignment.")).write_text("".join(lines))
    return folder


@pytest.mark.real
def test_real_utterances_become_a_dataset_of_words(real_data, tmp_path):
    source = tmp_path / "LibriSpeech"
    source.mkdir()
    share_out(real_data / "LibriSpeech", source)
    found = list(librispeech.recordings(source))
    assert len(found) == 2067
    assert {(r.attributes["speaker"], r.attributes["sex"]) for r in found} == {
        ("19", "female"),
        ("26", "male"),
        ("1089", "male"),
    }
    made = shipped(
        keep={"word": {"most_frequent": 4, "shortest_s": 0.03, "longest_s": 4.0}},
        split={"by": "published", "valid_from_train": 0.2, "missing_classes": "allow"},
        shared=["speaker", "chapter"],
    )
    built = build(made, source, tmp_path / "out")
    assert verify(built.folder) == []
    assert built.header.left_out == {}
    rows = rows_of(built)
    assert {row["attribute.word"] for row in rows} == {"the", "and", "of", "to"}
    assert {row["attribute.speaker"] for row in rows if row["split"] == "test"} == {"1089"}
    assert {row["attribute.speaker"] for row in rows if row["split"] == "train"} == {"19", "26"}
