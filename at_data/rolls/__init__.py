"""Recordings as columns on disk, of which any number takes next to no memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Int, Int32, Shaped

from at_data import scratch
from at_data.recordings import Recording
from at_data.rolls.columns import ABSENT, Cells, Columns, Listing
from at_data.rolls.texts import CHUNK, Texts


class Roll(Sequence[Recording]):
    """Some recordings of a listing, in an order. As a sequence it makes each anew whenever it is asked for.

    `rows` are their numbers in the listing: what is taken of it shares the columns. Sent to another process it becomes
    a tuple of Recordings.
    """

    __slots__ = ("columns", "rows")

    def __init__(self, columns: Columns, rows: Int32[np.ndarray, "recordings"]) -> None:
        self.columns, self.rows = columns, rows

    @classmethod
    def of(cls, recordings: "Roll | Iterable[Recording]") -> "Roll":
        """The same recordings; a roll as it is."""
        if isinstance(recordings, Roll):
            return recordings
        listing, left = Listing(), iter(recordings)
        while some := list(islice(left, CHUNK)):
            listing.add(some)
        columns = listing.columns()
        return cls(columns, scratch.filled(np.arange(len(columns.ids), dtype=np.int32), np.int32))

    def __len__(self) -> int:
        """How many."""
        return int(self.rows.size)

    @overload
    def __getitem__(self, place: int) -> Recording: ...
    @overload
    def __getitem__(self, place: slice) -> "Roll": ...
    def __getitem__(self, place: int | slice) -> "Recording | Roll":
        """The recording at a place, or a roll of several."""
        if isinstance(place, slice):
            return Roll(self.columns, self.rows[place])
        return self.columns.at(self.rows[place : place + 1 or None]).recordings()[0]

    def __iter__(self) -> Iterator[Recording]:
        """One after the other."""
        for start in range(0, len(self), CHUNK):
            yield from self.columns.at(self.rows[start : start + CHUNK]).recordings()

    def __eq__(self, other: object) -> bool:
        """Whether the other sequence has equal recordings in the same order."""
        if not isinstance(other, Sequence) or len(other) != len(self):
            return NotImplemented
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Cells.recordings, (self.cells,)

    @property
    def cells(self) -> Cells:
        """What is said of all of them, in memory."""
        return self.columns.at(self.rows)

    @property
    def ids(self) -> "Ids":
        """Their ids, in order."""
        return Ids(self.columns.ids, self.rows)

    def codes(self, attribute: str) -> Int32[np.ndarray, "recordings"]:
        """Number of each one's value of an attribute among `values`; ABSENT where it has none."""
        return self.columns.attribute(attribute).codes_of(self.rows)

    def values(self, attribute: str) -> list[str]:
        """Values that an attribute has in the listing, in the order they were met."""
        return self.columns.attribute(attribute).values

    def each(self, attributes: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Values of some attributes of each one; KeyError where one has none."""
        columns = [self.columns.attribute(name) for name in attributes]
        for start in range(0, len(self), CHUNK):
            for values in zip(*(column.at(self.rows[start : start + CHUNK]) for column in columns), strict=True):
                known = tuple(value for value in values if value is not None)
                if len(known) < len(values):
                    raise KeyError(attributes[values.index(None)])
                yield known

    def held(self, attribute: str) -> list[str]:
        """Values that an attribute has among these, sorted."""
        values = self.values(attribute)
        there = np.bincount(self.codes(attribute) + 1, minlength=len(values) + 1)[1:]
        return sorted(values[code] for code in np.flatnonzero(there).tolist())

    @property
    def attributes(self) -> list[str]:
        """Names of the attributes that any of these has, sorted."""
        return sorted(name for name in self.columns.attributes if (self.codes(name) != ABSENT).any())

    def take(self, places: Int[np.ndarray, "some"] | Bool[np.ndarray, "recordings"]) -> "Roll":
        """Those at some places, in their order, as an index of numpy names them."""
        return Roll(self.columns, scratch.filled(self.rows[places], np.int32))

    def without(self, others: "Roll") -> "Roll":
        """Those of these that are not among others of the same listing."""
        out = scratch.zeros(len(self.columns.ids), bool)
        out[others.rows] = True
        return self.take(~out[self.rows])


class Ids(Sequence[str]):
    """Ids of some recordings, each made when it is asked for."""

    __slots__ = ("numbers", "texts")

    def __init__(self, texts: Texts, numbers: Shaped[np.ndarray, "ids"]) -> None:
        self.texts, self.numbers = texts, numbers

    @classmethod
    def of_all(cls, texts: Texts) -> "Ids":
        """All texts, in order of their numbers."""
        return cls(texts, scratch.filled(np.arange(len(texts), dtype=np.int32), np.int32))

    def __len__(self) -> int:
        """How many."""
        return int(self.numbers.size)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Ids": ...
    def __getitem__(self, place: int | slice) -> "str | Ids":
        """The id at a place, or several."""
        if isinstance(place, slice):
            return Ids(self.texts, self.numbers[place])
        return self.texts.at(self.numbers[place : place + 1 or None])[0]

    def __iter__(self) -> Iterator[str]:
        """One after the other."""
        return self.texts.each(self.numbers)

    def sorted(self) -> Iterator[str]:
        """In order of the alphabet."""
        there = scratch.zeros(len(self.texts), bool)
        there[self.numbers] = True
        order = self.texts.order
        for start in range(0, order.size, CHUNK):
            some = order[start : start + CHUNK]
            yield from self.texts.at(some[there[some]])


def joined(rolls: Sequence[Roll]) -> Roll:
    """Recordings of several rolls of one listing, one roll's after the other's; at least one roll is given."""
    rows = scratch.zeros(sum(len(roll) for roll in rolls), np.int32)
    place = 0
    for roll in rolls:
        rows[place : place + len(roll)] = roll.rows
        place += len(roll)
    return Roll(rolls[0].columns, rows)


__all__ = ["ABSENT", "CHUNK", "Columns", "Ids", "Roll", "Texts", "joined"]
