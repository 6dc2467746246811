"""Other networks a run used -> what they are called in tables: by what they learnt, not by where their folders lie."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from at_train.results import Run

JOINED = " + "
NO_MATTER = ("seed", "target", "orthogonal")  # settings that do not tell how networks were trained


@dataclass(frozen=True)
class Other:
    """The networks of one run, in the order of their use.

    `name` tells their datasets (or, where their runs are not at hand, their folders) and targets, `task` their targets
    and corpora alone, `settings` how they were trained, but for the seed. `control` says how a network was kept from
    being an orthogonal one: `untrained`, `shuffled` (labels) or `target` (it learnt the target task itself).
    `same_corpus` is None where it cannot be told.
    """

    name: str
    task: str
    tasks: tuple[str, ...]
    control: str
    same_corpus: bool | None
    settings: tuple[tuple[str, str], ...] = ()


def of(run: Run, known: Mapping[str, Run]) -> Other | None:
    """What this run used, looked up by digest among the known runs; None if nothing."""
    parts = [_one(run, place, known) for place in range(len(run.orthogonal))]
    if not parts:
        return None
    same = [part.same_corpus for part in parts]
    return Other(
        JOINED.join(part.name for part in parts),
        JOINED.join(part.task for part in parts),
        tuple(task for part in parts for task in part.tasks),
        next((part.control for part in parts if part.control), ""),
        None if None in same else all(same),
        tuple(setting for part in parts for setting in part.settings),
    )


def told(others: Collection[Other]) -> dict[Other, str]:
    """The shortest words that tell these apart: tasks and corpora, names where several share those, and settings."""
    sharing: dict[str, set[str]] = {}
    for one in others:
        sharing.setdefault(one.task, set()).add(one.name)
    return {
        one: name if len(sharing[one.task]) > 1 else one.task + name[len(one.name) :]
        for one, name in names(others).items()
    }


def names(others: Collection[Other]) -> dict[Other, str]:
    """Names, behind which stand the settings in which networks of one name differ."""
    found: dict[str, set[Other]] = {}
    for one in others:
        found.setdefault(one.name, set()).add(one)
    return {one: ", ".join([one.name, *_differing(one, found[one.name])]) for one in others}


def _differing(one: Other, sharing: Collection[Other]) -> list[str]:
    """Settings of networks that not all of some have, in words."""
    common = set.intersection(*(set(other.settings) for other in sharing))
    return [f"{name.replace('_', ' ')} {value}" for name, value in one.settings if (name, value) not in common]


def word(value: Any) -> str:
    """A setting's value as people read it."""
    return "none" if value is None else str(value).removesuffix(".0")


def untaught(run: Run) -> str:
    """How this network was kept from learning its task: `untrained`, `shuffled`, or not at all."""
    if run.settings.get("epochs") == 0:
        return "untrained"
    return "shuffled" if run.settings.get("labels") == "shuffled" else ""


def _one(run: Run, place: int, known: Mapping[str, Run]) -> Other:
    entry = run.orthogonal[place]
    other = known.get(entry["digest"])
    if other is None:
        control = "target" if entry["target"] == run.dataset["target"] and len(run.orthogonal) == 1 else ""
        task = f"{control} {entry['target']}".strip()
        name = f"{control} {entry['name']} ({entry['target']})".strip()
        return Other(name, task, (entry["target"],), control, None)
    if run.settings["strategy"] == "dual" and place == 0:  # what the network differed from that it starts from
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
        tuple((name, word(value)) for name, value in other.settings.items() if name not in NO_MATTER),
    )


def _control(run: Run, other: Run) -> str:
    if untaught(other):
        return untaught(other)
    same = (other.dataset["target"], other.dataset.get("corpus")) == (run.dataset["target"], run.dataset.get("corpus"))
    return "target" if same else ""
