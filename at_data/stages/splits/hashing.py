"""Groups whose part a hash of seed and name decides, so that no other group can move them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from at_data import seeds

BITS = 128  # of a key


def by_share(
    names: Sequence[str], shares: Float[np.ndarray, "parts"], seed: int, purpose: str
) -> Int[np.ndarray, "groups"]:
    """Part of each group, drawn with the shares as probabilities."""
    bounds = np.cumsum(shares)[:-1]
    # rounding of the sum must not open a part that has no share
    last = int(np.flatnonzero(shares > 0)[-1])
    places = np.fromiter((seeds.key(seed, purpose, name) / 2**BITS for name in names), float, len(names))
    return np.minimum(np.searchsorted(bounds, places, side="right"), last)


def by_fold(names: Sequence[str], folds: int, seed: int, purpose: str) -> Int[np.ndarray, "groups"]:
    """Fold of each group, each as probable as the others."""
    return np.fromiter((seeds.key(seed, purpose, name) % folds for name in names), np.int64, len(names))
