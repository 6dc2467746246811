"""A pair of vectors -> one number per item, larger = more alike, and the table of the ways to measure it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]


def squared_cosine(a: Float[Tensor, "batch size"], b: Float[Tensor, "batch size"]) -> Float[Tensor, "batch"]:
    """Squared cosine of each pair, in [0, 1] (equation 2). A zero vector is like nothing: 0, with gradient 0."""
    a, b = _unit_peak(a), _unit_peak(b)
    dot = (a * b).sum(1)
    energy = a.square().sum(1) * b.square().sum(1)
    return dot.square() / torch.where(energy > 0, energy, 1)


def sigmoid_mse(a: Float[Tensor, "batch size"], b: Float[Tensor, "batch size"]) -> Float[Tensor, "batch"]:
    """Sigmoid of the negative mean squared error of each pair, in [0, 0.5]; 0.5 for equal vectors (paper, 5.5).

    The authors' code has several forms; this is the one the paper's words fit.
    """
    return torch.sigmoid(-(a - b).square().mean(1))


SIMILARITIES: dict[str, Similarity] = {"squared_cosine": squared_cosine, "sigmoid_mse": sigmoid_mse}


def _unit_peak(vectors: Tensor) -> Tensor:
    """Vectors scaled to a peak of 1: keeps fourth powers of activations within the range of a float.

    The scale is a constant to the gradient, rightly so: a cosine does not depend on it.
    """
    peaks = vectors.detach().abs().amax(1, keepdim=True)
    return vectors / peaks.clamp_min(torch.finfo(vectors.dtype).tiny)
