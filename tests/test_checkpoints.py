"""Checkpoints: what is saved comes back, what does not fit is refused, every weight is really copied."""

from dataclasses import replace

import pytest
import torch
import toy

from at_data.errors import CheckpointError
from at_train import checkpoints, networks
from at_train.checkpoints import Checkpoint, Facts

FACTS = Facts("words", "d" * 64, "c" * 64, toy.FRAMES, toy.BINS, toy.AUDIO, toy.STFT, 0.0, 1.0, "word", list(toy.WORDS))


def network(*, width=toy.WIDTH, classes=3):
    return networks.build("vgg16", classes, (toy.FRAMES, toy.BINS), width)


def checkpoint(net, **given):
    settings = {"network": "vgg16", "width": toy.WIDTH}
    return replace(Checkpoint("r" * 64, 3, 2, 0.5, settings, FACTS, net.state_dict(), None), **given)


@pytest.fixture(scope="module")
def net():
    return network()


def test_a_checkpoint_comes_back_whole(tmp_path, net):
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, 1, toy.FRAMES, toy.BINS)).sum().backward()
    optimiser.step()
    path = tmp_path / "last.pt"
    saved = checkpoint(net, optimiser=optimiser.state_dict())
    checkpoints.save(path, saved)
    loaded = checkpoints.load(path)
    assert replace(loaded, weights={}, optimiser=None) == replace(saved, weights={}, optimiser=None)
    torch.testing.assert_close(loaded.weights, saved.weights, rtol=0, atol=0)
    torch.testing.assert_close(loaded.optimiser["state"], saved.optimiser["state"], rtol=0, atol=0)
    rebuilt = checkpoints.network(path, loaded)
    x = torch.randn(2, 1, toy.FRAMES, toy.BINS)
    assert torch.equal(rebuilt(x), net.eval()(x))


def test_saving_leaves_one_file_and_replaces_the_earlier(tmp_path, net):
    path = tmp_path / "last.pt"
    for epoch in (1, 2):
        checkpoints.save(path, checkpoint(net, epoch=epoch))
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]
    assert checkpoints.load(path).epoch == 2


def test_a_save_that_fails_leaves_the_earlier_checkpoint(tmp_path, net, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoints.save(path, checkpoint(net, epoch=1))

    def full(_, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"cannot be written.*No space.*make room"):
        checkpoints.save(path, checkpoint(net, epoch=2))
    assert checkpoints.load(path).epoch == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "flipped", "tensor", "pickle"])
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path, net, kind):
    path = tmp_path / "last.pt"
    checkpoints.save(path, checkpoint(net))
    whole = path.read_bytes()
    if kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "pickle":
        torch.save(FACTS, path)  # an object of a class: loading it could run code
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :]
        path.write_bytes({"truncated": whole[:middle], "empty": b"", "text": b"not weights", "flipped": flipped}[kind])
    with pytest.raises(CheckpointError, match=r"last\.pt: cannot be read"):
        checkpoints.load(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoints.load(tmp_path / "last.pt")


def test_another_format_is_refused(tmp_path):
    torch.save({"format": 99}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="format 99; expected format 1"):
        checkpoints.load(tmp_path / "last.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 41}, "frames 41; expected 40"),
        ({"bins": 65}, "bins 65"),
        ({"stft": {**toy.STFT, "window": "hann"}}, "window hann"),
        ({"audio": {**toy.AUDIO, "sample_rate_hz": 16000}}, "sample_rate_hz 16000"),
    ],
)
def test_an_orthogonal_network_of_other_inputs_is_refused(tmp_path, net, change, message):
    path = tmp_path / "best.pt"
    checkpoints.save(path, checkpoint(net, facts=replace(FACTS, **change)))
    with pytest.raises(CheckpointError, match=message):
        checkpoints.orthogonal(path, "r" * 64, FACTS)


def test_an_orthogonal_network_may_know_other_classes_and_another_scaling(tmp_path):
    path = tmp_path / "best.pt"
    other = replace(FACTS, mean=3.0, std=2.0, target="speaker", classes=list(toy.SPEAKERS))
    checkpoints.save(path, checkpoint(network(classes=4), facts=other))
    frozen, facts = checkpoints.orthogonal(path, "r" * 64, FACTS)
    assert facts == other
    assert not frozen.training
    assert not any(weight.requires_grad for weight in frozen.parameters())


def test_weights_of_another_width_or_number_of_classes_are_refused(tmp_path, net):
    for other in (network(width=2 * toy.WIDTH), network(classes=4)):
        with pytest.raises(CheckpointError, match=r"weights .* of shape"):
            checkpoints.restore(tmp_path, checkpoint(net), other)


def test_every_convolution_weight_is_copied_and_nothing_else():
    source, target = network(), network(classes=5)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    assert checkpoints.copy_convolutions(source, target) == 26  # weight and bias of 13 convolutions
    after, theirs = target.state_dict(), source.state_dict()
    for name, tensor in after.items():
        if name.startswith("features"):
            assert torch.equal(tensor, theirs[name]), name
        else:
            assert torch.equal(tensor, before[name]), name
    assert any(not torch.equal(after[name], before[name]) for name in after)


def test_copying_between_widths_is_refused():
    with pytest.raises(CheckpointError, match=r"conv1\.weight of shape .*--width"):
        checkpoints.copy_convolutions(network(), network(width=2 * toy.WIDTH))


def test_freezing_stops_the_layers_up_to_the_one_named():
    net = network()
    assert checkpoints.freeze(net, "conv3") == ["conv1", "conv2", "conv3"]
    learning = {
        layer: all(w.requires_grad for w in module.parameters()) for layer, module in net.convolutions().items()
    }
    assert [layer for layer, learns in learning.items() if not learns] == ["conv1", "conv2", "conv3"]
    assert all(weight.requires_grad for weight in net.classifier.parameters())
