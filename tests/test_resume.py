"""Runs that were stopped at any moment end as if they had not been."""

import json
import shutil
from dataclasses import replace

import pytest
import toy
from copied import code_of
from toy_runs import Said, kill, same, weights

from at_data.errors import CheckpointError, ConfigError
from at_train import checkpoints, results, run
from at_train.run import Silent, fit

pytest_plugins = ["toy_fixtures"]


@pytest.mark.parametrize(
    "moment",
    [
        {"step": 1},
        {"step": 8},
        {"step": 6},
        {"step": 15},
        {"step": 99, "unsaved_best": 1},
        {"step": 99, "unsaved_last": 1},
        {"step": 99, "unsaved_last": 2},
    ],
    ids=[
        "before a step",
        "within an epoch",
        "between epochs",
        "at the last step",
        "between last and best",
        "between the first results and the first weights",
        "between results and weights",
    ],
)
def test_a_killed_run_is_carried_on_to_the_same_weights(words, plain, tmp_path, moment):
    out = tmp_path / "plain"
    kill(words, out, **moment)
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

        def begin(self, epoch, *_):
            self.epoch = epoch

        def step(self):
            if self.epoch == 2:
                raise KeyboardInterrupt

    settings = toy.settings(strategy="anti", orthogonal=[str(speaker)], layers=["conv3", "conv5"])
    with pytest.raises(KeyboardInterrupt):
        fit(words, tmp_path / "r", settings, "cpu", Stop())
    assert json.loads((tmp_path / "r" / "run.json").read_text())["state"] == "running"
    shutil.copytree(tmp_path / "r", tmp_path / "torn")
    fit(words, tmp_path / "r", settings, "cpu")
    assert same(weights(tmp_path / "r"), weights(anti))
    assert len(json.loads((tmp_path / "r" / "environment.json").read_text())) == 2
    (tmp_path / "torn" / "environment.json").write_text("")  # which decides nothing
    fit(words, tmp_path / "torn", settings, "cpu")
    assert same(weights(tmp_path / "torn"), weights(anti))
    assert [one["from_epoch"] for one in json.loads((tmp_path / "torn" / "environment.json").read_text())] == [2]


def test_a_run_killed_while_it_was_scored_is_only_scored(words, plain, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run.scores, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")
    fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")
    assert (tmp_path / "r" / "scores" / "test.json").read_bytes() == (plain / "scores" / "test.json").read_bytes()


def test_a_full_disk_is_told_and_the_run_carried_on(words, plain, tmp_path):
    script = f"""
import resource, signal, sys
from pathlib import Path
import toy
from at_data.errors import CheckpointError
from at_train.run import fit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a file of weights is larger
try:
    fit(Path({str(words)!r}), Path({str(tmp_path / "plain")!r}), toy.settings(epochs=3), "cpu")
except CheckpointError as error:
    sys.exit(7 if "cannot be written" in str(error) else str(error))
"""
    assert code_of(script) == 7
    assert not list((tmp_path / "plain").rglob("*.pt*"))
    fit(words, tmp_path / "plain", toy.settings(epochs=3), "cpu")
    assert same(weights(tmp_path / "plain"), weights(plain))


def test_a_damaged_last_checkpoint_is_refused_by_name(words, tmp_path):
    kill(words, tmp_path / "r", 8)
    (tmp_path / "r" / "checkpoints" / "last.pt").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot be read"):
        fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": "e" * 64}, r"last\.pt: a checkpoint of run eeeeeeee; expected one of run"),
        ({"optimiser": None}, r"last\.pt: its optimiser state cannot be used"),
        ({"optimiser": {"state": {}, "param_groups": []}}, r"last\.pt: its optimiser state cannot be used"),
    ],
    ids=["of another run", "no optimiser", "another optimiser"],
)
def test_a_last_checkpoint_that_cannot_be_gone_on_from_is_refused_by_name(words, plain, tmp_path, change, message):
    shutil.copytree(plain, tmp_path / "r")
    facts = json.loads((plain / "run.json").read_text())
    results.write_run(tmp_path / "r", {**facts, "state": "running"})
    path = tmp_path / "r" / "checkpoints" / "last.pt"
    checkpoints.save(path, replace(checkpoints.load(path), **change))
    with pytest.raises(CheckpointError, match=message):
        fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")


def test_two_processes_do_not_train_in_one_folder_and_a_dead_one_does_not_hold_it(words, plain, tmp_path):
    out = tmp_path / "plain"

    class Second(Silent):
        def step(self):
            with pytest.raises(ConfigError, match="another process is training here"):
                fit(words, out, toy.settings(epochs=3), "cpu")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(words, out, toy.settings(epochs=3), "cpu", Second())
    kill(words, out, 8)
    fit(words, out, toy.settings(epochs=3), "cpu")
    assert same(weights(out), weights(plain))


def test_a_folder_whose_first_start_was_refused_by_a_lock_is_still_new(words, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".lock").touch()
    assert fit(words, tmp_path / "r", toy.settings(epochs=1), "cpu")["state"] == "finished"


def test_a_run_whose_last_checkpoint_is_gone_begins_again_and_says_so(words, plain, tmp_path):
    kill(words, tmp_path / "r", 8)
    (tmp_path / "r" / "checkpoints" / "last.pt").unlink()
    said = Said()
    fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu", said)
    assert f"warning: {tmp_path / 'r'}: there is no checkpoint to go on from, so training begins again" in said.texts
    assert same(weights(tmp_path / "r"), weights(plain))
