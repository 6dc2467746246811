"""The penalty equals equations 1 to 3, and the authors' public code, written slowly in numpy."""

import copy
import math

import numpy as np
import pytest
import torch
from compared import CLOSE, batch, penalty_of, plain, slow_penalty
from torch import nn

from at_data.errors import ConfigError
from at_train import networks
from at_train.aggregations import AGGREGATIONS
from at_train.as_released import penalty as released
from at_train.losses import AntiTransfer
from at_train.similarities import SIMILARITIES

GOLDEN_CLOSE = {"rtol": 1e-6, "atol": 0.0}


class Residual(nn.Module):
    """A residual CNN of the usual kind: one in-place ReLU used twice, the shortcut added in place."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)
        self.double()

    def forward(self, x):
        x = self.stem(x)
        out = self.second(self.relu(self.first(x)))
        out += x
        return self.head(self.relu(out).mean((2, 3)))


def slow_released_gram(maps):
    """The released code's Gram matrix: the channels of all items in one list."""
    items, channels, height, width = maps.shape
    rows = [maps[b, c].ravel() for b in range(items) for c in range(channels)]
    return np.array([[np.dot(x, y) for y in rows] for x in rows]) / (items * channels * height * width) / 0.001


def slow_released_cosine(rows_a, rows_b):
    """The released code's distance: cosine of each row, absolute, mean, square."""
    cosines = []
    for x, y in zip(rows_a, rows_b, strict=True):
        length = np.linalg.norm(x) * np.linalg.norm(y)
        cosines.append(abs(np.dot(x, y) / length) if length else 0.0)
    return np.mean(cosines) ** 2


# --- the paper's value


