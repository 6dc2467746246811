"""Near-duplicates among the recordings of a build, looked for by its worker processes."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from at_data import scratch
from at_data.build.compact import Words
from at_data.build.pool import Pool
from at_data.rolls import CHUNK
from at_data.rolls.assignment import Assignment
from at_data.stages import duplicates


def pairs(words: Words, places: Assignment, run: duplicates.Run | None = None) -> list[tuple[int, int]]:
    """Pairs of recordings in two splits that are nearly the same, by their numbers, in order of their ids."""
    numbers = _in_order(words, places)
    names = sorted(places.names[code] for code in np.unique(places.codes[numbers]).tolist())
    sides = np.array([names.index(name) if name in names else -1 for name in places.names], np.int32)
    starts, sizes = scratch.filled(words.starts[numbers], np.int64), scratch.filled(words.sizes[numbers], np.int32)
    of = scratch.filled(sides[places.codes[numbers]], np.int32)
    found = duplicates.pairs(words.held, starts, sizes, of, run=run)
    return [(int(numbers[one]), int(numbers[other])) for one, other, _ in found]


def _in_order(words: Words, places: Assignment) -> Int32[np.ndarray, "recordings"]:
    """Numbers of the recordings that have words, in order of their ids."""
    order, numbers = places.columns.ids.order, scratch.Growing()
    for start in range(0, order.size, CHUNK):
        some = order[start : start + CHUNK]
        numbers.add(some[words.there[some] & (words.sizes[some] > 0)])
    return numbers.array(np.int32)


def spread(folder: Path, pool: Pool) -> duplicates.Run:
    """The search of a pool; words lie in the work folder, which every worker maps into its memory."""
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

    return run


def _search(part: duplicates.Part, place: Path, threshold: float) -> duplicates.Found:
    return duplicates.search(_laid(place), part, threshold)


@lru_cache(maxsize=1)
def _laid(place: Path) -> duplicates.Laid:
    names = [field.name for field in fields(duplicates.Laid)]
    return duplicates.Laid(
        **{name: np.asarray(np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False)) for name in names}
    )
