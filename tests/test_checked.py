"""The tests notice a call that gives a function of the packages what its annotations do not allow."""

import numpy as np
import pytest

from at_data import halves
from at_data.rolls.texts import Texts
from at_data.shards import Extents
from at_data.stages import scaling

VALUES = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("function", "given"),
    [
        pytest.param(scaling.measure, (VALUES, "none"), id="a type"),
        pytest.param(scaling.measure, (VALUES.astype(np.float64),), id="the type of an array"),
        pytest.param(halves.round_to, (VALUES.astype(np.float16), VALUES[None]), id="the number of axes"),
        pytest.param(halves.round_to, (VALUES[:2].astype(np.float16), VALUES), id="an axis of two sizes"),
        pytest.param(Extents, (np.zeros(3, np.int64), np.zeros(2, np.int64)), id="an axis of two sizes, in fields"),
    ],
)
def test_what_annotations_do_not_allow_is_an_error(function, given):
    with pytest.raises(Exception, match="violates type hint"):
        function(*given)


def test_what_a_function_gives_is_checked(monkeypatch):
    monkeypatch.setattr(scaling, "Sums", lambda *_: "no sums")
    with pytest.raises(Exception, match="return 'no sums' violates type hint"):
        scaling.measure(VALUES)


def test_generators_are_checked_when_they_are_called():
    with pytest.raises(Exception, match="Type-check error"):
        Texts.of(["a", "b"]).each(np.zeros((2, 2), np.int64))


def test_an_axis_is_of_one_call_alone():
    for size in (2, 3):
        halves.round_to(np.zeros(size, np.float16), np.zeros(size, np.float32))
