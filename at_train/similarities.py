"""A pair of vectors -> one number per item, larger = more alike, and the table of the ways to measure it."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from at_data.errors import ConfigError

Similarity = Callable[[Tensor, Tensor], Tensor]


def squared_cosine(a: Float[Tensor, "batch size"], b: Float[Tensor, "batch size"]) -> Float[Tensor, "batch"]:
    """Squared cosine of each pair, in [0, 1] (equation 2). A zero vector is like nothing: 0, with gradient 0.

    It may be differentiated once; ConfigError where its gradient is to keep a graph. A Gram matrix of 512 channels
    holds as many numbers as the map of a second of sound nine times over, so what this reads and keeps is counted: two
    copies, scaled, and one product.
    """
    value: Tensor = _SquaredCosine.apply(a, b)  # type: ignore[no-untyped-call]
    return value


def sigmoid_mse(a: Float[Tensor, "batch size"], b: Float[Tensor, "batch size"]) -> Float[Tensor, "batch"]:
    """Sigmoid of the negative mean squared error of each pair, in [0, 0.5]; 0.5 for equal vectors (paper, 5.5).

    The authors' code has several forms; this is the one the paper's words fit.
    """
    return torch.sigmoid(-(a - b).square().mean(1))


SIMILARITIES: dict[str, Similarity] = {"squared_cosine": squared_cosine, "sigmoid_mse": sigmoid_mse}


class _SquaredCosine(torch.autograd.Function):
    """The value with its gradient written out, for autograd would keep five more arrays of the size of the vectors."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        (a, peak_a), (b, peak_b) = _unit_peak(a), _unit_peak(b)
        dot = (a * b).sum(1, keepdim=True)
        energy_a, energy_b = (torch.linalg.vector_norm(each, dim=1, keepdim=True).square() for each in (a, b))
        dead = energy_a * energy_b == 0
        energy_a, energy_b = energy_a.masked_fill(dead, 1), energy_b.masked_fill(dead, 1)
        ctx.save_for_backward(a, b, peak_a, peak_b, dot, energy_a, energy_b)
        value: Tensor = dot.square() / (energy_a * energy_b)
        return value.squeeze(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        # torch's once_differentiable looks at `gradient` alone, and takes this for a constant where that is one
        if torch.is_grad_enabled():
            came, todo = "a gradient that is to be differentiated (create_graph=True)", "choose sigmoid_mse"
            raise ConfigError("squared_cosine", came, "a penalty that is differentiated once", todo)
        a, b, peak_a, peak_b, dot, energy_a, energy_b = ctx.saved_tensors
        slope = 2 * gradient.unsqueeze(1) * dot / (energy_a * energy_b)
        for_a, for_b = ctx.needs_input_grad
        return (
            _towards(b, a, dot / energy_a, slope / peak_a) if for_a else None,
            _towards(a, b, dot / energy_b, slope / peak_b) if for_b else None,
        )


def _towards(other: Tensor, own: Tensor, share: Tensor, slope: Tensor) -> Tensor:
    """What of the other vector is not along the own one, times the slope."""
    return torch.addcmul(other * slope, own, -share * slope)


def _unit_peak(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors scaled to a peak of 1, and the peaks: keeps fourth powers of activations within the range of a float.

    The scale is a constant to the gradient, rightly so: a cosine does not depend on it.
    """
    peaks = torch.maximum(vectors.amax(1, keepdim=True), -vectors.amin(1, keepdim=True))
    peaks = peaks.clamp_min(torch.finfo(vectors.dtype).tiny)
    return vectors / peaks, peaks
