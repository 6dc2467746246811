"""Runs: exact resumption, seeds, what each strategy does to the weights, scores, refusals."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train import checkpoints, results, run
from at_train.run import Silent, fit, score

CLOSE = 1e-6  # float64 sums in another order
FINE = pytest.approx


def weights(folder, which="last"):
    return checkpoints.load(folder / "checkpoints" / f"{which}.pt").weights


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Said(Silent):
    def __init__(self):
        self.texts = []

    def say(self, text):
        self.texts.append(text)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "words", digest="a" * 64)


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "speakers", target="speaker", digest="b" * 64)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, words):
    out = tmp_path_factory.mktemp("runs") / "plain"
    fit(words, out, toy.settings(epochs=3), "cpu")
    return out


@pytest.fixture(scope="module")
def speaker(tmp_path_factory, speakers):
    out = tmp_path_factory.mktemp("runs") / "speaker"
    fit(speakers, out, toy.settings(), "cpu")
    return out


@pytest.fixture(scope="module")
def anti(tmp_path_factory, words, speaker):
    out = tmp_path_factory.mktemp("runs") / "anti"
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv3", "conv5"]}
    fit(words, out, toy.settings(**given), "cpu")
    return out


# what a run leaves behind


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
    assert (plain / "train_ids.txt").read_text().splitlines() == sorted(open_dataset(words).split("train").ids)
    assert json.loads((plain / "environment.json").read_text())[0]["versions"]["torch"]
    assert list(plain.glob("events.out.tfevents.*"))
    assert not list(plain.rglob("*.partial"))


def test_the_config_file_of_a_run_makes_the_same_run(plain, words, tmp_path):
    from at_train import config

    again = fit(words, tmp_path / "again", config.load(plain / "config.yaml"), "cpu")
    assert again["digest"] == results.load_run(plain).digest


def test_best_epoch_has_the_lowest_validation_task_loss(plain):
    loaded = results.load_run(plain)
    losses = {result.epoch: result.values["task_loss"] for result in loaded.results if result.split == "valid"}
    assert loaded.best_epoch == min(losses, key=losses.get)
    best = checkpoints.load(plain / "checkpoints" / "best.pt")
    assert (best.epoch, best.best_loss) == (loaded.best_epoch, losses[loaded.best_epoch])
    assert loaded.scores["valid"]["task_loss"] == FINE(losses[loaded.best_epoch], rel=CLOSE)


def test_scores_equal_scikit_learns_on_the_csv(plain, words):
    for split in ("train", "valid", "test"):
        scores = json.loads((plain / "scores" / f"{split}.json").read_text())
        with (plain / "scores" / f"{split}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        truth, guess = ([row[name] for row in rows] for name in ("target", "predicted"))
        classes = scores["classes"]
        assert scores["accuracy"] == FINE(accuracy_score(truth, guess))
        f1 = f1_score(truth, guess, labels=classes, average="macro", zero_division=0)
        assert scores["macro_f1"] == FINE(f1)
        assert scores["confusion"] == confusion_matrix(truth, guess, labels=classes).tolist()
        reader = open_dataset(words).split(split)
        assert [row["id"] for row in rows] == reader.ids
        assert truth == [classes[code] for code in reader.codes("word")]
        voices = [toy.SPEAKERS[code] for code in reader.codes("speaker")]
        for value, group in scores["groups"]["speaker"].items():
            right = [a == b for a, b, voice in zip(truth, guess, voices, strict=True) if voice == value]
            assert (group["items"], group["accuracy"]) == (len(right), FINE(sum(right) / len(right)))
        worst = min(group["accuracy"] for group in scores["groups"]["speaker"].values())
        assert scores["worst_group"]["speaker"]["accuracy"] == worst


# seeds, stopping, selection


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
    assert scored["task_loss"] == FINE(valid[chosen.epoch - 1], rel=CLOSE)


def test_a_dataset_without_valid_trains_for_a_fixed_length_only(tmp_path):
    folder = toy.dataset(tmp_path / "d", takes={"train": 1, "test": 1})
    with pytest.raises(ConfigError, match="no valid items.*set patience none and selection last"):
        fit(folder, tmp_path / "r", toy.settings(), "cpu")
    facts = fit(folder, tmp_path / "r", toy.settings(selection="last"), "cpu")
    assert (facts["best_epoch"], facts["epochs_run"]) == (None, 2)


def test_a_network_learns_what_is_there_to_learn(tmp_path):
    folder = toy.dataset(tmp_path / "d", takes={"train": 8, "valid": 1, "test": 1})
    fit(folder, tmp_path / "r", toy.settings(epochs=12, width=1 / 16, learning_rate=2e-3), "cpu")
    assert json.loads((tmp_path / "r" / "scores" / "test.json").read_text())["accuracy"] == 1.0


# carrying on

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import toy
from at_train import run

class Killer(run.Silent):
    steps = 0
    def step(self):
        self.steps += 1
        if self.steps == {step}:
            os.kill(os.getpid(), signal.SIGKILL)

def save(path, checkpoint, real=run.checkpoints.save):
    if path.name == "best.pt" and checkpoint.epoch == {unsaved_best}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, checkpoint)

run.checkpoints.save = save
run.fit(Path({data!r}), Path({out!r}), toy.settings(epochs=3), "cpu", Killer())
"""


