"""Scaling held to numpy in double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from test_spectra import noise, spectrogram

from at_data.errors import ManifestError
from at_data.stages.scaling import Scale, Scaling, Sums, measure, scale, scale_of

SCALING_TOLERANCE = 1e-5  # of one deviation: values, mean and deviation in float32
ITEMS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=3), elements=st.floats(0, 1, width=32))


def test_a_scale_measured_on_what_is_tested_is_refused():
    with pytest.raises(ValidationError):
        Scaling(kind="standard", measured_on="test")


@given(ITEMS, st.integers(0, 1000))
def test_zeros_that_are_not_there_count_as_if_they_were(item, zeros):
    found, expected = measure(item, zeros), measure(np.append(item.ravel(), np.zeros(zeros, np.float32)))
    assert found.count == expected.count
    np.testing.assert_allclose([found.total, found.squares], [expected.total, expected.squares], rtol=1e-12)


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_sums_of_items_are_the_sums_of_the_whole(items):
    sums = sum((measure(item) for item in items), Sums(0, 0.0, 0.0))
    everything = np.concatenate([item.ravel() for item in items]).astype(np.float64)
    assert sums.count == everything.size
    np.testing.assert_allclose([sums.total, sums.squares], [everything.sum(), (everything**2).sum()], rtol=1e-12)


def test_measuring_leaves_the_values_alone_and_takes_any_layout():
    values = spectrogram(noise())
    before = values.copy()
    assert measure(values.T).squares == pytest.approx(measure(values).squares, rel=1e-12)
    np.testing.assert_array_equal(values, before)


def test_scaled_values_have_mean_zero_and_deviation_one():
    items = [spectrogram(noise(seed=seed)) for seed in range(20)]
    whole = scale_of(sum(map(measure, items), Sums(0, 0.0, 0.0)))
    everything = np.concatenate(items).astype(np.float64)
    assert whole.mean == pytest.approx(everything.mean(), rel=1e-12)
    assert whole.std == pytest.approx(everything.std(), rel=1e-12)
    scaled = np.concatenate([scale(item, whole) for item in items])
    assert scaled.dtype == np.float32
    assert scaled.mean(dtype=np.float64) == pytest.approx(0, abs=SCALING_TOLERANCE)
    assert scaled.std(dtype=np.float64) == pytest.approx(1, abs=SCALING_TOLERANCE)


def test_scaling_in_place_gives_the_same_values():
    values = spectrogram(noise())
    whole = scale_of(measure(values))
    before, expected = values.copy(), scale(values, whole)
    np.testing.assert_array_equal(values, before)
    assert scale(values, whole, out=values) is values
    np.testing.assert_array_equal(values, expected)


@given(st.floats(-10, 10, width=32), st.integers(1, 5_000))
def test_values_without_spread_cannot_be_scaled(value, items):
    sums = measure(np.full(items, value, np.float32))
    with pytest.raises(ManifestError, match=rf"scaling: {items} values .* no spread"):
        scale_of(sums)


def test_no_values_cannot_be_scaled():
    with pytest.raises(ManifestError, match="scaling: 0 values"):
        scale_of(Sums(0, 0.0, 0.0))


def test_scaling_is_subtraction_then_division():
    scaled = scale(np.array([1.0, 3.0, 5.0], np.float32), Scale(3.0, 2.0))
    np.testing.assert_array_equal(scaled, np.array([-1.0, 0.0, 1.0], np.float32))
