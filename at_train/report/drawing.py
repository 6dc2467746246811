"""What pictures share: one style whatever the user's own is, colours, markers, legends, and PNG bytes at the end."""

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from at_train.report.estimates import Estimate

DPI = 130
# Okabe and Ito 2008, told apart by colour-blind readers; yellow left out, too pale for thin lines on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")
WRAPPED = 52  # letters of a name in a line
NAMED = 32  # letters of a name on an axis
ABREAST = 52  # letters of a name up to which two stand beside each other in a legend
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
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


@contextmanager
def drawing(width_in: float, height_in: float) -> Iterator[tuple[Figure, Callable[[], bytes]]]:
    """A figure in the house's style, whatever the user's own is, and what gives its PNG once it is drawn."""
    drawn = io.BytesIO()
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks is drawn as boxes
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, drawn.getvalue
        figure.savefig(drawn, format="png", metadata={"Software": None})


def draw_estimate(axis: Axes, number: Estimate | None, place: float, hue: str = COLOURS[0], marker: str = "D") -> None:
    """A mean and its interval, in percent, lying at this height."""
    if number is None:
        return
    if number.low is not None and number.high is not None:
        axis.plot([100 * number.low, 100 * number.high], [place, place], color=hue, linewidth=2)
    axis.plot(100 * number.mean, place, marker, color=hue, markersize=6)


def colour(place: int) -> str:
    """Colour of the group at this place."""
    return COLOURS[place % len(COLOURS)]


def dashes(place: int) -> str:
    """Line of the group at this place: another when the colours are used up."""
    return DASHES[place // len(COLOURS) % len(DASHES)]


def legend_height(labels: Sequence[str]) -> float:
    """Inches that `legend` takes."""
    return 0.2 * -(-len(labels) // _columns(labels)) + 0.2


def legend(figure: Figure, labels: Sequence[str], *, lines: bool) -> None:
    """Names of the groups below the axes, drawn as their lines or as their markers."""
    axis = figure.axes[0]
    handles = [
        axis.plot([], [], dashes(place), color=colour(place), linewidth=2.2)[0]
        if lines
        else axis.plot([], [], MARKERS[place % len(MARKERS)], color=colour(place), markersize=5)[0]
        for place in range(len(labels))
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=_columns(labels))


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Names at the heights 0, 1, 2 and so on, the first at the top."""
    axis.set_yticks(range(len(names)), ["\n".join(textwrap.wrap(name, WRAPPED)) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)


def shortened(name: str) -> str:
    """The name, or beginning and end of one that would leave an axis no room."""
    return name if len(name) <= NAMED else f"{name[: NAMED // 2]}…{name[1 - NAMED // 2 :]}"


def _columns(labels: Sequence[str]) -> int:
    return min(len(labels), 2) if max(map(len, labels), default=0) <= ABREAST else 1
