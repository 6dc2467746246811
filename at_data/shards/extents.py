"""Where in an item its real frames lie: what is left without the frames of zeros before and after them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, Num

from at_data.stages import spectra


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


def extents_of(items: Float32[np.ndarray, "items frames bins"]) -> Extents:
    """Extents of items that are not yet scaled.

    Examples
    --------
    >>> item = np.zeros((1, 5, 2), np.float32)
    >>> item[0, 1, 1] = item[0, 3, 0] = 0.5
    >>> extents_of(item)
    Extents(starts=array([1]), lengths=array([3]))

    """
    heard: np.ndarray = np.asarray(items.any(axis=2))
    starts = heard.argmax(axis=1)
    stops = heard.shape[1] - heard[:, ::-1].argmax(axis=1)
    return Extents(starts.astype(np.int64), np.where(heard.any(axis=1), stops - starts, 0).astype(np.int64))


def real_frames(items: Num[np.ndarray, "items frames bins"], found: Extents) -> Num[np.ndarray, "real bins"]:
    """Real frames of items, one item's after the other's."""
    places = np.arange(items.shape[1])
    starts = found.starts[:, None]
    chosen: np.ndarray = items[(places >= starts) & (places < starts + found.lengths[:, None])]
    return chosen


def padding(scale: spectra.Scale, dtype: str) -> np.ndarray:
    """What a magnitude of 0 is once it is scaled and in the stored type, as an array without axes."""
    return np.asarray(spectra.scale(np.zeros(1, np.float32), scale).astype(dtype)[0])
