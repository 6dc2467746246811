"""Shards that are still to be finished, each put together when its turn comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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

    def __len__(self) -> int:
        """Items of the shard."""
        return len(self.kept)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _itself, (self.make(),)

    def make(self) -> Finish:
        """What it stands for."""
        return finish_task(self.plan, self.sifted, self.scale, self.task, self.kept, self.part)

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
    return [
        Due(plan, sifted, scale, task, kept, part)
        for task, kept, part in zip(plan.tasks, sifted.items, parts, strict=True)
    ]


def _itself(finish: Finish) -> Finish:
    return finish
