"""Predictions -> scores: arrays in, floats out.

Every score is of a whole split at once; scores averaged over batches, as in the paper's code, weigh the items of the
last batch differently. Arrays hold class numbers, 0 up. An empty split has no score: nan.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64


def accuracy(truth: Int[np.ndarray, "items"], predicted: Int[np.ndarray, "items"]) -> float:
    """Share of items predicted right, 0 to 1."""
    return float(np.mean(truth == predicted)) if len(truth) else float("nan")


def confusion(
    truth: Int[np.ndarray, "items"], predicted: Int[np.ndarray, "items"], classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """Number of items by true class (rows) and predicted class (columns)."""
    assert all(((codes >= 0) & (codes < classes)).all() for codes in (truth, predicted)), "codes are class numbers"
    pairs = truth.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def macro_f1(truth: Int[np.ndarray, "items"], predicted: Int[np.ndarray, "items"], classes: int) -> float:
    """Mean of F1, the harmonic mean of precision and recall, over the classes that occur, 0 to 1.

    A class that occurs neither in truth nor among predictions is left out; one that occurs in one of them alone counts
    as 0. So does scikit-learn with no labels named and zero_division=0.
    """
    if not len(truth):
        return float("nan")
    table = confusion(truth, predicted, classes)
    occurrences = table.sum(0) + table.sum(1)
    there = occurrences > 0
    return float(np.mean(2 * np.diagonal(table)[there] / occurrences[there]))


def group_accuracy(
    truth: Int[np.ndarray, "items"],
    predicted: Int[np.ndarray, "items"],
    groups: Int[np.ndarray, "items"],
    names: Sequence[str],
) -> dict[str, dict[str, int | float]]:
    """Items and accuracy of each group that occurs, by name, in the order of `names`.

    `groups` holds indices into `names`; items whose group is unknown (-1) are left out.
    """
    scores: dict[str, dict[str, int | float]] = {}
    for code, name in enumerate(names):
        members = groups == code
        if members.any():
            scores[name] = {"items": int(members.sum()), "accuracy": accuracy(truth[members], predicted[members])}
    return scores


def worst_group(scores: dict[str, dict[str, int | float]]) -> dict[str, str | float]:
    """Value and accuracy of the group with the lowest accuracy, the first of equals; empty when there is none."""
    if not scores:
        return {}
    name = min(scores, key=lambda group: scores[group]["accuracy"])
    return {"value": name, "accuracy": scores[name]["accuracy"]}
