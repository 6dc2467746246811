"""Cards and summaries stay tables, whatever a corpus calls its classes."""

import re
from pathlib import Path

import pytest

from at_data import cards, headers
from at_data.shards import open_dataset
from at_data.stages.leaks import Line

LONG = "x" * 20_000
ODD = {
    "two\nlines": r"two\nlines",
    "a|b": "a|b",
    "back\\|slash": r"back\|slash",
    "nul\0": r"nul\x00",
    "\x1b[2J": r"\x1b[2J",
    "\u202egnp": r"\u202egnp",
    "\ud800": r"\ud800",
    "é 漢": "é 漢",
    LONG: "x" * 57 + "...",
    "\0" * 60: r"\x00" * 14 + r"\...",
    "y" * 60: "y" * 60,
}
PROOF = [Line(("train", "test"), "speaker|\n", 0, (), "disjoint")]


@pytest.fixture
def odd(dataset: Path) -> headers.Header:
    """Header of a dataset whose classes are called oddly."""
    header = headers.read(dataset)
    counts = dict.fromkeys(header.counts, dict.fromkeys(ODD, 1))
    return header.model_copy(update={"attributes": {header.target: list(ODD)}, "class_counts": counts})


def cells(row: str) -> list[str]:
    """Cells of a row of a Markdown table, as they are shown."""
    return [re.sub(r"\\([\\|])", r"\1", cell) for cell in re.findall(r"(?<=\| )((?:\\.|[^|\\])*)(?= \|)", row)]


def test_each_row_of_the_card_has_as_many_cells_as_its_title_whatever_classes_are_called(odd: headers.Header) -> None:
    rows = [cells(line) for line in cards.card(odd, PROOF).splitlines() if line.startswith("| ")]
    first = next(place for place, row in enumerate(rows) if row[0] == "splits")
    assert rows[0] == ["split", "items", "hours", *ODD.values()]
    assert {len(row) for row in rows[:first]} == {3 + len(ODD)}
    assert rows[first + 2 :] == [["train / test", r"speaker|\n", "0", "disjoint"]]


def test_show_prints_one_line_per_class_that_any_terminal_can_take(odd: headers.Header) -> None:
    lines = cards.summary(odd.model_copy(update={"name": "\x1b[2J"}), PROOF).split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith(r"\x1b[2J-")
    first = next(place for place, line in enumerate(lines) if line.startswith("split "))
    table = lines[first + 3 : first + 3 + len(ODD)]
    assert [line.rsplit(maxsplit=3)[0] for line in table] == list(ODD.values())
    assert max(map(len, table)) < 100


def test_plain_labels_are_shown_as_they_are(dataset: Path) -> None:
    header = headers.read(dataset)
    title = "| split | items | hours | " + " | ".join(header.classes) + " |"
    assert title in cards.card(header, PROOF).splitlines()


def test_a_picture_is_drawn_whatever_its_classes_are_called(dataset: Path, tmp_path: Path) -> None:
    opened = open_dataset(dataset)
    called = dict(zip(opened.header.classes, [r"$\x$", "\u202egnp", "\u6f22", "a\nb", LONG[:200]], strict=False))
    attributes = {opened.header.target: [called.get(name, name) for name in opened.header.classes]}
    opened.header = opened.header.model_copy(update={"attributes": attributes})
    cards.picture(opened, tmp_path / "odd.png")
    assert (tmp_path / "odd.png").read_bytes().startswith(b"\x89PNG")
