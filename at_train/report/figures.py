"""Groups of runs -> pictures as PNG bytes, the same bytes for the same runs."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from jaxtyping import Int64
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from at_train.report.groups import Group, Section, natural
from at_train.report.tables import Estimate, Row, Value, score
from at_train.results import Run

DPI = 130
# Okabe and Ito 2008, told apart by colour-blind readers; yellow left out, too pale for thin lines on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
NUMBERED = 20  # classes up to which cells of a confusion matrix show their number
LABELLED = 60  # classes up to which every one has its name on the axes
SHOWN = 40  # values of a nuisance drawn at most, the worst ones
DARK = 0.55  # share above which a cell is so dark that its number is white
LOSSES = {"task_loss": "task loss (nats)", "at_loss": "anti-transfer loss, times beta"}
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.dpi": DPI,
    "font.size": 9,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be called $x$
}


def curves(section: Section) -> bytes | None:
    """Task loss and anti-transfer loss by epoch, train beside valid; None before any result.

    Seeds are thin, their mean is thick and ends with the seed that stopped first; a dot marks the epoch that is scored.
    """
    losses = [name for name in LOSSES if name == "task_loss" or _acts(section.runs, name)]
    if not any(run.results for run in section.runs):
        return None
    with _drawing(9.0, 3.1 * len(losses) + _legend_height(len(section.groups))) as (figure, png):
        axes = figure.subplots(len(losses), 2, sharex=True, sharey="row", squeeze=False)
        for row, loss in zip(axes, losses, strict=True):
            for axis, split in zip(row, ("train", "valid"), strict=True):
                for place, group in enumerate(section.groups):
                    if loss == "task_loss" or _acts(group.runs, loss):
                        _draw_curves(axis, group, split, loss, place)
                axis.set_title(split)
            row[0].set_ylabel(LOSSES[loss])
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
        _legend(figure, [group.label for group in section.groups], lines=True)
    return png()


def comparison(section: Section, rows: Sequence[Row]) -> bytes | None:
    """Test accuracy of each group, its seeds and interval, and its difference to the baseline; None without scores."""
    if not any(row.test for row in rows):
        return None
    differences = any(row.difference for row in rows)
    with _drawing(9.0, 0.42 * len(rows) + 1.3) as (figure, png):
        axes = figure.subplots(1, 1 + differences, sharey=True, squeeze=False)[0]
        for place, (row, group) in enumerate(zip(rows, section.groups, strict=True)):
            seeds = [100 * value for value in score(group.runs, "accuracy").values()]
            axes[0].plot(seeds, [place + 0.24] * len(seeds), "o", color="#8a8a8a", markersize=3.5)
            _draw_estimate(axes[0], row.test, place)
            if differences:
                _draw_estimate(axes[1], row.difference, place)
        axes[0].set_yticks(range(len(rows)), [f"{row.setting}  ({row.seeds})" for row in rows])
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        axes[0].set_xlabel("test accuracy (%)")
        if differences:
            axes[1].axvline(0, color="#444444", linewidth=1)
            axes[1].set_xlabel("difference to none, same seeds (points)")
    return png()


def groups(values: Sequence[Value]) -> bytes | None:
    """Test accuracy by value of one nuisance, a dot for each group, its worst value ringed; None without values.

    Only the values with the lowest accuracies are drawn when there are many.
    """
    lowest: dict[str, float] = {}
    for value in values:
        lowest[value.value] = min(value.accuracy.mean, lowest.get(value.value, np.inf))
    names = sorted(sorted(lowest, key=lambda name: (lowest[name], natural(name)))[:SHOWN], key=natural)
    if not names:
        return None
    settings = list(dict.fromkeys(value.setting for value in values))
    spread = np.linspace(-0.25, 0.25, len(settings)) if len(settings) > 1 else np.zeros(1)
    with _drawing(8.0, max(0.27, 0.1 * len(settings)) * len(names) + 0.9 + _legend_height(len(settings))) as (
        figure,
        png,
    ):
        axis = figure.subplots()
        for place, setting in enumerate(settings):
            mine = [value for value in values if value.setting == setting and value.value in names]
            at = [names.index(value.value) + spread[place] for value in mine]
            shares = [100 * value.accuracy.mean for value in mine]
            axis.plot(shares, at, MARKERS[place % len(MARKERS)], color=_colour(place), markersize=4.5)
            ringed = [(share, y) for share, y, value in zip(shares, at, mine, strict=True) if value.worst]
            for share, y in ringed:
                axis.plot(share, y, "o", color=_colour(place), fillstyle="none", markersize=10, markeredgewidth=1.4)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_xlabel("test accuracy (%), mean over seeds")
        axis.set_ylabel(values[0].attribute)
        _legend(figure, settings, lines=False)
    return png()


def confusion(classes: Sequence[str], total: Int64[np.ndarray, "classes classes"], title: str) -> bytes | None:
    """Share of each true class (rows) that was taken for each class (columns), in percent; None without items."""
    if not total.sum():
        return None
    items = total.sum(axis=1, keepdims=True)
    shares = total / np.maximum(items, 1)
    side = min(max(0.42 * len(classes), 2.6), 9.0)
    with _drawing(side + 2.0, side + 1.4) as (figure, png):
        axis = figure.subplots()
        axis.grid(visible=False)
        image = axis.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
        if len(classes) <= NUMBERED:
            for (truth, guess), share in np.ndenumerate(shares):
                colour = "white" if share > DARK else "#333333"
                if items[truth, 0]:
                    axis.text(guess, truth, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7.5)
        every = -(-len(classes) // LABELLED)
        size = 9 if len(classes) <= NUMBERED else 6
        ticks = range(0, len(classes), every)
        axis.set_xticks(ticks, classes[::every], rotation=90, fontsize=size)
        axis.set_yticks(ticks, classes[::every], fontsize=size)
        axis.set_xlabel("predicted class")
        axis.set_ylabel("true class")
        axis.set_title(title, wrap=True)
        figure.colorbar(image, ax=axis, label="share of true class (%)", shrink=0.8)
    return png()


@contextmanager
def _drawing(width_in: float, height_in: float) -> Iterator[tuple[Figure, Callable[[], bytes]]]:
    """A figure in the house's style, whatever the user's own is, and what gives its PNG once it is drawn."""
    drawn = io.BytesIO()
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks is drawn as boxes
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, drawn.getvalue
        figure.savefig(drawn, format="png", metadata={"Software": None})


def _draw_curves(axis: Axes, group: Group, split: str, loss: str, place: int) -> None:
    colour, dashes = _colour(place), _dashes(place)
    lines = [_line(run, split, loss) for run in group.runs]
    for run, line in zip(group.runs, lines, strict=True):
        axis.plot(list(line), list(line.values()), dashes, color=colour, linewidth=0.8, alpha=0.4)
        chosen = run.best_epoch if run.settings.get("selection", "best") == "best" else run.epochs_run
        if chosen in line:
            axis.plot(chosen, line[chosen], "o", color=colour, markersize=3.5)
    told = [line for line in lines if line]
    shared = sorted(set.intersection(*map(set, told))) if told else []
    axis.plot(
        shared, [np.mean([line[epoch] for line in told]) for epoch in shared], dashes, color=colour, linewidth=2.2
    )


def _line(run: Run, split: str, loss: str) -> dict[int, float]:
    return {one.epoch: one.values[loss] for one in run.results if one.split == split and loss in one.values}


def _acts(runs: Sequence[Run], loss: str) -> bool:
    return any(one.values.get(loss, 0.0) for run in runs for one in run.results)


def _draw_estimate(axis: Axes, number: Estimate | None, place: int) -> None:
    if number is None:
        return
    if number.low is not None and number.high is not None:
        axis.plot([100 * number.low, 100 * number.high], [place, place], color=COLOURS[0], linewidth=2)
    axis.plot(100 * number.mean, place, "D", color=COLOURS[0], markersize=6)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _dashes(place: int) -> str:
    return DASHES[place // len(COLOURS) % len(DASHES)]


def _legend_height(entries: int) -> float:
    return 0.2 * -(-entries // 2) + 0.2


def _legend(figure: Figure, labels: Sequence[str], *, lines: bool) -> None:
    """Names of the groups below the axes, drawn as their lines or as their markers."""
    axis = figure.axes[0]
    handles = [
        axis.plot([], [], _dashes(place), color=_colour(place), linewidth=2.2)[0]
        if lines
        else axis.plot([], [], MARKERS[place % len(MARKERS)], color=_colour(place), markersize=5)[0]
        for place in range(len(labels))
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=min(2, len(labels)))
