"""Runs -> sections and groups: which runs stand side by side, under which label, against which baseline."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from at_train.report import orthogonals
from at_train.report.orthogonals import Other
from at_train.results import Run

STRATEGIES = ("none", "init", "freeze", "anti", "dual", "dann")  # order of rows; others follow
COMPARED = ("anti", "dual")
USED_BY = {  # settings that change nothing under the other strategies
    "layers": ("freeze", *COMPARED, "dann"),
    "beta": (*COMPARED, "dann"),
    "aggregation": COMPARED,
    "similarity": COMPARED,
    "variant": COMPARED,
    "input_scaling": COMPARED,
    "nuisance": ("dann",),
}
USUAL = {  # not told in the rows of tables
    "beta": 1,
    "aggregation": "gram",
    "similarity": "squared_cosine",
    "variant": "paper",
    "input_scaling": "target",
}

Key = tuple[str, int]  # content of the dataset and seed: what makes two runs a pair


@dataclass(frozen=True)
class Row:
    """What a row of the paper's tables stands for: runs that differ in layer and seed alone."""

    strategy: str
    orthogonal: str
    details: str  # settings that are not the usual ones, in words

    @property
    def title(self) -> str:
        """All of it in words."""
        head = f"{self.strategy}: {self.orthogonal}" if self.orthogonal else self.strategy
        return f"{head}, {self.details}" if self.details else head


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in nothing but the seed; `baseline` is the label of the group they are held against."""

    label: str
    runs: tuple[Run, ...]
    baseline: str | None
    row: Row
    other: Other | None

    @property
    def title(self) -> str:
        """Row and layer: a shorter label, for pictures."""
        layer = self.layers[0] if len(self.layers) == 1 else ""
        return f"{self.row.title}, {layer}" if layer else self.row.title

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of its runs; the seed is that of one of them."""
        return self.runs[0].settings

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the strategy acts on."""
        acts = self.settings["strategy"] in USED_BY["layers"]
        return tuple(self.settings.get("layers") or ()) if acts else ()


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


def sections(runs: Iterable[Run], others: Collection[str] = ()) -> list[Section]:
    """The finished ones of these runs, sorted into sections and groups. A run that is given twice counts once.

    Orthogonal networks are called by what they learnt where their own runs are among the given ones. `others` are
    digests of runs that are there for others to use alone: they have sections of their own, and no seat in those of
    other runs.
    """
    found: dict[tuple[str, str], dict[str, Run]] = {}
    known = {run.digest: run for run in runs if run.finished}
    for run in known.values():
        found.setdefault((run.dataset["name"], run.dataset["target"]), {})[run.digest] = run
    made = []
    for names in sorted(found):
        asked = [run for digest, run in found[names].items() if digest not in others]
        made.append(Section(*names, _groups(asked or list(found[names].values()), known)))
    return made


def key(run: Run) -> Key:
    """What this run shares with the run it is paired with: the very items, and the seed."""
    return run.dataset["content"], run.settings["seed"]


def natural(label: str) -> list[tuple[bool, float, str]]:
    """Sort key that puts conv5 before conv13."""
    parts: list[str] = re.findall(r"[0-9]+(?:\.[0-9]+)?|[^0-9]+", label)
    return [(True, float(part), "") if part[0] in "0123456789" else (False, 0.0, part) for part in parts]


def _groups(runs: Sequence[Run], known: Mapping[str, Run]) -> tuple[Group, ...]:
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in {"seed", "target"})
    others = [orthogonals.of(run, known) for run in runs]
    used = [_used(run, other, names) for run, other in zip(runs, others, strict=True)]
    differing = {name for name in [*names, "orthogonal"] if len({_text(u[name]) for u in used if name in u}) > 1}
    members: dict[str, list[Run]] = {}
    facts: dict[str, tuple[dict[str, Any], Row, Other | None]] = {}
    apart = _apart(runs, [_label(settings, differing) for settings in used])
    short = orthogonals.told(others)
    usual = {name: _commonest(settings[name] for settings in used if name in settings) for name in names} | USUAL
    for run, other, settings, more in zip(runs, others, used, apart, strict=True):
        label = _label(settings, differing) + more
        members.setdefault(label, []).append(run)
        row = Row(settings["strategy"], short[other] if other else "", _details(settings, usual) + more)
        facts[label] = settings, row, other
    plain = {_rest(settings): label for label, (settings, _, _) in facts.items() if settings["strategy"] == "none"}
    order = sorted(members, key=lambda label: (rank(facts[label][0]["strategy"]), natural(label)))
    groups = []
    for label in order:
        settings, row, other = facts[label]
        baseline = plain.get(_rest(settings))
        mine = tuple(sorted(members[label], key=key))
        groups.append(Group(label, mine, None if baseline == label else baseline, row, other))
    return tuple(groups)


def _used(run: Run, other: Other | None, names: Iterable[str]) -> dict[str, Any]:
    """Settings that change what this run learns, by name; one that its folder does not tell is `not told`."""
    strategy = run.settings["strategy"]
    used = {
        name: run.settings.get(name, "not told")
        for name in names
        if strategy not in STRATEGIES or strategy in USED_BY.get(name, STRATEGIES)
    }
    return {**used, "orthogonal": other.name} if other else used


def _label(settings: Mapping[str, Any], differing: set[str]) -> str:
    """What tells a group from the others, in words: strategy and layers always, beta where it acts."""
    head = [settings["strategy"], *(settings.get("layers") or [])]
    if "beta" in settings:
        head.append(f"beta {_word(settings['beta'])}")
    named = [name for name in settings if name in differing - {"strategy", "layers", "beta"}]
    return ", ".join([" ".join(head), *(f"{name.replace('_', ' ')} {_word(settings[name])}" for name in named)])


def _details(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Settings that a row of a table tells beside strategy, orthogonal network and single layer."""
    layers = settings.get("layers") or []
    told = ["layers " + "+".join(layers)] if len(layers) > 1 else []
    told += [
        f"{name.replace('_', ' ')} {_word(value)}"
        for name, value in settings.items()
        if name not in {"strategy", "layers", "orthogonal"} and (value != usual[name] or name == "nuisance")
    ]
    return ", ".join(told)


def _commonest(values: Iterable[Any]) -> Any:
    """The value that most of the runs have, the first of equally many."""
    told = list(values)
    texts = [_text(value) for value in told]
    return told[max(range(len(told)), key=lambda place: texts.count(texts[place]))] if told else None


def _apart(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """What labels lack: digests of the orthogonal networks where runs of one seed differ in nothing else."""
    others = [" + ".join(other["digest"][:8] for other in run.orthogonal) for run in runs]
    found: dict[tuple[str, Key], set[str]] = {}
    for run, label, digests in zip(runs, labels, others, strict=True):
        found.setdefault((label, key(run)), set()).add(digests)
    alike = {label for (label, _), digests in found.items() if len(digests) > 1}
    return [
        f", orthogonal network {digests}" if label in alike else ""
        for label, digests in zip(labels, others, strict=True)
    ]


def _word(value: Any) -> str:
    return "none" if value is None else str(value).removesuffix(".0")


def _rest(settings: Mapping[str, Any]) -> str:
    """All settings that a run has in common with its baseline."""
    return _text({name: settings[name] for name in settings if name not in {*USED_BY, "strategy", "orthogonal"}})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def rank(strategy: str) -> int:
    """Place of a strategy in the order of rows."""
    return STRATEGIES.index(strategy) if strategy in STRATEGIES else len(STRATEGIES)