@pytest.mark.parametrize("beta", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("layer", ["1", "3"])
def test_penalty_is_equations_1_to_3(layer, beta):
    model, frozen, x = plain(), plain(seed=1), batch()
    depth = int(layer) + 1
    expected = slow_penalty(model[:depth](x).detach().numpy(), frozen[:depth](x).detach().numpy(), beta)
    np.testing.assert_allclose(penalty_of(model, frozen, x, [layer], beta=beta).item(), expected, **CLOSE)


def test_equal_networks_cost_beta():
    model, x = plain(), batch()
    value = penalty_of(model, copy.deepcopy(model), x, beta=0.7)
    np.testing.assert_allclose(value.item(), 0.7, **CLOSE)


def test_scale_of_the_activations_does_not_matter():
    model, frozen, x = plain(), plain(seed=1), batch()
    before = penalty_of(model, frozen, x).item()
    with torch.no_grad():
        model[2].weight *= 100
        model[2].bias *= 100
    np.testing.assert_allclose(penalty_of(model, frozen, x).item(), before, **CLOSE)


def test_order_of_the_channels_matters_only_within_a_network():
    model, frozen, x = plain(), plain(seed=1), batch()
    before = penalty_of(model, frozen, x).item()
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for network in (model, frozen):
            network[2].weight.copy_(network[2].weight[order])
            network[2].bias.copy_(network[2].bias[order])
    np.testing.assert_allclose(penalty_of(model, frozen, x).item(), before, **CLOSE)


def test_penalty_of_a_batch_is_the_mean_of_its_items():
    model, frozen, x = plain(), plain(seed=1), batch(items=4)
    alone = [penalty_of(model, frozen, x[i : i + 1]).item() for i in range(4)]
    np.testing.assert_allclose(penalty_of(model, frozen, x).item(), np.mean(alone), **CLOSE)


def test_layers_add_up_and_last_tells_them_apart():
    model, frozen, x = plain(), plain(seed=1), batch()
    parts = [penalty_of(model, frozen, x, [layer], beta=0.5).item() for layer in ("1", "3")]
    penalty = AntiTransfer(frozen, ["3", "1"], beta=0.5).watch(model)
    model(x)
    np.testing.assert_allclose(penalty(x).item(), sum(parts), **CLOSE)
    assert list(penalty.last) == ["3", "1"]
    np.testing.assert_allclose([penalty.last["1"].item(), penalty.last["3"].item()], parts, **CLOSE)
    assert not any(part.requires_grad for part in penalty.last.values())


@pytest.mark.parametrize("variant", ["paper", "as_released"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("dead", [False, True], ids=["alive", "dead"])
def test_every_combination_has_finite_values_and_gradients(aggregation, similarity, variant, dead):
    model, frozen, x = plain(), plain(seed=1), batch()
    if dead:
        with torch.no_grad():
            for network in (model, frozen):
                network[2].weight.zero_()
                network[2].bias.fill_(-1)
    value = penalty_of(model, frozen, x, aggregation=aggregation, similarity=similarity, variant=variant)
    value.backward()
    assert value.isfinite()
    assert all(model[i].weight.grad.isfinite().all() for i in (0, 2))


# --- what the frozen network sees, and what is kept of it


@pytest.mark.parametrize(("gain", "offset"), [(2.0, -1.0), (1.0, 0.5), (0.25, 0.0)])
def test_the_frozen_network_sees_its_own_scale(gain, offset):
    model, frozen, x = plain(), plain(seed=1), batch()
    expected = slow_penalty(model[:4](x).detach().numpy(), frozen[:4](x * gain + offset).detach().numpy())
    np.testing.assert_allclose(penalty_of(model, frozen, x, gain=gain, offset=offset).item(), expected, **CLOSE)


def test_a_gain_needs_an_input_by_place():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"], gain=2.0).watch(model)
    model(x)
    with pytest.raises(ConfigError, match="gain and offset: no input by place"):
        penalty(input=x)


@pytest.mark.parametrize("variant", ["paper", "as_released"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_kept_vectors_give_the_same_penalty_and_gradient_to_the_bit(aggregation, similarity, variant):
    model, frozen, x = plain().float(), plain(seed=1).float(), batch().float()
    settings = {"aggregation": aggregation, "similarity": similarity, "variant": variant, "beta": 0.7}
    penalty = AntiTransfer(frozen, ["3", "1"], **settings).watch(model)
    if (aggregation, variant) == ("gram", "as_released"):
        with pytest.raises(ConfigError, match="'as_released' correlates the items of a batch"):
            penalty.vectors(x)
        return
    found = []
    for kept in (None, penalty.vectors(x)):
        model.zero_grad()
        model(x)
        value = penalty(x) if kept is None else penalty.against(kept)
        value.backward()
        found.append([value.detach(), *penalty.last.values(), *(weight.grad for weight in model[:3].parameters())])
    assert all(torch.equal(live, kept) for live, kept in zip(*found, strict=True))


def test_kept_vectors_of_another_number_of_items_are_refused():
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"]).watch(model)
    kept = penalty.vectors(x[:2])
    model(x)
    with pytest.raises(ConfigError, match="saw 3 items, the penalty 2"):
        penalty.against(kept)


# --- gradients


@pytest.mark.parametrize("variant", ["paper", "as_released"])
@pytest.mark.parametrize("inplace", [False, True])
def test_gradient_reaches_the_weights_as_finite_differences_say(inplace, variant):
    model, frozen, x = plain(2, inplace=inplace), plain(2, seed=1), batch(items=2, size=3)
    penalty = AntiTransfer(frozen, ["0", "3"], variant=variant).watch(model)

    def value(weight):
        torch.func.functional_call(model, {"2.weight": weight}, (x,))
        return penalty(x)

    assert torch.autograd.gradcheck(value, model[2].weight.detach().clone().requires_grad_())


@pytest.mark.parametrize("beta", [1.0, -1.0])
def test_descent_moves_likeness_against_the_sign_of_beta(beta):
    model, frozen, x = plain(), plain(seed=1), batch()
    penalty = AntiTransfer(frozen, ["3"], beta=beta).watch(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    values = []
    for _ in range(3):
        model(x)
        value = penalty(x)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_frozen_weights_stay_and_get_no_gradient():
    model, frozen, x = plain(), plain(seed=1), batch()
    before = copy.deepcopy(frozen.state_dict())
    penalty_of(model, frozen, x).backward()
    assert all(weight.grad is None and not weight.requires_grad for weight in frozen.parameters())
    assert all(torch.equal(before[key], tensor) for key, tensor in frozen.state_dict().items())


# --- the maps are what the named modules return


@pytest.mark.parametrize("inplace_frozen", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_in_place_relu_changes_neither_value_nor_gradient(layer, inplace, inplace_frozen):
    """`features.10` of torchvision's VGG16 is such a convolution, and the frozen pass ends before its ReLU."""
    x, results = batch(), []
    for ours, theirs in ((False, False), (inplace, inplace_frozen)):
        model = plain(inplace=ours)
        value = penalty_of(model, plain(inplace=theirs, seed=1), x, [layer])
        value.backward()
        results.append((value.detach(), model[0].weight.grad))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


def test_residual_network_is_compared_before_its_in_place_shortcut():
    model, frozen, x = Residual(), Residual(seed=1), batch()
    maps = [network.second(network.first(network.stem(x)).relu()).detach().numpy() for network in (model, frozen)]
    np.testing.assert_allclose(penalty_of(model, frozen, x, ["second"]).item(), slow_penalty(*maps), **CLOSE)


def test_module_used_twice_counts_by_its_first_use_in_both_networks():
    model, frozen, x = Residual(), Residual(seed=1), batch()
    maps = [network.first(network.stem(x)).relu().detach().numpy() for network in (model, frozen)]
    for layers in (["relu"], ["relu", "second"]):
        penalty = AntiTransfer(frozen, layers).watch(model)
        model(x)
        penalty(x)
        np.testing.assert_allclose(penalty.last["relu"].item(), slow_penalty(*maps), **CLOSE)
        penalty.unwatch()


def test_networks_of_different_make_are_compared_by_frozen_layers():
    model, frozen, x = Residual(), plain(seed=1), batch()
    maps = [model.first(model.stem(x)).relu(), frozen[:4](x)]
    expected = slow_penalty(*(layer.detach().numpy() for layer in maps))
    value = penalty_of(model, frozen, x, ["relu"], frozen_layers=["3"])
    np.testing.assert_allclose(value.item(), expected, **CLOSE)


def test_every_network_of_the_table_can_be_compared_at_every_layer():
    for name in networks.names():
        model, frozen = (networks.build(name, 3, (40, 40), 1 / 16) for _ in range(2))
        penalty = AntiTransfer(frozen, list(model.layers.values())).watch(model)
        x = torch.randn(2, 1, 40, 40)
        model(x)
        assert penalty(x).isfinite()
        assert all(0 <= part <= 1 for part in penalty.last.values())


# --- the frozen network is out of everybody's way


def test_penalty_has_nothing_to_train_or_to_save():
    penalty = AntiTransfer(plain(seed=1), ["3"])
    assert list(penalty.parameters()) == []
    assert penalty.state_dict() == {}
    assert [name for name, _ in penalty.named_modules()] == [""]


def test_frozen_network_stays_in_eval_mode_whoever_calls_train():
    frozen = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9), nn.ReLU()).double()
    model, x = copy.deepcopy(frozen).eval(), batch()
    holder = nn.ModuleList([frozen, AntiTransfer(frozen, ["3"]).watch(model)])
    holder.train()
    model(x)
    np.testing.assert_allclose(holder[1](x).item(), 1.0, **CLOSE)
    assert not frozen[1].running_mean.any()


def test_frozen_network_follows_the_penalty_to_another_dtype():
    frozen = plain(seed=1)
    AntiTransfer(frozen, ["3"]).float()
    assert {weight.dtype for weight in frozen.parameters()} == {torch.float32}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_evaluation_without_gradients_gives_the_same_value(context):
    model, frozen, x = plain().eval(), plain(seed=1), batch()
    expected = penalty_of(model, frozen, x).item()
    with context():
        value = penalty_of(model, frozen, x)
    assert not value.requires_grad
    np.testing.assert_allclose(value.item(), expected, **CLOSE)


def test_half_precision_networks_have_a_float32_penalty():
    model, frozen, x = plain().float(), plain(seed=1).float(), batch().float()
    expected = penalty_of(model, frozen, x).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = penalty_of(model, frozen, x)
    value.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=0.02)


# --- what users get wrong


def test_unknown_layer_is_answered_with_near_names():
    model, frozen = networks.build("vgg16", 3, (40, 40), 1 / 16), networks.build("vgg16", 3, (40, 40), 1 / 16)
    with pytest.raises(ConfigError, match=r"no module 'features.conv15'.*features\.conv1"):
        AntiTransfer(frozen, ["features.conv15"])
    with pytest.raises(ConfigError, match=r"no module 'conv5'.*features.conv5"):
        AntiTransfer(frozen, ["conv5"], frozen_layers=["features.conv5"]).watch(model)


def test_layers_that_do_not_learn_yet_have_a_penalty():
    model, frozen, x = plain(), plain(seed=1), batch()
    model[:4].requires_grad_(False)
    assert not penalty_of(model, frozen, x).requires_grad


@pytest.mark.parametrize("variant", ["paper", "as_released"])
def test_maps_that_do_not_fit_are_refused_by_layer(variant):
    with pytest.raises(ConfigError, match=r"layer 3, gram: maps of \(3, 4, 6, 6\) and \(3, 5, 6, 6\)"):
        penalty_of(plain(), plain(5), batch(), variant=variant)


def test_outputs_that_are_no_feature_maps_are_refused():
    with pytest.raises(ConfigError, match=r"layer 6: its output is shape \(3, 3\)"):
        penalty_of(plain(), plain(seed=1), batch(), ["6"])


class OneDimensional(nn.Module):
    """A convolution over time, whose map an identity is called on."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv1d(5, 4, 3).double()
        self.seen = nn.Identity()

    def forward(self, x):
        maps = self.convolution(x)
        self.seen(maps.unsqueeze(2))
        return maps.mean(2)


def test_maps_over_time_alone_are_compared_as_their_refusal_says():
    model, frozen, x = OneDimensional(), OneDimensional(seed=1), batch()[:, 0, :5]
    with pytest.raises(ConfigError, match=r"its output is shape \(3, 4, 4\).*an nn.Identity on maps.unsqueeze\(2\)"):
        penalty_of(model, frozen, x, ["convolution"])
    expected = slow_penalty(*(network.convolution(x).detach().numpy() for network in (model, frozen)))
    np.testing.assert_allclose(penalty_of(model, frozen, x, ["seen"]).item(), expected, **CLOSE)


def test_layer_that_the_frozen_pass_never_reaches_is_refused():
    frozen = Residual(seed=1)
    frozen.spare = nn.Conv2d(4, 4, 3).double()
    with pytest.raises(ConfigError, match="frozen layer spare: its forward pass never reached it"):
        penalty_of(plain(), frozen, batch(), ["3"], frozen_layers=["spare"])


def test_networks_that_share_weights_are_refused():
    model = plain()
    with pytest.raises(ConfigError, match="shared by the frozen and the watched network"):
        AntiTransfer(model, ["3"]).watch(model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": []}, "one or more names"),
        ({"layers": ["3", "3"]}, "each once"),
        ({"layers": "3"}, "a single name"),
        ({"frozen_layers": ["1", "3"]}, "2 for 1 layers"),
        ({"beta": math.nan}, "a finite number"),
        ({"gain": math.inf}, "gain: got inf"),
        ({"offset": math.nan}, "offset: got nan"),
        ({"aggregation": "grams"}, "one of gram, mean"),
        ({"similarity": "cosine"}, "one of squared_cosine"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        AntiTransfer(plain(), **{"layers": ["3"], **settings})


# --- the authors' public code

OURS = np.array([[[[1.0, 0.0, 2.0]], [[0.0, 3.0, 1.0]]], [[[0.0, 0.0, 0.0]], [[2.0, 2.0, 5.0]]]])
THEIRS = np.array([[[[0.0, 1.0, 1.0]], [[4.0, 0.0, 1.0]]], [[[1.0, 1.0, 0.0]], [[3.0, 0.0, 2.0]]]])
SMALL = 0.05  # keeps the sigmoid of the released Gram matrix, 1000 times the plain one, off its ceiling
GOLDEN = [
    (1.0, "gram", "squared_cosine", 0.45023928),
    (1.0, "mean", "squared_cosine", 0.49741367),
    (1.0, "sum", "squared_cosine", 0.49741367),
    (1.0, "max", "squared_cosine", 0.49307255),
    (1.0, "compressed_product", "squared_cosine", 0.99993365),
    (1.0, "none", "squared_cosine", 0.13720344),
    (SMALL, "gram", "sigmoid_mse", -0.87985972),
    (1.0, "mean", "sigmoid_mse", -0.76254197),
]


def slow_released(pair, aggregation, similarity):
    """The released loss of a pair of maps, by the formulas, for a beta of 1."""
    if aggregation == "gram":
        rows = [slow_released_gram(maps) for maps in pair]
    elif aggregation == "none":
        rows = [maps.reshape(-1, 3) for maps in pair]
    else:
        reduce = {"mean": np.mean, "sum": np.sum, "max": np.max, "compressed_product": np.prod}[aggregation]
        powers = [(maps + 1e-10) ** 0.001 if aggregation == "compressed_product" else maps for maps in pair]
        rows = [reduce(maps, axis=1).reshape(-1, 3) for maps in powers]
    if similarity == "squared_cosine":
        return slow_released_cosine(*rows)
    return -1 / (1 + np.exp(-np.mean((rows[0] - rows[1]) ** 2)))


@pytest.mark.parametrize(("scale", "aggregation", "similarity", "golden"), GOLDEN)
def test_released_variant_is_the_published_formula(scale, aggregation, similarity, golden):
    pair = (OURS * scale, THEIRS * scale)
    value = released(*map(torch.from_numpy, pair), 1.0, aggregation, similarity).item()
    np.testing.assert_allclose(value, slow_released(pair, aggregation, similarity), **CLOSE)
    np.testing.assert_allclose(value, golden, **GOLDEN_CLOSE)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_released_variant_multiplies_by_beta_once(similarity):
    maps = torch.from_numpy(OURS), torch.from_numpy(THEIRS)
    once, thrice = (released(*maps, beta, "mean", similarity).item() for beta in (1.0, -3.0))
    np.testing.assert_allclose(thrice, -3 * once, **CLOSE)


def test_released_variant_depends_on_the_batch_where_the_paper_does_not():
    model, frozen, x = plain(), plain(seed=1), batch(items=2)
    for variant, depends in (("paper", False), ("as_released", True)):
        alone = [penalty_of(model, frozen, x[i : i + 1], variant=variant).item() for i in range(2)]
        together = penalty_of(model, frozen, x, variant=variant).item()
        assert math.isclose(together, np.mean(alone), rel_tol=1e-9) != depends
