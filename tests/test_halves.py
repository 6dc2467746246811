"""Halves are those of numpy's own cast, bit for bit."""

import numpy as np
import pytest

from at_data import halves

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = EVERY[np.isfinite(EVERY)]


def rounded(values):
    out = np.empty(values.size, np.float16)
    halves.round_to(out, values)
    return out.view(np.uint16)


@pytest.fixture
def left_to_numpy(monkeypatch):
    """How often numpy rounded whole arrays."""
    calls = []
    copy = np.copyto

    def counted(out, values, **more):
        calls.append(out.dtype)
        copy(out, values, **more)

    monkeypatch.setattr(halves.np, "copyto", counted)
    return lambda: calls.count(np.dtype(np.float16))


def near_halves():
    """Every half in single precision, what lies half way to the next one, and the four nearest values to each."""
    bits = FINITE.astype(np.float32).view(np.uint32).astype(np.int64)
    half_way = bits + (1 << 12)
    found = np.concatenate([(of + by) for of in (bits, half_way) for by in range(-2, 3)])
    return found[(found >= 0) & (found < 1 << 32)].astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("normal", [True, False])
def test_halves_and_what_lies_between_them_are_rounded_as_numpy_rounds_them(normal, left_to_numpy):
    values = near_halves()
    values = values[np.isfinite(values) & (np.abs(values) < halves.TOO_LARGE)]
    values = values[np.abs(values) >= halves.LEAST_NORMAL] if normal else values
    expected = values.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(rounded(values), expected)
    assert left_to_numpy() == 0
    assert np.unique(expected).size == (FINITE.size - 2 * 1024 if normal else FINITE.size)


@pytest.mark.parametrize("seed", range(8))
def test_any_bits_are_rounded_as_numpy_rounds_them(seed):
    dice = np.random.default_rng(seed)
    values = dice.integers(0, 1 << 32, 1 << 18, np.uint32).view(np.float32)
    few = dice.normal(scale=10.0**-seed, size=1 << 18).astype(np.float32)
    with np.errstate(over="ignore"):
        for some in (values, few, values[np.abs(values) < halves.TOO_LARGE], np.append(few, values[:8])):
            np.testing.assert_array_equal(rounded(some), some.astype(np.float16).view(np.uint16))


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, -np.nan, 65520.0, -1e30])
def test_what_has_no_half_becomes_what_numpy_makes_of_it(odd, left_to_numpy):
    values = np.array([1.0, odd, 2.0], np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(rounded(values), values.astype(np.float16).view(np.uint16))
    assert left_to_numpy() == 1


@pytest.mark.parametrize(("largest", "fits"), [(65519.0, True), (65520.0, False), (-1e6, False), (np.nan, False)])
def test_who_rounds_is_told_whether_all_is_finite(largest, fits):
    values = np.array([1.0, largest], np.float32)
    out = np.empty(2, np.float16)
    assert halves.round_to(out, values) is fits
    assert bool(np.isfinite(out).all()) is fits


@pytest.mark.parametrize("size", [0, 1, 5])
def test_many_small_values_are_as_few_ones(size):
    values = np.linspace(-1e-5, 1e-7, size, dtype=np.float32)
    before = values.copy()
    np.testing.assert_array_equal(rounded(values), values.astype(np.float16).view(np.uint16))
    np.testing.assert_array_equal(values, before)
