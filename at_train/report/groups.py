"""Runs -> sections and groups: which runs stand side by side, under which label, against which baseline."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from at_data import folds
from at_train.config import STRATEGIES, USED_BY
from at_train.report import orthogonals, paper
from at_train.report.acting import commonest, text, used, word
from at_train.report.orthogonals import Other
from at_train.results import Run

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
    """Finished runs that differ in nothing but the seed; `baseline` is the label of the group they are held against.

    `unusual` are its settings that are not the usual ones, by name, in words.
    """

    label: str
    runs: tuple[Run, ...]
    baseline: str | None
    row: Row
    other: Other | None
    unusual: Mapping[str, str]

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

    def beside(self, *names: str) -> str:
        """What is unusual of it beside these settings, in words."""
        return _joined(self.unusual, names)


@dataclass(frozen=True)
class Section:
    """Groups that learn the same target on datasets of the same name, or on the folds of one."""

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
        found.setdefault((folds.of_all(run.dataset["name"]), run.dataset["target"]), {})[run.digest] = run
    asked = {
        names: [run for digest, run in found[names].items() if digest not in others] or list(found[names].values())
        for names in sorted(found)
    }
    usual = _usual(asked)
    return [Section(*names, _groups(some, known, usual[family(*names)])) for names, some in asked.items()]


def family(dataset: str, target: str) -> str:
    """What datasets share that are columns of one table: the name up to the target, and whether it is as released."""
    before, found, after = dataset.partition(target)
    released = " as released" if dataset.endswith(paper.AS_RELEASED) else ""
    return (before + found + after.split("_")[0] if found else dataset) + released


def key(run: Run) -> Key:
    """What this run shares with the run it is paired with: the very items, and the seed."""
    return run.dataset["content"], run.settings["seed"]


def natural(label: str) -> list[tuple[bool, float, str]]:
    """Sort key that puts conv5 before conv13."""
    parts: list[str] = re.findall(r"[0-9]+(?:\.[0-9]+)?|[^0-9]+", label)
    return [(True, float(part), "") if part[0] in "0123456789" else (False, 0.0, part) for part in parts]


def _usual(asked: Mapping[tuple[str, str], Sequence[Run]]) -> dict[str, dict[str, Any]]:
    """By family the values that settings have in more of its runs than any other value, and those of the paper.

    Untaught networks have no say while there are others.
    """
    together: dict[str, list[Run]] = {}
    for names, runs in asked.items():
        together.setdefault(family(*names), []).extend(runs)
    found = {}
    for name, runs in together.items():
        taught = [run for run in runs if not orthogonals.untaught(run)] or runs
        acting = [used(run, _names(runs)) for run in taught]
        common = {setting: commonest(one[setting] for one in acting if setting in one) for setting in _names(runs)}
        found[name] = common | USUAL
    return found


def _names(runs: Iterable[Run]) -> list[str]:
    """Settings that tell runs apart."""
    return list(dict.fromkeys(name for run in runs for name in run.settings if name not in {"seed", "target"}))


def _groups(runs: Sequence[Run], known: Mapping[str, Run], usual: Mapping[str, Any]) -> tuple[Group, ...]:
    names = _names(runs)
    others = [orthogonals.of(run, known) for run in runs]
    short, odd = orthogonals.told(others), orthogonals.unusual(others)
    acting = [
        used(run, names) | ({"orthogonal": other.name} if other else {})
        for run, other in zip(runs, others, strict=True)
    ]
    differing = {name for name in [*names, "orthogonal"] if len({text(u[name]) for u in acting if name in u}) > 1}
    members: dict[str, list[Run]] = {}
    facts: dict[str, tuple[dict[str, Any], Row, Other | None, dict[str, str]]] = {}
    besides = [odd[other] if other else {} for other in others]
    labels = [
        ", ".join([_label(settings, differing), *beside.values()])
        for settings, beside in zip(acting, besides, strict=True)
    ]
    apart = _apart(runs, labels)
    for run, other, settings, beside, words, more in zip(runs, others, acting, besides, labels, apart, strict=True):
        label = ", ".join(filter(None, [words, more]))
        members.setdefault(label, []).append(run)
        unusual = _unusual(settings, usual) | beside | ({"orthogonal": more} if more else {})
        row = Row(settings["strategy"], short[other] if other else "", _joined(unusual))
        facts[label] = settings, row, other, unusual
    plain = {_rest(settings): label for label, (settings, *_) in facts.items() if settings["strategy"] == "none"}
    order = sorted(members, key=lambda label: (rank(facts[label][0]["strategy"]), natural(label)))
    groups = []
    for label in order:
        settings, row, other, unusual = facts[label]
        baseline = plain.get(_rest(settings))
        mine = tuple(sorted(members[label], key=key))
        groups.append(Group(label, mine, None if baseline == label else baseline, row, other, unusual))
    return tuple(groups)


def _label(settings: Mapping[str, Any], differing: set[str]) -> str:
    """What tells a group from the others, in words: strategy and layers always, beta where it acts."""
    head = [settings["strategy"], *(settings.get("layers") or [])]
    if "beta" in settings:
        head.append(f"beta {word(settings['beta'])}")
    named = [name for name in settings if name in differing - {"strategy", "layers", "beta"}]
    return ", ".join([" ".join(head), *(f"{name.replace('_', ' ')} {word(settings[name])}" for name in named)])


def _unusual(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, str]:
    """Settings that a row of a table tells beside strategy, orthogonal network and single layer, in words."""
    layers = settings.get("layers") or []
    told = {"layers": "layers " + "+".join(layers)} if len(layers) > 1 else {}
    return told | {
        name: f"{name.replace('_', ' ')} {word(value)}"
        for name, value in settings.items()
        if name not in {"strategy", "layers", "orthogonal"} and (value != usual[name] or name == "nuisance")
    }


def _joined(unusual: Mapping[str, str], but: Collection[str] = ()) -> str:
    return ", ".join(words for name, words in unusual.items() if name not in but)


def _apart(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """What labels lack: digests of the orthogonal networks where runs of one seed differ in nothing else."""
    others = [" + ".join(other["digest"][:8] for other in run.orthogonal) for run in runs]
    found: dict[tuple[str, Key], set[str]] = {}
    for run, label, digests in zip(runs, labels, others, strict=True):
        found.setdefault((label, key(run)), set()).add(digests)
    alike = {label for (label, _), digests in found.items() if len(digests) > 1}
    return [
        f"orthogonal network {digests}" if label in alike else "" for label, digests in zip(labels, others, strict=True)
    ]


def _rest(settings: Mapping[str, Any]) -> str:
    """All settings that a run has in common with its baseline."""
    return text({name: settings[name] for name in settings if name not in {*USED_BY, "strategy", "orthogonal"}})


def rank(strategy: str) -> int:
    """Place of a strategy in the order of rows."""
    return [*STRATEGIES, strategy].index(strategy)
