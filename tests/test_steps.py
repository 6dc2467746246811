"""A recorded step is the step: the same bits, whichever inputs come and however large the batch is."""

import contextlib
import copy
import functools
import inspect
import types

import pytest
import torch
import toy

from at_train import arithmetic, checkpoints, kept_vectors, loop, networks
from at_train.batches import Batch, Data, devices, epoch_batches
from at_train.checkpoints import Checkpoint, Facts
from at_train.kept_vectors import Answer, Comparison
from at_train.losses import AntiTransfer
from at_train.steps import WARM_UP, Captured, Graphs

SHAPE, CLASSES = (toy.FRAMES, toy.BINS), 3
FACTS = Facts("d", "d", "c", *SHAPE, {}, {}, 0.0, 1.0, "word", ["a", "b", "c"])


class Again:
    """A recorder that does the work anew each time: what a graph does, without one."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def aside(self, work):
        return work()

    def record(self, work):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return work()

        return replay


class Refuses(Again):
    def record(self, _work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def batches(*sizes, device="cpu"):
    torch.manual_seed(5)
    made = []
    for size in sizes:
        values = torch.randn(size, 1, *SHAPE, device=device)
        codes = torch.arange(size, device=device) % CLASSES
        made.append(Batch(values, codes, {"voice": codes}, [f"{len(made)}-{item}" for item in range(size)]))
    return made


def drawn(seed, device="cpu"):
    torch.manual_seed(seed)
    return networks.build("vgg16", CLASSES, SHAPE, toy.WIDTH).to(device)


class Vectors:
    """Kept vectors of whole batches, as `KeptVectors` answers, made when asked."""

    def __init__(self, penalty):
        self.penalty = penalty
        self.asked = 0

    def of(self, batch):
        self.asked += 1
        return self.penalty.vectors(batch.values) if len(batch.ids) == 4 else None


def trained(
    recorder,
    *,
    compared=False,
    cached=False,
    said=None,
    device="cpu",
    precision="float32",
    sizes=(4, 4, 4, 4, 4, 3),
    kind=Captured,
):
    """Losses and weights after two epochs, with steps as they are where there is no recorder."""
    network = drawn(1, device)
    comparison = Comparison(AntiTransfer(drawn(2, device), ["features.conv3"]).watch(network)) if compared else None
    if cached:
        comparison.kept = Vectors(comparison.penalty)
    optimiser = arithmetic.adam(network.parameters(), 1e-3, torch.device(device))
    learn = functools.partial(loop.learn, network, optimiser, comparison, precision)
    step = recorder and kind(learn, 4, recorder, comparison, (said if said is not None else []).append)
    losses = [
        loop.train_epoch(
            network,
            batches(*sizes, device=device),
            optimiser,
            comparison,
            seed=1,
            epoch=epoch,
            precision=precision,
            step=step,
        )
        for epoch in (1, 2)
    ]
    return losses, {name: weight.clone() for name, weight in network.state_dict().items()}


def same(one, other):
    return one[0] == other[0] and all(torch.equal(weight, other[1][name]) for name, weight in one[1].items())


@pytest.mark.parametrize("given", [{}, {"compared": True}, {"compared": True, "cached": True}])
def test_recorded_steps_give_the_bits_of_steps_as_they_are(given):
    recorder = Again()
    assert same(trained(recorder, **given), trained(None, **given))
    assert recorder.recorded == 1
    assert recorder.replayed == 2 * 5 - WARM_UP, "whole batches are replayed once the first ones are done"


def test_kept_vectors_change_no_bit_of_recorded_steps():
    assert same(trained(Again(), compared=True, cached=True), trained(None, compared=True))


def test_what_cannot_be_captured_is_told_once_and_trained_all_the_same():
    said = []
    assert same(trained(Refuses(), said=said), trained(None))
    assert said == ["steps are not captured: operation not permitted when stream is capturing"]


def test_what_failed_in_a_capture_is_told_rather_than_how_the_capture_ended():
    class Fails(Again):
        def record(self, _work):
            try:
                raise ValueError("a step that asks for a number\nmore")
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")

    said = []
    assert same(trained(Fails(), said=said), trained(None))
    assert said == ["steps are not captured: a step that asks for a number"]


@pytest.mark.parametrize("name", ["_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool"])
def test_torch_is_put_back_after_a_capture_that_failed_whatever_it_calls_the_end_of_it(name, monkeypatch):
    done = []
    for inner in ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool"):  # since torch 2.8, and before
        monkeypatch.delattr(torch._C, inner, raising=False)
    monkeypatch.setattr(torch._C, name, lambda *of: done.append(of), raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *of: done.append(of), raising=False)
    monkeypatch.setattr(torch.cuda, "set_stream", done.append)
    generator = types.SimpleNamespace(clone_state=lambda: "copy", graphsafe_set_state=done.append)
    monkeypatch.setattr(torch.cuda, "default_generators", [generator])
    graphs = Graphs.__new__(Graphs)
    graphs.stream, graphs.pool = types.SimpleNamespace(device_index=0), (0, 1)
    inspect.unwrap(Graphs._put_back)(graphs, "before")  # which no machine without a GPU has a stream for
    assert done == ["before", (0, (0, 1)), (0, (0, 1)), "copy"]


def test_a_smaller_batch_that_does_not_fit_beside_a_recording_is_learnt_without_it():
    crowded, said, recorder = [torch.OutOfMemoryError("out of memory")], [], Again()

    class Tight(Captured):
        def __init__(self, learn, *more):
            def learnt(batch):
                if len(batch.ids) < 4 and self.replay is not None and crowded:
                    raise crowded.pop()
                return learn(batch)

            super().__init__(learnt, *more)

    found = trained(recorder, said=said, kind=Tight)
    assert same(found, trained(None))
    assert not crowded
    assert said == ["steps are captured no more: there is no memory for a smaller batch beside the recording"]
    assert recorder.replayed == 5 - WARM_UP, "the second epoch is done as it is"


def test_out_of_memory_without_a_recording_is_an_error():
    def learn(_batch):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Captured(learn, 4, Again())(batches(3)[0])


def test_answers_are_given_back_after_an_error():
    comparison = Comparison(AntiTransfer(drawn(2), ["features.conv3"]))
    comparison.kept = before = Answer({})
    with contextlib.suppress(KeyError), comparison.answered({"a": torch.zeros(1, 1)}):
        assert comparison.kept.of(batches(4)[0]).keys() == {"a"}
        raise KeyError
    assert comparison.kept is before


def test_an_optimiser_goes_on_from_a_checkpoint_of_another_kind(tmp_path):
    network = drawn(1)
    other = copy.deepcopy(network)
    plain = torch.optim.Adam(network.parameters(), lr=1e-3)
    loop.train_epoch(network, batches(4), plain, seed=1, epoch=1)
    ours = arithmetic.adam(other.parameters(), 1e-3, torch.device("cpu"))
    held = Checkpoint("r", 1, None, None, {}, FACTS, {}, copy.deepcopy(plain.state_dict()))
    checkpoints.restore_optimiser(tmp_path, held, ours)
    assert ours.param_groups[0]["fused"] is True
    loop.train_epoch(other, batches(4), ours, seed=1, epoch=2)


def test_fused_adam_learns_what_adam_learns():
    found = []
    for make in (torch.optim.Adam, lambda weights, lr: arithmetic.adam(weights, lr, torch.device("cpu"))):
        network = drawn(1)
        loop.train_epoch(network, batches(4, 4, 4), make(network.parameters(), lr=1e-3), seed=1, epoch=1)
        found.append(torch.cat([weight.flatten() for weight in network.parameters()]))
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: run on a machine with one")
@pytest.mark.parametrize("given", [{}, {"compared": True}, {"compared": True, "cached": True}])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_graphs_give_what_steps_as_they_are_give(given, precision):
    losses, weights = trained(Graphs(torch.device("cuda")), device="cuda", precision=precision, **given)
    expected, theirs = trained(None, device="cuda", precision=precision, **given)
    for one, other in zip(losses, expected, strict=True):
        assert abs(one.task_loss - other.task_loss) < (1e-3 if precision == "float32" else 2e-2)
    for (
        name,
        weight,
    ) in weights.items():  # ten steps of Adam, each of at most 1e-3, and either way where one is nearly 0
        torch.testing.assert_close(weight, theirs[name], rtol=0, atol=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: run on a machine with one")
def test_steps_go_on_after_a_capture_that_failed():
    class Asks(Graphs):
        def record(self, work):
            return super().record(lambda: work() * work().item())  # a number, which no capture can ask for

    said = []
    losses, _ = trained(Asks(torch.device("cuda")), device="cuda", said=said)
    expected, _ = trained(None, device="cuda")
    assert len(said) == 1
    assert "previous error" not in said[0]
    for one, other in zip(losses, expected, strict=True):
        assert abs(one.task_loss - other.task_loss) < 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: run on a machine with one")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # it may miss some
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["copied as needed", "held on the GPU"])
def test_no_step_waits_for_the_device(tmp_path, monkeypatch, share):
    monkeypatch.setattr(devices, "GPU_SHARE", share)
    split, device = Data.open(toy.dataset(tmp_path / "d")).splits["train"], torch.device("cuda")
    network = drawn(1, "cuda")
    optimiser = arithmetic.adam(network.parameters(), 1e-3, device)
    step = functools.partial(loop.learn, network, optimiser, None, "bfloat16")
    for epoch in (1, 2):  # in the first one memory is set aside
        made = epoch_batches(split, 4, 1, epoch, device)
        step(next(made))  # places and labels of the epoch are sent before
        torch.cuda.set_sync_debug_mode("error" if epoch == 2 else "default")
        try:
            for batch in made:
                step(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")


class Counting(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts what would make a GPU's queue run dry: a number asked for, or an array of a size that values decide."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(name in str(func) for name in self.WAITS):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_asks_the_device_for_no_number():
    network = drawn(1)
    comparison = Comparison(AntiTransfer(drawn(2), ["features.conv3"]).watch(network))
    optimiser = arithmetic.adam(network.parameters(), 1e-3, torch.device("cpu"))
    with Counting() as counting:
        loop.learn(network, optimiser, comparison, "float32", batches(4)[0])
    assert counting.found == []


def test_kept_vectors_stay_on_the_cpu_without_a_gpu():
    kept = kept_vectors.KeptVectors(4, (({"0-0": 0}, {}),))
    assert kept.move(torch.device("cpu")) == 0
