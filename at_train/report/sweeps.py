"""Sections -> what figures 3, 4, 6 and 8 and table 6 are drawn from, and accuracies under a bias made on purpose."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from at_train.report import paper
from at_train.report.acting import COMPARED
from at_train.report.choice import Choice, Line, lines
from at_train.report.estimates import Estimate, average, estimate, paired, score
from at_train.report.formats import with_interval
from at_train.report.groups import Group, Section, natural
from at_train.report.orthogonals import Other
from at_train.report.paper_tables import Family, Shown, published

FEWEST_LAYERS = 2  # drawn as a sweep
FEWEST_BETAS = 2


@dataclass(frozen=True)
class Gain:
    """Mean over targets of what anti-transfer gained on test; `published` is the same mean of the paper's numbers."""

    name: str
    targets: int
    mean: Estimate | None
    published: float | None


@dataclass(frozen=True)
class Ablation:
    """Differences to the baseline at one layer: regular anti-transfer, inverse beta, frozen weights."""

    name: str
    ways: dict[str, Estimate | None]


@dataclass(frozen=True)
class Sweep:
    """Something measured at several places of one axis, by series; the baseline where it has no place on the axis."""

    name: str
    places: tuple[str | float, ...]
    series: dict[str, list[Estimate | None]]
    baseline: Estimate | None = None


def gains(families: Sequence[Family]) -> list[Gain]:
    """Average gains: over all targets, by task, and, over targets that have both, by the kind of orthogonal task."""
    columns = [column for family in families for column in family.columns.values()]
    usual = [_usual(choices.values()) for _, choices in columns]
    found = [_gain("all targets", usual)]
    found += [_gain(family.title, [_usual(two.values()) for _, two in family.columns.values()]) for family in families]
    both = {
        "orthogonal task of the same corpus": _same(True),
        "orthogonal task of another corpus": _same(False),
        "one orthogonal task": lambda one: one.line.row.strategy == "anti",
        "two orthogonal tasks": lambda one: one.line.row.strategy == "dual",
    }
    for pair in (list(both)[:2], list(both)[2:]):
        fit = [some for some in usual if all(any(map(both[name], some)) for name in pair)]
        found += [_gain(name, [list(filter(both[name], some)) for some in fit]) for name in pair]
    return [gain for gain in found if gain.targets]


def _same(wanted: bool) -> Callable[[Choice], bool]:
    return lambda one: bool(one.line.other) and _other(one.line).same_corpus is wanted


def _other(of: Group | Line) -> Other:
    assert of.other is not None
    return of.other


def _usual(choices: Iterable[Choice]) -> list[Choice]:
    """Anti-transfer as the paper does it: no other settings than usual, no control."""
    return [
        one
        for one in choices
        if one.line.row.strategy in COMPARED and not one.line.row.details and not _other(one.line).control
    ]


def _gain(name: str, targets: Sequence[Sequence[Choice]]) -> Gain:
    """Per seed the mean over targets of the mean over orthogonal tasks; the interval is over seeds all targets have."""
    by_seed, theirs = [], []
    for choices in targets:
        told = [(one, difference) for one in choices if (difference := _differences(one))]
        if told:
            ours = [difference for _, difference in told]
            shared = sorted(set.intersection(*map(set, ours)))
            by_seed.append({seed: float(np.mean([one[seed] for one in ours])) for seed in shared})
            theirs.append(_published_gain([one for one, _ in told]))
    shared = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    mean = estimate(float(np.mean([one[seed] for one in by_seed])) for seed in shared)
    known = [one for one in theirs if one is not None]
    return Gain(name, len(by_seed), mean, float(np.mean(known)) if known and len(known) == len(theirs) else None)


def _differences(choice: Choice) -> dict[int, float]:
    """Test accuracy less that of the baseline, by seed; the mean where a seed is there on several data."""
    if choice.line.baseline is None or choice.chosen is None:
        return {}
    ours, theirs = (score(group.runs, "accuracy") for group in (choice.chosen, choice.line.baseline))
    found: dict[int, list[float]] = {}
    for one in ours.keys() & theirs.keys():
        found.setdefault(one[1], []).append(ours[one] - theirs[one])
    return {seed: float(np.mean(found[seed])) for seed in sorted(found)}


def _published_gain(choices: Sequence[Choice]) -> float | None:
    """The paper's own mean over the same rows, in points."""
    section = choices[0].line.section
    numbers = [published(one, "test") for one in choices]
    baseline = paper.published(section.dataset, section.target, "none", (), "test")
    told = [number for number in numbers if number is not None]
    return float(np.mean(told)) - baseline if baseline is not None and told and len(told) == len(numbers) else None


def ablations(sections: Iterable[Section]) -> list[Ablation]:
    """Where one layer was compared with positive and negative beta, or was the last frozen one. Figure 4."""
    found = []
    for section in sections:
        by_label = {group.label: group for group in section.groups}
        places: dict[tuple[str, str], dict[str, Group]] = {}
        for group in section.groups:
            way = _way(group)
            if way and len(group.layers) == 1 and not group.beside("beta"):
                places.setdefault((group.row.orthogonal, group.layers[0]), {}).setdefault(way, group)
        for (orthogonal, layer), ways in sorted(places.items(), key=lambda item: natural(" ".join(item[0]))):
            if len(ways) > 1 and ("inverse beta" in ways or "frozen" in ways):
                told = {way: _paired(group, by_label.get(group.baseline or ""), "test") for way, group in ways.items()}
                found.append(Ablation(f"{section.dataset}, {orthogonal}, {layer}", told))
    return found


