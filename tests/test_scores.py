"""Scores: as scikit-learn has them, on the run's own dataset and on others."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import toy
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from at_data.errors import AtError, CheckpointError, ConfigError
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
        f1 = f1_score(truth, guess, average="macro", zero_division=0)
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


def test_a_word_that_a_dataset_lacks_is_no_part_of_macro_f1_unless_it_is_guessed(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "r")
    other = toy.dataset(tmp_path / "other", words=toy.WORDS[:2])
    scores = score(tmp_path / "r", other, "test", "cpu")
    (path,) = (tmp_path / "r" / "scores").glob("other-*/test.csv")
    with path.open(newline="") as file:
        pairs = [(row["target"], row["predicted"]) for row in csv.DictReader(file)]
    f1 = f1_score(*zip(*pairs, strict=True), average="macro", zero_division=0)
    assert scores["classes"] == list(toy.WORDS)
    assert scores["macro_f1"] == pytest.approx(f1)


def test_scoring_again_gives_the_scores_of_the_run(plain):
    before = json.loads((plain / "scores" / "test.json").read_text())
    assert score(plain, device="cpu") == before


def test_scoring_again_in_bfloat16_gives_the_scores_of_the_run(words, tmp_path):
    settings = toy.settings(precision="bfloat16", width=1 / 8, learning_rate=3e-3, selection="last")
    fit(words, tmp_path / "r", settings, "cpu")
    before = json.loads((tmp_path / "r" / "scores" / "train.json").read_text())
    assert score(tmp_path / "r", split="train", device="cpu") == before


def test_another_dataset_is_scored_in_the_scale_the_network_knows(plain, tmp_path):
    other = toy.dataset(tmp_path / "other", scaling=(3.0, 0.5), words=toy.WORDS[::-1], digest="f" * 64)
    shutil.copytree(plain, tmp_path / "r")  # other tests look at what `plain` holds
    plain = tmp_path / "r"
    scores = score(plain, other, "test", "cpu")
    own = json.loads((plain / "scores" / "test.json").read_text())
    assert (scores["accuracy"], scores["macro_f1"]) == (pytest.approx(own["accuracy"]), pytest.approx(own["macro_f1"]))
    assert scores["task_loss"] == pytest.approx(own["task_loss"], rel=1e-4)
    content = open_dataset(other).header.content
    assert scores["dataset"] == {"name": "other", "digest": "f" * 64, "content": content}
    assert (plain / "scores" / f"other-ffffffff-{content[:8]}" / "test.csv").is_file()
    assert json.loads((plain / "scores" / "test.json").read_text()) == own


def test_a_moved_dataset_is_asked_for_and_can_be_named(tmp_path):
    folder = toy.dataset(tmp_path / "d")
    fit(folder, tmp_path / "r", toy.settings(epochs=1), "cpu")
    folder.rename(tmp_path / "e")
    with pytest.raises(CheckpointError, match="name it with --dataset"):
        score(tmp_path / "r", device="cpu")
    score(tmp_path / "r", tmp_path / "e", device="cpu")
    assert [path.name for path in sorted((tmp_path / "r" / "scores").iterdir()) if path.is_dir()] == []


def test_the_dataset_is_found_from_anywhere_and_after_a_move_together_with_the_run(tmp_path, monkeypatch):
    toy.dataset(tmp_path / "a" / "d")
    monkeypatch.chdir(tmp_path / "a" / "d")
    fit(Path("../d"), Path("../runs/r"), toy.settings(epochs=1), "cpu")
    monkeypatch.chdir("/")
    assert score(tmp_path / "a" / "runs" / "r", device="cpu")["items"] == 12
    (tmp_path / "a").rename(tmp_path / "b")
    assert score(tmp_path / "b" / "runs" / "r", device="cpu")["items"] == 12


def test_other_data_where_the_dataset_was_are_scored_only_when_named(tmp_path):
    folder = toy.dataset(tmp_path / "d")
    fit(folder, tmp_path / "r", toy.settings(epochs=1), "cpu")
    own, before = open_dataset(folder).header.content, (tmp_path / "r" / "scores" / "test.json").read_bytes()
    folder.rename(tmp_path / "old")
    other = open_dataset(toy.dataset(folder, scaling=(1.0, 2.0))).header.content
    with pytest.raises(CheckpointError, match=f"content {other[:8]} of dataset d-dddddddd; expected content {own[:8]}"):
        score(tmp_path / "r", device="cpu")
    assert score(tmp_path / "r", folder, device="cpu")["dataset"]["content"] == other
    assert (tmp_path / "r" / "scores" / f"d-dddddddd-{other[:8]}" / "test.json").is_file()
    assert (tmp_path / "r" / "scores" / "test.json").read_bytes() == before


def test_scores_that_cannot_be_written_are_told(plain, tmp_path):
    shutil.copytree(plain, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "scores")
    (tmp_path / "r" / "scores").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be used .*score the run again"):
        score(tmp_path / "r", device="cpu")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": None}, r"run\.json: settings missing or of another type"),
        ({"settings": {"batch_size": 0}}, r"run\.json, settings: batch_size: got 0, .* greater than 0"),
        ({"settings": {"precision": "half"}}, "precision: got 'half'"),
        ({"dataset": {"target": "word"}}, "dataset: corpus, content, classes missing"),
        (
            {"dataset": dict.fromkeys(("corpus", "content", "target"), "") | {"classes": [1]}},
            "dataset: classes missing",
        ),
        ({"orthogonal": ["speaker"]}, "orthogonal: name, digest missing"),
    ],
)
def test_a_run_whose_facts_were_changed_is_refused_by_whoever_uses_its_network(plain, tmp_path, changed, message):
    shutil.copytree(plain, tmp_path / "r")
    facts = json.loads((plain / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps(facts | changed))
    with pytest.raises(AtError, match=message):
        score(tmp_path / "r", device="cpu")


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
