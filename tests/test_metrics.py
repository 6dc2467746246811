"""Scores agree with scikit-learn's and with counting by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from at_train import metrics

CLASSES = 5
EXACT = 1e-12


@st.composite
def predictions(draw):
    """Truth and prediction of one split; some classes may occur in neither."""
    items = draw(st.integers(1, 60))
    codes = st.lists(st.integers(0, CLASSES - 1), min_size=items, max_size=items)
    return np.array(draw(codes)), np.array(draw(codes))


@given(predictions())
def test_scores_agree_with_scikit_learn(pair):
    truth, predicted = pair
    labels = list(range(CLASSES))
    f1 = oracle.f1_score(truth, predicted, average="macro", zero_division=0)
    assert metrics.accuracy(truth, predicted) == pytest.approx(oracle.accuracy_score(truth, predicted), abs=EXACT)
    assert metrics.macro_f1(truth, predicted, CLASSES) == pytest.approx(f1, abs=EXACT)
    table = oracle.confusion_matrix(truth, predicted, labels=labels)
    np.testing.assert_array_equal(metrics.confusion(truth, predicted, CLASSES), table)


def test_a_class_that_nobody_asks_for_or_guesses_costs_nothing():
    truth = np.array([0, 1, 2, 4, 4])
    assert metrics.macro_f1(truth, truth, CLASSES) == 1
    guessed = np.array([0, 1, 2, 4, 3])  # once guessed, it counts as 0
    assert metrics.macro_f1(truth, guessed, CLASSES) == pytest.approx((1 + 1 + 1 + 0 + 2 / 3) / 5, abs=EXACT)


def test_confusion_has_truth_in_rows():
    table = metrics.confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    np.testing.assert_array_equal(table, [[0, 2], [0, 1]])


def test_confusion_does_not_overflow_small_integers():
    truth = np.array([126], dtype=np.int8)
    assert metrics.confusion(truth, truth, 127)[126, 126] == 1


@given(predictions(), st.integers(0, 2**32 - 1))
def test_group_accuracies_weighted_by_items_are_the_accuracy(pair, seed):
    truth, predicted = pair
    groups = np.random.default_rng(seed).integers(0, 3, len(truth))
    scores = metrics.group_accuracy(truth, predicted, groups, ["a", "b", "c"])
    assert sum(score["items"] for score in scores.values()) == len(truth)
    right = sum(score["items"] * score["accuracy"] for score in scores.values())
    assert right / len(truth) == pytest.approx(metrics.accuracy(truth, predicted), abs=EXACT)


def test_groups_without_items_and_items_without_group_are_left_out():
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    scores = metrics.group_accuracy(truth, predicted, np.array([0, 0, 2, -1]), ["ann", "bob", "cy"])
    assert scores == {"ann": {"items": 2, "accuracy": 1.0}, "cy": {"items": 1, "accuracy": 0.0}}
    assert metrics.worst_group(scores) == {"value": "cy", "accuracy": 0.0}


def test_worst_of_equal_groups_is_the_first():
    score = {"items": 1, "accuracy": 0.5}
    assert metrics.worst_group({"b": score, "a": score}) == {"value": "b", "accuracy": 0.5}
    assert metrics.worst_group({}) == {}


def test_an_empty_split_has_no_score():
    nothing = np.array([], dtype=np.int64)
    assert math.isnan(metrics.accuracy(nothing, nothing))
    assert math.isnan(metrics.macro_f1(nothing, nothing, 3))
    assert metrics.confusion(nothing, nothing, 3).sum() == 0
