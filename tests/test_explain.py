"""Heat maps: of the gradient they claim, of every network on the same item, on its own scale, drawn and refused."""

import json
import shutil

import numpy as np
import pytest
import torch
import toy
from PIL import Image

from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train import checkpoints, networks
from at_train.explain import explain, grad_cam
from at_train.report import heat_maps
from at_train.run import fit

pytest_plugins = ["toy_fixtures"]

ITEM = "stop/bea_test0#0"


def told(file):
    with np.load(file) as packed:
        return packed["spectrogram"], packed["heat"], json.loads(str(packed["about"]))


def slow_grad_cam(network, module, values):
    """Equations 1 and 2 of the Grad-CAM paper, item by item and channel by channel."""
    kept = []
    handle = network.get_submodule(module).register_forward_hook(lambda _m, _i, output: kept.append(output))
    maps = []
    for item in values:
        logits = network(item[None])[0]
        (gradient,) = torch.autograd.grad(logits.max(), kept[-1])
        channels = zip(kept[-1][0].detach(), gradient[0], strict=True)
        small = sum(slope.mean() * channel for channel, slope in channels).clamp_min(0)
        wide = torch.nn.functional.interpolate(small[None, None], values.shape[2:], mode="bilinear")
        maps.append(wide[0, 0])
    handle.remove()
    return torch.stack(maps)


@pytest.mark.parametrize("layer", ["conv1", "conv7", "conv13"])
def test_heat_is_what_the_paper_of_grad_cam_defines(layer):
    torch.manual_seed(1)
    network = networks.build("vgg16", 3, (126, 129), 1 / 16).eval()
    with torch.no_grad():
        for module in network.classifier[::3]:
            module.weight.mul_(20)  # untrained ones are so small that nothing would be left to compare
    values = torch.randn(2, 1, 126, 129)
    heat, probabilities = grad_cam(network, network.layers[layer], values)
    expected = slow_grad_cam(network, network.layers[layer], values)
    assert expected.max() > 0
    torch.testing.assert_close(heat, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))
    torch.testing.assert_close(probabilities, network(values).softmax(1).detach())
    assert all(weight.grad is None for weight in network.parameters())


def test_every_network_explains_what_it_predicts_itself(plain, anti, speaker, tmp_path):
    (file,) = explain([speaker, plain, anti], [ITEM], None, None, tmp_path / "out", "cpu")
    spectrogram, heat, about = told(file)
    assert spectrogram.shape == (toy.FRAMES, toy.BINS)
    assert heat.shape == (3, toy.FRAMES, toy.BINS)
    assert np.isfinite(heat).all()
    assert (heat >= 0).all()
    assert (about["item"], about["split"], about["dataset"]) == (ITEM, "test", "words")
    assert [one["role"] for one in about["maps"]] == ["orthogonal", "baseline", "anti"]
    assert [one["run"] for one in about["maps"]] == ["speaker", "plain", "anti"]
    assert [one["target"] for one in about["maps"]] == ["speaker", "word", "word"]
    assert [one["truth"] for one in about["maps"]] == ["bea", "stop", "stop"]
    assert about["maps"][0]["predicted"] in toy.SPEAKERS
    for one, run in zip(about["maps"][1:], (plain, anti), strict=True):
        rows = (run / "scores" / "test.csv").read_text().splitlines()
        assert f"{ITEM},stop,{one['predicted']}" in rows
        assert one["layer"] == "conv13"
        assert 1 / 3 <= one["probability"] <= 1


def test_the_dataset_is_that_of_the_runs_compared_in_whatever_order_they_are_named(plain, anti, speaker, tmp_path):
    for runs in ([speaker, anti, plain], [plain, speaker, anti]):
        (file,) = explain(runs, [ITEM], None, None, tmp_path / "out", "cpu")
        assert told(file)[2]["dataset"] == "words"
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_an_orthogonal_network_alone_is_explained_on_its_own_items(speaker, tmp_path):
    (file,) = explain([speaker], [ITEM], None, "conv5", tmp_path, "cpu")
    about = told(file)[2]
    assert (about["dataset"], about["maps"][0]["role"], about["maps"][0]["layer"]) == ("speakers", "baseline", "conv5")


def test_without_names_one_test_item_of_each_class_is_explained(plain, words, tmp_path):
    files = explain([plain], None, None, "conv2", tmp_path / "a", "cpu")
    items = [told(file)[2]["item"] for file in files]
    assert [item.split("/")[0] for item in items] == list(toy.WORDS)
    assert set(items) <= set(open_dataset(words).split("test").ids)
    again = explain([plain], None, None, "conv2", tmp_path / "b", "cpu")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_items_of_other_splits_can_be_named_and_each_is_written_once(plain, tmp_path):
    files = explain([plain], ["no/ada_train1#0", ITEM, "no/ada_train1#0"], None, "conv2", tmp_path, "cpu")
    assert [told(file)[2]["split"] for file in files] == ["train", "test"]


def test_values_are_scaled_as_each_network_learnt_them(plain, tmp_path):
    other = toy.dataset(tmp_path / "other", scaling=(3.0, 0.5), digest="f" * 64)
    (own,) = explain([plain], [ITEM], None, "conv4", tmp_path / "own", "cpu")
    (moved,) = explain([plain], [ITEM], other, "conv4", tmp_path / "moved", "cpu")
    for before, after in zip(told(own)[:2], told(moved)[:2], strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * float(before.max()))
    assert told(moved)[2]["dataset"] == "other"


