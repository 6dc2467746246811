"""Groups of runs -> pictures as PNG bytes, the same bytes for the same runs."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes

from at_train.report.drawing import (
    MARKERS,
    colour,
    dashes,
    draw_estimate,
    drawing,
    legend,
    legend_height,
    name_rows,
    shortened,
)
from at_train.report.estimates import score
from at_train.report.groups import Group, Section, natural
from at_train.report.tables import Row, Value
from at_train.results import Run

NUMBERED = 20  # classes up to which cells of a confusion matrix show their number
LABELLED = 60  # classes up to which every one has its name on the axes
SHOWN = 40  # values of a nuisance drawn at most, the worst ones
DARK = 0.55  # share above which a cell is so dark that its number is white
LOSSES = {  # rows of the curves: what is drawn, of which strategies
    "task loss (nats)": ("task_loss", None),
    "anti-transfer loss, times beta": ("at_loss", ("anti", "dual")),
    "loss of guessing the nuisance (nats)": ("at_loss", ("dann",)),
}


def curves(section: Section) -> bytes | None:
    """Task loss, anti-transfer loss and loss of the adversary by epoch, train beside valid; None before any result.

    Seeds are thin, their mean is thick and ends with the seed that stopped first; a dot marks the epoch that is scored.
    """
    if not any(run.results for run in section.runs):
        return None
    losses = [title for title in LOSSES if any(_has(group, title) for group in section.groups)]
    titles = [group.title for group in section.groups]
    with drawing(9.0, 3.1 * len(losses) + legend_height(titles)) as (figure, png):
        axes = figure.subplots(len(losses), 2, sharex=True, sharey="row", squeeze=False)
        for row, title in zip(axes, losses, strict=True):
            for axis, split in zip(row, ("train", "valid"), strict=True):
                for place, group in enumerate(section.groups):
                    if _has(group, title):
                        _draw_curves(axis, group, split, LOSSES[title][0], place)
                axis.set_title(split)
            row[0].set_ylabel(title)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        legend(figure, titles, lines=True)
    return png()


def comparison(section: Section, rows: Sequence[Row]) -> bytes | None:
    """Test accuracy of each group, its seeds and interval, and its difference to the baseline; None without scores."""
    if not any(row.test for row in rows):
        return None
    differences = any(row.difference for row in rows)
    with drawing(9.0, 0.42 * len(rows) + 1.3) as (figure, png):
        axes = figure.subplots(1, 1 + differences, sharey=True, squeeze=False)[0]
        for place, (row, group) in enumerate(zip(rows, section.groups, strict=True)):
            seeds = [100 * value for value in score(group.runs, "accuracy").values()]
            axes[0].plot(seeds, [place + 0.24] * len(seeds), "o", color="#8a8a8a", markersize=3.5)
            draw_estimate(axes[0], row.test, float(place))
            if differences:
                draw_estimate(axes[1], row.difference, float(place))
        name_rows(axes[0], [f"{group.title}  ({row.seeds})" for row, group in zip(rows, section.groups, strict=True)])
        axes[0].set_xlabel("test accuracy (%)")
        if differences:
            axes[1].axvline(0, color="#444444", linewidth=1)
            axes[1].set_xlabel("difference to none, same seeds (points)")
    return png()


def groups(values: Sequence[Value], titles: Mapping[str, str]) -> bytes | None:
    """Test accuracy by value of one nuisance, a dot for each group, its worst value ringed; None without values.

    `titles` are what the legend calls a setting, where that is not its label.
    Only the values with the lowest accuracies are drawn when there are many.
    """
    lowest: dict[str, float] = {}
    for value in values:
        lowest[value.value] = min(value.accuracy.mean, lowest.get(value.value, np.inf))
    names = sorted(sorted(lowest, key=lambda name: (lowest[name], natural(name)))[:SHOWN], key=natural)
    if not names:
        return None
    settings = list(dict.fromkeys(value.setting for value in values))
    names_of = [titles.get(setting, setting) for setting in settings]
    spread = np.linspace(-0.25, 0.25, len(settings)) if len(settings) > 1 else np.zeros(1)
    with drawing(8.0, max(0.27, 0.1 * len(settings)) * len(names) + 0.9 + legend_height(names_of)) as (
        figure,
        png,
    ):
        axis = figure.subplots()
        for place, setting in enumerate(settings):
            mine = [value for value in values if value.setting == setting and value.value in names]
            at = [names.index(value.value) + spread[place] for value in mine]
            shares = [100 * value.accuracy.mean for value in mine]
            axis.plot(shares, at, MARKERS[place % len(MARKERS)], color=colour(place), markersize=4.5)
            ringed = [(share, y) for share, y, value in zip(shares, at, mine, strict=True) if value.worst]
            for share, y in ringed:
                axis.plot(share, y, "o", color=colour(place), fillstyle="none", markersize=10, markeredgewidth=1.4)
        axis.set_yticks(range(len(names)), [shortened(name) for name in names])
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlabel("test accuracy (%), mean over seeds")
        axis.set_ylabel(values[0].attribute)
        legend(figure, names_of, lines=False)
    return png()


def confusion(classes: Sequence[str], total: Int64[np.ndarray, "classes classes"], title: str) -> bytes | None:
    """Share of each true class (rows) that was taken for each class (columns), in percent; None without items."""
    if not total.sum():
        return None
    items = total.sum(axis=1, keepdims=True)
    shares = total / np.maximum(items, 1)
    side = min(max(0.42 * len(classes), 2.6), 9.0)
    with drawing(side + 2.0, side + 1.4) as (figure, png):
        axis = figure.subplots()
        axis.grid(visible=False)
        image = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
        if len(classes) <= NUMBERED:
            for (truth, guess), share in np.ndenumerate(shares):
                ink = "white" if share > DARK else "#333333"
                if items[truth, 0]:
                    axis.text(guess, truth, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=7.5)
        every = -(-len(classes) // LABELLED)
        size = 9 if len(classes) <= NUMBERED else 6
        ticks, names = range(0, len(classes), every), [shortened(name) for name in classes[::every]]
        axis.set_xticks(ticks, names, rotation=90, fontsize=size)
        axis.set_yticks(ticks, names, fontsize=size)
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        axis.set_title(title, wrap=True)
        figure.colorbar(image, ax=axis, label="share of true class (%)", shrink=0.8)
    return png()


def _draw_curves(axis: Axes, group: Group, split: str, loss: str, place: int) -> None:
    hue, dash = colour(place), dashes(place)
    lines = [_line(run, split, loss) for run in group.runs]
    for run, line in zip(group.runs, lines, strict=True):
        axis.plot(list(line), list(line.values()), dash, color=hue, linewidth=0.8, alpha=0.4)
        chosen = run.best_epoch if run.settings.get("selection", "best") == "best" else run.epochs_run
        if chosen in line:
            axis.plot(chosen, line[chosen], "o", color=hue, markersize=3.5)
    told = [line for line in lines if line]
    shared = sorted(set.intersection(*map(set, told))) if told else []
    axis.plot(shared, [np.mean([line[epoch] for line in told]) for epoch in shared], dash, color=hue, linewidth=2.2)


def _line(run: Run, split: str, loss: str) -> dict[int, float]:
    return {one.epoch: one.values[loss] for one in run.results if one.split == split and loss in one.values}


def _has(group: Group, title: str) -> bool:
    """Whether this loss is anything to these runs."""
    name, strategies = LOSSES[title]
    if strategies and group.settings["strategy"] not in strategies:
        return False
    return strategies is None or any(one.values.get(name, 0.0) for run in group.runs for one in run.results)
