"""Runs -> tables 2 to 5 in the paper's shape, its published numbers beside ours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from at_train.report import folders, orthogonals, paper
from at_train.report.choice import Choice, choose, lines
from at_train.report.estimates import Estimate, average, paired, score
from at_train.report.formats import UNKNOWN, Cell, csv_text, exact, with_interval
from at_train.report.groups import Row, Section, family, natural, rank
from at_train.report.paper import AS_RELEASED
from at_train.results import Run

SPLITS = ("train", "test", "test_conflicting")


@dataclass(frozen=True)
class Shown:
    """A table as a reader sees it: what it is, titles and rows, and what to know of it."""

    title: str
    table: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Family:
    """Sections that are columns of one table: datasets of one corpus that learn one target, the paper's apart."""

    name: str
    published: paper.Table | None
    columns: dict[str, tuple[Section, dict[Row, Choice]]]

    @property
    def title(self) -> str:
        """With the table of the paper that it is, if it is one."""
        return f"Table {self.published.number}, {self.name}" if self.published else self.name

    @property
    def rows(self) -> list[Row]:
        """Of all columns; within a strategy controls and unusual settings come last."""
        found = {row: choice.line.other for _, choices in self.columns.values() for row, choice in choices.items()}

        def place(row: Row) -> tuple[int, bool, bool, list[tuple[bool, float, str]]]:
            other = found[row]
            return rank(row.strategy), bool(row.details), bool(other and other.control), natural(row.title)

        return sorted(found, key=place)


def families(sections: Iterable[Section]) -> list[Family]:
    """Tables of target tasks; networks that learnt an orthogonal task stand in `pretraining`."""
    found: dict[tuple[str, str, bool], list[Section]] = {}
    for section in sections:
        in_paper = paper.table_of(section.dataset, section.target) is not None
        found.setdefault((family(section.dataset, section.target), section.target, in_paper), []).append(section)
    made: list[Family] = []
    for (name, target, _), some in found.items():
        table = paper.table_of(some[0].dataset, target)
        order = list(table.columns) if table else []
        some.sort(key=lambda one: (order.index(paper.plain(one.dataset)) if order else 0, natural(one.dataset)))
        columns = {one.dataset: (one, {line.row: choose(line) for line in lines(one)}) for one in some}
        made.append(Family(name, table, columns))
    return sorted(made, key=lambda one: one.published.number if one.published else 99)


def target_sections(sections: Sequence[Section]) -> list[Section]:
    """Those that are not there for other networks to differ from."""
    apart = pretraining_sections(sections)
    return [one for one in sections if one not in apart]


def pretraining_sections(sections: Sequence[Section]) -> list[Section]:
    """Networks trained alone, for others to use: those of table 2, those that are used, and those of nothing else."""
    used = {other["digest"] for section in sections for run in section.runs for other in run.orthogonal}
    plain = all(run.settings["strategy"] == "none" for section in sections for run in section.runs)
    return [
        one
        for one in sections
        if all(run.settings["strategy"] == "none" for run in one.runs)
        and paper.table_of(one.dataset, one.target) is None
        and (plain or paper.pretrained(one.dataset, one.target) or all(run.digest in used for run in one.runs))
    ]


def shown(family: Family) -> list[Shown]:
    """A table for each split that any column has; rows are strategies and what they differed from."""
    found = []
    for split in SPLITS:
        if any(score(one.runs, "accuracy", split) for one, _ in family.columns.values()):
            titles = ["strategy: orthogonal task (corpus)"]
            rows = [[row.title] for row in family.rows]
            for name, (_, choices) in family.columns.items():
                more, cells = _column(family, name, choices, split)
                titles += more
                for row, title in zip(rows, family.rows, strict=True):
                    row.extend(cells.get(title, [UNKNOWN] * len(more)))
            note = paper.NOTES.get(family.published.number, "") if family.published else ""
            found.append(Shown(f"{family.title}: {split.replace('_', ' ')} accuracy", [titles, *rows], note))
    return found


def _column(
    family: Family, name: str, choices: Mapping[Row, Choice], split: str
) -> tuple[list[str], dict[Row, list[str]]]:
    """Titles and cells of one dataset: ours, the paper's, difference to the baseline, the chosen layer."""
    short = _short(family, name)
    layered = any(group.layers for choice in choices.values() for group in choice.line.candidates)
    titles = [f"{short} (%)", *(["paper"] * bool(family.published)), "diff. to none (points)"]
    titles += ["layer"] * layered
    cells = {}
    for row, choice in choices.items():
        ours, difference = accuracy(choice, split)
        cells[row] = [with_interval(ours)]
        if family.published:
            number = published(choice, split)
            cells[row].append(paper.text(family.published.number, number))
        cells[row].append(with_interval(difference, "+"))
        cells[row] += [_layer(choice)] * layered
    return titles, cells


def accuracy(choice: Choice, split: str) -> tuple[Estimate | None, Estimate | None]:
    """Accuracy of the chosen group on a split, and its difference to the baseline."""
    if choice.chosen is None:
        return None, None
    ours = score(choice.chosen.runs, "accuracy", split)
    baseline = choice.line.baseline
    return average(ours), paired(ours, score(baseline.runs, "accuracy", split)) if baseline else None


