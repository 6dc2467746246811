"""The one scale of all magnitudes of a dataset."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict

from at_data.errors import ManifestError

AT_ONCE = 1 << 15  # values summed at a time: 0.25 MB of float64, what a cache holds
# Share of the mean square that rounding may leave as the variance of a million lots of equal values.
ROUNDING = 1e-9


class Scaling(BaseModel):
    """What is done to the values: `standard` brings the split they are measured on to mean 0 and deviation 1."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: Literal["standard", "none"]
    measured_on: Literal["train"]


@dataclass(frozen=True, slots=True)
class Sums:
    """Count, sum and sum of squares of values, in double precision; sums of two lots add up."""

    count: int
    total: float
    squares: float

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Scale:
    """One mean and one population standard deviation for every value of a dataset."""

    mean: float
    std: float


def measure(values: Float32[np.ndarray, "..."], zeros: int = 0) -> Sums:
    """Sums of one spectrogram, or of many at once, and of so many `zeros` beside them."""
    total, squares = 0.0, 0.0
    flat = values.reshape(-1)
    for first in range(0, flat.size, AT_ONCE):
        wide = flat[first : first + AT_ONCE].astype(np.float64)
        total += float(np.add.reduce(wide))
        wide *= wide
        squares += float(np.add.reduce(wide))
    return Sums(zeros + flat.size, total, squares)


def scale_of(sums: Sums) -> Scale:
    """Mean and population standard deviation that the sums amount to.

    Raises
    ------
    ManifestError
        There are no values, or they are all the same (a silent dataset): nothing can be scaled by them.

    """
    count = max(1, sums.count)
    mean, mean_square = sums.total / count, sums.squares / count
    variance = mean_square - mean * mean
    if variance <= ROUNDING * mean_square:
        came = f"{sums.count} values with a mean of {mean:g} and no spread"
        todo = "look for silent recordings, or set scaling.kind to none"
        raise ManifestError("scaling", came, "a training split whose values differ", todo)
    return Scale(mean, math.sqrt(variance))


def scale(
    values: Float32[np.ndarray, "..."], scale: Scale, out: Float32[np.ndarray, "..."] | None = None
) -> Float32[np.ndarray, "..."]:
    """Values less the mean, divided by the deviation, in single precision; `out` may be `values` itself."""
    scaled: np.ndarray = np.subtract(values, np.float32(scale.mean), out=out)
    scaled /= np.float32(scale.std)
    return scaled
