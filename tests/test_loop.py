"""One epoch, one evaluation: means per item, dropout of seed and epoch alone, errors that name the step."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from at_data.errors import ConfigError
from at_train.batches import Batch
from at_train.loop import evaluate, generators, train_epoch

CLOSE = 1e-5  # float32 sums in another order


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(12, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.linear(self.dropout(x.flatten(1)))


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        Batch(
            torch.randn(size, 1, 4, 3, generator=generator),
            torch.randint(3, (size,), generator=generator),
            {},
            [f"{number}.{item}" for item in range(size)],
        )
        for number, size in enumerate(sizes)
    ]


def test_evaluation_equals_a_plain_pass_over_all_items_whatever_the_batches():
    network = Small().eval()
    held = batches(5, 5, 1)
    values, target = (torch.cat([getattr(batch, name) for batch in held]) for name in ("values", "target"))
    logits = network(values)
    result = evaluate(network, held, lambda batch: (batch.values.abs().mean(), len(batch.ids)))
    assert result.losses.task_loss == pytest.approx(functional.cross_entropy(logits, target).item(), rel=CLOSE)
    assert result.losses.at_loss == pytest.approx(values.abs().mean().item(), rel=CLOSE)
    assert result.losses.accuracy == pytest.approx((logits.argmax(1) == target).float().mean().item(), rel=CLOSE)
    np.testing.assert_array_equal(result.predicted, logits.argmax(1).numpy())
    np.testing.assert_array_equal(result.target, target.numpy())
    assert result.ids == [item for batch in held for item in batch.ids]


def test_an_added_loss_of_no_item_is_no_number_and_the_lack_of_an_added_loss_is_zero():
    network = Small()
    of_none = evaluate(network, batches(4, 3), lambda _: (torch.zeros(()), 0))
    assert of_none.losses.at_loss is None
    of_some = evaluate(network, batches(4, 3), lambda batch: (torch.ones(()), len(batch.ids) - 3))
    assert of_some.losses.at_loss == 1.0
    assert evaluate(network, batches(4, 3)).losses.at_loss == 0.0


def test_evaluation_changes_no_weight_and_builds_no_graph():
    network = Small()
    before = network.linear.weight.clone()
    evaluate(network, batches(4), lambda _: (network.linear.weight.sum(), 4))
    assert torch.equal(network.linear.weight, before)
    assert network.linear.weight.grad is None


def test_an_epoch_is_the_plain_loop_of_a_tutorial():
    ours, theirs = Small(), Small()
    ours.dropout.p = theirs.dropout.p = 0.0
    losses = train_epoch(ours, batches(4, 3), torch.optim.Adam(ours.parameters()), seed=1, epoch=1)
    optimiser, met = torch.optim.Adam(theirs.parameters()), []
    for batch in batches(4, 3):
        optimiser.zero_grad()
        loss = functional.cross_entropy(theirs(batch.values), batch.target)
        loss.backward()
        optimiser.step()
        met.append(loss.item())
    assert torch.equal(ours.linear.weight, theirs.linear.weight)
    assert losses.task_loss == pytest.approx((4 * met[0] + 3 * met[1]) / 7, rel=CLOSE)
    assert losses.at_loss == 0.0


def test_the_penalty_moves_the_weights():
    plain, pulled = Small(), Small()
    for network, penalty in ((plain, None), (pulled, lambda _: (pulled.linear.weight.square().sum(), 6))):
        train_epoch(network, batches(6), torch.optim.SGD(network.parameters(), 0.1), penalty, seed=1, epoch=1)
    assert pulled.linear.weight.norm() < plain.linear.weight.norm()


def test_dropout_depends_on_seed_and_epoch_alone():
    def trained(seed, epoch, disturb):
        torch.manual_seed(disturb)
        network = Small()
        train_epoch(network, batches(6, 6), torch.optim.SGD(network.parameters(), 0.1), seed=seed, epoch=epoch)
        return network.linear.weight

    assert torch.equal(trained(1, 1, 5), trained(1, 1, 6))
    assert not torch.equal(trained(1, 1, 5), trained(2, 1, 5))
    assert not torch.equal(trained(1, 1, 5), trained(1, 2, 5))


def test_the_callers_own_dice_are_left_as_they_were():
    network = Small()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train_epoch(network, batches(6), torch.optim.SGD(network.parameters(), 0.1), seed=1, epoch=1)
    with generators(torch.device("cpu"), 1, "anything"):
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_epoch_and_step(broken):
    held = batches(4, 4, 4)
    held[1].values.fill_(broken)
    network = Small()
    with pytest.raises(ConfigError, match=r"epoch 7, training, step 2: task loss nan.*lower learning_rate"):
        train_epoch(network, held, torch.optim.SGD(network.parameters(), 0.1), seed=1, epoch=7)


def test_a_broken_evaluation_names_its_occasion():
    held = batches(4)
    held[0].values.fill_(float("nan"))
    with pytest.raises(ConfigError, match="scoring test, step 1"):
        evaluate(Small(), held, where="scoring test")


def test_bfloat16_is_near_float32_and_its_losses_are_finite():
    network = Small()
    exact, rough = (evaluate(network, batches(8), precision=name).losses for name in ("float32", "bfloat16"))
    assert rough.task_loss == pytest.approx(exact.task_loss, rel=0.02)
    assert rough.task_loss != exact.task_loss


ROUNDED = """
import itertools, os, torch
from at_train import arithmetic
products = torch.backends.cuda.matmul
def told(name):
    try:
        return getattr(products, name, "no such name")
    except RuntimeError:
        return "set apart"
def put_back(name, value, allowed):
    if name and hasattr(products, name):
        setattr(products, name, value)
    before = told("fp32_precision"), told("allow_tf32")
    with arithmetic._products_in_tf32(allowed=allowed):
        assert told("allow_tf32") is allowed, (name, allowed)
        assert told("fp32_precision") in ("tf32" if allowed else "ieee", "no such name"), (name, allowed)
    after = told("fp32_precision"), told("allow_tf32")
    assert after == before, (name, allowed, before, after)
for (name, value), allowed in itertools.product(
    [(None, None), ("allow_tf32", True), ("fp32_precision", "tf32")], [True, False]
):
    child = os.fork()  # each begins with what torch begins with
    if not child:
        put_back(name, value, allowed)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_what_products_may_round_to_is_put_back():
    ended = subprocess.run([sys.executable, "-c", ROUNDED], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
