"""What a listing says of its recordings, a column for each thing it says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Shaped

from at_data import scratch
from at_data.recordings import Recording
from at_data.rolls.texts import CHUNK, Texts, Writer

ABSENT = -1  # code of a value that is not there


@dataclass(frozen=True, slots=True)
class Coded:
    """Strings of which there are few different ones: `values` as they were met, and the number of each one's."""

    codes: Int32[np.ndarray, "recordings"]
    values: list[str]

    def codes_of(self, rows: Shaped[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
        """Codes at some rows."""
        return np.asarray(self.codes[rows])

    def at(self, rows: Shaped[np.ndarray, "n"]) -> list[str | None]:
        """Strings at some rows, None where there is none."""
        values = self.values
        return [values[code] if code >= 0 else None for code in self.codes[rows].tolist()]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a listing; a time is not a number where a recording is a whole file."""

    ids: Texts
    paths: Texts
    corpora: Coded
    published: Coded
    starts_s: Float64[np.ndarray, "recordings"]
    lengths_s: Float64[np.ndarray, "recordings"]
    attributes: dict[str, Coded]

    def attribute(self, name: str) -> Coded:
        """Column of an attribute; one that nothing has is absent everywhere."""
        known = self.attributes.get(name)
        return Coded(np.broadcast_to(np.int32(ABSENT), len(self.ids)), []) if known is None else known

    def at(self, rows: Shaped[np.ndarray, "n"]) -> "Cells":
        """What is said of some rows."""
        return Cells(
            ids=self.ids.at(rows),
            corpora=self.corpora.at(rows),
            paths=self.paths.at(rows),
            starts_s=_times(self.starts_s[rows]),
            lengths_s=_times(self.lengths_s[rows]),
            published=self.published.at(rows),
            attributes={name: column.at(rows) for name, column in self.attributes.items()},
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """What columns say of some recordings: plain lists, which another process is sent in place of many objects."""

    ids: list[str]
    corpora: list[str | None]
    paths: list[str]
    starts_s: list[float | None]
    lengths_s: list[float | None]
    published: list[str | None]
    attributes: dict[str, list[str | None]]

    def recordings(self) -> tuple[Recording, ...]:
        """The recordings."""
        names = list(self.attributes)
        known = list(zip(*self.attributes.values(), strict=True)) or [()] * len(self.ids)
        return tuple(
            Recording(item, str(corpus), path, dict(pairs), start_s, length_s, published)
            for item, corpus, path, pairs, start_s, length_s, published in zip(
                self.ids,
                self.corpora,
                self.paths,
                ([pair for pair in zip(names, values, strict=True) if pair[1] is not None] for values in known),
                self.starts_s,
                self.lengths_s,
                self.published,
                strict=True,
            )
        )


def _times(values_s: Float64[np.ndarray, "n"]) -> list[float | None]:
    return [None if value_s != value_s else value_s for value_s in values_s.tolist()]  # noqa: PLR0124 - not a number


class _Coding:
    """Strings as they come, coded; so many before the first have none."""

    def __init__(self, before: int = 0) -> None:
        self._codes = scratch.Growing()
        self._known: dict[str | None, int] = {None: ABSENT}
        for start in range(0, before, CHUNK):
            self._codes.add(np.full(min(CHUNK, before - start), ABSENT, np.int32))

    def add(self, some: Sequence[str | None]) -> None:
        number = self._known.setdefault
        self._codes.add(np.array([number(value, len(self._known) - 1) for value in some], np.int32))

    def coded(self) -> Coded:
        return Coded(self._codes.array(np.int32), [value for value in self._known if value is not None])


class Listing:
    """Recordings as they come, a list at a time."""

    def __init__(self) -> None:
        self._count = 0
        self._ids, self._paths = Writer(), Writer()
        self._corpora, self._published = _Coding(), _Coding()
        self._starts_s, self._lengths_s = scratch.Growing(), scratch.Growing()
        self._attributes: dict[str, _Coding] = {}

    def add(self, some: Sequence[Recording]) -> None:
        """Put these behind those that came before."""
        self._ids.extend([recording.id for recording in some])
        self._paths.extend([recording.path for recording in some])
        self._corpora.add([recording.corpus for recording in some])
        self._published.add([recording.published_split for recording in some])
        self._starts_s.add(np.array([recording.start_s for recording in some], np.float64))
        self._lengths_s.add(np.array([recording.length_s for recording in some], np.float64))
        attributes = [recording.attributes for recording in some]
        for name in sorted(set().union(*attributes).difference(self._attributes)):
            self._attributes[name] = _Coding(self._count)
        for name, coding in self._attributes.items():
            coding.add([values.get(name) for values in attributes])
        self._count += len(some)

    def columns(self) -> Columns:
        """All of them."""
        return Columns(
            ids=self._ids.texts(),
            paths=self._paths.texts(),
            corpora=self._corpora.coded(),
            published=self._published.coded(),
            starts_s=self._starts_s.array(np.float64),
            lengths_s=self._lengths_s.array(np.float64),
            attributes={name: coding.coded() for name, coding in self._attributes.items()},
        )
