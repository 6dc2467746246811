"""`--cache-orthogonal`: the same run to the bit, without asking the frozen network again and again."""

import json

import numpy as np
import pytest
import toy
from toy_runs import Said, same, weights

from at_data.errors import ConfigError
from at_train import kept_vectors
from at_train.losses import AntiTransfer
from at_train.run import Silent, fit

pytest_plugins = ["toy_fixtures"]
ANTI = {"strategy": "anti", "layers": ["conv3", "conv5"]}


class Stop(Silent):
    """An interrupt at the first step of the second epoch."""

    epoch = 0

    def begin(self, epoch, *_):
        self.epoch = epoch

    def step(self):
        if self.epoch == 2:
            raise KeyboardInterrupt


@pytest.fixture
def begun(words, speaker, tmp_path):
    """A run that was stopped in its second epoch, with its settings."""
    settings = toy.settings(**ANTI, orthogonal=[str(speaker)])
    with pytest.raises(KeyboardInterrupt):
        fit(words, tmp_path / "r", settings, "cpu", Stop(), cache_orthogonal=True)
    return tmp_path / "r", settings


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"aggregation": "mean", "similarity": "sigmoid_mse"},
        {"aggregation": "none", "variant": "as_released"},
        {"aggregation": "compressed_product", "input_scaling": "own"},
        {"precision": "bfloat16"},
        {"batch_size": 8},
        {"batch_size": 99},
        {
            "batch_size": 23,
            "width": 1 / 8,
            "layers": ["conv3", "conv11"],
        },  # the last item rounds otherwise: it is alone
        {"width": 0.07, "layers": ["conv3", "conv4"]},  # nine channels
    ],
    ids=[
        "gram",
        "mean",
        "as_released",
        "own scaling",
        "bfloat16",
        "one size of batch",
        "no whole batch",
        "one left",
        "odd width",
    ],
)
def test_no_byte_of_a_run_differs(words, tmp_path, given):
    other = toy.dataset(tmp_path / "speakers", target="speaker", scaling=(0.5, 2.0))
    fit(other, tmp_path / "o", toy.settings(epochs=1, width=given.get("width", toy.WIDTH)), "cpu")
    settings = toy.settings(**{**ANTI, **given}, orthogonal=[str(tmp_path / "o")])
    facts = [
        fit(words, tmp_path / name / "r", settings, "cpu", cache_orthogonal=name == "cached")
        for name in ("plain", "cached")
    ]
    assert facts[0] == facts[1]
    plain, cached = (tmp_path / name / "r" for name in ("plain", "cached"))
    assert same(weights(plain), weights(cached))
    for name in ("metrics.jsonl", "config.yaml", "scores/test.json"):
        assert (plain / name).read_bytes() == (cached / name).read_bytes()


def test_the_frozen_network_sees_each_item_once_and_then_odd_batches_alone(words, speaker, tmp_path, monkeypatch):
    sizes, look = [], AntiTransfer._look
    monkeypatch.setattr(AntiTransfer, "_look", lambda self, x: sizes.append(len(x)) or look(self, x))
    fit(words, tmp_path / "r", toy.settings(**ANTI, orthogonal=[str(speaker)]), "cpu", cache_orthogonal=True)
    seen = [size for size in sizes if size != 1]  # 1: an item of zeros, to learn of shapes
    assert seen == [5] * (5 + 3) + [4, 2] * 2  # 24 and 12 items in whole batches, then two epochs of what is left over


def test_the_cache_is_there_while_the_run_is_and_gone_when_it_has_ended(words, begun):
    out, settings = begun
    sizes = {path.name: path.stat().st_size for path in (out / "orthogonal_cache").iterdir()}
    assert set(sizes) == {
        "train.json",
        "valid.json",
        *(f"{split}.features.{layer}.npy" for split in ("train", "valid") for layer in ("conv3", "conv5")),
    }
    channels = 8  # conv5: 256 channels at width 1
    assert np.load(out / "orthogonal_cache" / "train.features.conv5.npy").shape == (24, channels**2)
    fit(words, out, settings, "cpu")  # without the flag: it is only a way to compute
    assert not (out / "orthogonal_cache").exists()


