"""Runs: what they leave behind, seeds, stopping, selection, refusals."""

import csv
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import toy
from toy_runs import Said, same, snapshot, weights

from at_data import headers
from at_data.errors import CheckpointError, ConfigError, ShardError
from at_data.shards import open_dataset
from at_train import checkpoints, config, results, run, run_folder
from at_train.batches import Data
from at_train.report import comparison_text, report
from at_train.run import fit, score

pytest_plugins = ["toy_fixtures"]
CLOSE = 1e-6  # float64 sums in another order


def test_a_run_folder_holds_what_a_report_needs(plain, words):
    loaded = results.load_run(plain)
    assert loaded.finished
    assert (loaded.epochs_run, loaded.stopped, loaded.name) == (3, "epochs", "plain")
    assert loaded.settings["target"] == "word"
    assert loaded.dataset["counts"] == {"train": 24, "valid": 12, "test": 12}
    assert set(loaded.scores) == {"train", "valid", "test"}
    assert [(result.epoch, result.split) for result in loaded.results] == [
        (epoch, split) for epoch in (1, 2, 3) for split in ("train", "valid")
    ]
    assert all(set(result.values) == {"task_loss", "at_loss", "accuracy"} for result in loaded.results)
    assert json.loads((plain / "data.json").read_text()) == open_dataset(words).header.model_dump(mode="json")
    train = open_dataset(words).split("train")
    assert (plain / "train_ids.txt").read_text().splitlines() == sorted(train.ids)
    assert (plain / "train_waveforms.txt").read_text().splitlines() == sorted(set(train.waveforms))
    assert json.loads((plain / "environment.json").read_text())[0]["versions"]["torch"]
    assert list(plain.glob("events.out.tfevents.*"))
    assert not list(plain.rglob("*.partial"))


def test_the_config_file_of_a_run_makes_the_same_run(plain, words, tmp_path):
    again = fit(words, tmp_path / "again", config.load(plain / "config.yaml"), "cpu")
    assert again["digest"] == results.load_run(plain).digest


def test_best_epoch_has_the_lowest_validation_task_loss(plain):
    loaded = results.load_run(plain)
    losses = {result.epoch: result.values["task_loss"] for result in loaded.results if result.split == "valid"}
    assert loaded.best_epoch == min(losses, key=losses.get)
    best = checkpoints.load(plain / "checkpoints" / "best.pt")
    assert (best.epoch, best.best_loss) == (loaded.best_epoch, losses[loaded.best_epoch])
    assert loaded.scores["valid"]["task_loss"] == pytest.approx(losses[loaded.best_epoch], rel=CLOSE)


def test_the_same_seed_gives_the_same_weights_and_another_others(words, tmp_path, plain):
    fit(words, tmp_path / "same", toy.settings(epochs=3), "cpu")
    fit(words, tmp_path / "other", toy.settings(epochs=3, seed=1), "cpu")
    assert same(weights(tmp_path / "same"), weights(plain))
    assert not same(weights(tmp_path / "other"), weights(plain))


def test_training_stops_when_the_best_is_patience_epochs_ago(words, tmp_path):
    # at this rate the loss cannot sink for long
    facts = fit(words, tmp_path / "r", toy.settings(epochs=40, patience=2, learning_rate=0.05), "cpu")
    assert facts["stopped"] == "patience"
    assert facts["epochs_run"] == facts["best_epoch"] + 2


@pytest.mark.parametrize(("selection", "epoch"), [("best", 1), ("last", 3)])
def test_selection_decides_which_weights_are_scored(words, tmp_path, selection, epoch):
    settings = toy.settings(epochs=3, selection=selection, learning_rate=0.05, seed=4)
    facts = fit(words, tmp_path / "r", settings, "cpu")
    chosen = checkpoints.load(checkpoints.selected(tmp_path / "r", selection))
    assert chosen.epoch == (facts["best_epoch"] if selection == "best" else epoch)
    valid = [item.values["task_loss"] for item in results.read(tmp_path / "r") if item.split == "valid"]
    scored = json.loads((tmp_path / "r" / "scores" / "valid.json").read_text())
    assert scored["task_loss"] == pytest.approx(valid[chosen.epoch - 1], rel=CLOSE)


def test_a_dataset_without_valid_trains_for_a_fixed_length_only(tmp_path):
    folder = toy.dataset(tmp_path / "d", takes={"train": 1, "test": 1})
    with pytest.raises(ConfigError, match=r"no valid items.*set patience none and selection last"):
        fit(folder, tmp_path / "r", toy.settings(), "cpu")
    facts = fit(folder, tmp_path / "r", toy.settings(selection="last"), "cpu")
    assert (facts["best_epoch"], facts["epochs_run"]) == (None, 2)


