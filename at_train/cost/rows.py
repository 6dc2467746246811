"""A row of costs: figures beside those of plain training, for people and for programs."""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from at_train.cost.work import Case

MB = 1e6


@dataclass(frozen=True)
class Row:
    """What a case costs. Ratios are to plain steps: the median over pairs of turns, the least and the greatest.

    `peak_bytes` is what training needs beyond Python and its libraries, `extra_bytes` how much more that is than plain
    training needs: None on a device that does not tell. `equation_4_bytes` is what the paper expects there, None for
    what it says nothing about.
    """

    strategy: str
    layer: str | None
    cached: bool
    step_s: float
    step_ratio: float
    step_ratio_least: float
    step_ratio_greatest: float
    peak_bytes: int | None
    peak_ratio: float | None
    extra_bytes: int | None
    equation_4_bytes: int | None


def row(
    case: Case, pairs: Sequence[tuple[float, float]], peaked: int | None, predicted: int | None, *, plain: int | None
) -> Row:
    """Of seconds of steps and of the plain ones before them, and of peaks of memory in bytes, None where not told."""
    ratios = [step / base for step, base in pairs]
    both = None if peaked is None or plain is None else (peaked, plain)
    return Row(
        **asdict(case),
        step_s=statistics.median(step for step, _ in pairs),
        step_ratio=statistics.median(ratios),
        step_ratio_least=min(ratios),
        step_ratio_greatest=max(ratios),
        peak_bytes=peaked,
        peak_ratio=both and both[0] / both[1],
        extra_bytes=both and both[0] - both[1],
        equation_4_bytes=predicted,
    )


def shown(rows: Sequence[Row]) -> list[list[str]]:
    """Titles, then the rows as a person reads them."""
    titles = ["strategy", "layer", "step (ms)", "to plain", "from", "to"]
    titles += ["peak (MB)", "to plain", "more (MB)", "equation 4 (MB)"]
    return [titles, *(_cells(row) for row in rows)]


def _cells(row: Row) -> list[str]:
    ratios = [row.step_ratio, row.step_ratio_least, row.step_ratio_greatest]
    return [
        f"{row.strategy} cached" if row.cached else row.strategy,
        row.layer or "",
        f"{1000 * row.step_s:.1f}",
        *(f"{ratio:.2f}" for ratio in ratios),
        _megabytes(row.peak_bytes),
        "" if row.peak_ratio is None else f"{row.peak_ratio:.2f}",
        _megabytes(row.extra_bytes),
        _megabytes(row.equation_4_bytes),
    ]


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / MB:.1f}"


def as_csv(rows: Sequence[Row]) -> str:
    """The rows with every figure as it was measured, a line each, under the names of their fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
