"""Scores: as scikit-learn has them, on the run's own dataset and on others."""

import csv
import json
from pathlib import Path

import pytest
import toy
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train.run import fit, score

pytest_plugins = ["toy_fixtures"]


def test_scores_equal_scikit_learns_on_the_csv(plain, words):
    for split in ("train", "valid", "test"):
        scores = json.loads((plain / "scores" / f"{split}.json").read_text())
        with (plain / "scores" / f"{split}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        truth, guess = ([row[name] for row in rows] for name in ("target", "predicted"))
        classes = scores["classes"]
        assert scores["accuracy"] == pytest.approx(accuracy_score(truth, guess))
        f1 = f1_score(truth, guess, labels=classes, average="macro", zero_division=0)
        assert scores["macro_f1"] == pytest.approx(f1)
        assert scores["confusion"] == confusion_matrix(truth, guess, labels=classes).tolist()
        reader = open_dataset(words).split(split)
        assert [row["id"] for row in rows] == reader.ids
        assert truth == [classes[code] for code in reader.codes("word")]
        voices = [toy.SPEAKERS[code] for code in reader.codes("speaker")]
        for value, group in scores["groups"]["speaker"].items():
            right = [a == b for a, b, voice in zip(truth, guess, voices, strict=True) if voice == value]
            assert (group["items"], group["accuracy"]) == (len(right), pytest.approx(sum(right) / len(right)))
        worst = min(group["accuracy"] for group in scores["groups"]["speaker"].values())
        assert scores["worst_group"]["speaker"]["accuracy"] == worst


def test_scoring_again_gives_the_scores_of_the_run(plain):
    before = json.loads((plain / "scores" / "test.json").read_text())
    assert score(plain, device="cpu") == before


def test_another_dataset_is_scored_in_the_scale_the_network_knows(plain, tmp_path):
    other = toy.dataset(tmp_path / "other", scaling=(3.0, 0.5), words=toy.WORDS[::-1], digest="f" * 64)
    scores = score(plain, other, "test", "cpu")
    own = json.loads((plain / "scores" / "test.json").read_text())
    assert (scores["accuracy"], scores["macro_f1"]) == (pytest.approx(own["accuracy"]), pytest.approx(own["macro_f1"]))
    assert scores["task_loss"] == pytest.approx(own["task_loss"], rel=1e-4)
    assert (plain / "scores" / "other-ffffffff" / "test.csv").is_file()
    assert json.loads((plain / "scores" / "test.json").read_text()) == own


def test_a_moved_dataset_is_asked_for_and_can_be_named(tmp_path):
    folder = toy.dataset(tmp_path / "d")
    fit(folder, tmp_path / "r", toy.settings(epochs=1), "cpu")
    folder.rename(tmp_path / "e")
    with pytest.raises(CheckpointError, match="name it with --dataset"):
        score(tmp_path / "r", device="cpu")
    score(tmp_path / "r", tmp_path / "e", device="cpu")
    assert [path.name for path in sorted((tmp_path / "r" / "scores").iterdir()) if path.is_dir()] == []


def test_a_relative_dataset_is_found_from_the_run_folder_too(tmp_path, monkeypatch):
    toy.dataset(tmp_path / "d")
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    fit(Path("../d"), Path("../r"), toy.settings(epochs=1), "cpu")
    monkeypatch.chdir("/")
    assert score(tmp_path / "r", device="cpu")["items"] == 12


def test_a_dataset_of_another_shape_or_other_classes_is_not_scored(plain, tmp_path):
    manifest = {"corpus": "toy", "audio": {**toy.AUDIO, "sample_rate_hz": 16000}, "stft": toy.STFT}
    with pytest.raises(CheckpointError, match="sample_rate_hz 8000"):
        score(plain, toy.dataset(tmp_path / "rate", manifest=manifest, digest="1" * 64), device="cpu")
    with pytest.raises(CheckpointError, match="does not know: perhaps"):
        score(plain, toy.dataset(tmp_path / "new", words=("no", "perhaps"), digest="2" * 64), device="cpu")


def test_a_split_without_items_is_not_scored(plain, tmp_path):
    other = toy.dataset(tmp_path / "other", takes={"train": 1, "valid": 1}, digest="3" * 64)
    with pytest.raises(ConfigError, match="no test items with a known word; expected one of: train, valid"):
        score(plain, other, "test", "cpu")
