"""Training settings: the paper's values, combinations that make sense, files, digests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ConfigError
from at_train import config
from at_train.config import Settings, parse

ANTI = {"strategy": "anti", "orthogonal": ["runs/speaker"], "layers": ["conv5"]}


def test_defaults_are_the_papers():
    settings = Settings()
    assert (settings.epochs, settings.batch_size, settings.learning_rate, settings.patience) == (50, 13, 5e-4, 5)
    assert (settings.beta, settings.aggregation, settings.similarity) == (1.0, "gram", "squared_cosine")
    assert (settings.input_scaling, settings.labels, settings.nuisance) == ("target", "true", None)
    assert (settings.network, settings.width, settings.variant, settings.selection) == ("vgg16", 1.0, "paper", "best")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"strategy": "anti", "layers": ["conv5"]}, "orthogonal: got 0 run folders, strategy 'anti' needs 1"),
        ({"strategy": "anti", "orthogonal": ["a"]}, "layers: got none"),
        ({"strategy": "dual", "orthogonal": ["a"], "layers": ["conv5"]}, "needs 2"),
        ({"strategy": "freeze", "orthogonal": ["a"], "layers": ["conv1", "conv2"]}, "'freeze' needs one"),
        ({"strategy": "init", "orthogonal": ["a"], "layers": ["conv1"]}, "'init' takes none"),
        ({"strategy": "none", "orthogonal": ["a"]}, "needs 0"),
        ({**ANTI, "layers": ["conv5", "conv5"]}, "expected each once"),
        ({"strategy": "antitransfer"}, "strategy: got 'antitransfer'"),
        ({"batchsize": 4}, "unknown setting 'batchsize', did you mean 'batch_size'.*known: target, network"),
        ({"epochs": -1}, "epochs: got -1"),
        ({"epochs": 0}, "epochs: got 0, which has no best epoch and needs selection last"),
        ({"labels": "shuffled"}, "labels: got shuffled, .* needs patience none and selection last"),
        ({"labels": "shuffled", "patience": None}, "needs patience none and selection last"),
        ({"labels": "shuffled", "selection": "last"}, "needs patience none and selection last"),
        ({"strategy": "dann", "layers": ["conv5"]}, "nuisance: got none, strategy 'dann' needs"),
        ({"strategy": "dann", "nuisance": "speaker"}, "layers: got none, strategy 'dann' needs one"),
        ({"strategy": "dann", "nuisance": "speaker", "layers": ["conv1", "conv2"]}, "strategy 'dann' needs one: where"),
        ({"strategy": "dann", "nuisance": "speaker", "layers": ["conv1"], "orthogonal": ["a"]}, "'dann' needs 0"),
        ({**ANTI, "nuisance": "speaker"}, "nuisance: got speaker, strategy 'anti' takes none"),
        ({**ANTI, "input_scaling": "theirs"}, "input_scaling: got 'theirs'"),
        ({"epochs": "ten"}, "epochs: got 'ten'"),
        ({"beta": float("nan")}, "beta: got"),
        ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
        ({"learning_rate": float("inf")}, "learning_rate: got inf"),
        ({"width": float("inf")}, "width: got inf"),
        ({"seed": -1}, "seed: got -1"),
    ],
)
def test_impossible_settings_are_refused_by_name(raw, message):
    with pytest.raises(ConfigError, match=message):
        parse(raw, "here")


def test_a_file_round_trips(tmp_path):
    settings = parse({**ANTI, "patience": None, "width": 0.125, "target": "word"}, "here")
    path = tmp_path / "config.yaml"
    path.write_text(config.dump(settings), encoding="utf-8")
    assert config.load(path) == settings


def test_flags_complete_and_override_a_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("strategy: anti\nlayers: [conv5]\nseed: 1\n", encoding="utf-8")
    settings = config.load(path, {"orthogonal": ["runs/speaker"], "seed": 2})
    assert (settings.strategy, settings.layers, settings.seed) == ("anti", ("conv5",), 2)


def test_one_word_where_several_may_stand_is_a_list_of_one(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("strategy: anti\nlayers: conv5\northogonal: runs/speaker\n", encoding="utf-8")
    assert config.load(path) == parse(ANTI, "here")
    with pytest.raises(ConfigError, match="orthogonal: got 1 run folders, strategy 'dual' needs 2"):
        config.load(path, {"strategy": "dual"})
    with pytest.raises(ConfigError, match="layers: got 5"):
        config.load(path, {"layers": 5})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_a_file_of_something_else_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        config.load(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read"):
        config.load(tmp_path / "no.yaml")


def test_an_empty_file_means_the_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("", encoding="utf-8")
    assert config.load(path) == Settings()


def test_where_the_orthogonal_run_lies_does_not_change_the_digest():
    here, there = (parse({**ANTI, "orthogonal": [folder]}, "here") for folder in ("a", "b"))
    assert config.digest(here, "data", ["o"]) == config.digest(there, "data", ["o"])


@given(st.sampled_from(["seed", "epochs", "batch_size"]), st.integers(51, 1000))
def test_every_setting_changes_the_digest(name, value):
    assert config.digest(parse({name: value}, "here"), "data", []) != config.digest(Settings(), "data", [])


def test_the_dataset_and_the_orthogonal_runs_change_the_digest():
    settings = parse(ANTI, "here")
    digests = {config.digest(settings, data, [other]) for data in "ab" for other in "cd"}
    assert len(digests) == 4


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().seed = 3


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown layer 'conv_5', did you mean 'conv5'\?; expected one of: conv1, conv5"
    ):
        config.check_known("layer", "conv_5", ["conv1", "conv5"])
