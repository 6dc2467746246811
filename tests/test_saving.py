"""Files written while training goes on hold what was to be written, whole, in order, and errors are not lost."""

import contextlib
import threading

import pytest
import torch
import toy
from toy_runs import KILLED, Said, kill, same, snapshot, weights

from at_data.errors import CheckpointError
from at_train import checkpoints, epochs, results
from at_train.run import fit
from at_train.saving import Saver
from at_train.saving import snapshot as copied

pytest_plugins = ["toy_fixtures"]

IN_BACKGROUND = "epochs._in_background = lambda device: True"


@pytest.fixture
def background(monkeypatch):
    monkeypatch.setattr(epochs, "_in_background", lambda _device: True)


def test_training_goes_on_while_a_job_runs_and_the_next_one_waits_for_it():
    done, may = [], threading.Event()

    def slow():
        may.wait(10)
        done.append("first")

    with Saver(background=True) as saver:
        saver.do(slow)
        assert done == []
        may.set()
        saver.do(lambda: done.append("second"))
        assert done[0] == "first"
    assert done == ["first", "second"]


@pytest.mark.parametrize("background", [True, False])
def test_an_error_of_the_last_job_is_raised(background):
    def fails():
        raise CheckpointError("last.pt", "no room", "room", "make room")

    with pytest.raises(CheckpointError, match="no room"), Saver(background=background) as saver:
        saver.do(fails)


def test_an_error_of_a_job_stops_the_next():
    done = []
    saver = Saver(background=True)
    saver.do(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        saver.do(lambda: done.append("never"))
    assert done == []


def test_leaving_by_an_error_waits_for_the_job():
    done = []
    with contextlib.suppress(KeyError), Saver(background=True) as saver:
        saver.do(lambda: done.append("whole"))
        raise KeyError
    assert done == ["whole"]


def test_a_copy_does_not_change_with_what_it_was_taken_of():
    weight = torch.ones(3)
    held = copied({"weights": {"a": weight}, "groups": [{"lr": 0.1, "at": (weight, 2)}]})
    weight.zero_()
    assert held["weights"]["a"].tolist() == held["groups"][0]["at"][0].tolist() == [1, 1, 1]
    assert held["groups"][0]["lr"] == 0.1


@pytest.mark.usefixtures("background")
def test_a_run_saved_in_the_background_leaves_what_a_plain_run_leaves(words, plain, tmp_path):
    fit(words, tmp_path / "run", toy.settings(epochs=3), "cpu")
    for which in ("last", "best"):
        assert same(weights(tmp_path / "run", which), weights(plain, which))
    assert [one.values for one in results.read(tmp_path / "run")] == [one.values for one in results.read(plain)]


@pytest.mark.usefixtures("background")
@pytest.mark.parametrize("moment", [{"step": 9}, {"step": 0, "unsaved_last": 2}, {"step": 0, "unsaved_best": 1}])
def test_a_run_killed_while_it_is_saved_carries_on_to_the_same_weights(words, plain, tmp_path, moment, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(
        "toy_runs.KILLED", KILLED.replace("run.fit(", f"from at_train import epochs\n{IN_BACKGROUND}\nrun.fit(")
    )
    kill(words, out, **moment)
    fit(words, out, toy.settings(epochs=3), "cpu")
    assert same(weights(out), weights(plain))
    assert [one.values for one in results.read(out)] == [one.values for one in results.read(plain)]
    assert not list((out / "checkpoints").glob(".*"))


@pytest.mark.usefixtures("background")
def test_weights_that_cannot_be_written_end_the_run_and_are_written_by_the_next(words, plain, tmp_path, monkeypatch):
    out, real = tmp_path / "run", checkpoints.save

    def full(path, checkpoint):
        if checkpoint.epoch == 2:
            raise CheckpointError(path, "cannot be written (no space left)", "room", "make room")
        real(path, checkpoint)

    monkeypatch.setattr(checkpoints, "save", full)
    with pytest.raises(CheckpointError, match="no space left"):
        fit(words, out, toy.settings(epochs=3), "cpu")
    monkeypatch.setattr(checkpoints, "save", real)
    said = Said()
    fit(words, out, toy.settings(epochs=3), "cpu", said)
    assert same(weights(out), weights(plain))
    assert any("carrying on after epoch 1" in text for text in said.texts)
    before = snapshot(out)
    fit(words, out, toy.settings(epochs=3), "cpu")
    assert snapshot(out) == before
