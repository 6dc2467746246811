"""What tests of runs look at: weights, files, words said, runs killed at a chosen moment."""

import signal

import torch
from copied import code_of

from at_train import checkpoints
from at_train.run import Silent

KILLED = """
import os, signal
from pathlib import Path
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
    if path.name == "last.pt" and checkpoint.epoch == {unsaved_last}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, checkpoint)

run.checkpoints.save = save
run.fit(Path({data!r}), Path({out!r}), toy.settings(epochs=3), "cpu", Killer())
"""


def kill(words, out, step, unsaved_best=0, unsaved_last=0):
    """A run of three epochs, killed before a step, or before the best or last weights of an epoch are saved."""
    moment = {"step": step, "unsaved_best": unsaved_best, "unsaved_last": unsaved_last}
    assert code_of(KILLED.format(data=str(words), out=str(out), **moment)) == -signal.SIGKILL


def weights(folder, which="last"):
    return checkpoints.load(folder / "checkpoints" / f"{which}.pt").weights


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Said(Silent):
    """Progress that keeps what it was told."""

    def __init__(self):
        self.texts = []

    def say(self, text):
        self.texts.append(text)
