"""Which recordings must not be parted, and what their group is called."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from at_data.errors import ManifestError
from at_data.recordings import Recording


@dataclass(frozen=True, slots=True)
class Groups:
    """Names of the groups, and the group of each recording as a place among them."""

    names: list[str]
    of: Int[np.ndarray, "recordings"]

    @property
    def sizes(self) -> Int[np.ndarray, "groups"]:
        """Recordings of each group."""
        return np.bincount(self.of, minlength=len(self.names))


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes, the class of each recording as a place among them, and which groups hold which."""

    names: list[str]
    held: Bool[np.ndarray, "groups classes"]


def grouped(recordings: Sequence[Recording], attributes: Sequence[str]) -> Groups:
    """Groups that share a value of an attribute: each recording alone, by one attribute, or connected over several.

    A group is called after its value. One connected over several attributes is called after the first, in sorted order,
    of its values of the first attribute: no value of that attribute stands in two groups.
    """
    count = len(recordings)
    if not attributes:
        return Groups([recording.id for recording in recordings], np.arange(count))
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
    return Groups(names, first.astype(np.int64))


def classes_of(recordings: Sequence[Recording], groups: Groups, target: str | None) -> Classes:
    """Classes each group holds; without a target one class that all hold."""
    names, labels = values_of(recordings, target, "target") if target else (["recording"], np.zeros_like(groups.of))
    held = np.zeros((len(groups.names), len(names)), bool)
    held[groups.of, labels] = True
    return Classes(names, held)


def values_of(
    recordings: Sequence[Recording], attribute: str, key: str
) -> tuple[list[str], Int[np.ndarray, "recordings"]]:
    """Sorted values of an attribute, and each recording's place among them; ManifestError where one has none."""
    values = [recording.attributes.get(attribute) for recording in recordings]
    if None in values:
        unknown = values.count(None)
        known = sorted({name for recording in recordings for name in recording.attributes})
        raise ManifestError(
            key,
            f"{unknown} of {len(values)} recordings have no '{attribute}'",
            f"an attribute every kept recording has; known: {', '.join(known)}",
            "choose another attribute, or leave those recordings out with keep",
        )
    names, codes = np.unique(np.array(values, dtype=str), return_inverse=True)
    return names.tolist(), codes.astype(np.int64)
