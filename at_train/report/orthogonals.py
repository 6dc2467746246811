"""Other networks a run used -> what they are called in tables: by what they learnt, not by where their folders lie."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from at_data import folds
from at_train.report.acting import commonest, used, word
from at_train.results import Run, Trained, trained

JOINED = " + "
ALONE, SEVERAL = ("orthogonal",), ("first", "second")  # what the networks of a run are called
NO_MATTER = ("seed", "target", "orthogonal")  # settings that do not tell how networks were trained


@dataclass(frozen=True)
class Other:
    """The networks of one run, in the order of their use.

    `name` tells their datasets (or, where runs of before do not tell of them, their folders) and targets, `task` their
    targets and corpora alone, `settings` how they were trained, but for the seed. `control` says how a network was kept
    from being an orthogonal one: `untrained`, `shuffled` (labels) or `target` (it learnt the target task itself).
    `same_corpus` is None where it cannot be told.
    """

    name: str
    task: str
    tasks: tuple[str, ...]
    control: str
    same_corpus: bool | None
    settings: tuple[tuple[str, str], ...] = ()


def of(run: Trained, known: Mapping[str, Run]) -> Other | None:
    """What this run used, looked up by digest among the known runs, or as it remembers it; None if nothing."""
    which = ALONE if len(run.orthogonal) == 1 else SEVERAL
    parts = [_one(run, place, known, called) for place, called in enumerate(which[: len(run.orthogonal)])]
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


def told(others: Iterable[Other | None]) -> dict[Other, str]:
    """The shortest words that tell these apart: tasks and corpora, or names where several share those."""
    sharing: dict[str, set[str]] = {}
    there = {other for other in others if other}
    for one in there:
        sharing.setdefault(one.task, set()).add(one.name)
    return {one: one.task if len(sharing[one.task]) == 1 else one.name for one in there}


def unusual(others: Iterable[Other | None]) -> dict[Other, dict[str, str]]:
    """Settings that more of the networks of one name have otherwise, or that are as common, in words by name.

    One that the folders of some do not tell is passed over.
    """
    named: dict[str, list[Other]] = {}
    for one in others:
        if one:
            named.setdefault(one.name, []).append(one)
    found: dict[Other, dict[str, str]] = {}
    for some in named.values():
        every = [dict(one.settings) for one in some]
        known = set.intersection(*(set(settings) for settings in every))
        usual = {name: commonest(settings[name] for settings in every) for name in known}
        for one in some:
            odd = {name: value for name, value in one.settings if name in known and value != usual[name]}
            found[one] = {name: f"{name.replace('_', ' ')} {value}" for name, value in odd.items()}
    return found


def untaught(run: Trained) -> str:
    """How this network was kept from learning its task: `untrained`, `shuffled`, or not at all."""
    if run.settings.get("epochs") == 0:
        return "untrained"
    return "shuffled" if run.settings.get("labels") == "shuffled" else ""


def _one(run: Trained, place: int, known: Mapping[str, Run], called: str) -> Other:
    entry = run.orthogonal[place]
    other = known.get(entry["digest"]) or trained(entry)
    if other is None:
        control = "target" if entry["target"] == run.dataset["target"] and len(run.orthogonal) == 1 else ""
        task = f"{control} {entry['target']}".strip()
        name = f"{control} {entry['name']} ({entry['target']})".strip()
        return Other(name, task, (entry["target"],), control, None)
    if run.settings["strategy"] == "dual" and place == 0:  # what the network differed from that it starts from
        before = of(other, known)
        if before:
            further = tuple((f"{called} {name}", value) for name, value in before.settings)
            return replace(before, settings=(*_settings(other, called), *further))
    data, control = other.dataset, _control(run, other)
    corpus, ours = data.get("corpus"), run.dataset.get("corpus")
    task = f"{data['target']} ({corpus})" if corpus else str(data["target"])
    return Other(
        f"{control} {folds.of_all(data['name'])} ({data['target']})".strip(),
        f"{control} {task}".strip(),
        (data["target"],),
        control,
        corpus == ours if corpus and ours else None,
        _settings(other, called),
    )


def _settings(other: Trained, called: str) -> tuple[tuple[str, str], ...]:
    """How a network was trained, but for the seed, by name: `called` says which of a run's networks it is."""
    acting = used(other, [name for name in other.settings if name not in NO_MATTER])
    return tuple((f"{called} {name}", word(value)) for name, value in acting.items())


def _control(run: Trained, other: Trained) -> str:
    if untaught(other):
        return untaught(other)
    same = (other.dataset["target"], other.dataset.get("corpus")) == (run.dataset["target"], run.dataset.get("corpus"))
    return "target" if same else ""
