"""The scaling of a dataset, measured again in what is stored."""

import math
from collections.abc import Iterator

import numpy as np

from at_data.headers import Header
from at_data.stages import scaling

# Half a step between neighbouring numbers, relative: what storing a value may change of it.
ROUNDING = {"float16": 2.0**-11, "float32": 2.0**-24}
SMALLEST = {"float16": 2.0**-25, "float32": 2.0**-150}  # half a step where numbers are too small for that
SINGLE = 2.0**-24  # the values were scaled in single precision: mean and deviation rounded, two operations
SUMMED = 1e-10  # what adding up a dataset in double precision, in another order, may change


def tolerance(header: Header) -> float:
    """How far mean and deviation of the stored training split may lie from 0 and 1.

    Rounding changes a value v by at most r |v| + s, so it moves the mean by at most r + s and the deviation by at most
    as much (the triangle inequality, for the mean of |v| is at most the root of its mean square, which is 1). A mean
    that is itself rounded moves every value by the same.
    """
    offset = abs(header.scaling.mean) / header.scaling.std
    rounding = ROUNDING[header.dtype] + 4 * SINGLE
    return rounding * (1 + rounding) + SMALLEST[header.dtype] + offset * SINGLE + SUMMED * (1 + offset**2)


def contradictions(header: Header, kind: str, train: scaling.Sums, lowest: float) -> Iterator[str]:
    """Lines where the stored values are not scaled as the header says; `lowest` is the least of all splits."""
    said = header.scaling
    if kind == "none":
        if (said.mean, said.std) != (0.0, 1.0):
            yield f"dataset.json: scaling is {said.mean!r} and {said.std!r} where the manifest wants none"
            return
    elif not said.std > 0:
        yield f"dataset.json: scaling.std is {said.std!r}, expected more than 0"
        return
    else:
        yield from _off(header, train)
    # a magnitude is 0 or more, and scaling keeps the order: exactly this is the least that can be stored
    zero = scaling.scale(np.zeros(1, np.float32), scaling.Scale(said.mean, said.std)).astype(header.dtype)
    if lowest < float(zero[0]):
        yield f"shards: the least value is {lowest:.7g}, a magnitude of 0 is stored as {float(zero[0]):.7g}"


def _off(header: Header, train: scaling.Sums) -> Iterator[str]:
    count = max(1, train.count)
    mean = train.total / count
    std = math.sqrt(max(0.0, train.squares / count - mean * mean))
    most = tolerance(header)
    if abs(mean) > most or abs(std - 1) > most:
        yield (
            f"shards: the training split has mean {mean:.3g} and deviation {std:.7g}, "
            f"expected 0 and 1 within {most:.2g}, the rounding of {header.dtype}"
        )
