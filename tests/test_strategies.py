"""What each strategy does to the weights, and which orthogonal runs are refused."""

import json
import shutil

import pytest
import torch
import toy
from toy_runs import Said, kill, same, weights

from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train import checkpoints, epochs, results
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Data, sequential_batches
from at_train.config import NETWORKS_NEEDED, STRATEGIES, USED_BY
from at_train.run import fit
from at_train.similarities import squared_cosine

pytest_plugins = ["toy_fixtures"]


def convolutions(named):
    return {name: tensor for name, tensor in named.items() if name.startswith("features")}


@pytest.fixture
def start(monkeypatch):
    """Weights of the network as the first step finds them, by a run that ends there."""

    class Begun(Exception):  # noqa: N818 - a signal
        pass

    def look(words, out, settings):
        seen = {}

        def grab(training, _):
            seen.update({name: tensor.clone() for name, tensor in training.network.state_dict().items()})
            raise Begun

        monkeypatch.setattr(epochs, "train", grab)
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


OTHERS = {"beta": 3.0, "aggregation": "mean", "similarity": "sigmoid_mse", "variant": "as_released"}
OTHERS |= {"input_scaling": "own"}


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in USED_BY["similarity"]])
def test_settings_that_a_strategy_does_not_look_at_change_nothing(words, speaker, tmp_path, strategy):
    needed = {"orthogonal": [str(speaker)] * NETWORKS_NEEDED[strategy]}
    needed |= {"layers": ["conv4"]} if strategy not in {"none", "init"} else {}
    needed |= {"nuisance": "speaker"} if strategy == "dann" else {}
    idle = {name: value for name, value in OTHERS.items() if strategy not in USED_BY[name]}
    assert OTHERS.keys() == USED_BY.keys()
    for name, changed in (("as it comes", {}), ("others", idle)):
        fit(words, tmp_path / name, toy.settings(strategy=strategy, epochs=1, **needed, **changed), "cpu")
    assert same(weights(tmp_path / "as it comes", "last"), weights(tmp_path / "others", "last"))


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
    last = {
        name: results.read(tmp_path / name)[-1].values["at_loss"] / beta
        for name, beta in (("apart", 20), ("alike", -20))
    }
    assert last["apart"] < last["alike"]


def network_of(folder, which):
    path = folder / "checkpoints" / f"{which}.pt"
    return checkpoints.network(path, checkpoints.load(path))


@pytest.mark.parametrize("strategy", ["anti", "dual"])
def test_the_frozen_network_sees_inputs_in_the_datasets_scale_or_in_its_own(words, anti, tmp_path, strategy):
    louder = toy.dataset(tmp_path / "louder", target="speaker", scaling=(0.5, 4.0))
    fit(louder, tmp_path / "o", toy.settings(epochs=1), "cpu")
    others = [str(anti)] * (strategy == "dual") + [str(tmp_path / "o")]
    given = {"strategy": strategy, "orthogonal": others, "layers": ["conv5"], "beta": 0.5, "epochs": 1}
    (held,) = sequential_batches(Data.open(words).splits["valid"], 12, torch.device("cpu"))
    values = {}
    for scaling in ("target", "own"):
        out = tmp_path / scaling
        fit(words, out, toy.settings(**given, input_scaling=scaling), "cpu")
        seen = (held.values - 0.5) / 4.0 if scaling == "own" else held.values  # `words` has mean 0 and deviation 1
        inputs = ((network_of(out, "last"), held.values), (network_of(tmp_path / "o", "best"), seen))
        maps = [net.features[:7](x) for net, x in inputs]  # up to conv5
        expected = 0.5 * squared_cosine(*AGGREGATIONS["gram"](*maps)).mean().item()
        values[scaling] = results.read(out)[-1].values["at_loss"]
        assert values[scaling] == pytest.approx(expected, rel=1e-5)
    assert values["own"] != pytest.approx(values["target"], rel=1e-3)


