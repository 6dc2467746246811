"""Shards that are still to be finished, each put together when its turn comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from at_data import shards
from at_data.build.finish import Finish
from at_data.build.plan import Plan, Task
from at_data.build.publish import finish_task
from at_data.build.rows import Items
from at_data.build.sift import Sifted
from at_data.stages import scaling


@dataclass(frozen=True, slots=True)
class Due:
    """What stands for a Finish in the process that leads: ids and columns of all shards at once would not fit.

    A worker to which it is sent gets the Finish.
    """

    plan: Plan
    sifted: Sifted
    scale: scaling.Scale
    task: Task
    kept: Items
    part: str
    codes: Mapping[str, Int64[np.ndarray, "values"]]
    """Of every attribute, the number in the dataset of each value of the listing."""

    def __len__(self) -> int:
        """Items of the shard."""
        return len(self.kept)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _itself, (self.make(),)

    def make(self) -> Finish:
        """What it stands for."""
        return finish_task(self.plan, self.sifted, self.scale, self.kept, self.part, self.codes)

    @property
    def number(self) -> int:
        """Number of its task."""
        return self.task.number

    @property
    def file(self) -> str:
        """Name of the shard in the folder."""
        return self.task.file

    @property
    def key(self) -> str:
        """Hash of everything the shard is made of."""
        return self.make().key


def due(plan: Plan, sifted: Sifted, scale: scaling.Scale, parts: Sequence[str]) -> list[Due]:
    """All shards, of parts with these hashes."""
    codes = {name: _codes(plan.recordings.values(name), known) for name, known in plan.attributes.items()}
    return [
        Due(plan, sifted, scale, task, kept, part, codes)
        for task, kept, part in zip(plan.tasks, sifted.items, parts, strict=True)
    ]


def _codes(values: Sequence[str], known: Sequence[str]) -> Int64[np.ndarray, "values"]:
    """Place of each value among those that are known; the last is of what is not there."""
    places = {value: place for place, value in enumerate(known)}
    return np.array([*(places.get(value, shards.UNKNOWN) for value in values), shards.UNKNOWN], np.int64)


def _itself(finish: Finish) -> Finish:
    return finish
