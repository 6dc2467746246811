"""A CSV file that says which recording is in which split: the layout of a dataset's own splits.csv."""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path

from at_data.errors import ManifestError

LARGEST_BYTES = 1 << 28  # some millions of ids; nothing larger is read, whatever a manifest names
PARTS = ("train", "valid", "test")
SHOWN = 80  # characters of a wrong value that are shown


@dataclass(frozen=True, slots=True)
class Listed:
    """Where one recording goes, and the group it is said to belong to."""

    part: str
    group: str


def found(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none, or one too large to be a list."""
    content = _content(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=4)
def read(file: str, sha256: str) -> Mapping[str, Listed]:
    """Place of every recording id a file lists; ManifestError where the file is not the one that was meant.

    What was read once stays, for the hash says what it is.
    """
    path = Path(file)
    content = _content(path)
    if content is None:
        raise ManifestError(
            path,
            f"no file, or one of more than {LARGEST_BYTES >> 20} MiB",
            "a CSV file of id and split",
            "correct split.file, which starts from the manifest's folder",
        )
    known = hashlib.sha256(content).hexdigest()
    if known != sha256:
        raise ManifestError(
            path,
            f"has SHA-256 {known}",
            f"{sha256}, as split.sha256 says",
            "put the file of that hash there, or the hash of this file into the manifest",
        )
    try:
        return _table(path, content.decode("utf-8-sig"))
    except (UnicodeError, csv.Error) as error:
        raise ManifestError(path, f"cannot be read ({error})", "a CSV file in UTF-8", "write it again") from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST_BYTES else None
    except (OSError, ValueError):
        return None


def _table(path: Path, text: str) -> dict[str, Listed]:
    rows = _rows(text)
    _, columns = next(rows, (1, []))
    if sorted(columns) not in (["id", "split"], ["group", "id", "split"]):
        raise ManifestError(
            f"{path}:1",
            f"the columns are {', '.join(columns)[:SHOWN] or 'absent'}",
            "id, split and, if you like, group",
            "name the columns so in the first line, and no others",
        )
    table: dict[str, Listed] = {}
    for line, cells in rows:
        problem = _problem(cells, columns, table)
        if problem:
            expected = f"an id, once, and one of {', '.join(PARTS)}"
            raise ManifestError(f"{path}:{line}", problem, expected, "correct the line, and split.sha256 after it")
        row = dict(zip(columns, cells, strict=True))
        table[row["id"]] = Listed(row["split"], row.get("group", ""))
    return table


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row; empty lines are none."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    for cells in reader:
        if cells:
            yield reader.line_num, cells


def _problem(cells: list[str], columns: list[str], table: Mapping[str, Listed]) -> str | None:
    if len(cells) != len(columns):
        return f"{len(cells)} cells under {len(columns)} columns"
    item, part = cells[columns.index("id")], cells[columns.index("split")]
    if not item:
        return "the id is empty"
    if item in table:
        return f"the id {item[:SHOWN]!r} stands a second time"
    return None if part in PARTS else f"the split is {part[:SHOWN]!r}"
