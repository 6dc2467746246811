"""What each strategy does to the weights, and which orthogonal runs are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import toy
from toy_runs import Said, kill, same, weights

from at_data import headers
from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train import checkpoints, epochs, results, strategies
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Data, sequential_batches
from at_train.config import NETWORKS_NEEDED, STRATEGIES, USED_BY
from at_train.run import fit, score
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
    assert OTHERS.keys() == USED_BY.keys() - {"layers", "nuisance"}  # which no other strategy takes at all
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


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """As many words as there are speakers."""
    return toy.dataset(tmp_path_factory.mktemp("data") / "four", words=("maybe", *toy.WORDS))


def test_networks_of_one_seed_begin_alike_where_they_have_as_many_classes(four, words, speakers, tmp_path, start):
    begun = {data.name: convolutions(start(data, tmp_path / data.name, toy.settings())) for data in (four, speakers)}
    assert same(begun["four"], begun["speakers"])
    for name, data, given in (("seed", four, {"seed": 1}), ("classes", words, {})):
        other = convolutions(start(data, tmp_path / name, toy.settings(**given)))
        assert not any(torch.equal(other[key], begun["four"][key]) for key in other if key.endswith("weight"))


def run_of(epochs=3, classes=4, **settings):
    """An orthogonal run as its facts tell of it."""
    told = {"network": "vgg16", "width": toy.WIDTH, "seed": 0, "strategy": "none"} | settings
    facts = {"settings": told, "epochs_run": epochs, "dataset": {"classes": ["?"] * classes}}
    return strategies.Orthogonal(Path("/nowhere"), facts)


ANTI = {"strategy": "anti", "layers": ["conv5"]}
DUAL = {"strategy": "dual", "layers": ["conv5"]}
FREEZE = {"strategy": "freeze", "layers": ["conv5"]}


@pytest.mark.parametrize(
    ("given", "others", "alike"),
    [
        (ANTI, [run_of()], [0]),
        (ANTI, [run_of(epochs=0)], [0]),
        (ANTI, [run_of(strategy="dann")], [0]),
        (ANTI, [run_of(seed=1)], []),
        (ANTI, [run_of(width=1.0)], []),
        (ANTI, [run_of(network="another")], []),
        (ANTI, [run_of(classes=5)], []),
        (ANTI, [run_of(strategy="init")], []),
        ({"strategy": "init"}, [run_of()], []),
        ({"strategy": "init"}, [run_of(epochs=0)], [0]),
        (FREEZE, [run_of()], []),
        (FREEZE, [run_of(epochs=0, seed=1)], []),
        (DUAL, [run_of(strategy="anti"), run_of()], [1]),
        (DUAL, [run_of(strategy="anti"), run_of(seed=1)], []),
        (DUAL, [run_of(strategy="anti", seed=1), run_of(seed=1)], [1]),
        (DUAL, [run_of(strategy="anti", seed=1), run_of()], []),
        (DUAL, [run_of(strategy="anti", epochs=0), run_of(seed=1)], [0]),
    ],
)
def test_runs_that_began_with_the_convolutions_of_this_one_are_found(given, others, alike):
    settings = toy.settings(**given, orthogonal=["x"] * len(others))
    assert list(strategies.begun_alike(settings, 4, others)) == [others[place] for place in alike]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_to_differ_from_that_began_at_the_same_weights_is_warned_of_once(four, speaker, tmp_path, seed):
    said = Said()
    fit(four, tmp_path / "r", toy.settings(**ANTI, orthogonal=[str(speaker)], epochs=1, seed=seed), "cpu", said)
    text = (
        "warning: the orthogonal run speaker began at the very weights that this network began at, for seed, network, "
        "width and number of classes are the same; give one of the two another --seed"
    )
    assert said.texts == ([text] if seed == 0 else [])


def test_the_run_remembers_its_orthogonal_network_and_what_it_has_seen(anti, speaker):
    (entry,) = json.loads((anti / "run.json").read_text())["orthogonal"]
    assert entry["digest"] == json.loads((speaker / "run.json").read_text())["digest"]
    assert entry["target"] == "speaker"
    assert entry["seen"] == {"valid": 0, "test": 0}
    run, told = results.load_run(speaker), results.trained(entry)
    assert (told.settings, told.orthogonal) == (run.settings, run.orthogonal)
    assert told.dataset == {name: run.dataset[name] for name in ("name", "corpus", "target")}


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


@pytest.fixture(scope="module")
def late(words, tmp_path_factory):
    """The words once more, split otherwise: what `words` trains on is its test."""
    folder = tmp_path_factory.mktemp("data") / "late"
    shutil.copytree(words, folder)
    header, other = headers.read(folder), {"train": "test", "valid": "valid", "test": "train"}
    shards = [shard.model_copy(update={"split": other[shard.split]}) for shard in header.shards]
    counts = {other[name]: count for name, count in header.counts.items()}
    header = header.model_copy(update={"name": "late", "shards": shards, "counts": counts})
    headers.write(folder, header.model_copy(update={"content": headers.content(header)}))
    return folder


@pytest.fixture(scope="module")
def frozen(plain, tmp_path_factory):
    """A network of voices, another corpus, all of whose convolutions are those of `plain`, which knows words."""
    manifest = {"corpus": "voices", "audio": toy.AUDIO, "stft": toy.STFT}
    voices = toy.dataset(tmp_path_factory.mktemp("data") / "voices", target="speaker", manifest=manifest)
    out = tmp_path_factory.mktemp("runs") / "frozen"
    settings = toy.settings(strategy="freeze", orthogonal=[str(plain)], layers=["conv13"], epochs=1)
    assert fit(voices, out, settings, "cpu")["orthogonal"][0]["seen"] == {"valid": 0, "test": 0}
    return out


def test_what_a_run_used_is_in_its_folder(frozen, plain, words):
    train = open_dataset(words).split("train")
    assert (frozen / "inherited_ids.txt").read_text() == "".join(f"toy\t{item}\n" for item in sorted(train.ids))
    assert (frozen / "inherited_waveforms.txt").read_text() == (plain / "train_waveforms.txt").read_text()
    assert not list(plain.glob("inherited*"))


@pytest.mark.parametrize(
    "given",
    [
        {"strategy": "init"},
        {"strategy": "freeze", "layers": ["conv13"]},
        {"strategy": "anti", "layers": ["conv5"]},
    ],
    ids=["init", "freeze", "anti"],
)
def test_test_items_that_a_run_behind_the_orthogonal_one_was_trained_on_are_warned_of(
    late, plain, frozen, tmp_path, given
):
    for other, who in ((plain, "plain"), (frozen, "frozen, or a run that it used,")):
        said = Said()
        settings = toy.settings(**given, orthogonal=[str(other)], epochs=1)
        facts = fit(late, tmp_path / other.name, settings, "cpu", said)
        assert facts["orthogonal"][0]["seen"] == {"valid": 0, "test": 24}
        assert f"warning: the orthogonal run {who} was trained on 24 test items of this dataset" in said.texts
    ids = (tmp_path / "frozen" / "inherited_ids.txt").read_text().splitlines()
    assert {line.split("\t")[0] for line in ids} == {"toy", "voices"}
    assert ids == sorted(set(ids))


def test_dual_inherits_from_both_runs(words, speaker, anti, frozen, tmp_path):
    settings = toy.settings(strategy="dual", orthogonal=[str(anti), str(frozen)], layers=["conv5"], epochs=1)
    fit(words, tmp_path / "r", settings, "cpu")
    ours = set((tmp_path / "r" / "inherited_waveforms.txt").read_text().splitlines())
    for run in (anti, speaker, frozen):
        assert ours > set((run / "train_waveforms.txt").read_text().splitlines())


def test_a_score_counts_what_a_run_behind_was_trained_on(late, plain, tmp_path):
    settings = toy.settings(strategy="init", orthogonal=[str(plain)], epochs=1)
    manifest = {"corpus": "more", "audio": toy.AUDIO, "stft": toy.STFT}
    fit(toy.dataset(tmp_path / "more", manifest=manifest), tmp_path / "r", settings, "cpu")
    scores = score(tmp_path / "r", late, "test", "cpu")
    assert scores["seen"] == scores["items"] == 24
    assert score(tmp_path / "r", late, "train", "cpu")["seen"] == 0
    (tmp_path / "r" / "inherited_waveforms.txt").unlink()
    assert score(tmp_path / "r", late, "test", "cpu") == scores | {"seen": None}


def test_what_a_run_used_is_written_again_when_it_is_carried_on(words, frozen, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    settings = toy.settings(strategy="init", orthogonal=[str(frozen)], epochs=1)
    names = ("inherited_ids.txt", "inherited_waveforms.txt")
    with monkeypatch.context() as patch:
        patch.setattr(epochs, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(words, tmp_path / "r", settings, "cpu")
    before = [(tmp_path / "r" / name).read_bytes() for name in names]
    (tmp_path / "r" / names[0]).unlink()
    assert fit(words, tmp_path / "r", settings, "cpu")["state"] == "finished"
    assert [(tmp_path / "r" / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("name", ["inherited_ids.txt", "inherited_waveforms.txt"])
def test_an_orthogonal_run_that_no_longer_tells_what_it_used_is_refused(words, frozen, tmp_path, name):
    shutil.copytree(frozen, tmp_path / "o")
    (tmp_path / "o" / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: cannot be read .*restore the file"):
        fit(words, tmp_path / "r", toy.settings(strategy="init", orthogonal=[str(tmp_path / "o")]), "cpu")
    assert not (tmp_path / "r").exists()


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
    with pytest.raises(ConfigError, match=r"conv5, gram: maps of .*: the other network has width .*same --width"):
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


def test_who_uses_a_run_that_does_not_tell_what_it_inherited_is_warned_and_no_score_counts_on_it(
    words, speaker, tmp_path
):
    anti = tmp_path / "anti"
    fit(words, anti, toy.settings(strategy="anti", orthogonal=[str(speaker)], layers=["conv4"], epochs=1), "cpu")
    for path in anti.glob("inherited_*"):
        path.unlink()
    said = Said()
    fit(words, tmp_path / "init", toy.settings(strategy="init", orthogonal=[str(anti)], epochs=1), "cpu", said)
    assert any("does not tell what the runs that it used were trained on" in line for line in said.texts)
    other = toy.dataset(tmp_path / "other", digest="c" * 64)
    assert score(anti, other, device="cpu")["seen"] is None
