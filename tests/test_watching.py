"""A penalty sees the pass of the network that it watches and no other, and leaves nothing behind."""

import copy
import gc
import io
import weakref

import numpy as np
import pytest
import torch
from compared import CLOSE, batch, penalty_of, plain, slow_penalty
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from at_data.errors import ConfigError
from at_train.losses import AntiTransfer


class Checkpointed(nn.Module):
    """The plain CNN, whose convolutions are computed again on the way back."""

    def __init__(self, *, reentrant):
        super().__init__()
        self.inner = plain()
        self.reentrant = reentrant

    def forward(self, x):
        return self.inner[4:](checkpoint(self.inner[:4], x, use_reentrant=self.reentrant))


class Learner(nn.Module):
    """A network with its penalty beside it, as a training framework wants them."""

    def __init__(self):
        super().__init__()
        self.net = plain()
        self.penalty = AntiTransfer(plain(seed=1), ["3"]).watch(self.net)


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def calls_of(network):
    """Number of calls of each submodule, by name, counted as they happen."""
    counts = dict.fromkeys((name for name, _ in network.named_modules()), 0)
    for name, module in network.named_modules():
        module.register_forward_pre_hook(lambda _m, _i, name=name: counts.update({name: counts[name] + 1}))
    return counts


def test_trained_network_runs_once_and_the_frozen_only_as_far_as_compared():
    model, frozen, x = plain(), plain(seed=1), batch()
    ours, theirs = calls_of(model), calls_of(frozen)
    penalty_of(model, frozen, x, ["1", "0"])
    assert set(ours.values()) == {1}
    assert theirs == {"": 1, "0": 1, "1": 1, "2": 0, "3": 0, "4": 0, "5": 0, "6": 0}


def test_maps_are_freed_with_the_penalty():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    model(x)
    penalty(x)
    assert not penalty._watched.maps


def test_hooks_are_gone_after_unwatch_and_after_each_frozen_pass():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    model(x)
    penalty(x)
    penalty.unwatch()
    for network in (model, frozen):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert frozen(x).shape == (3, 3)


def test_a_penalty_that_nobody_holds_leaves_no_hook():
    model, x = plain(), batch()
    penalty = AntiTransfer(plain(seed=1), ["6"]).watch(model)  # a linear layer, which has no feature map
    with pytest.raises(ConfigError, match="layer 6: its output is shape"):
        model(x)
    penalty = AntiTransfer(plain(seed=1), ["3"]).watch(model)
    model(x)
    assert torch.isfinite(penalty(x))
    del penalty
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_penalty_leaves_no_tensor_to_the_collector_of_garbage():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    seen = []
    frozen[3].register_forward_hook(lambda _module, _inputs, output: seen.append(weakref.ref(output)))
    gc.disable()
    try:
        model(x)
        penalty(x)
        assert [output() for output in seen] == [None]
    finally:
        gc.enable()


def test_what_a_checkpoint_computes_again_is_not_kept():
    model, frozen, x = Checkpointed(reentrant=False), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["inner.2"], frozen_layers=["2"]).watch(model)
    model(x)
    value = penalty(x)
    value.backward()
    expected = penalty_of(model.inner, frozen, x, ["2"])
    (gradient,) = torch.autograd.grad(expected, [model.inner[0].weight])
    assert torch.equal(value, expected)
    torch.testing.assert_close(model.inner[0].weight.grad, gradient, rtol=0, atol=0)
    assert not penalty._watched.maps


@pytest.mark.parametrize("copied", [copy.deepcopy, saved, lambda learner: AveragedModel(learner).module])
def test_a_penalty_beside_its_network_is_copied_between_pass_and_penalty_and_watches_nothing(copied):
    learner, x = Learner(), batch()
    learner.net(x)
    other = copied(learner)
    value = learner.penalty(x)
    other.net(x)
    with pytest.raises(ConfigError, match=r"no feature map.*watch\(model\)"):
        other.penalty(x)
    other.penalty.watch(other.net)
    other.net(x)
    assert torch.equal(other.penalty(x), value)


def test_a_watched_network_can_be_saved_and_what_is_read_back_is_not_watched(tmp_path):
    model, x = plain(), batch()
    penalty = AntiTransfer(plain(seed=1), ["3"]).watch(model)
    torch.save(model, tmp_path / "model.pt")
    read = torch.load(tmp_path / "model.pt", weights_only=False)
    model(x)
    kept = penalty._watched.maps["3"]
    read(x + 1)
    assert penalty._watched.maps["3"] is kept
    torch.testing.assert_close(read(x), model(x), rtol=0, atol=0)


def test_watching_again_ends_the_earlier_watch():
    first, second, frozen, x = plain(), plain(seed=2), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(first).watch(second)
    second(x)
    first(x)
    maps = [network[:4](x).detach().numpy() for network in (second, frozen)]
    np.testing.assert_allclose(penalty(x).item(), slow_penalty(*maps), **CLOSE)


def test_a_copy_of_the_watched_network_is_not_watched():
    model, frozen, x = plain(), plain(seed=1), batch()
    expected = penalty_of(copy.deepcopy(model), frozen, x).item()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    average = copy.deepcopy(model)
    with torch.no_grad():
        average[0].weight += 1
    model(x)
    average(x)
    np.testing.assert_allclose(penalty(x).item(), expected, **CLOSE)
    average(x)
    with pytest.raises(ConfigError, match="no feature map"):
        penalty(x)


def test_compiled_network_is_watched_too():
    model, frozen, x = plain(), plain(seed=1), batch()
    expected = penalty_of(model, frozen, x).item()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    torch.compile(model, backend="eager", fullgraph=True)(x)
    np.testing.assert_allclose(penalty(x).item(), expected, **CLOSE)


def test_training_after_an_evaluation_sees_the_training_batch():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    with torch.no_grad():
        model(batch(items=3, seed=5))
    functional.cross_entropy(model(x), torch.tensor([0, 1, 2])).backward()
    model(x)
    expected = slow_penalty(*(network[:4](x).detach().numpy() for network in (model, frozen)))
    np.testing.assert_allclose(penalty(x).item(), expected, **CLOSE)


def test_penalty_needs_a_forward_pass_each_time():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"])
    with pytest.raises(ConfigError, match=r"watch\(model\)"):
        penalty(x)
    penalty.watch(model)
    model(x)
    penalty(x)
    with pytest.raises(ConfigError, match="no feature map"):
        penalty(x)


def test_maps_without_gradients_are_none_to_a_penalty_that_wants_them():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    model(x)
    with torch.no_grad():
        model(x + 1)
    with pytest.raises(ConfigError, match="no feature map with gradients"):
        penalty(x)
    model(x)
    with torch.no_grad():
        value = penalty(x)
        model(x)
        assert torch.equal(penalty(x), value)


def test_a_reentrant_checkpoint_which_would_teach_nothing_is_refused():
    model, x = Checkpointed(reentrant=True), batch().requires_grad_()
    penalty = AntiTransfer(plain(seed=1), ["inner.2"], frozen_layers=["2"]).watch(model)
    model(x)
    with pytest.raises(ConfigError, match="no feature map with gradients"):
        penalty(x)


def test_maps_of_a_part_called_alone_are_those_of_no_pass():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    model[:4](x + 1)
    with pytest.raises(ConfigError, match="no feature map"):
        penalty(x)


def test_penalty_refuses_another_batch_than_the_network_saw():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    model(x)
    with pytest.raises(ConfigError, match="saw 3 items, the penalty 2"):
        penalty(x[:2])
