"""Strategy dann: the branch learns the nuisance, the network unlearns it, and no branch is left in what is scored."""

import json

import numpy as np
import pytest
import torch
import toy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional
from toy_runs import Said, same, weights

from at_data.errors import ConfigError
from at_train import checkpoints, results
from at_train.adversaries import Adversary
from at_train.batches import Batch
from at_train.report import comparison_text, gather, write
from at_train.run import Silent, fit, score

pytest_plugins = ["toy_fixtures"]
CLOSE = {"rtol": 1e-5, "atol": 1e-7}
DANN = {"strategy": "dann", "nuisance": "speaker", "layers": ["conv5"]}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU(inplace=True))


def batch(codes):
    values = torch.randn(len(codes), 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(
        values, torch.zeros(len(codes), dtype=torch.int64), {"speaker": torch.tensor(codes)}, ["i"] * len(codes)
    )


def adversary(net, *, beta=1.0, taught=(0, 2, 2, 5, -1)):
    torch.manual_seed(3)
    return Adversary("1", 4, "speaker", np.array(taught), beta).watch(net)


def by_hand(net, branch, values, outputs):
    """Cross-entropy of the branch's guesses, without any reversal."""
    logits = branch(net[:2](values).mean((2, 3)))
    return functional.cross_entropy(logits, torch.tensor(outputs))


@pytest.mark.parametrize("beta", [1.0, 0.3, -2.0])
def test_the_branch_descends_and_the_network_ascends_beta_times(beta):
    net, held = network(), batch([0, 2, 5])
    penalty = adversary(net, beta=beta)
    net(held.values)
    loss, items = penalty(held)
    loss.backward()
    ours = [weight.grad.clone() for weight in (*net[0].parameters(), *penalty.branch.parameters())]
    net.zero_grad()
    penalty.zero_grad()
    expected = by_hand(net, penalty.branch, held.values, [0, 1, 2])
    expected.backward()
    theirs = [weight.grad for weight in (*net[0].parameters(), *penalty.branch.parameters())]
    assert (loss.item(), int(items)) == (pytest.approx(expected.item()), 3)
    for place, (came, plain) in enumerate(zip(ours, theirs, strict=True)):
        torch.testing.assert_close(came, plain * (-beta if place < 2 else 1), **CLOSE)


def test_items_without_a_value_that_training_has_are_left_out():
    net, held = network(), batch([0, -1, 3, 9, 5])  # 3 and 9 occur in no training item
    penalty = adversary(net)
    net(held.values)
    loss, items = penalty(held)
    assert int(items) == 2
    assert loss.item() == pytest.approx(by_hand(net, penalty.branch, held.values[[0, 4]], [0, 2]).item())
    assert penalty.strangers(np.array([0, -1, 3, 9, 5])) == 3


def test_a_batch_of_strangers_costs_nothing():
    net, held = network(), batch([-1, 3])
    penalty = adversary(net)
    net(held.values)
    loss, items = penalty(held)
    loss.backward()
    assert (loss.item(), int(items)) == (0.0, 0)
    assert not net[0].weight.grad.any()


@pytest.mark.parametrize("taught", [(), (-1, -1), (2, 2, -1)])
def test_a_nuisance_of_one_value_is_refused(taught):
    with pytest.raises(ConfigError, match="known values of speaker; expected two or more"):
        Adversary("1", 4, "speaker", np.array(taught, np.int64), 1.0)


@pytest.fixture(scope="module")
def dann(tmp_path_factory, words):
    out = tmp_path_factory.mktemp("runs") / "dann"
    fit(words, out, toy.settings(**DANN, epochs=3), "cpu")
    return out


def test_a_run_logs_the_nuisance_loss_and_is_scored_without_the_branch(dann):
    logged = [result.values["at_loss"] for result in results.read(dann)]
    assert all(0.5 < loss < 3 for loss in logged)  # near log 4, for four voices
    best, last = (checkpoints.load(dann / "checkpoints" / f"{which}.pt") for which in ("best", "last"))
    assert not best.penalty
    assert set(last.penalty) == {"branch.0.weight", "branch.0.bias", "branch.2.weight", "branch.2.bias"}
    assert (last.penalty["branch.0.weight"].shape[0], last.penalty["branch.2.bias"].shape) == (256, (4,))
    assert not any("branch" in name for name in last.weights)
    assert score(dann, device="cpu") == json.loads((dann / "scores" / "test.json").read_text())


def test_the_branch_learns_and_is_drawn_from_the_seed(dann, words, tmp_path):
    fit(words, tmp_path / "same", toy.settings(**DANN, epochs=1), "cpu")
    fit(words, tmp_path / "still", toy.settings(**DANN, epochs=0, selection="last"), "cpu")
    fit(words, tmp_path / "other", toy.settings(**DANN, epochs=0, selection="last", seed=1), "cpu")
    still, other, learnt = (
        checkpoints.load(folder / "checkpoints" / "last.pt").penalty
        for folder in (tmp_path / "still", tmp_path / "other", dann)
    )
    assert not same(still, other)
    assert not any(torch.equal(still[name], learnt[name]) for name in still)
    first = [result for result in results.read(dann) if result.epoch == 1]
    assert [result.values for result in results.read(tmp_path / "same")] == [result.values for result in first]


def test_the_network_begins_as_without_a_strategy(words, tmp_path):
    for name, given in (("none", {}), ("dann", DANN)):
        fit(words, tmp_path / name, toy.settings(**given, epochs=0, selection="last"), "cpu")
    assert same(weights(tmp_path / "none"), weights(tmp_path / "dann"))


def test_the_nuisance_is_harder_to_guess_than_where_the_network_helps(words, tmp_path):
    last = {}
    for beta in (3.0, -3.0):
        out = tmp_path / str(beta)
        fit(words, out, toy.settings(**DANN, epochs=8, beta=beta, selection="last", width=1 / 16), "cpu")
        last[beta] = results.read(out)[-1].values["at_loss"]
    assert last[3.0] > last[-3.0]


def test_a_stopped_run_is_carried_on_to_the_same_weights_and_branch(words, dann, tmp_path):
    class Stop(Silent):
        epoch = 0

        def begin(self, epoch, *_):
            self.epoch = epoch

        def step(self):
            if self.epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(words, tmp_path / "r", toy.settings(**DANN, epochs=3), "cpu", Stop())
    fit(words, tmp_path / "r", toy.settings(**DANN, epochs=3), "cpu")
    assert same(weights(tmp_path / "r"), weights(dann))
    ours, theirs = (checkpoints.load(folder / "checkpoints" / "last.pt").penalty for folder in (tmp_path / "r", dann))
    assert same(ours, theirs)
    assert (tmp_path / "r" / "metrics.jsonl").read_bytes() == (dann / "metrics.jsonl").read_bytes()


def test_a_nuisance_that_the_manifest_does_not_name_is_unlearnt_and_not_scored_by(tmp_path):
    folder = toy.dataset(tmp_path / "d", nuisances=[])
    facts = fit(folder, tmp_path / "r", toy.settings(**DANN, epochs=1), "cpu")
    assert facts["settings"]["nuisance"] == "speaker"
    assert json.loads((tmp_path / "r" / "scores" / "test.json").read_text())["groups"] == {}


def test_unknown_and_unheard_values_are_told_of_and_their_loss_is_not_recorded(tmp_path):
    folder = toy.dataset(tmp_path / "d", speakers={"train": toy.SPEAKERS[:3], "valid": toy.SPEAKERS[3:]})
    said = Said()
    fit(folder, tmp_path / "r", toy.settings(**DANN, epochs=1), "cpu", said)
    assert any("3 of 3 valid items have a speaker that is unknown or not in training" in text for text in said.texts)
    valid = [result for result in results.read(tmp_path / "r") if result.split == "valid"]
    assert set(valid[0].values) == {"task_loss", "accuracy"}
    events = EventAccumulator(str(tmp_path / "r")).Reload()
    assert {tag for tag in events.Tags()["scalars"] if tag.startswith("at_loss")} == {"at_loss/train"}
    material = gather([tmp_path / "r"])
    assert "dann" in comparison_text(material)
    assert write(material, tmp_path / "report").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nuisance": "speakr"}, "unknown nuisance 'speakr', did you mean 'speaker'"),
        ({"nuisance": "word"}, "nuisance: got word, the target"),
        ({"layers": ["conv55"]}, "unknown layer 'conv55'"),
    ],
)
def test_what_cannot_be_unlearnt_is_refused_and_nothing_is_written(words, tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        fit(words, tmp_path / "r", toy.settings(**{**DANN, **given}), "cpu")
    assert not (tmp_path / "r").exists()


def test_half_precision_gives_about_the_same_nuisance_loss(words, dann, tmp_path):
    fit(words, tmp_path / "r", toy.settings(**DANN, epochs=1, precision="bfloat16"), "cpu")
    ours, theirs = (results.read(folder)[0].values["at_loss"] for folder in (tmp_path / "r", dann))
    assert ours == pytest.approx(theirs, rel=0.02)
