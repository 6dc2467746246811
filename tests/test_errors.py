"""Errors quote what strangers wrote, and can be shown anywhere all the same."""

import pickle

import pytest

from at_data.errors import LONGEST, AtError, CorpusError


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("\ud800", "\\ud800"),
        ("a\0b", "a\\x00b"),
        ("\u202egnp.wav", "\\u202egnp.wav"),
        ("two\nlines\tand é 漢", "two\nlines\tand é 漢"),
    ],
)
def test_what_a_terminal_should_not_get_is_escaped(came, shown):
    error = AtError("where", came, "expected", "todo")
    assert error.came == shown
    assert str(error).encode()


def test_a_long_quotation_is_cut_and_says_so():
    error = AtError("where", "x" * 1_000_000, "expected", "todo")
    assert error.came == "x" * LONGEST + "... (1,000,000 characters)"


def test_an_error_is_the_same_after_it_went_through_a_worker():
    error = CorpusError("where", "x" * 9_999, "expected", "todo")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - as a process pool does
    assert (again.where, again.came, again.expected, again.todo) == (error.where, error.came, "expected", "todo")
