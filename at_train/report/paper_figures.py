"""The paper's figures 3, 4, 6 and 8, and those of biased data, from our own numbers, as PNG bytes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from at_train.report.biased import Conflict
from at_train.report.drawing import MARKERS, colour, draw_estimate, drawing, legend_height, name_rows
from at_train.report.estimates import Estimate
from at_train.report.sweeps import Ablation, Gain, Sweep

WAYS = ("anti-transfer", "inverse beta", "frozen")
ROTATED = 6  # layers from which their names stand upright
GREY = "#8a8a8a"
BESIDE = 1.04  # factor between the places of two series on a logarithmic axis


def gains(some: Sequence[Gain]) -> bytes | None:
    """Average gains with intervals, the same mean of the paper's numbers hollow beside ours. None without a gain."""
    if not some:
        return None
    with drawing(9.0, 0.42 * len(some) + 1.2) as (figure, png):
        axis = figure.subplots()
        for place, gain in enumerate(some):
            draw_estimate(axis, gain.mean, float(place))
            if gain.published is not None:
                axis.plot(gain.published, place, "D", color=GREY, fillstyle="none", markersize=8)
        names = [f"{gain.name}  ({gain.targets})" for gain in some]
        name_rows(axis, names)
        axis.axvline(0, color="#444444", linewidth=1)
        axis.set_xlabel("gain in test accuracy (points)")
    return png()


def ablations(some: Sequence[Ablation]) -> bytes | None:
    """Regular anti-transfer, inverse beta and frozen weights, as differences to the baseline. None without any."""
    if not some:
        return None
    with drawing(9.0, 0.6 * len(some) + 1.2 + legend_height(WAYS)) as (figure, png):
        axis = figure.subplots()
        for place, one in enumerate(some):
            for shift, way in enumerate(WAYS):
                draw_estimate(axis, one.ways.get(way), place + (shift - 1) * 0.22, colour(shift), MARKERS[shift])
        name_rows(axis, [one.name for one in some])
        axis.axvline(0, color="#444444", linewidth=1)
        axis.set_xlabel("difference to none, same seeds (points of test accuracy)")
        handles = [axis.plot([], [], MARKERS[place], color=colour(place))[0] for place in range(len(WAYS))]
        figure.legend(handles, WAYS, loc="outside lower center", ncols=len(WAYS))
    return png()


def layers(some: Sequence[Sweep]) -> bytes | None:
    """Gain in training and in test accuracy by layer, a panel for each line. None without one."""
    if not some:
        return None
    with drawing(9.0, 2.6 * len(some) + 0.5) as (figure, png):
        axes = figure.subplots(len(some), 1, squeeze=False)[:, 0]
        for axis, sweep in zip(axes, some, strict=True):
            places = np.arange(len(sweep.places), dtype=np.float64)
            for shift, (split, numbers) in enumerate(sweep.series.items()):
                _draw_upright(axis, places + (shift - 0.5) * 0.2, numbers, shift, split)
            axis.axhline(0, color="#444444", linewidth=1)
            axis.set_xticks(places, [str(place) for place in sweep.places])
            if len(places) > ROTATED:
                axis.tick_params(axis="x", labelrotation=45)
            axis.set_ylabel("gain (points)")
            axis.set_title(sweep.name, wrap=True)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, [f"{label} accuracy" for label in labels], loc="outside lower center", ncols=2)
    return png()


def betas(some: Sequence[Sweep]) -> bytes | None:
    """Test accuracy by beta, a panel for each network and layer, the baseline as a line with its band."""
    if not some:
        return None
    entries = list(dict.fromkeys(["none", *(name for sweep in some for name in sweep.series)]))
    with drawing(8.0, 2.9 * len(some) + legend_height(entries)) as (figure, png):
        axes = figure.subplots(len(some), 1, squeeze=False)[:, 0]
        known: dict[str, Artist] = {}
        for axis, sweep in zip(axes, some, strict=True):
            smallest = min((float(place) for place in sweep.places if float(place) > 0), default=1.0)
            axis.set_xscale("symlog", linthresh=smallest)
            for place, (name, numbers) in enumerate(sweep.series.items()):
                aside = BESIDE ** (place - (len(sweep.series) - 1) / 2)  # so that intervals stand beside each other
                _draw_line(axis, [float(beta) * aside for beta in sweep.places], numbers, place, name)
            _draw_band(axis, sweep.baseline)
            axis.set_xticks([float(place) for place in sweep.places], [f"{float(place):g}" for place in sweep.places])
            axis.minorticks_off()
            axis.set_xlabel("beta")
            axis.set_ylabel("test accuracy (%)")
            axis.set_title(sweep.name, wrap=True)
            handles, labels = axis.get_legend_handles_labels()
            known.update(zip(labels, handles, strict=True))
        figure.legend(list(known.values()), list(known), loc="outside lower center", ncols=2)
    return png()


