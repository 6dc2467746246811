"""Estimates and tables as text: percent for readers, every digit for CSV, Markdown, columns for a terminal."""

import csv
import io
from collections.abc import Iterable, Sequence

from at_train.report.estimates import Estimate

UNKNOWN = "-"  # what cannot be told, as the interval of a single seed

Cell = str | int | float | None


def percent(number: Estimate | None, sign: str = "") -> str:
    """The mean in percent; with sign "+" in signed points."""
    return f"{100 * number.mean:{sign}.1f}" if number else UNKNOWN


def interval(number: Estimate | None, sign: str = "") -> str:
    """Both ends in percent, as `[87.1, 90.3]`."""
    if number is None or number.low is None or number.high is None:
        return UNKNOWN
    return f"[{100 * number.low:{sign}.1f}, {100 * number.high:{sign}.1f}]"


def with_interval(number: Estimate | None, sign: str = "") -> str:
    """Mean and interval in percent, as `88.7 [87.1, 90.3]`; a single seed has no interval."""
    if number is None:
        return UNKNOWN
    ends = interval(number, sign)
    return percent(number, sign) + f" {ends}" * (ends != UNKNOWN)


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


def exact(number: Estimate | None) -> tuple[float | None, float | None, float | None]:
    """Mean and both ends with every digit."""
    return (number.mean, number.low, number.high) if number else (None, None, None)


def csv_text(titles: Sequence[str], cells: Iterable[Sequence[Cell]]) -> str:
    """Titles and rows as CSV; None is empty."""
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