def _way(group: Group) -> str:
    strategy, beta = group.settings["strategy"], float(group.settings.get("beta", 1))
    if strategy == "anti":
        return "anti-transfer" if beta == 1 else "inverse beta" if beta == -1 else ""
    return {"freeze": "frozen"}.get(strategy, "")


def _beta(group: Group) -> str:
    return f"{float(group.settings.get('beta', 1)):g}"


def layers(section: Section) -> list[Sweep]:
    """Gain in training and in test accuracy by layer, a sweep for each line with several. Figure 6."""
    found = []
    for line in lines(section):
        if len(line.candidates) >= FEWEST_LAYERS and line.baseline:
            names = tuple("+".join(group.layers) for group in line.candidates)
            series = {
                split: [_paired(group, line.baseline, split) for group in line.candidates]
                for split in ("train", "test")
            }
            found.append(Sweep(line.row.title, names, series))
    return found


def betas(section: Section) -> list[Sweep]:
    """Test accuracy by weight of the anti-transfer loss, a series for each similarity and aggregation. Figure 8."""
    found: dict[str, dict[str, dict[float, Group]]] = {}
    for group in section.groups:
        beta = float(group.settings.get("beta", 1))
        if group.settings["strategy"] in COMPARED and beta >= 0:
            beside = group.beside("layers", "beta", "similarity", "aggregation")
            name = f"{group.settings['strategy']}: {group.row.orthogonal}, {'+'.join(group.layers)}"
            name += f", {beside}" * bool(beside)
            way = ", ".join(str(group.settings.get(key, "not told")) for key in ("similarity", "aggregation"))
            found.setdefault(name, {}).setdefault(way, {}).setdefault(beta, group)
    by_label = {group.label: group for group in section.groups}
    made = []
    for name, series in found.items():
        places = sorted({beta for some in series.values() for beta in some})
        swept = {one: some for one, some in series.items() if len(some) >= FEWEST_BETAS}
        if swept:
            baseline = next(
                (by_label[g.baseline] for some in swept.values() for g in some.values() if g.baseline), None
            )
            told = {one: [_test(some.get(beta)) for beta in places] for one, some in swept.items()}
            made.append(Sweep(name, tuple(places), told, _test(baseline)))
    return made


def aggregations(section: Section) -> list[Shown]:
    """Table 6, one for each orthogonal network and layer where several aggregations or similarities were tried."""
    found: dict[tuple[str, ...], dict[tuple[str, str], Group]] = {}
    for group in section.groups:
        if group.settings["strategy"] == "anti" and len(group.layers) == 1:
            place = (group.row.orthogonal, group.layers[0], f"beta {_beta(group)}", *filter(None, [_beside(group)]))
            way = (str(group.settings.get("similarity")), str(group.settings.get("aggregation")))
            found.setdefault(place, {}).setdefault(way, group)
    return [
        _aggregated(section, ", ".join(place), ways)
        for place, ways in found.items()
        if len({way[1] for way in ways}) > 1
    ]


def _beside(group: Group) -> str:
    """What is unusual of it beside what table 6 is about."""
    return group.beside("beta", "similarity", "aggregation")


def _aggregated(section: Section, place: str, ways: dict[tuple[str, str], Group]) -> Shown:
    """Rows by aggregation; by similarity the splits, the paper's numbers, and the difference to the baseline."""
    similarities = sorted({similarity for similarity, _ in ways})
    rows = sorted({aggregation for _, aggregation in ways}, key=_aggregation_rank)
    by_label = {group.label: group for group in section.groups}
    titles, table = ["aggregation"], [[aggregation] for aggregation in rows]
    told = False
    for similarity in similarities:
        for split in ("train", "valid", "test"):
            titles += [f"{similarity}, {split} (%)", "paper"]
            for row, aggregation in zip(table, rows, strict=True):
                group = ways.get((similarity, aggregation))
                number = _published_aggregation(section, group, split) if group else None
                told = told or number is not None
                accuracy = average(score(group.runs, "accuracy", split)) if group else None
                row.extend([with_interval(accuracy), paper.text(6, number)])
        titles.append(f"{similarity}, diff. to none (points)")
        for row, aggregation in zip(table, rows, strict=True):
            group = ways.get((similarity, aggregation))
            row.append(
                with_interval(_paired(group, by_label.get(group.baseline or ""), "test") if group else None, "+")
            )
    name = f"{section.dataset}, {place}: aggregations and similarities"
    return Shown(("Table 6, " if told else "") + name, [titles, *table], paper.NOTES[6] if told else "")


def _aggregation_rank(name: str) -> tuple[int, str]:
    order = list(paper.AGGREGATIONS["squared_cosine"])
    return (order.index(name) if name in order else len(order), name)


def _published_aggregation(section: Section, group: Group, split: str) -> float | None:
    other, settings = _other(group), group.settings
    if other.control or _beta(group) != "1" or _beside(group):
        return None
    return paper.aggregated(section.dataset, other.tasks, settings["similarity"], settings["aggregation"], split)


def _paired(group: Group, baseline: Group | None, split: str) -> Estimate | None:
    if baseline is None:
        return None
    return paired(score(group.runs, "accuracy", split), score(baseline.runs, "accuracy", split))


def _test(group: Group | None) -> Estimate | None:
    return average(score(group.runs, "accuracy")) if group else None
