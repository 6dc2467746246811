"""Runs that were stopped at any moment end as if they had not been."""

import json

import pytest
import toy
from toy_runs import kill, same, weights

from at_data.errors import CheckpointError
from at_train import run
from at_train.run import Silent, fit

pytest_plugins = ["toy_runs"]


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


def test_a_damaged_last_checkpoint_is_refused_by_name(words, tmp_path):
    kill(words, tmp_path / "r", 8, 0)
    (tmp_path / "r" / "checkpoints" / "last.pt").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot be read"):
        fit(words, tmp_path / "r", toy.settings(epochs=3), "cpu")