def test_a_run_that_is_carried_on_uses_what_was_kept(words, begun, anti):
    out, settings = begun
    files = {path.name: path.stat().st_ino for path in (out / "orthogonal_cache").iterdir()}

    class Look(Silent):
        def step(self):
            assert files == {path.name: path.stat().st_ino for path in (out / "orthogonal_cache").iterdir()}

    fit(words, out, settings, "cpu", Look(), cache_orthogonal=True)
    assert same(weights(out), weights(anti))
    assert (out / "metrics.jsonl").read_bytes() == (anti / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("damage", ["other digest", "no key", "odd key", "short", "no array"])
def test_what_was_kept_of_something_else_is_computed_again(words, begun, anti, damage):
    out, settings = begun
    cache = out / "orthogonal_cache"
    array, key = cache / "train.features.conv3.npy", cache / "train.json"
    whole = np.load(array)
    np.save(array, np.zeros_like(whole))
    if damage == "other digest":
        key.write_text(json.dumps({"digest": "e" * 64}))
    elif damage == "no key":
        key.unlink()
    elif damage == "odd key":
        key.write_text("[1")
    elif damage == "short":
        np.save(array, whole[:-1])
    else:
        array.unlink()
    fit(words, out, settings, "cpu", cache_orthogonal=True)
    assert same(weights(out), weights(anti))


def test_a_run_killed_while_vectors_are_kept_begins_them_anew(words, speaker, anti, tmp_path, monkeypatch):
    settings = toy.settings(**ANTI, orthogonal=[str(speaker)])

    def half(maker, split, real=kept_vectors.Maker._vectors):
        yield next(real(maker, split))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept_vectors.Maker, "_vectors", half)
        with pytest.raises(KeyboardInterrupt):
            fit(words, tmp_path / "r", settings, "cpu", cache_orthogonal=True)
    assert not list((tmp_path / "r" / "orthogonal_cache").glob("*.npy"))
    fit(words, tmp_path / "r", settings, "cpu", cache_orthogonal=True)
    assert same(weights(tmp_path / "r"), weights(anti))


def test_its_size_is_told_before(words, speaker, tmp_path):
    said = Said()
    settings = toy.settings(**ANTI, orthogonal=[str(speaker)], epochs=1)
    fit(words, tmp_path / "r", settings, "cpu", said, cache_orthogonal=True)
    assert any("keeping what the orthogonal network says of every item: 0.00 GB in" in text for text in said.texts)


def test_a_disk_without_room_is_told_and_the_run_can_go_on_without(words, speaker, tmp_path, monkeypatch):
    settings = toy.settings(**ANTI, orthogonal=[str(speaker)], epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(kept_vectors.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
        with pytest.raises(ConfigError, match=r"orthogonal_cache: needs 0\.0 GB, 0\.0 GB are free.*--cache-orthogonal"):
            fit(words, tmp_path / "r", settings, "cpu", cache_orthogonal=True)
    assert fit(words, tmp_path / "r", settings, "cpu")["state"] == "finished"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strategy": "none"}, "--cache-orthogonal: strategy 'none', .*expected strategy anti or dual"),
        ({"strategy": "init"}, "--cache-orthogonal: strategy 'init'"),
        ({**ANTI, "variant": "as_released"}, "aggregation 'gram' of variant 'as_released' correlates the items"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_written(words, speaker, tmp_path, given, message):
    others = [] if given["strategy"] == "none" else [str(speaker)]
    with pytest.raises(ConfigError, match=message):
        fit(words, tmp_path / "r", toy.settings(**given, orthogonal=others), "cpu", cache_orthogonal=True)
    assert not (tmp_path / "r").exists()
