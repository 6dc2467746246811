"""What runs of made-up studies are trained on, and what tests look at in their reports."""

import hashlib
import json

import numpy as np
import pytest
from made_runs import write_run
from scipy import stats

from at_train.report import choice, gather, groups

EXACT = 1e-12
LAYERS = ("conv1", "conv2", "conv5")
SEEDS = (0, 1, 2, 3, 4)
EMOTION = {"name": "iemocap_emotion_random", "target": "emotion", "corpus": "iemocap"}
SESSION = {"name": "iemocap_session", "target": "session", "corpus": "iemocap"}
WORD = {"name": "librispeech_words", "target": "word", "corpus": "librispeech"}


def data(name, target, corpus):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "target": target, "corpus": corpus, "digest": digest}


def entry(folder):
    facts = json.loads((folder / "run.json").read_text())
    return [{"name": facts["name"], "digest": facts["digest"], "target": facts["dataset"]["target"]}]


def trained(root, dataset, seed=0, **how):
    return write_run(root / "orthogonal", seed, dataset=dataset, **how)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def sections_of(study):
    material = gather([study])
    return groups.sections(material.runs, material.others)


def emotion_of(study):
    (section,) = (one for one in sections_of(study) if one.target == "emotion")
    return section


def choices_of(study):
    return {line.row.title: choice.choose(line) for line in choice.lines(emotion_of(study))}


def accuracies(group, split="test"):
    return {run.settings["seed"]: run.scores[split]["accuracy"] for run in group.runs}


def t_interval(numbers):
    low, high = stats.t.interval(0.95, len(numbers) - 1, loc=np.mean(numbers), scale=stats.sem(numbers))
    return pytest.approx((np.mean(numbers), low, high), abs=EXACT)


def told(number):
    return number.mean, number.low, number.high
