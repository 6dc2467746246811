"""What summaries say of items, in columns: a million rows as objects would take a gigabyte."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int32, Shaped

from at_data import scratch
from at_data.build.plan import Task
from at_data.rolls import Roll

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
KINDS = {float: np.float64, int: np.int64, str: np.int32}  # a string is held as its number among those that were met


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one task; `mixing` holds the columns of what was mixed in, `texts` the strings that some stand for."""

    columns: Shaped[np.ndarray, "rows"]
    mixing: Shaped[np.ndarray, "mixed"]
    texts: dict[str, list[str]]


class Noting:
    """Rows of so many tasks as they come, on disk."""

    def __init__(self, tasks: int) -> None:
        self._columns, self._mixing = scratch.Growing(), scratch.Growing()
        self._kinds: list[tuple[str, Any]] = []
        self._texts: dict[str, dict[str, int]] = {}
        self._places = [(0, 0)] * tasks
        self._count = 0

    def add(self, number: int, columns: Mapping[str, list[Any]]) -> None:
        """Note the rows of a task by its number, as `parts.by_column` gives them."""
        count = len(columns["recording"])
        rows = np.empty(count, FIELDS)
        for name in ("recording", "segment", "start_s", "place"):
            rows[name] = columns[name]
        rows["first"], rows["length"] = np.array(columns["real"], np.int64).reshape(-1, 2).T
        for name, sums in zip(("count", "total", "squares"), zip(*columns["sums"], strict=True), strict=False):
            rows[name] = sums
        self._columns.add(rows)
        self._places[number] = (self._count, self._count + count)
        self._count += count
        mixings = [mixing for mixing in columns["mixing"] if mixing is not None]
        if mixings:
            assert len(mixings) == count, "all items of a task have noise mixed in, or none"
            if not self._kinds:
                self._kinds = [(name, KINDS[type(value)]) for name, value in mixings[0].items()]
                self._texts = {name: {} for name, value in mixings[0].items() if isinstance(value, str)}
            noted = np.empty(len(mixings), self._kinds)
            for name, _ in self._kinds:
                known = self._texts.get(name)
                values = [mixing[name] for mixing in mixings]
                noted[name] = values if known is None else [known.setdefault(value, len(known)) for value in values]
            self._mixing.add(noted)

    def rows(self) -> list[Rows]:
        """Rows of every task."""
        columns, mixing = self._columns.array(FIELDS), self._mixing.array(self._kinds or [("none", np.int8)])
        texts = {name: list(known) for name, known in self._texts.items()}
        # all items have noise mixed in, or none
        return [Rows(columns[first:last], mixing[first:last], texts) for first, last in self._places]


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
    def recordings(self) -> Roll:
        """Recording of every item."""
        return Roll.of(self.task.recordings).take(self.column("recording"))

    @property
    def ids(self) -> list[str]:
        """Segment id of every item."""
        segments = self.column("segment").tolist()
        return [f"{item}#{segment}" for item, segment in zip(self.recordings.ids, segments, strict=True)]

    def column(self, name: str) -> Shaped[np.ndarray, "items"]:
        """What the rows say, of every item."""
        return np.asarray(self.rows.columns[name][self.order])

    @property
    def mixed(self) -> list[str]:
        """Names of what is told of the noise that was mixed in; none where there is none."""
        return [name for name in self.rows.mixing.dtype.names or () if name != "none"]

    def mixing(self, name: str) -> list[Any]:
        """What was mixed into every item, in one respect; nothing where nothing was."""
        if name not in self.mixed:
            return []
        values: list[Any] = self.rows.mixing[name][self.order].tolist()
        texts = self.rows.texts.get(name)
        return values if texts is None else [texts[value] for value in values]

    def only(self, kept: slice | Shaped[np.ndarray, "_"]) -> "Items":
        """Some of the items, as an index of numpy names them."""
        return Items(self.task, self.rows, self.order[kept])
