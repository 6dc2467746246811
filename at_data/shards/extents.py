"""Where in an item its real frames lie: what is left without the frames of zeros before and after them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from at_data.stages import scaling


@dataclass(frozen=True, slots=True)
class Extents:
    """First real frame of every item, and how many there are; none in an item of zeros alone, which begins at 0."""

    starts: Int64[np.ndarray, "items"]
    lengths: Int64[np.ndarray, "items"]

    @property
    def firsts(self) -> Int64[np.ndarray, "items"]:
        """Place of every item's first real frame where all stand in a row, one item's after the other's."""
        return np.asarray(np.cumsum(self.lengths) - self.lengths)

    @property
    def frames(self) -> int:
        """Number of all real frames."""
        return int(self.lengths.sum())


def padding(scale: scaling.Scale, dtype: str) -> np.ndarray:
    """What a magnitude of 0 is once it is scaled and in the stored type, as an array without axes."""
    return np.asarray(scaling.scale(np.zeros(1, np.float32), scale).astype(dtype)[0])
