"""Groups of runs -> rows of numbers, and those rows as CSV, Markdown or text.

Conventions: numbers are shares, 0 to 1, in rows and CSV, and percent in the tables for readers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from at_train.report.estimates import Estimate, average, paired, per_seed, score
from at_train.report.formats import UNKNOWN, Cell, csv_text, exact, interval, percent
from at_train.report.groups import Group, Key, Section, key, natural
from at_train.results import Run


@dataclass(frozen=True)
class Row:
    """One group of runs in the comparison table, on the test split unless named otherwise; None where not known."""

    dataset: str
    target: str
    setting: str
    seeds: int
    train: Estimate | None
    valid: Estimate | None
    test: Estimate | None
    macro_f1: Estimate | None
    worst: dict[str, Estimate | None]
    best_epoch: Estimate | None
    baseline: str | None
    difference: Estimate | None
    conflicting: Estimate | None  # of the items that contradict a bias made on purpose
    conflicting_difference: Estimate | None


@dataclass(frozen=True)
class Value:
    """Test accuracy of a group on the items with one value of a nuisance; `items` of one run, fewest and most."""

    setting: str
    attribute: str
    value: str
    items: tuple[int, int]
    accuracy: Estimate
    worst: bool


def comparison(section: Section) -> list[Row]:
    """A row for each group; differences are of test accuracy to the baseline, between runs of equal seed and data."""
    by_label = {group.label: group for group in section.groups}
    return [_row(section, group, by_label[group.baseline] if group.baseline else None) for group in section.groups]


def values(section: Section, attribute: str) -> list[Value]:
    """Test accuracy by value of a nuisance, group after group; the lowest mean of each group is marked as its worst."""
    return [value for group in section.groups for value in _values(group, attribute)]


def confusion(group: Group) -> tuple[list[str], Int64[np.ndarray, "classes classes"]]:
    """Classes, and test items summed over all runs by true (rows) and predicted (columns) class."""
    scored = [run.scores["test"] for run in group.runs if "test" in run.scores]
    classes = list(dict.fromkeys(name for scores in scored for name in scores["classes"]))
    total = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for scores in scored:
        places = np.array([classes.index(name) for name in scores["classes"]], dtype=np.int64)
        total[np.ix_(places, places)] += np.array(scores["confusion"], dtype=np.int64).reshape(places.size, places.size)
    return classes, total


def _row(section: Section, group: Group, baseline: Group | None) -> Row:
    runs = baseline.runs if baseline else ()
    ours, theirs = (score(some, "accuracy") for some in (group.runs, runs))
    conflicting, their_conflicting = (score(some, "accuracy", "test_conflicting") for some in (group.runs, runs))
    return Row(
        dataset=section.dataset,
        target=section.target,
        setting=group.label,
        seeds=len({key(run) for run in group.runs}),
        train=average(score(group.runs, "accuracy", "train")),
        valid=average(score(group.runs, "accuracy", "valid")),
        test=average(ours),
        macro_f1=average(score(group.runs, "macro_f1")),
        worst={name: average(_worst(group, name)) for name in section.nuisances},
        best_epoch=average(per_seed(group.runs, lambda run: run.best_epoch)),
        baseline=group.baseline,
        difference=paired(ours, theirs),
        conflicting=average(conflicting),
        conflicting_difference=paired(conflicting, their_conflicting),
    )


def _worst(group: Group, attribute: str) -> dict[Key, float]:
    def lowest(run: Run) -> float | None:
        worst = run.scores.get("test", {}).get("worst_group", {}).get(attribute, {})
        return worst.get("accuracy")  # type: ignore[no-any-return]

    return per_seed(group.runs, lowest)


def _values(group: Group, attribute: str) -> list[Value]:
    scored = [(run, run.scores["test"]["groups"].get(attribute, {})) for run in group.runs if "test" in run.scores]
    found: list[tuple[str, tuple[int, int], Estimate]] = []
    for name in sorted({name for _, groups in scored for name in groups}, key=natural):
        by_run = {run.digest: groups[name] for run, groups in scored if name in groups}
        items = [group["items"] for group in by_run.values()]
        accuracy = average(_accuracies(group, by_run))
        assert accuracy is not None, "a value is listed because a run was scored on it"
        found.append((name, (min(items), max(items)), accuracy))
    lowest = min(found, key=lambda entry: entry[2].mean, default=None)
    return [Value(group.label, attribute, *entry, worst=entry is lowest) for entry in found]


def _accuracies(group: Group, by_run: dict[str, dict[str, int | float]]) -> dict[Key, float]:
    return per_seed(group.runs, lambda run: by_run.get(run.digest, {}).get("accuracy"))


def comparison_csv(rows: Sequence[Row]) -> str:
    """Comparison with every digit; what is not known is empty."""
    nuisances = list(dict.fromkeys(name for row in rows for name in row.worst))
    titles = ["dataset", "target", "setting", "seeds", "train_accuracy", "valid_accuracy"]
    titles += ["test_accuracy", "test_accuracy_low", "test_accuracy_high", "test_macro_f1"]
    titles += [f"test_worst_{name}_accuracy" for name in nuisances]
    titles += ["best_epoch", "baseline", "difference", "difference_low", "difference_high", "pairs"]
    conflicting = any(row.conflicting for row in rows)
    if conflicting:
        names = ("test_conflicting_accuracy", "test_conflicting_difference")
        titles += [name + end for name in names for end in ("", "_low", "_high")]
    cells = [
        (
            *(row.dataset, row.target, row.setting, row.seeds, _mean(row.train), _mean(row.valid)),
            *(*exact(row.test), _mean(row.macro_f1), *(_mean(row.worst.get(name)) for name in nuisances)),
            *(_mean(row.best_epoch), row.baseline, *exact(row.difference), _pairs(row)),
            *((*exact(row.conflicting), *exact(row.conflicting_difference)) if conflicting else ()),
        )
        for row in rows
    ]
    return csv_text(titles, cells)


def values_csv(section_values: Iterable[tuple[Section, Sequence[Value]]]) -> str:
    """Accuracy by value of every nuisance with every digit."""
    titles = ["dataset", "target", "setting", "attribute", "value", "items_fewest", "items_most", "seeds"]
    titles += ["test_accuracy", "test_accuracy_low", "test_accuracy_high", "worst"]
    cells = [
        (
            *(section.dataset, section.target, one.setting, one.attribute, one.value, *one.items),
            *(one.accuracy.count, *exact(one.accuracy), "yes" if one.worst else "no"),
        )
        for section, some in section_values
        for one in some
    ]
    return csv_text(titles, cells)


def confusion_csv(all_sections: Iterable[Section]) -> str:
    """Test items by true and predicted class, summed over the runs of each group; pairs that never occur left out."""
    cells: list[Sequence[Cell]] = []
    for section in all_sections:
        for group in section.groups:
            classes, total = confusion(group)
            cells += [
                (section.dataset, section.target, group.label, classes[truth], classes[guess], int(total[truth, guess]))
                for truth, guess in np.argwhere(total).tolist()
            ]
    return csv_text(["dataset", "target", "setting", "truth", "predicted", "items"], cells)


def comparison_shown(rows: Sequence[Row]) -> list[list[str]]:
    """Titles and rows of the comparison as a reader sees it, in percent."""
    nuisances = list(dict.fromkeys(name for row in rows for name in row.worst))
    titles = ["setting", "seeds", "train acc. (%)", "valid acc. (%)", "test acc. (%)", "95 % interval"]
    titles += ["macro F1 (%)", *(f"worst {name} (%)" for name in nuisances), "best epoch"]
    titles += ["diff. to none (points)", "95 % interval", "pairs"]
    conflicting = any(row.conflicting for row in rows)
    if conflicting:
        titles += ["test_conflicting acc. (%)", "95 % interval", "diff. to none (points)", "95 % interval"]
    cells = [
        [
            *(row.setting, str(row.seeds), percent(row.train), percent(row.valid), percent(row.test)),
            *(interval(row.test), percent(row.macro_f1), *(percent(row.worst.get(name)) for name in nuisances)),
            f"{row.best_epoch.mean:.1f}" if row.best_epoch else UNKNOWN,
            *(percent(row.difference, "+"), interval(row.difference, "+"), str(_pairs(row) or UNKNOWN)),
            *(_conflicting(row) if conflicting else ()),
        ]
        for row in rows
    ]
    return [titles, *cells]


def values_shown(some: Sequence[Value]) -> list[list[str]]:
    """Titles and rows of one nuisance as a reader sees it: values down, settings across, in percent."""
    settings = list(dict.fromkeys(value.setting for value in some))
    cells = {(value.value, value.setting): percent(value.accuracy) + " worst" * value.worst for value in some}
    items = {value.value: value.items for value in some}
    for value in some:
        items[value.value] = (min(items[value.value][0], value.items[0]), max(items[value.value][1], value.items[1]))
    rows = [
        [name, "-".join(map(str, dict.fromkeys(items[name]))), *(cells.get((name, one), UNKNOWN) for one in settings)]
        for name in sorted(items, key=natural)
    ]
    return [[some[0].attribute if some else "value", "items", *(f"{one} (%)" for one in settings)], *rows]


def _mean(number: Estimate | None) -> float | None:
    return number.mean if number else None


def _conflicting(row: Row) -> Iterable[str]:
    ours, less = row.conflicting, row.conflicting_difference
    return percent(ours), interval(ours), percent(less, "+"), interval(less, "+")


def _pairs(row: Row) -> int | None:
    return row.difference.count if row.difference else None
