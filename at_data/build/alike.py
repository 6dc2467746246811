"""The search for near-duplicates given to the worker processes of a build, in parts."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from at_data.build.pool import Pool
from at_data.stages import duplicates

Near = Callable[[Mapping[str, UInt32[np.ndarray, "_"]], Mapping[str, str]], list[duplicates.Pair]]
"""Pairs of near-duplicates in two splits, of fingerprints and splits by id."""


def searcher(folder: Path, pool: Pool) -> Near:
    """The search, its parts done by a pool; words lie in the work folder, which every worker maps into its memory."""
    number = count()

    def run(laid: duplicates.Laid, parts: Sequence[duplicates.Part], threshold: float) -> Iterator[duplicates.Found]:
        place = folder / "parts" / f"words{next(number)}"
        place.mkdir(exist_ok=True)
        for field in fields(laid):
            np.save(place / f"{field.name}.npy", getattr(laid, field.name))
        del laid  # it lies in the files
        for _, found in pool.run(_search, parts, place, threshold):
            yield found
        shutil.rmtree(place)

    return partial(duplicates.near, run=run)


def _search(part: duplicates.Part, place: Path, threshold: float) -> duplicates.Found:
    return duplicates.search(_laid(place), part, threshold)


@lru_cache(maxsize=1)
def _laid(place: Path) -> duplicates.Laid:
    names = [field.name for field in fields(duplicates.Laid)]
    return duplicates.Laid(
        **{name: np.asarray(np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in names}
    )
