"""The choice of layers by validation, and what choosing gains."""

import itertools

import numpy as np
import pytest
from made_runs import ANTI, write_run
from made_studies import EMOTION, LAYERS, SEEDS, accuracies, choices_of, emotion_of, t_interval, told
from scipy import stats

from at_train.report import choice, report

pytest_plugins = ["study_fixtures"]


def test_the_rule_takes_the_layer_with_the_best_mean_validation_accuracy(study):
    for title in ("anti: session (iemocap)", "anti: word (librispeech)"):
        one = choices_of(study)[title]
        means = [np.mean([*accuracies(group, "valid").values()]) for group in one.line.candidates]
        chosen = one.line.candidates[int(np.argmax(means))]
        assert one.chosen is chosen
        assert told(one.test) == t_interval([*accuracies(chosen).values()])
        none = accuracies(one.line.baseline)
        assert told(one.difference) == t_interval([number - none[seed] for seed, number in accuracies(chosen).items()])


def test_the_mean_over_layers_is_taken_seed_by_seed(study):
    one = choices_of(study)["anti: word (librispeech)"]
    by_layer = [accuracies(group) for group in one.line.candidates]
    mean = [np.mean([layer[seed] for layer in by_layer]) for seed in SEEDS]
    assert told(one.mean_test) == t_interval(mean)
    none = accuracies(one.line.baseline)
    assert told(one.mean_difference) == t_interval([mean[seed] - none[seed] for seed in SEEDS])


def test_several_layers_at_once_are_no_candidate(tmp_path):
    for layers in (["conv1"], ["conv2"], ["conv1", "conv2"]):
        write_run(tmp_path / "runs", 0, dataset=EMOTION, **(ANTI | {"layers": layers}))
    lines = {line.row.title: len(line.candidates) for line in choice.lines(emotion_of(tmp_path))}
    assert lines == {"anti: speaker": 2, "anti: speaker, layers conv1+conv2": 1}


def brute_force(valid, test, candidates, seeds):
    """Every way to draw runs for every candidate, one after the other; equal ones share the choice."""
    gains = []
    for drawn in itertools.product(range(len(valid)), repeat=candidates * seeds):
        means = np.array(drawn).reshape(candidates, seeds)
        theirs = np.round(np.array(valid)[means].mean(axis=1), 9)
        best = theirs == theirs.max()
        gains.append(np.array(test)[means].mean(axis=1)[best].mean())
    return (np.mean(gains) - np.mean(test)) * np.sqrt(len(valid) / (len(valid) - 1))


@pytest.mark.parametrize(("runs", "candidates", "seeds"), [(4, 1, 1), (4, 3, 1), (5, 2, 2), (3, 2, 3), (3, 4, 2)])
def test_selection_bias_agrees_with_every_draw(runs, candidates, seeds):
    dice = np.random.default_rng(runs)
    valid = np.round(dice.uniform(0.6, 0.7, runs), 2)  # so that some are equal
    test = valid + dice.normal(0, 0.02, runs)
    found = choice.selection_bias(list(valid), list(test), candidates, seeds)
    assert found.mean == pytest.approx(brute_force(valid, test, candidates, seeds), abs=1e-10)
    rest = [np.delete(np.stack([valid, test]), run, axis=1) for run in range(runs)]
    if runs > 3:
        without = [brute_force(*pairs, candidates, seeds) for pairs in rest]
        error = np.sqrt((runs - 1) / runs * np.sum((without - np.mean(without)) ** 2))
        half = stats.t.ppf(0.975, runs - 1) * error
        assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=1e-10)


def test_selection_bias_is_that_of_normal_numbers_where_there_are_many():
    valid = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    best = np.random.default_rng(0).standard_normal((200_000, 13)).max(axis=1).mean()
    assert choice.selection_bias(list(valid), list(valid), 13).mean == pytest.approx(best, abs=0.02)
    apart = choice.selection_bias(list(valid), [0.5] * 400, 13)
    assert apart.mean == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("runs", "seeds", "told"), [(5, 1, 0.75), (10, 1, 0.88), (20, 1, 0.94), (5, 3, 0.92)])
def test_of_few_runs_selection_bias_tells_the_part_of_the_gain_that_the_page_says(runs, seeds, told):
    dice = np.random.default_rng(runs)
    gain = dice.standard_normal((100_000, 13)).max(axis=1).mean() / np.sqrt(seeds)
    samples = dice.standard_normal((800, runs))
    found = np.mean([choice._gain(np.stack([one, one]), 13, seeds, 0) for one in samples])
    assert found / gain == pytest.approx(told, abs=0.05)


def test_selection_bias_that_is_sampled_agrees_with_the_counted_one(monkeypatch):
    dice = np.random.default_rng(3)
    valid = list(dice.uniform(0.6, 0.7, 6))
    test = [number + 0.01 * dice.standard_normal() for number in valid]
    counted = choice.selection_bias(valid, test, 13, 4)
    monkeypatch.setattr(choice, "EXACT", 1)
    sampled = choice.selection_bias(valid, test, 13, 4)
    assert sampled.mean == pytest.approx(counted.mean, abs=0.001)
    assert sampled == choice.selection_bias(valid, test, 13, 4)


def test_selection_bias_says_when_it_cannot_be_told(study, tmp_path):
    assert choices_of(study)["anti: word (librispeech)"].bias.count == 5
    for seed in (0, 1):
        write_run(tmp_path / "runs", seed, dataset=EMOTION)
        for layer in LAYERS:
            write_run(tmp_path / "runs", seed, dataset=EMOTION, **(ANTI | {"layers": [layer]}))
    one = choices_of(tmp_path)["anti: speaker"]
    assert (one.bias, one.why) == (None, "too few runs of strategy none: 2, at least 5 are needed")
    page = report([tmp_path]).read_text()
    assert one.why in page
    assert choices_of(tmp_path)["none"].why == "one candidate"
