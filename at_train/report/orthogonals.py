"""Other networks a run used -> what they are called in tables: by what they learnt, not by where their folders lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from at_train.results import Run

JOINED = " + "


@dataclass(frozen=True)
class Other:
    """The networks of one run, in the order of their use.

    `name` tells their datasets (or, where their runs are not at hand, their folders) and targets, `task` their targets
    and corpora alone. `control` says how a network was kept from being an orthogonal one: `untrained`, `shuffled`
    (labels) or `target` (it learnt the target task itself). `same_corpus` is None where it cannot be told.
    """

    name: str
    task: str
    tasks: tuple[str, ...]
    control: str
    same_corpus: bool | None


def of(run: Run, known: Mapping[str, Run]) -> Other | None:
    """What this run used, looked up by digest among the known runs; None if nothing."""
    parts = [_one(run, entry, known) for entry in run.orthogonal]
    if not parts:
        return None
    same = [part.same_corpus for part in parts]
    return Other(
        JOINED.join(part.name for part in parts),
        JOINED.join(part.task for part in parts),
        tuple(task for part in parts for task in part.tasks),
        next((part.control for part in parts if part.control), ""),
        None if None in same else all(same),
    )


def told(others: Sequence[Other | None]) -> dict[Other, str]:
    """The shortest words that tell these apart: tasks and corpora, or names where two would share those."""
    found: dict[str, set[Other]] = {}
    for other in others:
        if other:
            found.setdefault(other.task, set()).add(other)
    return {one: task if len(sharing) == 1 else one.name for task, sharing in found.items() for one in sharing}


def untaught(run: Run) -> str:
    """How this network was kept from learning its task: `untrained`, `shuffled`, or not at all."""
    if run.settings.get("epochs") == 0:
        return "untrained"
    return "shuffled" if run.settings.get("labels") == "shuffled" else ""


def _one(run: Run, entry: Mapping[str, Any], known: Mapping[str, Run]) -> Other:
    other = known.get(entry["digest"])
    if other is None:
        control = "target" if entry["target"] == run.dataset["target"] and len(run.orthogonal) == 1 else ""
        task = f"{control} {entry['target']}".strip()
        name = f"{control} {entry['name']} ({entry['target']})".strip()
        return Other(name, task, (entry["target"],), control, None)
    if other.settings["strategy"] in {"anti", "dual"}:  # the first of dual's two: what it differed from counts
        before = of(other, known)
        if before:
            return before
    data, control = other.dataset, _control(run, other)
    corpus, ours = data.get("corpus"), run.dataset.get("corpus")
    task = f"{data['target']} ({corpus})" if corpus else str(data["target"])
    return Other(
        f"{control} {data['name']} ({data['target']})".strip(),
        f"{control} {task}".strip(),
        (data["target"],),
        control,
        corpus == ours if corpus and ours else None,
    )


def _control(run: Run, other: Run) -> str:
    if untaught(other):
        return untaught(other)
    same = (other.dataset["target"], other.dataset.get("corpus")) == (run.dataset["target"], run.dataset.get("corpus"))
    return "target" if same else ""
