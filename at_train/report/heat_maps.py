"""Heat maps of several networks on one item, as `explain` wrote them -> a picture. Figure 5 of the paper."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Float32
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.image import AxesImage

from at_data.errors import CheckpointError
from at_train.report.drawing import drawing
from at_train.results import replace, writing

ABREAST = 3  # panels in a row
BLACK = ListedColormap([(0.0, 0.0, 0.0, shade) for shade in np.linspace(0, 0.85, 256)])  # paper shows through silence
CONTRAST = (5.0, 99.5)  # percentiles of an item's levels that are drawn as nothing and as black
FAINTEST = 1e-5  # of the greatest magnitude, where the scale of levels begins


def draw(files: Sequence[Path]) -> list[Path]:
    """PNG files beside these files of `explain`: the spectrogram, and every network's heat map under it.

    Colour is heat, each map from 0 to its own largest value; black is the spectrogram, by level. CheckpointError for
    a file that is damaged or something else.
    """
    drawn = []
    for file in files:
        spectrogram, heat, about = _read(file)
        drawn.append(file.with_suffix(".png"))
        with writing(file.parent, "mend that and draw again"):
            replace(drawn[-1], picture(spectrogram, heat, about))
    return drawn


def picture(
    spectrogram: Float32[np.ndarray, "frames bins"],
    heat: Float32[np.ndarray, "networks frames bins"],
    about: dict[str, Any],
) -> bytes:
    """PNG of one item; `about` says of what, as in the file of `explain`."""
    rows = -(-(1 + len(heat)) // ABREAST)
    across = min(ABREAST, 1 + len(heat))
    extent = (0.0, len(spectrogram) * about["hop_s"], 0.0, about["highest_hz"] / 1000)
    with drawing(3.3 * across + 0.8, 2.9 * rows + 0.5) as (figure, png):
        axes = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
        figure.suptitle(f"{about['dataset']}, {about['split']}: {about['item']}", fontsize=10)
        panels: list[Axes] = list(axes.flat)
        shaded = [_draw(panels[0], None, spectrogram, extent)]
        panels[0].set_title("spectrogram")
        for axis, values, of in zip(panels[1:], heat, about["maps"], strict=False):
            shaded.append(_draw(axis, values, spectrogram, extent))
            axis.set_title(_title(of, empty=not values.any()), fontsize=8)
        for axis in panels[1 + len(heat) :]:
            axis.set_axis_off()
        for row in axes:
            row[0].set_ylabel("frequency (kHz)")
        for axis in panels[max(0, 1 + len(heat) - across) : 1 + len(heat)]:
            axis.set_xlabel("time (s)")
            axis.tick_params(labelbottom=True)
        if len(heat):
            bar = figure.colorbar(shaded[-1], ax=axes, fraction=0.03, ticks=[0, 1])
            bar.ax.set_yticklabels(["0", "its largest"])
            bar.set_label("Grad-CAM")
    return png()


def _draw(
    axis: Axes,
    heat: Float32[np.ndarray, "frames bins"] | None,
    spectrogram: Float32[np.ndarray, "frames bins"],
    extent: tuple[float, float, float, float],
) -> AxesImage:
    """Heat, if any, and the spectrogram in black over it; what the colour bar explains."""
    shown = np.zeros_like(spectrogram) if heat is None else heat / max(float(heat.max()), np.finfo(np.float32).tiny)
    place: dict[str, Any] = {"vmin": 0, "vmax": 1, "extent": extent, "origin": "lower", "aspect": "auto"}
    image = axis.imshow(shown.T, cmap="YlOrRd" if heat is not None else "Greys", **place)
    axis.imshow(_levels(spectrogram).T, cmap=BLACK, **place)
    axis.grid(visible=False)
    return image


def _levels(spectrogram: Float32[np.ndarray, "frames bins"]) -> Float[np.ndarray, "frames bins"]:
    """Shade from 0 to 1 of each magnitude, by its level in dB."""
    magnitudes = np.abs(spectrogram.astype(np.float64))
    levels = np.log10(np.maximum(magnitudes, max(FAINTEST * float(magnitudes.max()), np.finfo(np.float64).tiny)))
    low, high = np.percentile(levels, CONTRAST)
    shades: np.ndarray = np.clip((levels - low) / max(high - low, np.finfo(np.float64).eps), 0, 1)
    return shades


def _title(of: dict[str, Any], *, empty: bool) -> str:
    truth = "" if of["truth"] in {None, of["predicted"]} else f", is {of['truth']}"
    heat = "nothing speaks for it" if empty else of["layer"]
    return f"{of['run']} ({of['role']})\n{of['target']} {of['predicted']} {of['probability']:.0%}{truth}; {heat}"


def _read(file: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as packed:
            return packed["spectrogram"], packed["heat"], json.loads(str(packed["about"]))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise CheckpointError(
            file, f"cannot be read ({error})", "a file that `at-train explain` wrote", "explain the item again"
        ) from error