def test_an_untrained_network_is_a_run_that_scores_and_that_others_differ_from(words, plain, tmp_path):
    untrained = {"epochs": 0, "selection": "last", "seed": 7}
    facts = fit(words, tmp_path / "o", toy.settings(**untrained), "cpu")
    assert (facts["state"], facts["epochs_run"], facts["best_epoch"]) == ("finished", 0, None)
    drawn = checkpoints.load(tmp_path / "o" / "checkpoints" / "last.pt")
    fit(words, tmp_path / "still", toy.settings(**{**untrained, "seed": 0}), "cpu")
    assert not same(drawn.weights, weights(tmp_path / "still"))
    assert not (tmp_path / "o" / "checkpoints" / "best.pt").exists()
    assert results.read(tmp_path / "o") == []
    assert score(tmp_path / "o", device="cpu")["items"] == 12
    said = Said()
    fit(words, tmp_path / "o", toy.settings(**untrained), "cpu", said)
    assert "already finished" in said.texts[0]
    for name, count in (("o", 0), ("still", 1)):  # the second is drawn from the seed of the run itself
        said = Said()
        settings = toy.settings(strategy="anti", orthogonal=[str(tmp_path / name)], layers=["conv5"], epochs=1)
        assert fit(words, tmp_path / f"{name}-anti", settings, "cpu", said)["orthogonal"][0]["name"] == name
        assert sum("it is this network's own beginning" in text for text in said.texts) == count
    runs = [plain, tmp_path / "o", tmp_path / "o-anti"]
    assert report(runs, tmp_path / "report").is_file()
    assert "none" in comparison_text([results.load_run(folder) for folder in runs])


