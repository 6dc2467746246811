"""Accuracy where the shortcut holds no more: `test` and `test_conflicting` of data that were biased on purpose."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from at_train.report import folders
from at_train.report.choice import Choice
from at_train.report.estimates import Estimate, average, score
from at_train.report.formats import Cell, csv_text, exact
from at_train.report.groups import Section
from at_train.report.paper_tables import Family, accuracy
from at_train.report.sweeps import Sweep
from at_train.results import Run

SPLITS = ("test", "test_conflicting")
FEWEST = 2  # strengths that make a sweep


@dataclass(frozen=True)
class Bias:
    """What a dataset says of its bias; the measured dependence of target and nuisance is that of its training split."""

    target: str
    nuisance: str
    favoured: int
    strength: float
    cramers_v: float | None

    @property
    def words(self) -> str:
        """For a reader."""
        measured = "" if self.cramers_v is None else f"; Cramer's V in train {self.cramers_v:.2f}"
        classes = f"{self.favoured} {self.target} classes"
        return f"each {self.nuisance} favours {classes}, strength {self.strength:g}{measured}"


@dataclass(frozen=True)
class Conflict:
    """Accuracy of a row on both test splits, and its difference to the baseline there."""

    name: str
    accuracy: dict[str, Estimate | None]
    difference: dict[str, Estimate | None]


def bias(run: Run) -> Bias | None:
    """The bias of this run's dataset as the run folder keeps it, None for data without one."""
    header = folders.header(run)
    asked = _mapping(_mapping(header.get("manifest")).get("bias"))
    if not {"with", "favoured", "strength"} <= asked.keys():
        return None
    measured = _mapping(_mapping(_mapping(header.get("bias")).get("splits")).get("train")).get("cramers_v")
    return Bias(run.dataset["target"], str(asked["with"]), int(asked["favoured"]), float(asked["strength"]), measured)


def conflicts(section: Section, choices: Iterable[Choice]) -> list[Conflict]:
    """Rows of a section whose data hold out what contradicts the bias; none for other data."""
    if not any("test_conflicting" in run.scores for run in section.runs):
        return []
    found = []
    for choice in choices:
        both = {split: accuracy(choice, split) for split in SPLITS}
        layer = "+".join(choice.layers)
        name = choice.line.row.title + f", {layer}" * (bool(layer) and "layers " not in choice.line.row.details)
        found.append(
            Conflict(name, {one: two[0] for one, two in both.items()}, {one: two[1] for one, two in both.items()})
        )
    return found


def by_strength(family: Family) -> list[Sweep]:
    """Accuracy by strength of the bias, a sweep for each test split; none unless several strengths are there."""
    known: dict[tuple[str, int], dict[float, list[Choice]]] = {}
    for section, choices in family.columns.values():
        told = bias(section.runs[0])
        if told:
            columns = known.setdefault((told.nuisance, told.favoured), {})
            columns.setdefault(told.strength, []).extend(choices.values())
    found = []
    for (nuisance, favoured), columns in known.items():
        if len(columns) >= FEWEST:
            found += [
                _sweep(f"{family.name}, {favoured} favoured of each {nuisance}", columns, split) for split in SPLITS
            ]
    return [sweep for sweep in found if any(number for some in sweep.series.values() for number in some)]


def _sweep(name: str, columns: dict[float, list[Choice]], split: str) -> Sweep:
    places = sorted(columns)
    told = [_by_row(columns[place], split) for place in places]
    rows = list(dict.fromkeys(title for one in told for title in one))
    return Sweep(f"{name}: {split}", tuple(places), {row: [one.get(row) for one in told] for row in rows})


def _by_row(choices: Iterable[Choice], split: str) -> dict[str, Estimate | None]:
    """Accuracy of each row on a split, over all datasets that have it: partitions drawn anew are of one strength."""
    runs: dict[str, list[Run]] = {}
    for choice in choices:
        runs.setdefault(choice.line.row.title, []).extend(choice.chosen.runs if choice.chosen else ())
    return {title: average(score(some, "accuracy", split)) for title, some in runs.items()}


def conflicts_csv(some: Iterable[tuple[Section, Sequence[Conflict]]]) -> str:
    """Accuracies on both test splits with every digit."""
    titles = ["dataset", "target", "strength", "row", "split", "seeds", "accuracy", "accuracy_low", "accuracy_high"]
    titles += ["difference", "difference_low", "difference_high", "pairs"]
    cells: list[Sequence[Cell]] = []
    for section, conflicts_there in some:
        told = bias(section.runs[0])
        for one in conflicts_there:
            for split in SPLITS:
                ours, less = one.accuracy[split], one.difference[split]
                if ours:
                    known = (section.dataset, section.target, told.strength if told else None, one.name, split)
                    cells.append((*known, ours.count, *exact(ours), *exact(less), less.count if less else None))
    return csv_text(titles, cells)


def _mapping(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}
