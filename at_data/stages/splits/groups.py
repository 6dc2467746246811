"""Which recordings must not be parted, and what their group is called."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64

from at_data.errors import ManifestError
from at_data.rolls import ABSENT, Roll


@dataclass(frozen=True, slots=True)
class Groups:
    """Names of the groups, and the group of each recording as a place among them."""

    names: Sequence[str]
    of: Int[np.ndarray, "recordings"]

    @property
    def sizes(self) -> Int[np.ndarray, "groups"]:
        """Recordings of each group."""
        return np.bincount(self.of, minlength=len(self.names))


@dataclass(frozen=True, slots=True)
class Held:
    """Which groups hold which classes: every pair of the two once, as places among their names."""

    groups: Int[np.ndarray, "pairs"]
    classes: Int[np.ndarray, "pairs"]
    class_count: int

    def holders(self) -> Int64[np.ndarray, "classes"]:
        """How many groups hold each class."""
        return np.bincount(self.classes, minlength=self.class_count)

    def of_some(self, groups: Int[np.ndarray, "some"], group_count: int) -> "Held":
        """The same of some groups, which are called after their places among those."""
        places = np.full(group_count, -1)
        places[groups] = np.arange(groups.size)
        found = places[self.groups]
        return Held(found[found >= 0], self.classes[found >= 0], self.class_count)


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes, and which groups hold which."""

    names: Sequence[str]
    held: Held


def grouped(recordings: Roll, attributes: Sequence[str]) -> Groups:
    """Groups that share a value of an attribute: each recording alone, by one attribute, or connected over several.

    A group is called after its value. One connected over several attributes is called after the first, in sorted order,
    of its values of the first attribute: no value of that attribute stands in two groups.
    """
    count = len(recordings)
    if not attributes:
        return Groups(recordings.ids, np.arange(count, dtype=np.int32))
    columns = [values_of(recordings, name, "split.by") for name in attributes]
    names, first = columns[0]
    if len(columns) > 1:
        from scipy.sparse import coo_array  # noqa: PLC0415 - slow to import, and few splits need it
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        offsets = np.cumsum([count] + [len(values) for values, _ in columns])
        ends = np.concatenate([codes + offset for (_, codes), offset in zip(columns, offsets[:-1], strict=True)])
        starts = np.tile(np.arange(count), len(columns))
        graph = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(offsets[-1], offsets[-1]))
        chain = connected_components(graph, directed=False)[1][:count]
        lowest = np.full(count + len(names) + 1, len(names))
        np.minimum.at(lowest, chain, first)
        kept, first = np.unique(lowest[chain], return_inverse=True)
        names = [names[place] for place in kept.tolist()]
    return Groups(names, first)


def classes_of(recordings: Roll, groups: Groups, target: str | None) -> Classes:
    """Classes each group holds; without a target one class that all hold."""
    names, labels = values_of(recordings, target, "target") if target else (["recording"], np.zeros_like(groups.of))
    pairs = groups.of.astype(np.int64) * len(names) + labels
    if len(groups.names) < pairs.size:  # or each recording is a group
        pairs = np.unique(pairs)
    return Classes(names, Held(pairs // len(names), pairs % len(names), len(names)))


def values_of(recordings: Roll, attribute: str, key: str) -> tuple[list[str], Int[np.ndarray, "recordings"]]:
    """Sorted values of an attribute, and each recording's place among them; ManifestError where one has none."""
    codes, values = recordings.codes(attribute), recordings.values(attribute)
    unknown = int(np.count_nonzero(codes == ABSENT))
    if unknown:
        raise ManifestError(
            key,
            f"{unknown} of {codes.size} recordings have no '{attribute}'",
            f"an attribute every kept recording has; known: {', '.join(recordings.attributes)}",
            "choose another attribute, or leave those recordings out with keep",
        )
    names = recordings.held(attribute)
    numbers = {name: number for number, name in enumerate(names)}
    places = np.array([numbers.get(value, ABSENT) for value in values], np.int32)
    return names, places[codes]