def conflicts(some: Sequence[Conflict]) -> bytes | None:
    """Accuracy on both test splits side by side, row by row; None without a row."""
    if not some:
        return None
    with drawing(9.0, 0.45 * len(some) + 1.3) as (figure, png):
        axes = figure.subplots(1, 2, sharey=True)
        for axis, split in zip(axes, ("test", "test_conflicting"), strict=True):
            for place, one in enumerate(some):
                draw_estimate(axis, one.accuracy.get(split), float(place))
            axis.set_title(split)
            axis.set_xlabel("accuracy (%)")
        name_rows(axes[0], [one.name for one in some])
    return png()


def strengths(some: Sequence[Sweep]) -> bytes | None:
    """Accuracy by strength of the bias, a panel for each test split; None without one."""
    if not some:
        return None
    rows = list(dict.fromkeys(row for sweep in some for row in sweep.series))
    with drawing(9.0, 3.4 * -(-len(some) // 2) + legend_height(rows)) as (figure, png):
        axes = figure.subplots(-(-len(some) // 2), 2, squeeze=False, sharey="row").ravel()
        for axis, sweep in zip(axes, some, strict=False):
            for row, numbers in sweep.series.items():
                aside = 0.004 * (rows.index(row) - (len(rows) - 1) / 2)
                _draw_line(axis, [float(place) + aside for place in sweep.places], numbers, rows.index(row), row)
            axis.set_xlabel("strength of the bias in train")
            axis.set_ylabel("accuracy (%)")
            axis.set_title(sweep.name, wrap=True)
        for axis in axes[len(some) :]:
            axis.set_visible(False)
        handles = [axes[0].plot([], [], f"{MARKERS[n % len(MARKERS)]}-", color=colour(n))[0] for n in range(len(rows))]
        figure.legend(handles, rows, loc="outside lower center", ncols=min(2, len(rows)))
    return png()


def _draw_upright(axis: Axes, places: np.ndarray, numbers: Sequence[Estimate | None], series: int, name: str) -> None:
    """Means with intervals standing upright, in the colour and marker of their series."""
    for place, number in zip(places, numbers, strict=True):
        if number and number.low is not None and number.high is not None:
            axis.plot([place, place], [100 * number.low, 100 * number.high], color=colour(series), linewidth=1.6)
    means = [100 * number.mean if number else np.nan for number in numbers]
    axis.plot(places, means, MARKERS[series % len(MARKERS)], color=colour(series), markersize=5, label=name)


def _draw_line(
    axis: Axes, places: Sequence[str | float], numbers: Sequence[Estimate | None], series: int, name: str
) -> None:
    """Means joined by a line, those that are known, with their intervals upright."""
    known = [(float(place), number) for place, number in zip(places, numbers, strict=True) if number]
    at = np.array([place for place, _ in known], dtype=np.float64)
    _draw_upright(axis, at, [number for _, number in known], series, name)
    axis.plot(at, [100 * number.mean for _, number in known], "-", color=colour(series), linewidth=1.2, alpha=0.7)


def _draw_band(axis: Axes, baseline: Estimate | None) -> None:
    if baseline is None:
        return
    axis.axhline(100 * baseline.mean, color=GREY, linewidth=1.4, linestyle="--", label="none")
    if baseline.low is not None and baseline.high is not None:
        axis.axhspan(100 * baseline.low, 100 * baseline.high, color=GREY, alpha=0.15, linewidth=0)
