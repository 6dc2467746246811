"""Every aggregation turns a pair of feature maps into a pair of vectors, item by item."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ConfigError
from at_train.aggregations import AGGREGATIONS, ALONE, COMPRESSION, FLOOR

CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # float64 against numpy
FLOAT32_CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def maps(*shape, seed=0):
    """Feature maps as after a ReLU: about half of the positions are 0."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


def slow_gram(item):
    """Equation 1 by its words: the dot product of every pair of channels, here over the number of positions."""
    channels, height, width = item.shape
    table = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            table[i, j] = sum(item[i, y, x] * item[j, y, x] for y in range(height) for x in range(width))
    return table.ravel() / (height * width)


SLOW = {
    "gram": slow_gram,
    "mean": lambda item: item.mean(axis=0).ravel(),
    "sum": lambda item: item.sum(axis=0).ravel(),
    "max": lambda item: item.max(axis=0).ravel(),
    "compressed_product": lambda item: np.prod((item + FLOOR) ** COMPRESSION, axis=0).ravel(),
    "none": lambda item: item.ravel(),
}


@pytest.fixture(params=AGGREGATIONS)
def name(request):
    return request.param


@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("name", AGGREGATIONS)
def test_vectors_equal_a_slow_obvious_version(name, size, seed):
    ours, theirs = maps(*size, seed=seed), maps(*size, seed=seed + 1)
    for vectors, feature_maps in zip(AGGREGATIONS[name](ours, theirs), (ours, theirs), strict=True):
        expected = np.stack([SLOW[name](item) for item in feature_maps.numpy()])
        np.testing.assert_allclose(vectors.numpy(), expected, **CLOSE)


@pytest.mark.parametrize("name", ALONE)
def test_vectors_of_one_map_alone_are_those_of_the_pair_to_the_bit(name):
    ours, theirs = maps(3, 4, 5, 6).float(), maps(3, 4, 5, 6, seed=1).float()
    for vectors, feature_maps in zip(AGGREGATIONS[name](ours, theirs), (ours, theirs), strict=True):
        assert torch.equal(ALONE[name](feature_maps), vectors)


def test_an_item_does_not_depend_on_its_batch(name):
    ours, theirs = maps(4, 3, 5, 6), maps(4, 3, 5, 6, seed=1)
    together = AGGREGATIONS[name](ours, theirs)[0][2:3]
    alone = AGGREGATIONS[name](ours[2:3], theirs[2:3])[0]
    torch.testing.assert_close(together, alone, **CLOSE)


def test_gradient_is_that_of_finite_differences(name):
    ours = (torch.arange(36.0, dtype=torch.float64).reshape(2, 3, 2, 3) / 10 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: AGGREGATIONS[name](x, x.detach())[0], ours)


def test_dead_maps_have_finite_vectors_and_gradients(name):
    dead = torch.zeros(2, 512, 3, 3, requires_grad=True)
    vectors, _ = AGGREGATIONS[name](dead, dead.detach())
    vectors.sum().backward()
    assert vectors.isfinite().all()
    assert dead.grad.isfinite().all()


def test_half_precision_maps_become_float32_vectors_under_autocast(name):
    half = maps(2, 8, 16, 16).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors, _ = AGGREGATIONS[name](half, half)
    expected, _ = AGGREGATIONS[name](half.float(), half.float())
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, expected, **FLOAT32_CLOSE)


def test_memory_layout_of_the_maps_does_not_matter(name):
    ours = maps(2, 3, 5, 6)
    last = ours.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(AGGREGATIONS[name](last, last)[0], AGGREGATIONS[name](ours, ours)[0], **CLOSE)


def test_compressed_product_of_many_small_numbers_is_not_zero():
    small = torch.full((1, 512, 2, 2), 1e-6)
    vectors, _ = AGGREGATIONS["compressed_product"](small, small)
    expected = 10 ** (-6 * 512 * COMPRESSION)  # the plain product, 1e-3072, is 0 in any float
    np.testing.assert_allclose(vectors.numpy(), expected, rtol=1e-3)


def test_compressed_product_counts_negative_values_as_zero():
    negative, zero = -torch.ones(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    vectors, expected = AGGREGATIONS["compressed_product"](negative, zero)
    assert torch.equal(vectors, expected)


FITTING = {
    "gram": (2, 3, 9, 1),
    "mean": (2, 9, 4, 5),
    "sum": (2, 9, 4, 5),
    "max": (2, 9, 4, 5),
    "compressed_product": (2, 9, 4, 5),
    "none": (2, 3, 4, 5),
}


def test_maps_fit_where_only_axes_that_vanish_differ(name):
    a, b = AGGREGATIONS[name](maps(2, 3, 4, 5), maps(*FITTING[name]))
    assert a.shape == b.shape


def test_maps_that_do_not_fit_are_refused_with_both_shapes(name):
    with pytest.raises(ConfigError, match=r"\(2, 3, 4, 5\) and \(2, 7, 9, 1\)"):
        AGGREGATIONS[name](maps(2, 3, 4, 5), maps(2, 7, 9, 1))
    with pytest.raises(ConfigError, match="equal batch"):
        AGGREGATIONS[name](maps(2, 3, 4, 5), maps(1, 3, 4, 5))