def test_an_orthogonal_run_may_know_an_attribute_the_dataset_lacks(plain, speaker, tmp_path):
    raw = toy.dataset(tmp_path / "d", attributes={"word": list(toy.WORDS)}, nuisances=[], digest="9" * 64)
    (file,) = explain([plain, speaker], [ITEM], raw, "conv3", tmp_path / "out", "cpu")
    assert [one["truth"] for one in told(file)[2]["maps"]] == ["stop", None]


def test_names_of_files_differ_whenever_the_items_do(tmp_path):
    odd = {"no/ada_test0#0": "a" * 64, "no/ada_test0_0": "b" * 64}
    data = toy.dataset(
        tmp_path / "d", words=("no", "no_"), digest="8" * 64, waveform_of=lambda item: odd.get(item, item * 9)[:64]
    )
    fit(data, tmp_path / "r", toy.settings(epochs=1), "cpu")
    files = explain([tmp_path / "r"], ["no/ada_test0#0", "no_/ada_test0#0"], None, "conv1", tmp_path / "out", "cpu")
    assert len({file.name for file in files}) == 2
    assert all(file.name.isascii() and "/" not in file.name for file in files)


def test_what_cannot_be_explained_is_told(plain, words, tmp_path):
    with pytest.raises(ConfigError, match="no run folders"):
        explain([], None, None, None, tmp_path / "out", "cpu")
    with pytest.raises(ConfigError, match="unknown layer 'conv14', did you mean 'conv"):
        explain([plain], None, None, "conv14", tmp_path / "out", "cpu")
    with pytest.raises(ConfigError, match=r"no item 'stop/bea' with a known word; expected an id .* such as no/"):
        explain([plain], ["stop/bea"], None, None, tmp_path / "out", "cpu")
    with pytest.raises(CheckpointError, match=r"no run\.json"):
        explain([words], None, None, None, tmp_path / "out", "cpu")
    manifest = {"corpus": "toy", "audio": {**toy.AUDIO, "sample_rate_hz": 16000}, "stft": toy.STFT}
    rate = toy.dataset(tmp_path / "rate", manifest=manifest, digest="1" * 64)
    with pytest.raises(CheckpointError, match="sample_rate_hz 8000"):
        explain([plain], None, rate, None, tmp_path / "out", "cpu")
    without = toy.dataset(tmp_path / "without", takes={"train": 1, "valid": 1}, digest="3" * 64)
    with pytest.raises(ConfigError, match=r"no test items with a known word.*name items of train, valid with --item"):
        explain([plain], None, without, None, tmp_path / "out", "cpu")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(CheckpointError, match="choose another --out"):
        explain([plain], [ITEM], None, None, tmp_path / "out", "cpu")


def test_other_data_where_the_dataset_was_are_explained_only_when_named(tmp_path):
    folder = toy.dataset(tmp_path / "d")
    fit(folder, tmp_path / "r", toy.settings(epochs=1), "cpu")
    folder.rename(tmp_path / "old")
    toy.dataset(folder, scaling=(1.0, 2.0))
    with pytest.raises(CheckpointError, match="name the dataset with --dataset, this one too"):
        explain([tmp_path / "r"], [ITEM], None, None, tmp_path / "out", "cpu")
    assert explain([tmp_path / "r"], [ITEM], folder, "conv1", tmp_path / "out", "cpu")


def test_pictures_lie_beside_the_maps_and_are_the_same_each_time(plain, anti, speaker, tmp_path):
    files = explain([speaker, plain, anti], None, None, None, tmp_path, "cpu")
    drawn = heat_maps.draw(files)
    assert [path.with_suffix(".npz") for path in drawn] == files
    before = [path.read_bytes() for path in drawn]
    for path in drawn:
        with Image.open(path) as image:
            assert min(image.size) > 300
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
    assert [path.read_bytes() for path in heat_maps.draw(files)] == before


def test_a_map_without_heat_and_a_silent_item_can_be_drawn():
    of = {"run": "r", "role": "baseline", "target": "word", "truth": None, "predicted": "$no$", "probability": 0.5}
    about = {"dataset": "d", "split": "test", "item": "i", "hop_s": 0.008, "highest_hz": 8000.0}
    about["maps"] = [{**of, "layer": "conv1"}]
    silent = np.zeros((40, 33), np.float32)
    assert heat_maps.picture(silent, silent[None], about).startswith(b"\x89PNG")
    assert heat_maps.picture(silent, np.zeros((0, 40, 33), np.float32), {**about, "maps": []}).startswith(b"\x89PNG")


def test_files_of_something_else_are_refused(plain, tmp_path):
    (file,) = explain([plain], [ITEM], None, None, tmp_path, "cpu")
    shutil.copy(plain / "run.json", tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(file.read_bytes()[:200])
    np.savez(tmp_path / "c.npz", heat=np.zeros(3))
    for name in ("a.npz", "b.npz", "c.npz", "absent.npz"):
        with pytest.raises(CheckpointError, match="a file that `at-train explain` wrote"):
            heat_maps.draw([tmp_path / name])


def test_the_selected_weights_are_the_ones_explained(words, tmp_path):
    fit(words, tmp_path / "r", toy.settings(epochs=2, selection="last"), "cpu")
    (file,) = explain([tmp_path / "r"], [ITEM], None, "conv6", tmp_path / "out", "cpu")
    path = checkpoints.selected(tmp_path / "r", "last")
    network = checkpoints.network(path, checkpoints.load(path))
    reader = open_dataset(words).split("test")
    values = torch.from_numpy(reader.read(np.array([reader.ids.index(ITEM)])))[None]
    np.testing.assert_array_equal(told(file)[1], grad_cam(network, network.layers["conv6"], values)[0].numpy())
