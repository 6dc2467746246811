"""The campaigns' own eyes: each thing that no reader may do is seen when one does it."""

import os
import subprocess
import warnings
from functools import partial

import pytest

from at_data.errors import AtError
from fuzz import runner
from fuzz.campaigns import Campaign

HOSTILE = {
    "a bug": (lambda _: {}["x"], "KeyError"),
    "deep": (lambda _: exec("f = lambda: f()\nf()", {}), "RecursionError"),  # noqa: S102
    "a file made": (lambda folder: (folder / "x").write_text("x"), "opened"),
    "a file made here": (lambda _: os.close(os.open("PWNED", os.O_CREAT)), "opened"),
    "a file taken away": (lambda folder: (folder / "seed").unlink(), "was changed"),
    "a program": (lambda _: subprocess.run(["true"], check=True), "subprocess.Popen"),
    "a shell": (lambda _: os.system("true"), "os.system"),  # noqa: S605
    "text made code": (lambda _: exec("1 + 1"), "executed code"),  # noqa: S102
    "a warning": (lambda _: warnings.warn("careful", RuntimeWarning, stacklevel=1), "RuntimeWarning"),
    "no words": (lambda _: _raise(AtError("where", "", "expected", "todo")), "empty part"),
    "no memory": (lambda _: _raise(AtError("where", "came", "expected", "todo"), MemoryError()), "want of memory"),
}


def _raise(error, cause=None):
    raise error from cause


def _prepare(_):
    return None


def _lay(name, _state, _dice, folder):
    (folder / "seed").write_text("seed")
    return partial(HOSTILE[name][0], folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_reader_may_do_is_a_finding(name, tmp_path, monkeypatch):
    campaign = Campaign(f"oracle/{name}", 1, _prepare, partial(_lay, name))
    monkeypatch.setattr(runner, "campaign_of", lambda _: campaign)
    monkeypatch.setattr(runner, "_states", {})
    monkeypatch.setattr(runner.os, "dup2", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    answer = runner.attempted(campaign.name, 1, str(tmp_path / "work"), 0)
    assert any(HOSTILE[name][1] in problem for problem in answer["problems"]), answer