def pretraining(sections: Sequence[Section]) -> Shown | None:
    """Table 2: networks trained alone, with classes, hours of audio and accuracies."""
    apart = pretraining_sections(sections)
    published = [paper.pretrained(one.dataset, one.target) for one in apart]
    beside = ["paper"] * any(published)
    titles = ["dataset: task", "classes", "hours", *beside, "seeds", "train (%)", *beside, "test (%)", *beside]
    rows = []
    for section, known in zip(apart, published, strict=True):
        kinds = [orthogonals.untaught(group.runs[0]) for group in section.groups]
        for group, kind in zip(section.groups, kinds, strict=True):
            like = None if kind or group.row.details else known
            hours = [f"{like.hours:g}" if like else UNKNOWN] * len(beside)
            theirs = [[paper.text(2, getattr(like, split, None))] * len(beside) for split in SPLITS[:2]]
            ours = [with_interval(average(score(group.runs, "accuracy", split))) for split in SPLITS[:2]]
            words = ", ".join(filter(None, (kind, group.row.details * (kinds.count(kind) > 1))))
            title = f"{section.dataset}: {section.target}" + f", {words}" * bool(words)
            about = [str(len(group.runs[0].dataset["classes"])), _hours(group.runs[0]), *hours]
            rows.append([title, *about, str(len(group.runs)), ours[0], *theirs[0], ours[1], *theirs[1]])
    if not rows:
        return None
    title = ("Table 2: a" if beside else "A") + "ccuracy of networks trained alone"
    there = {one.dataset for one in published if one}
    notes = [words for dataset, words in paper.NOTES_ON_PRETRAINED.items() if dataset in there]
    note = " ".join([paper.HOURS, *notes] if beside else notes)
    return Shown(title, [titles, *rows], note)


def chosen_shown(section: Section, every: Iterable[Choice]) -> Shown | None:
    """Where there was a choice: what the rule took, the mean over all it chose from, and the bias of choosing."""
    choices = [choice for choice in every if len(choice.line.candidates) > 1]
    if not choices:
        return None
    titles = ["strategy: orthogonal task (corpus)", "layers", "seeds", "chosen", "valid acc. (%)", "test acc. (%)"]
    titles += ["diff. to none (points)", "mean over layers, test acc. (%)", "diff. to none (points)"]
    titles += ["selection bias (points)"]
    rows = [
        [
            *(
                one.line.row.title,
                str(len(one.line.candidates)),
                "-".join(map(str, dict.fromkeys(one.line.seeds))),
                _layer(one),
            ),
            *(with_interval(one.valid), with_interval(one.test), with_interval(one.difference, "+")),
            *(with_interval(one.mean_test), with_interval(one.mean_difference, "+")),
            with_interval(one.bias, "+") if one.bias else one.why,
        ]
        for one in choices
    ]
    return Shown(f"{section.dataset}: choice of layer", [titles, *rows])


def targets_csv(all_families: Iterable[Family]) -> str:
    """Every number of the tables of target tasks and of the choice of layer, with every digit, as shares."""
    titles = [
        "table",
        "dataset",
        "target",
        "strategy",
        "orthogonal",
        "details",
        "split",
        "layers",
        "candidates",
        "seeds",
    ]
    titles += ["accuracy", "accuracy_low", "accuracy_high", "published"]
    titles += ["difference", "difference_low", "difference_high", "pairs", "mean_over_layers", "mean_over_layers_low"]
    titles += ["mean_over_layers_high", "selection_bias", "selection_bias_low", "selection_bias_high"]
    return csv_text(titles, [cells for family in all_families for cells in _exact_rows(family)])


def _exact_rows(family: Family) -> Iterable[Sequence[Cell]]:
    for section, choices in family.columns.values():
        for row, choice in choices.items():
            for split in SPLITS:
                ours, difference = accuracy(choice, split)
                on_test = split == "test"
                if ours is None and not (on_test and choice.mean_test):
                    continue
                number = published(choice, split)
                yield (
                    *(family.published.number if family.published else None, section.dataset, section.target),
                    *(row.strategy, row.orthogonal, row.details, split, "+".join(choice.layers)),
                    *(len(choice.line.candidates), ours.count if ours else None, *exact(ours)),
                    None if number is None else number / 100,
                    *exact(difference),
                    difference.count if difference else None,
                    *exact(choice.mean_test if on_test else None),
                    *exact(choice.bias if on_test else None),
                )


def published(choice: Choice, split: str) -> float | None:
    """The paper's number for a row that has its settings; None for any other, and for controls."""
    row, other, section = choice.line.row, choice.line.other, choice.line.section
    if row.details or (other and other.control):
        return None
    return paper.published(section.dataset, section.target, row.strategy, other.tasks if other else (), split)


def _short(family: Family, dataset: str) -> str:
    if family.published and not dataset.endswith(AS_RELEASED):
        part = dataset.removeprefix(family.name).strip("_")
        return f"{family.published.columns[paper.plain(dataset)]} ({part})"
    return dataset.removeprefix(family.name).strip("_") or dataset


def _hours(run: Run) -> str:
    hours = folders.header(run).get("hours")
    return f"{sum(hours.values()):.1f}" if isinstance(hours, dict) and hours else UNKNOWN


def _layer(choice: Choice) -> str:
    many = len(choice.line.candidates)
    return ("+".join(choice.layers) or UNKNOWN) + f", of {many}" * (many > 1)
