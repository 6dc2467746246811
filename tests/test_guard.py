"""Calls in a child process: results come back, and no way a child can end takes the caller with it."""

import ctypes
import functools
import os
import signal
import sys
import time

import pytest

from at_data import guard
from at_data.guard import Ended, Limits

QUICK = Limits(call_s=20.0, memory_bytes=256 << 20)


def act(what):
    """Whatever the word asks for; a function of a module, so that a child can find it."""
    return {
        "answer": lambda: {"pid": os.getpid(), "list": [1, 2.5, "three", None]},
        "raise": lambda: {}["no such key"],
        "crash": lambda: ctypes.string_at(0),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "leave": lambda: os._exit(7),
        "hang": lambda: time.sleep(600),
        "eat": lambda: len(bytearray(1 << 30)),
        "little": lambda: len(bytearray(64 << 20)),
        "talk": lambda: "x" * (guard.ANSWER_BYTES + 1),
        "object": object,
    }[what]()


def test_a_result_comes_back_from_another_process():
    answer = guard.call(act, "answer", QUICK)
    assert answer["list"] == [1, 2.5, "three", None]
    assert answer["pid"] != os.getpid()


def test_one_child_makes_all_calls_that_end_well():
    answers = list(guard.each(act, ["answer", "raise", "answer"], QUICK))
    assert answers[0] == answers[2]
    assert answers[1] == Ended("error", "KeyError: 'no such key'")


@pytest.mark.parametrize(
    ("what", "how", "text"),
    [
        ("crash", "signal", "was ended by SIGSEGV"),
        ("kill", "signal", "was ended by SIGKILL"),
        ("leave", "exit", "left its process with status 7"),
        ("talk", "exit", "answered with more than 16,777,216 bytes"),
    ],
)
def test_a_child_that_ends_is_told_apart_and_the_next_call_has_another(what, how, text):
    before, ended, after = guard.each(act, ["answer", what, "answer"], QUICK)
    assert ended == Ended(how, text)
    assert after["pid"] != before["pid"]


def test_a_call_that_hangs_is_ended_in_time():
    begun = time.monotonic()
    hung, after = guard.each(act, ["hang", "answer"], Limits(call_s=1.0))
    assert hung == Ended("time", "took longer than 1 s")
    assert after["list"]
    assert time.monotonic() - begun < 60


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
def test_memory_is_bounded_and_what_fits_is_given():
    eaten, little = guard.each(act, ["eat", "little"], QUICK)
    assert eaten == Ended("memory", "needed more than 268,435,456 bytes of memory")
    assert little == 64 << 20


def test_what_json_cannot_say_is_an_error_and_no_object():
    ended = guard.call(act, "object", QUICK)
    assert ended.how == "error"
    assert "not JSON serializable" in ended.text


def test_no_child_is_left_behind_by_a_caller_that_stops_asking():
    asked = guard.each(act, ["answer", "answer"], QUICK)
    child = next(asked)["pid"]
    asked.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_bound_function_is_called_too():
    assert guard.call(functools.partial(max, 3), 5, QUICK) == 5
