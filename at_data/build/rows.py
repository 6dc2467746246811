"""What summaries say of items, in columns: a million rows as objects would take a gigabyte."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, Shaped

from at_data.build.parts import Row
from at_data.build.plan import Task
from at_data.recordings import Recording

FIELDS = [
    ("recording", np.int32),
    ("segment", np.int32),
    ("start_s", np.float64),
    ("place", np.int64),
    ("first", np.int32),
    ("length", np.int32),
    ("count", np.int64),
    ("total", np.float64),
    ("squares", np.float64),
]

Column = list[Any] | Shaped[np.ndarray, "rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one task; `mixing` holds the columns of what was mixed in, or nothing."""

    columns: Shaped[np.ndarray, "rows"]
    mixing: dict[str, Column]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Rows":
        """The same rows."""
        cells = [(row.recording, row.segment, row.start_s, row.place, *row.real, *row.sums) for row in rows]
        mixings = [row.mixing for row in rows if row.mixing is not None]
        names = mixings[0] if mixings else ()
        return cls(np.array(cells, FIELDS), {name: _column([mixing[name] for mixing in mixings]) for name in names})


def _column(values: list[Any]) -> Column:
    """Numbers of one kind as an array, anything else as it is."""
    kinds = {type(value) for value in values}
    return np.array(values) if kinds in ({int}, {float}) else values


@dataclass(frozen=True, slots=True)
class Items:
    """Items of a shard: a task, its rows, and which of them stay, in their final order."""

    task: Task
    rows: Rows
    order: Int32[np.ndarray, "items"]

    def __len__(self) -> int:
        """How many."""
        return self.order.size

    @property
    def recordings(self) -> list[Recording]:
        """Recording of every item."""
        return [self.task.recordings[place] for place in self.column("recording").tolist()]

    @property
    def ids(self) -> list[str]:
        """Segment id of every item."""
        segments = self.column("segment").tolist()
        return [f"{found.id}#{segment}" for found, segment in zip(self.recordings, segments, strict=True)]

    def column(self, name: str) -> Shaped[np.ndarray, "items"]:
        """What the rows say, of every item."""
        return np.asarray(self.rows.columns[name][self.order])

    def mixing(self, name: str) -> list[Any]:
        """What was mixed into every item, in one respect; nothing where nothing was."""
        if name not in self.rows.mixing:
            return []
        column = self.rows.mixing[name]
        found: list[Any] = (
            column[self.order].tolist() if isinstance(column, np.ndarray) else [column[at] for at in self.order]
        )
        return found

    def only(self, kept: slice | Shaped[np.ndarray, "_"]) -> "Items":
        """Some of the items, as an index of numpy names them."""
        return Items(self.task, self.rows, self.order[kept])
