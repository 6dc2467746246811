"""What is too quiet is left out by the measure the manifest names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.stages.quiet import Faint, reason

DOWN = np.array([0.02, -0.5, 0.0], np.float32)  # swings further down than up


def rule(measure, drop_at_most=0.05):
    return Faint(measure=measure, drop_at_most=drop_at_most)


def test_the_largest_sample_keeps_its_sign_as_the_papers_authors_had_it():
    assert reason(DOWN, rule("peak")) is None
    assert reason(DOWN, rule("largest_sample")) == "largest sample 0.02, not above 0.05"


@pytest.mark.parametrize("measure", ["peak", "largest_sample"])
def test_the_limit_itself_is_too_quiet(measure):
    half = np.array([0.0, 0.5], np.float32)
    assert reason(half, rule(measure, 0.5))
    assert reason(np.nextafter(half, np.float32(1)), rule(measure, 0.5)) is None


@given(st.lists(st.floats(-1, 1, width=32), min_size=1), st.floats(0, 0.99))
def test_peak_is_numpys_largest_magnitude(values, limit):
    samples = np.array(values, np.float32)
    assert (reason(samples, rule("peak", limit)) is None) == (float(np.abs(samples).max()) > limit)