def test_equal_scales_make_the_same_run_to_the_bit(words, speaker, anti, tmp_path):
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv3", "conv5"], "input_scaling": "own"}
    fit(words, tmp_path / "r", toy.settings(**given), "cpu")
    assert same(weights(tmp_path / "r"), weights(anti))
    ours, theirs = (results.read(folder) for folder in (tmp_path / "r", anti))
    assert [result.values for result in ours] == [result.values for result in theirs]


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


def test_a_test_item_is_known_again_by_its_waveform_in_another_corpus_under_another_name(words, tmp_path):
    heard = open_dataset(words).split("test").waveforms[:4]
    manifest = {"corpus": "other", "audio": toy.AUDIO, "stft": toy.STFT}
    known = iter([*heard, *(f"{number:064d}" for number in range(99))])
    other = toy.dataset(
        tmp_path / "other", target="speaker", manifest=manifest, waveform_of=lambda _: next(known).ljust(64)
    )
    fit(other, tmp_path / "o", toy.settings(epochs=1), "cpu")
    facts = fit(words, tmp_path / "r", toy.settings(strategy="init", orthogonal=[str(tmp_path / "o")], epochs=1), "cpu")
    assert facts["orthogonal"][0]["seen"] == {"valid": 0, "test": 4}


@pytest.mark.parametrize("name", ["train_ids.txt", "train_waveforms.txt"])
def test_an_orthogonal_run_that_no_longer_tells_what_it_saw_is_refused(words, speaker, tmp_path, name):
    shutil.copytree(speaker, tmp_path / "o")
    (tmp_path / "o" / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: cannot be read .*restore the file"):
        fit(words, tmp_path / "r", toy.settings(strategy="init", orthogonal=[str(tmp_path / "o")]), "cpu")
    assert not (tmp_path / "r").exists()


def test_weights_of_another_run_in_the_folder_of_an_orthogonal_one_are_refused(words, speaker, plain, tmp_path):
    shutil.copytree(speaker, tmp_path / "o")
    shutil.copy(plain / "checkpoints" / "best.pt", tmp_path / "o" / "checkpoints")
    ours, theirs = (json.loads((run / "run.json").read_text())["digest"][:8] for run in (plain, speaker))
    with pytest.raises(CheckpointError, match=rf"best\.pt: a checkpoint of run {ours}; expected one of run {theirs}"):
        fit(words, tmp_path / "r", toy.settings(strategy="init", orthogonal=[str(tmp_path / "o")]), "cpu")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("strategy", ["anti", "dual"])
def test_maps_that_do_not_fit_are_refused_and_nothing_is_written(words, speakers, anti, tmp_path, strategy):
    fit(speakers, tmp_path / "o", toy.settings(epochs=1, width=2 * toy.WIDTH), "cpu")
    others = [str(tmp_path / "o")] if strategy == "anti" else [str(anti), str(tmp_path / "o")]
    settings = toy.settings(strategy=strategy, orthogonal=others, layers=["conv5"])
    with pytest.raises(ConfigError, match=r"layer .*conv5, gram: maps of"):
        fit(words, tmp_path / "r", settings, "cpu")
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
        kill(words, folder, 8)
    elif what == "stft":
        manifest = {"corpus": "toy", "audio": toy.AUDIO, "stft": {**toy.STFT, "window": "hann"}}
        fit(toy.dataset(tmp_path / "d", manifest=manifest), folder, toy.settings(epochs=1), "cpu")
    elif what == "width":
        folder, width = speaker, 2 * toy.WIDTH
    said = {
        "absent": "no run.json",
        "empty": "no run.json",
        "running": "a run that is interrupted",
        "stft": "window hann",
    }
    settings = toy.settings(strategy="init", orthogonal=[str(folder)], width=width)
    with pytest.raises(CheckpointError, match=said.get(what, "--width")):
        fit(words, tmp_path / "r", settings, "cpu")
    assert not (tmp_path / "r").exists()
