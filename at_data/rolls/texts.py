"""Strings behind each other in a file."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int32, Int64, Shaped

from at_data import scratch

CHUNK = 1 << 13  # strings made at a time


class Texts:
    """Strings by their number, as pyarrow has them; none is held as an object of Python."""

    def __init__(self, arrow: pa.Array) -> None:
        self.arrow = arrow

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """The same strings."""
        writer = Writer()
        for text in texts:
            writer.add(text)
        return writer.texts()

    def __len__(self) -> int:
        """How many."""
        return len(self.arrow)

    def at(self, numbers: Shaped[np.ndarray, "n"]) -> list[str]:
        """The strings of these numbers."""
        found: list[str] = self.arrow.take(pa.array(numbers)).to_pylist()
        return found

    def each(self, numbers: Shaped[np.ndarray, "n"]) -> Iterator[str]:
        """The strings of these numbers, a few at a time in memory."""
        for start in range(0, numbers.size, CHUNK):
            yield from self.at(numbers[start : start + CHUNK])

    @cached_property
    def order(self) -> Int32[np.ndarray, "texts"]:
        """All numbers in the order of their strings; of equal strings the lower number comes first."""
        import pyarrow.compute as pc  # noqa: PLC0415 - a tenth of what a worker imports, and none needs it

        return scratch.filled(pc.sort_indices(self.arrow).to_numpy(), np.int32)

    @cached_property
    def ranks(self) -> Int32[np.ndarray, "texts"]:
        """Place of every string among the different ones in order: equal strings have the same."""
        ranks = scratch.zeros(len(self), np.int32)
        last = -1
        for start, new in self._firsts():
            places = last + np.cumsum(new, dtype=np.int32)
            ranks[self.order[start : start + new.size]] = places
            last = int(places[-1])
        return ranks

    def repeated(self, among: Bool[np.ndarray, "texts"] | None = None) -> Iterator[int]:
        """Numbers of the strings that stand before them already, among some or all, in order of the strings."""
        last: int | None = None
        for start, new in self._firsts():
            numbers = self.order[start : start + new.size]
            if among is None:
                yield from numbers[~new].tolist()
                continue
            ranks, there = self.ranks[numbers], among[numbers]
            for number, rank in zip(numbers[there].tolist(), ranks[there].tolist(), strict=True):
                if rank == last:
                    yield number
                last = rank

    def find(self, text: str) -> int | None:
        """Lowest number of a string, or None."""
        place = bisect_left(range(len(self)), text, key=lambda at: self.arrow[int(self.order[at])].as_py())
        if place == len(self):
            return None
        number = int(self.order[place])
        return number if self.arrow[number].as_py() == text else None

    def _firsts(self) -> Iterator[tuple[int, Shaped[np.ndarray, "n"]]]:
        """For some places in order at a time, the first of them, whether a string differs from the one before it."""
        import pyarrow.compute as pc  # noqa: PLC0415 - likewise

        for start in range(0, len(self), CHUNK):
            numbers = self.order[max(0, start - 1) : start + CHUNK]
            some = self.arrow.take(pa.array(numbers))
            new = pc.not_equal(some[1:], some[:-1]).to_numpy(zero_copy_only=False)
            yield start, new if start else np.concatenate([[True], new])


class Writer:
    """Strings as they come; a few are held until they are written."""

    def __init__(self) -> None:
        self._offsets, self._data = scratch.Growing(), scratch.Growing()
        self._offsets.add(np.zeros(1, np.int64))
        self._count = 0
        self._some: list[str] = []

    def add(self, text: str) -> None:
        """Put this behind those that came before."""
        self._some.append(text)
        if len(self._some) == CHUNK:
            self.extend([])

    def extend(self, several: Sequence[str]) -> None:
        """Put these behind those that came before, and write all."""
        some = [*self._some, *several]
        self._some.clear()
        if not some:
            return
        _, offsets, data = pa.array(some, pa.large_string()).buffers()
        ends: Int64[np.ndarray, "some"] = np.frombuffer(offsets, np.int64, len(some) + 1)[1:]
        self._offsets.add(ends + self._data.size_bytes)
        if data is not None:
            self._data.add(np.frombuffer(data, np.uint8, int(ends[-1])))
        self._count += len(some)

    def texts(self) -> Texts:
        """All of them; no more can be added."""
        self.extend([])
        buffers = [None, pa.py_buffer(self._offsets.array(np.int64)), pa.py_buffer(self._data.array(np.uint8))]
        return Texts(pa.Array.from_buffers(pa.large_string(), self._count, buffers))