def kill(words, out, step, unsaved_best):
    script = KILLED.format(
        tests=str(Path(toy.__file__).parent), data=str(words), out=str(out), step=step, unsaved_best=unsaved_best
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize(
    ("step", "unsaved_best"),
    [(1, 0), (8, 0), (6, 0), (15, 0), (99, 1)],
    ids=["before a step", "within an epoch", "between epochs", "at the last step", "between last and best"],
)
def test_a_killed_run_is_carried_on_to_the_same_weights(words, plain, tmp_path, step, unsaved_best):
    out = tmp_path / "plain"
    kill(words, out, step, unsaved_best)
    facts = fit(words, out, toy.settings(epochs=3), "cpu")
    for which in ("last", "best"):
        assert same(weights(out, which), weights(plain, which))
    assert (out / "metrics.jsonl").read_bytes() == (plain / "metrics.jsonl").read_bytes()
    for path in sorted((plain / "scores").iterdir()):
        assert (out / "scores" / path.name).read_bytes() == path.read_bytes()
    assert facts == json.loads((plain / "run.json").read_text())


def test_an_anti_run_is_carried_on_to_the_same_weights(words, speaker, anti, tmp_path):
    class Stop(Silent):
        epoch = 0

        def begin(self, epoch, epochs, steps):
            self.epoch = epoch

        def step(self):
            if self.epoch == 2:
                raise KeyboardInterrupt

    settings = toy.settings(strategy="anti", orthogonal=[str(speaker)], layers=["conv3", "conv5"])
    with pytest.raises(KeyboardInterrupt):
        fit(words, tmp_path / "r", settings, "cpu", Stop())
    assert json.loads((tmp_path / "r" / "run.json").read_text())["state"] == "running"
    fit(words, tmp_path / "r", settings, "cpu")
    assert same(weights(tmp_path / "r"), weights(anti))
    assert len(json.loads((tmp_path / "r" / "environment.json").read_text())) == 2


def test_a_run_killed_while_it_was_scored_is_only_scored(words, plain, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run.scores, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")
    fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")
    assert (tmp_path / "r" / "scores" / "test.json").read_bytes() == (plain / "scores" / "test.json").read_bytes()


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


def test_a_folder_of_something_else_is_refused_untouched(words, tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years")
    with pytest.raises(ConfigError, match=r"is no run \(thesis\.tex\)"):
        fit(words, tmp_path, toy.settings(), "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_last_checkpoint_is_refused_by_name(words, tmp_path):
    kill(words, tmp_path / "r", 8, 0)
    (tmp_path / "r" / "checkpoints" / "last.pt").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot be read"):
        fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")


# strategies


def convolutions(named):
    return {name: tensor for name, tensor in named.items() if name.startswith("features")}


@pytest.fixture
def start(monkeypatch):
    """Weights of the network as the first step finds them, by a run that ends there."""

    class Begun(Exception):  # noqa: N818 - a signal
        pass

    def look(words, out, settings):
        seen = {}

        def grab(training, progress):
            seen.update({name: tensor.clone() for name, tensor in training.network.state_dict().items()})
            raise Begun

        monkeypatch.setattr(run, "_train", grab)
        with pytest.raises(Begun):
            fit(words, out, settings, "cpu")
        return seen

    return look


def test_init_copies_every_convolution_and_draws_the_rest_as_none_does(words, speaker, tmp_path, start):
    begun = start(words, tmp_path / "init", toy.settings(strategy="init", orthogonal=[str(speaker)]))
    drawn = start(words, tmp_path / "none", toy.settings())
    assert len(convolutions(begun)) == 26
    assert same(convolutions(begun), convolutions(weights(speaker, "best")))
    assert not same(convolutions(begun), convolutions(drawn))
    rest = begun.keys() - convolutions(begun).keys()
    assert all(torch.equal(begun[name], drawn[name]) for name in rest)


def test_freeze_keeps_the_layers_up_to_the_one_named_and_trains_the_others(words, speaker, tmp_path):
    settings = toy.settings(strategy="freeze", orthogonal=[str(speaker)], layers=["conv4"])
    fit(words, tmp_path / "r", settings, "cpu")
    ours, theirs = weights(tmp_path / "r"), weights(speaker, "best")
    moved = {name.split(".")[1] for name in convolutions(ours) if not torch.equal(ours[name], theirs[name])}
    assert moved == {f"conv{number}" for number in range(5, 14)}


def test_anti_starts_as_none_does_and_learns_something_else(words, speaker, anti, tmp_path, start):
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv3", "conv5"]}
    drawn = start(words, tmp_path / "none", toy.settings())
    assert same(start(words, tmp_path / "anti", toy.settings(**given)), drawn)
    assert all(result.values["at_loss"] > 0 for result in results.read(anti))


def test_anti_transfer_pulls_the_maps_apart(words, speaker, tmp_path):
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv5"], "epochs": 4, "selection": "last"}
    for name, beta in (("apart", 20.0), ("alike", -20.0)):
        fit(words, tmp_path / name, toy.settings(**given, beta=beta), "cpu")
    last = {name: results.read(tmp_path / name)[-1].values["at_loss"] / beta for name, beta in (("apart", 20), ("alike", -20))}
    assert last["apart"] < last["alike"]


def test_dual_starts_from_the_anti_run_and_differs_from_the_second(words, speaker, anti, tmp_path, start):
    given = {"strategy": "dual", "orthogonal": [str(anti), str(speaker)], "layers": ["conv5"]}
    begun = start(words, tmp_path / "start", toy.settings(**given))
    assert same(convolutions(begun), convolutions(weights(anti, "best")))


def test_dual_refuses_a_first_run_that_was_not_trained_with_anti(words, speaker, tmp_path):
    given = {"strategy": "dual", "orthogonal": [str(speaker), str(speaker)], "layers": ["conv5"]}
    with pytest.raises(ConfigError, match="trained with strategy 'none'; expected a run trained with 'anti'"):
        fit(words, tmp_path / "r", toy.settings(**given), "cpu")


def test_the_run_remembers_its_orthogonal_network_and_what_it_has_seen(anti, speaker):
    (entry,) = json.loads((anti / "run.json").read_text())["orthogonal"]
    assert entry["digest"] == json.loads((speaker / "run.json").read_text())["digest"]
    assert entry["target"] == "speaker"
    assert entry["seen"] == {"valid": 0, "test": 0}


def test_an_orthogonal_network_that_saw_test_items_is_warned_of(words, tmp_path):
    leaky = toy.dataset(tmp_path / "leaky", target="speaker", digest="c" * 64)
    fit(leaky, tmp_path / "o", toy.settings(epochs=1), "cpu")
    ids = tmp_path / "o" / "train_ids.txt"
    seen = [item.replace("#0", "#7") for item in open_dataset(words).split("test").ids[:3]]  # other segments of them
    ids.write_text(ids.read_text() + "".join(f"{item}\n" for item in seen))
    said = Said()
    settings = toy.settings(strategy="init", orthogonal=[str(tmp_path / "o")], epochs=1)
    facts = fit(words, tmp_path / "r", settings, "cpu", said)
    assert facts["orthogonal"][0]["seen"] == {"valid": 0, "test": 3}
    assert any("was trained on 3 test items" in text for text in said.texts)


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


def test_an_unknown_layer_is_refused_with_the_nearest(words, speaker, tmp_path):
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv_5"]}
    with pytest.raises(ConfigError, match="unknown layer 'conv_5', did you mean 'conv5'"):
        fit(words, tmp_path / "r", toy.settings(**given), "cpu")


@pytest.mark.parametrize("what", ["absent", "empty", "running", "width", "stft"])
def test_an_orthogonal_run_that_does_not_fit_is_refused_and_nothing_is_written(words, speaker, tmp_path, what):
    folder, width = tmp_path / "o", toy.WIDTH
    if what == "empty":
        folder.mkdir()
    elif what == "running":
        kill(words, folder, 8, 0)
    elif what == "stft":
        manifest = {"corpus": "toy", "audio": toy.AUDIO, "stft": {**toy.STFT, "window": "hann"}}
        fit(toy.dataset(tmp_path / "d", manifest=manifest), folder, toy.settings(epochs=1), "cpu")
    elif what == "width":
        folder, width = speaker, 2 * toy.WIDTH
    said = {"absent": "no run.json", "empty": "no run.json", "running": "a run that is running", "stft": "window hann"}
    settings = toy.settings(strategy="init", orthogonal=[str(folder)], width=width)
    with pytest.raises(CheckpointError, match=said.get(what, "--width")):
        fit(words, tmp_path / "r", settings, "cpu")
    assert not (tmp_path / "r").exists()


def test_an_absent_device_is_refused(words, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so there is no absent device to ask for")
    with pytest.raises(ConfigError, match="'cuda' is not there; expected auto or one of: .*cpu"):
        fit(words, tmp_path / "r", toy.settings(), "cuda")


# scoring


def test_scoring_again_gives_the_scores_of_the_run(plain):
    before = json.loads((plain / "scores" / "test.json").read_text())
    assert score(plain, device="cpu") == before


def test_another_dataset_is_scored_in_the_scale_the_network_knows(plain, tmp_path):
    other = toy.dataset(tmp_path / "other", scaling=(3.0, 0.5), words=toy.WORDS[::-1], digest="f" * 64)
    scores = score(plain, other, "test", "cpu")
    own = json.loads((plain / "scores" / "test.json").read_text())
    assert (scores["accuracy"], scores["macro_f1"]) == (FINE(own["accuracy"]), FINE(own["macro_f1"]))
    assert scores["task_loss"] == FINE(own["task_loss"], rel=1e-4)
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