def test_an_untrained_run_that_was_stopped_before_it_was_scored_is_finished(words, tmp_path, monkeypatch):
    settings = toy.settings(epochs=0, selection="last")
    with monkeypatch.context() as patch:
        patch.setattr(run.scores, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fit(words, tmp_path / "r", settings, "cpu")
    before = weights(tmp_path / "r")
    assert fit(words, tmp_path / "r", settings, "cpu")["state"] == "finished"
    assert same(weights(tmp_path / "r"), before)


def test_shuffled_labels_are_learnt_and_true_ones_scored(words, tmp_path):
    given = {"labels": "shuffled", "selection": "last", "epochs": 60, "width": 1 / 16, "learning_rate": 2e-3}
    fit(words, tmp_path / "r", toy.settings(**given, batch_size=24), "cpu")
    learnt = [result.values for result in results.read(tmp_path / "r") if result.split == "train"]
    split = Data.open(words).splits["train"]
    dealt = split.shuffled(0).target
    with (tmp_path / "r" / "scores" / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == [toy.WORDS[code] for code in split.target]
    guessed = np.array([toy.WORDS.index(row["predicted"]) for row in rows])
    assert learnt[-1]["task_loss"] < 0.5 * learnt[0]["task_loss"]
    assert (guessed == dealt).mean() > (guessed == split.target).mean()
    again = score(tmp_path / "r", split="train", device="cpu")
    assert again == json.loads((tmp_path / "r" / "scores" / "train.json").read_text())
    settings = toy.settings(strategy="anti", orthogonal=[str(tmp_path / "r")], layers=["conv5"], width=1 / 16, epochs=1)
    assert fit(words, tmp_path / "anti", settings, "cpu")["state"] == "finished"


def test_shuffled_items_keep_their_classes_counts_and_their_values(words):
    split = Data.open(words).splits["train"]
    dealt, again, other = split.shuffled(1), split.shuffled(1), split.shuffled(2)
    assert np.bincount(dealt.target).tolist() == np.bincount(split.target).tolist()
    assert dealt.ids == split.ids
    assert (dealt.target != split.target).any()
    assert (dealt.target == again.target).all()
    assert (dealt.target != other.target).any()


def test_a_run_on_the_task_itself_may_be_the_one_to_differ_from(words, plain, tmp_path):
    settings = toy.settings(strategy="anti", orthogonal=[str(plain)], layers=["conv5"], seed=1)
    said = Said()
    facts = fit(words, tmp_path / "r", settings, "cpu", said)
    assert facts["orthogonal"][0]["target"] == facts["dataset"]["target"] == "word"
    assert facts["orthogonal"][0]["seen"] == {"valid": 0, "test": 0}
    assert not said.texts


def test_a_run_that_diverges_keeps_what_it_had_and_is_left_alone(tmp_path, plain):
    folder = toy.dataset(tmp_path / "d", takes={"train": 1, "test": 1})
    settings = toy.settings(selection="last", learning_rate=1e30, batch_size=12, epochs=5)
    said = Said()
    facts = fit(folder, tmp_path / "r", settings, "cpu", said)
    assert (facts["state"], facts["epochs_run"], facts["stopped"]) == ("diverged", 1, None)
    assert facts["diverged"]["epoch"] == 2
    assert facts == json.loads((tmp_path / "r" / "run.json").read_text())
    assert "diverged in epoch 2 (epoch 2, training, step 1: task loss" in said.texts[-1]
    assert [result.epoch for result in results.read(tmp_path / "r")] == [1]
    assert checkpoints.load(tmp_path / "r" / "checkpoints" / "last.pt").epoch == 1
    before, said = snapshot(tmp_path / "r"), Said()
    assert fit(folder, tmp_path / "r", settings, "cpu", said) == facts
    assert snapshot(tmp_path / "r") == before
    assert "lower learning_rate" in said.texts[0]
    with pytest.raises(CheckpointError, match=r"a run that has diverged; expected a finished run.*lower"):
        score(tmp_path / "r")
    settings = toy.settings(strategy="init", orthogonal=[str(tmp_path / "r")], selection="last")
    with pytest.raises(CheckpointError, match=r"a run that has diverged"):
        fit(folder, tmp_path / "o", settings, "cpu")
    assert report([plain, tmp_path / "r"], tmp_path / "report").is_file()
    assert "r (diverged, 1 epochs)" in comparison_text([results.load_run(tmp_path / "r")])


def test_a_run_whose_last_step_broke_it_has_diverged_too(tmp_path):
    folder = toy.dataset(tmp_path / "d", takes={"train": 1, "test": 1})
    settings = toy.settings(selection="last", learning_rate=1e30, batch_size=12, epochs=1)
    facts = fit(folder, tmp_path / "r", settings, "cpu")
    assert (facts["state"], facts["epochs_run"], facts["diverged"]["epoch"]) == ("diverged", 1, 1)
    assert "scoring t" in facts["diverged"]["message"]


def test_a_broken_validation_is_a_divergence(words, tmp_path):
    facts = fit(words, tmp_path / "r", toy.settings(learning_rate=1e30, batch_size=24), "cpu")
    assert (facts["state"], facts["epochs_run"]) == ("diverged", 0)
    assert facts["diverged"] == {"epoch": 1, "message": facts["diverged"]["message"]}
    assert facts["diverged"]["message"].startswith("epoch 1, validation, step 1: task loss")


@pytest.mark.parametrize(("split", "cached"), [("train", False), ("valid", False), ("train", True)])
def test_numbers_that_are_none_in_the_data_are_named_and_the_run_can_be_carried_on(
    words, speaker, tmp_path, split, cached
):
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv3"]} if cached else {}
    settings = toy.settings(**given)
    broken = tmp_path / "broken"
    shutil.copytree(words, broken)
    (shard,) = (entry for entry in open_dataset(words).header.shards if entry.split == split)
    with h5py.File(broken / shard.file, "r+") as file:
        item = file["id"][7].decode()
        file["x"][7, 3, 2] = np.nan
    message = rf"1 {split} items hold values that are not finite, {item} is the first.*at-prepare verify"
    with pytest.raises(ShardError, match=message):
        fit(broken, tmp_path / "r", settings, "cpu", cache_orthogonal=cached)
    shutil.copy(words / shard.file, broken / shard.file)
    assert fit(broken, tmp_path / "r", settings, "cpu", cache_orthogonal=cached)["state"] == "finished"


def test_a_run_within_a_dataset_is_refused_and_the_dataset_untouched(words, tmp_path):
    shutil.copytree(words, tmp_path / "d")
    before = snapshot(tmp_path / "d")
    for out in (tmp_path / "d" / "run", tmp_path / "d" / "shards" / "run"):
        with pytest.raises(ConfigError, match=r"lies in the dataset .*a finished dataset is never changed"):
            fit(words, out, toy.settings(), "cpu")
    assert snapshot(tmp_path / "d") == before


@pytest.mark.parametrize(("split", "count"), [("train", 24), ("test", 0)])
def test_a_score_on_other_data_counts_what_the_network_was_trained_on(words, tmp_path, split, count):
    fit(words, tmp_path / "r", toy.settings(epochs=1), "cpu")
    other = tmp_path / "other"
    shutil.copytree(words, other)
    header = headers.read(other)
    headers.write(other, header.model_copy(update={"content": "e" * 64}))
    scores = score(tmp_path / "r", other, split)
    assert scores["seen"] == count
    (tmp_path / "r" / "train_ids.txt").unlink()
    assert score(tmp_path / "r", other, split) == scores | {"seen": None}
    assert "seen" not in score(tmp_path / "r", words, split)


def test_a_network_learns_what_is_there_to_learn(tmp_path):
    folder = toy.dataset(tmp_path / "d", takes={"train": 8, "valid": 1, "test": 1})
    fit(folder, tmp_path / "r", toy.settings(epochs=12, width=1 / 16, learning_rate=2e-3), "cpu")
    assert json.loads((tmp_path / "r" / "scores" / "test.json").read_text())["accuracy"] == 1.0


def test_a_finished_run_is_left_alone(words, plain):
    before, said = snapshot(plain), Said()
    facts = fit(words, plain, toy.settings(epochs=3), "cpu", said)
    assert snapshot(plain) == before
    assert facts["state"] == "finished"
    assert "already finished" in said.texts[0]


def test_a_folder_of_another_run_is_refused_untouched(words, plain):
    before = snapshot(plain)
    with pytest.raises(ConfigError, match=r"holds another run \(seed 0, not 9\).*--out"):
        fit(words, plain, toy.settings(epochs=3, seed=9), "cpu")
    assert snapshot(plain) == before


def test_other_data_of_the_same_manifest_make_another_run(words, plain, tmp_path):
    other = toy.dataset(tmp_path / words.name, digest="a" * 64, scaling=(0.5, 1.0))
    assert open_dataset(other).header.digest == open_dataset(words).header.digest
    with pytest.raises(ConfigError, match="holds another run"):
        fit(other, plain, toy.settings(epochs=3), "cpu")
    header, data = open_dataset(words).header, results.load_run(plain).dataset
    assert (data["digest"], data["content"]) == (header.digest, header.content)


def test_folders_are_remembered_whole_wherever_the_command_was_given(words, speaker, tmp_path, monkeypatch):
    monkeypatch.chdir(speaker.parent)
    given = {"strategy": "init", "orthogonal": [speaker.name], "epochs": 1}
    fit(Path(os.path.relpath(words)), tmp_path / "r", toy.settings(**given), "cpu")
    assert json.loads((tmp_path / "r" / "run.json").read_text())["dataset_folder"] == str(words.resolve())
    assert config.load(tmp_path / "r" / "config.yaml").orthogonal == (str(speaker.resolve()),)


def test_a_folder_of_something_else_is_refused_untouched(words, tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(ConfigError, match=r"is no run \(thesis\.tex\)"):
        fit(words, tmp_path, toy.settings(), "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "vgg61"}, "unknown network 'vgg61', did you mean 'vgg16'"),
        ({"aggregation": "grm"}, "unknown aggregation 'grm', did you mean 'gram'"),
        ({"similarity": "cosine"}, "unknown similarity 'cosine'"),
        ({"target": "emotion"}, "no attribute 'emotion'"),
    ],
)
def test_unknown_names_are_refused_and_nothing_is_written(words, tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        fit(words, tmp_path / "r", toy.settings(**given), "cpu")
    assert not (tmp_path / "r").exists()


def test_a_dataset_that_at_prepare_built_is_trained_on_and_scored(dataset, tmp_path):
    facts = fit(dataset, tmp_path / "r", toy.settings(epochs=1, batch_size=13), "cpu")
    assert facts["state"] == "finished"
    scores = json.loads((tmp_path / "r" / "scores" / "test.json").read_text())
    header = open_dataset(dataset).header
    assert scores["items"] == header.counts["test"]
    assert scores["classes"] == header.classes
    assert set(scores["groups"]) == set(header.nuisances)


def test_a_folder_that_cannot_be_written_is_told(words, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"Not a directory.*leave to write"):
        fit(words, tmp_path / "file" / "r", toy.settings(), "cpu")


def test_an_absent_device_is_refused(words, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so there is no absent device to ask for")
    with pytest.raises(ConfigError, match=r"'cuda' is not there; expected auto or one of: .*cpu"):
        fit(words, tmp_path / "r", toy.settings(), "cuda")


def test_who_looks_whether_a_run_is_at_work_keeps_nobody_from_beginning(tmp_path):
    looking = threading.Event()

    def look():
        while not looking.is_set():
            run_folder.state(tmp_path / "r", "running")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(look)
        try:
            for _ in range(200):
                with run_folder.locked(tmp_path / "r"):
                    pass
        finally:
            looking.set()


def test_a_home_folder_is_found_in_settings_too(words, speaker, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(speaker.parent))
    settings = toy.settings(strategy="init", orthogonal=[f"~/{speaker.name}"], epochs=1)
    assert fit(words, tmp_path / "r", settings, "cpu")["orthogonal"][0]["name"] == "speaker"
