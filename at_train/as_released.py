"""The penalty as the authors' public code computes it, kept to reproduce their numbers.

It differs from the paper's equations 1 and 2: the Gram matrix correlates channels across the items of a batch, so the
value depends on the batch; the cosine is taken row by row; its absolute value is averaged before it is squared. `beta`
multiplies once, as in commit 09fb6e7 that made the paper's results; the published HEAD (3154afc) multiplies the squared
cosine by beta twice, so that a negative beta does nothing there. Facts: repository ericguizzo/anti_transfer.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from at_data.errors import ConfigError
from at_train.aggregations import AGGREGATIONS

GRAM_SCALE = 0.001  # the released Gram matrix is divided by it; a cosine does not see it, the MSE does


def penalty(
    ours: Float[Tensor, "batch channels height width"],
    theirs: Float[Tensor, "_ _ _ _"],
    beta: float,
    aggregation: str,
    similarity: str,
) -> Float[Tensor, ""]:
    """Scalar penalty of two feature maps.

    squared_cosine: beta (mean |c|)^2 in [0, beta], c the cosines of all rows; a dead row has cosine 0 and counts.
    sigmoid_mse: -beta sigmoid(MSE) in (-beta, -beta / 2], in the form that runs (HEAD; it raises at 09fb6e7).

    Raises
    ------
    ConfigError
        Maps that do not fit each other, or a similarity the released code does not have.

    """
    return of_rows(*_rows(ours, theirs, aggregation), beta, similarity)


def of_rows(
    rows_ours: Float[torch.Tensor, "rows size"],
    rows_theirs: Float[torch.Tensor, "rows size"],
    beta: float,
    similarity: str,
) -> Float[torch.Tensor, ""]:
    """Scalar penalty of two matrices compared row by row; ConfigError for a similarity the released code lacks."""
    if similarity == "squared_cosine":
        cosines = functional.cosine_similarity(rows_ours, rows_theirs, dim=-1)
        return beta * cosines.abs().mean().square()
    if similarity == "sigmoid_mse":
        return -beta * torch.sigmoid((rows_ours - rows_theirs).square().mean())
    raise ConfigError(
        "similarity",
        f"'{similarity}' is not in the released code",
        "squared_cosine or sigmoid_mse",
        "choose one of them, or variant 'paper'",
    )


def _rows(ours: Tensor, theirs: Tensor, aggregation: str) -> tuple[Tensor, Tensor]:
    """Pair of matrices whose rows are compared: those of the mixed Gram matrix, or one map per item and channel."""
    if aggregation != "gram":
        positions = ours.shape[2] * ours.shape[3]
        a, b = AGGREGATIONS[aggregation](ours, theirs)
        return a.reshape(-1, positions), b.reshape(-1, positions)
    if ours.shape[:2] != theirs.shape[:2]:
        came = f"maps of {tuple(ours.shape)} and {tuple(theirs.shape)}"
        raise ConfigError("gram", came, "equal batch, channels", "compare layers that fit")
    return _mixed_gram(ours), _mixed_gram(theirs)


def _mixed_gram(maps: Tensor) -> Tensor:
    """(batch x channels) square: every channel of every item with every other."""
    with torch.autocast(maps.device.type, enabled=False):
        channels = maps.to(torch.promote_types(maps.dtype, torch.float32)).flatten(0, 1).flatten(1)
        return channels @ channels.T / (maps.numel() * GRAM_SCALE)
