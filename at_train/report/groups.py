"""Runs -> sections and groups: which runs stand side by side, under which label, against which baseline."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from at_train.results import Run

STRATEGIES = ("none", "init", "freeze", "anti", "dual")  # order of rows; others follow
COMPARED = ("anti", "dual")
USED_BY = {  # settings that change nothing under the other strategies
    "layers": ("freeze", *COMPARED),
    "beta": COMPARED,
    "aggregation": COMPARED,
    "similarity": COMPARED,
    "variant": COMPARED,
}

Key = tuple[str, int]  # content of the dataset and seed: what makes two runs a pair


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in nothing but the seed; `baseline` is the label of the group they are held against."""

    label: str
    runs: tuple[Run, ...]
    baseline: str | None


@dataclass(frozen=True)
class Section:
    """Groups that learn the same target on datasets of the same name."""

    dataset: str
    target: str
    groups: tuple[Group, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Runs of all groups."""
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Attributes that any of the runs was scored by."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.dataset["nuisances"]))


def sections(runs: Iterable[Run]) -> list[Section]:
    """The finished ones of these runs, sorted into sections and groups. A run that is given twice counts once."""
    found: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        if run.finished:
            found.setdefault((run.dataset["name"], run.dataset["target"]), {})[run.digest] = run
    return [Section(*names, _groups(list(found[names].values()))) for names in sorted(found)]


def key(run: Run) -> Key:
    """What this run shares with the run it is paired with: the very items, and the seed."""
    return run.dataset["content"], run.settings["seed"]


def natural(label: str) -> list[tuple[bool, float, str]]:
    """Sort key that puts conv5 before conv13."""
    parts: list[str] = re.findall(r"[0-9]+(?:\.[0-9]+)?|[^0-9]+", label)
    return [(True, float(part), "") if part[0] in "0123456789" else (False, 0.0, part) for part in parts]


def _groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in {"seed", "target"})
    used = [_used(run, names) for run in runs]
    differing = {name for name in [*names, "orthogonal"] if len({_text(u[name]) for u in used if name in u}) > 1}
    members: dict[str, list[Run]] = {}
    facts: dict[str, dict[str, Any]] = {}
    labels = _told_apart(runs, [_label(settings, differing) for settings in used])
    for run, settings, label in zip(runs, used, labels, strict=True):
        members.setdefault(label, []).append(run)
        facts[label] = settings
    plain = {_rest(settings): label for label, settings in facts.items() if settings["strategy"] == "none"}
    order = sorted(members, key=lambda label: (_rank(facts[label]["strategy"]), natural(label)))
    baselines = {label: plain.get(_rest(facts[label])) for label in order}
    return tuple(
        Group(label, tuple(sorted(members[label], key=key)), None if baselines[label] == label else baselines[label])
        for label in order
    )


def _used(run: Run, names: Iterable[str]) -> dict[str, Any]:
    """Settings that change what this run learns, by name; one that its folder does not tell is `not told`."""
    strategy = run.settings["strategy"]
    used = {
        name: run.settings.get(name, "not told")
        for name in names
        if strategy not in STRATEGIES or strategy in USED_BY.get(name, STRATEGIES)
    }
    others = [f"{other['name']} ({other['target']})" for other in run.orthogonal]
    return {**used, "orthogonal": " + ".join(others)} if others else used


def _label(settings: Mapping[str, Any], differing: set[str]) -> str:
    """What tells a group from the others, in words: strategy and layers always, beta where it acts."""
    head = [settings["strategy"], *(settings.get("layers") or [])]
    if "beta" in settings:
        head.append(f"beta {_word(settings['beta'])}")
    named = [name for name in settings if name in differing - {"strategy", "layers", "beta"}]
    return ", ".join([" ".join(head), *(f"{name.replace('_', ' ')} {_word(settings[name])}" for name in named)])


def _told_apart(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """Labels, those with the digests of the orthogonal networks under which runs of one seed differ in nothing else."""
    others = [" + ".join(other["digest"][:8] for other in run.orthogonal) for run in runs]
    found: dict[tuple[str, Key], set[str]] = {}
    for run, label, digests in zip(runs, labels, others, strict=True):
        found.setdefault((label, key(run)), set()).add(digests)
    alike = {label for (label, _), digests in found.items() if len(digests) > 1}
    return [
        f"{label}, orthogonal network {digests}" if label in alike else label
        for label, digests in zip(labels, others, strict=True)
    ]


def _word(value: Any) -> str:
    return "none" if value is None else str(value).removesuffix(".0")


def _rest(settings: Mapping[str, Any]) -> str:
    """All settings that a run has in common with its baseline."""
    return _text({name: settings[name] for name in settings if name not in {*USED_BY, "strategy", "orthogonal"}})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _rank(strategy: str) -> int:
    return STRATEGIES.index(strategy) if strategy in STRATEGIES else len(STRATEGIES)
