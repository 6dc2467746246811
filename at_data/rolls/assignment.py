"""Which split every recording of a listing is in."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int, Int8, Shaped

from at_data import scratch
from at_data.rolls import ABSENT, CHUNK, Columns, Roll


class Assignment(Mapping[str, str]):
    """Split of each of some recordings of a listing, by id; by number of the recording in `codes`.

    `codes` are places in `names`, ABSENT where a recording of the listing is in none of them.
    """

    def __init__(self, columns: Columns, codes: Int8[np.ndarray, "listing"], names: Sequence[str]) -> None:
        self.columns, self.codes, self.names = columns, codes, tuple(names)

    @classmethod
    def of(cls, roll: Roll, parts: Int[np.ndarray, "recordings"], names: Sequence[str]) -> "Assignment":
        """The part of each recording of a roll, as a place among names."""
        codes = scratch.zeros(len(roll.columns.ids), np.int8)
        codes[:] = ABSENT
        codes[roll.rows] = parts
        return cls(roll.columns, codes, names)

    @classmethod
    def over(cls, roll: Roll, splits: Mapping[str, str]) -> "Assignment":
        """The same splits, of the recordings of a roll; those that are not there are in none."""
        if isinstance(splits, Assignment) and splits.columns is roll.columns:
            return splits
        names = sorted(set(splits.values()))
        numbers = {name: number for number, name in enumerate(names)}
        parts = (numbers.get(splits.get(item, ""), ABSENT) for item in roll.ids)
        return cls.of(roll, np.fromiter(parts, np.int8, len(roll)), names)

    def __getitem__(self, item: str) -> str:
        """Split of one recording."""
        number = self.columns.ids.find(item)
        if number is None or self.codes[number] == ABSENT:
            raise KeyError(item)
        return self.names[int(self.codes[number])]

    def __iter__(self) -> Iterator[str]:
        """Ids of all that are in a split."""
        return self.columns.ids.each(np.flatnonzero(self.codes != ABSENT))

    def as_dict(self) -> dict[str, str]:
        """All of them: a million look-ups would take half a minute."""
        held = Roll(self.columns, np.flatnonzero(self.codes != ABSENT).astype(np.int32))
        return dict(zip(held.ids, self.each(held), strict=True))

    def __len__(self) -> int:
        """How many are in a split."""
        return int(np.count_nonzero(self.codes != ABSENT))

    def parts(self, roll: Roll) -> Int8[np.ndarray, "recordings"]:
        """Place among the names of each recording of a roll."""
        return np.asarray(self.codes[roll.rows])

    def refuse_absent(self, roll: Roll) -> None:
        """KeyError where a recording of a roll is in no split."""
        without = roll.take(self.parts(roll) == ABSENT)
        if without:
            raise KeyError(without.ids[0])

    def each(self, roll: Roll) -> Iterator[str]:
        """Split of each recording of a roll, all of which are in one."""
        self.refuse_absent(roll)
        for start in range(0, len(roll), CHUNK):
            for code in self.codes[roll.rows[start : start + CHUNK]].tolist():
                yield self.names[code]

    def part(self, roll: Roll, name: str) -> Roll:
        """Recordings of a roll that are in this split."""
        number = self.names.index(name) if name in self.names else len(self.names)
        return roll.take(self.parts(roll) == number)

    def some(self, rows: Shaped[np.ndarray, "n"]) -> dict[str, str]:
        """Splits of a few recordings, by id."""
        return dict(zip(self.columns.ids.at(rows), self.each(Roll(self.columns, rows.astype(np.int32))), strict=True))

    def beside(self, roll: Roll, name: str) -> "Assignment":
        """The same, and recordings of this roll in one more split."""
        codes = scratch.filled(self.codes, np.int8)
        codes[roll.rows] = len(self.names)
        return Assignment(self.columns, codes, (*self.names, name))
