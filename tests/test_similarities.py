"""Every similarity gives one number per item, larger for what is more alike."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.special import expit

from at_data.errors import ConfigError
from at_train.similarities import SIMILARITIES

CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # float64 against scipy
FLOAT32_CLOSE = {"rtol": 1e-5, "atol": 1e-6}

SLOW = {
    "squared_cosine": lambda a, b: (1 - cosine(a, b)) ** 2,
    "sigmoid_mse": lambda a, b: expit(-np.mean((a - b) ** 2)),
}
LARGEST = {"squared_cosine": 1.0, "sigmoid_mse": 0.5}


def vectors(batch, size, seed=0):
    return torch.randn(batch, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=SIMILARITIES)
def name(request):
    return request.param


@pytest.mark.parametrize("name", SIMILARITIES)
@given(batch=st.integers(1, 4), size=st.integers(1, 20), seed=st.integers(0, 2**31))
def test_each_item_agrees_with_scipy(name, batch, size, seed):
    a, b = vectors(batch, size, seed), vectors(batch, size, seed + 1)
    expected = [SLOW[name](x, y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    np.testing.assert_allclose(SIMILARITIES[name](a, b).numpy(), expected, **CLOSE)


def test_nothing_is_more_alike_than_a_vector_and_itself(name):
    a, b = vectors(8, 5), vectors(8, 5, seed=1)
    itself = SIMILARITIES[name](a, a)
    np.testing.assert_allclose(itself.numpy(), LARGEST[name], **CLOSE)
    assert (SIMILARITIES[name](a, b) < itself).all()


def test_neither_side_comes_first(name):
    a, b = vectors(8, 5), vectors(8, 5, seed=1)
    torch.testing.assert_close(SIMILARITIES[name](a, b), SIMILARITIES[name](b, a), **CLOSE)


def test_gradient_is_that_of_finite_differences(name):
    a, b = vectors(3, 4).requires_grad_(), vectors(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(SIMILARITIES[name], (a, b))


def test_squared_cosine_refuses_to_be_differentiated_twice():
    a, b = vectors(3, 4).requires_grad_(), vectors(3, 4, seed=1)
    with pytest.raises(ConfigError, match=r"squared_cosine: .*create_graph=True.*choose sigmoid_mse"):
        torch.autograd.grad(SIMILARITIES["squared_cosine"](a, b).sum(), a, create_graph=True)
    assert torch.autograd.gradgradcheck(lambda a: SIMILARITIES["sigmoid_mse"](a, b), a)


@pytest.mark.parametrize("dead", ["ours", "theirs", "both"])
def test_zero_vectors_have_finite_values_and_gradients(name, dead):
    a = torch.zeros(2, 4) if dead != "theirs" else torch.ones(2, 4)
    b = torch.zeros(2, 4) if dead != "ours" else torch.ones(2, 4)
    a.requires_grad_()
    value = SIMILARITIES[name](a, b)
    value.sum().backward()
    assert value.isfinite().all()
    assert a.grad.isfinite().all()


def test_a_zero_vector_is_like_nothing_to_the_squared_cosine():
    a = torch.zeros(2, 4, requires_grad=True)
    value = SIMILARITIES["squared_cosine"](a, torch.ones(2, 4))
    value.sum().backward()
    assert not value.any()
    assert not a.grad.any()


@given(st.floats(-18, 18))
def test_squared_cosine_does_not_see_the_scale_even_in_float32(exponent):
    a, b = vectors(4, 64).float(), vectors(4, 64, seed=1).float()
    scaled = SIMILARITIES["squared_cosine"](a * 10**exponent, b)
    torch.testing.assert_close(scaled, SIMILARITIES["squared_cosine"](a, b), **FLOAT32_CLOSE)


def test_squared_cosine_does_not_see_the_sign():
    a, b = vectors(4, 6), vectors(4, 6, seed=1)
    torch.testing.assert_close(SIMILARITIES["squared_cosine"](a, b), SIMILARITIES["squared_cosine"](-a, b), **CLOSE)


def test_sigmoid_mse_of_far_vectors_is_almost_zero():
    assert SIMILARITIES["sigmoid_mse"](torch.full((1, 4), 10.0), torch.zeros(1, 4)).item() < 1e-40
