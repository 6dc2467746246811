"""Groups of runs -> rows of numbers, and those rows as CSV, Markdown or text.

Conventions: numbers are shares, 0 to 1, in rows and CSV, and percent in the tables for readers. Intervals are Student's
95 % t-intervals of a mean over seeds: they tell how training varies, not what other test items would change.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from scipy.special import stdtrit

from at_train.report.groups import Group, Key, Section, key, natural
from at_train.results import Run

CONFIDENCE = 0.95
UNKNOWN = "-"  # what cannot be told, as the interval of a single seed

Cell = str | int | float | None


@dataclass(frozen=True)
class Estimate:
    """Mean of `count` numbers and its 95 % t-interval, which a single number does not have."""

    count: int
    mean: float
    low: float | None
    high: float | None


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


@dataclass(frozen=True)
class Value:
    """Test accuracy of a group on the items with one value of a nuisance; `items` of one run, fewest and most."""

    setting: str
    attribute: str
    value: str
    items: tuple[int, int]
    accuracy: Estimate
    worst: bool


def estimate(numbers: Iterable[float]) -> Estimate | None:
    """Mean and t-interval of these numbers, None of none."""
    values = np.array(list(numbers), dtype=np.float64)
    if not values.size:
        return None
    mean = float(values.mean())
    if values.size == 1:
        return Estimate(1, mean, None, None)
    half = float(stdtrit(values.size - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(values.size))
    return Estimate(values.size, mean, mean - half, mean + half)


def per_seed(runs: Iterable[Run], value: Callable[[Run], float | None]) -> dict[Key, float]:
    """A number of each seed on each dataset's content, in order; the mean where several runs share both."""
    found: dict[Key, list[float]] = {}
    for run in runs:
        number = value(run)
        if number is not None:
            found.setdefault(key(run), []).append(number)
    return {seed: float(np.mean(found[seed])) for seed in sorted(found)}


def score(runs: Iterable[Run], name: str, split: str = "test") -> dict[Key, float]:
    """A score on a split, as `accuracy`, by seed."""
    return per_seed(runs, lambda run: run.scores.get(split, {}).get(name))


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
    ours = score(group.runs, "accuracy")
    theirs = score(baseline.runs, "accuracy") if baseline else {}
    return Row(
        dataset=section.dataset,
        target=section.target,
        setting=group.label,
        seeds=len({key(run) for run in group.runs}),
        train=estimate(score(group.runs, "accuracy", "train").values()),
        valid=estimate(score(group.runs, "accuracy", "valid").values()),
        test=estimate(ours.values()),
        macro_f1=estimate(score(group.runs, "macro_f1").values()),
        worst={name: estimate(_worst(group, name).values()) for name in section.nuisances},
        best_epoch=estimate(per_seed(group.runs, lambda run: run.best_epoch).values()),
        baseline=group.baseline,
        difference=estimate(ours[seed] - theirs[seed] for seed in ours if seed in theirs),
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
        accuracy = estimate(_accuracies(group, by_run).values())
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
    cells = [
        (
            *(row.dataset, row.target, row.setting, row.seeds, _mean(row.train), _mean(row.valid)),
            *(*_exact(row.test), _mean(row.macro_f1), *(_mean(row.worst.get(name)) for name in nuisances)),
            *(_mean(row.best_epoch), row.baseline, *_exact(row.difference), _pairs(row)),
        )
        for row in rows
    ]
    return _csv(titles, cells)


def values_csv(section_values: Iterable[tuple[Section, Sequence[Value]]]) -> str:
    """Accuracy by value of every nuisance with every digit."""
    titles = ["dataset", "target", "setting", "attribute", "value", "items_fewest", "items_most", "seeds"]
    titles += ["test_accuracy", "test_accuracy_low", "test_accuracy_high", "worst"]
    cells = [
        (
            *(section.dataset, section.target, one.setting, one.attribute, one.value, *one.items),
            *(one.accuracy.count, *_exact(one.accuracy), "yes" if one.worst else "no"),
        )
        for section, some in section_values
        for one in some
    ]
    return _csv(titles, cells)


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
    return _csv(["dataset", "target", "setting", "truth", "predicted", "items"], cells)


def comparison_shown(rows: Sequence[Row]) -> list[list[str]]:
    """Titles and rows of the comparison as a reader sees it, in percent."""
    nuisances = list(dict.fromkeys(name for row in rows for name in row.worst))
    titles = ["setting", "seeds", "train acc. (%)", "valid acc. (%)", "test acc. (%)", "95 % interval"]
    titles += ["macro F1 (%)", *(f"worst {name} (%)" for name in nuisances), "best epoch"]
    titles += ["diff. to none (points)", "95 % interval", "pairs"]
    cells = [
        [
            *(row.setting, str(row.seeds), percent(row.train), percent(row.valid), percent(row.test)),
            *(interval(row.test), percent(row.macro_f1), *(percent(row.worst.get(name)) for name in nuisances)),
            f"{row.best_epoch.mean:.1f}" if row.best_epoch else UNKNOWN,
            *(percent(row.difference, "+"), interval(row.difference, "+"), str(_pairs(row) or UNKNOWN)),
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


def percent(number: Estimate | None, sign: str = "") -> str:
    """The mean in percent; with sign "+" in signed points."""
    return f"{100 * number.mean:{sign}.1f}" if number else UNKNOWN


def interval(number: Estimate | None, sign: str = "") -> str:
    """Both ends in percent, as `[87.1, 90.3]`."""
    if number is None or number.low is None or number.high is None:
        return UNKNOWN
    return f"[{100 * number.low:{sign}.1f}, {100 * number.high:{sign}.1f}]"


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Titles and rows as a GitHub table; the first column is left, the others right."""
    lines = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in table]
    return "\n".join([lines[0], "|:--|" + "--:|" * (len(table[0]) - 1), *lines[1:]]) + "\n"


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Titles and rows as text columns for a terminal; the first column is left, the others right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in table
    ]
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def _mean(number: Estimate | None) -> float | None:
    return number.mean if number else None


def _exact(number: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (number.mean, number.low, number.high) if number else (None, None, None)


def _pairs(row: Row) -> int | None:
    return row.difference.count if row.difference else None


def _csv(titles: Sequence[str], cells: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(cells)
    return text.getvalue()


def _escaped(cell: str) -> str:
    marks = str.maketrans(
        {"|": r"\|", "\\": "\\\\", "<": "&lt;", "&": "&amp;", "\n": " ", "*": r"\*", "_": r"\_", "`": r"\`"}
    )
    return cell.translate(marks)
