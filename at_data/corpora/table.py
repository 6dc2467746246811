"""Your own corpus, listed in one file: `recordings.csv` or `recordings.jsonl` beside the audio.

One line is one recording. `path` is required: where the audio lies, from the folder of the list, with forward slashes.
Optional are `start_s` and `length_s` (a stretch of the file, in seconds), `split` (train, valid or test) and `id`
(default: the path without suffix, and `@<start_s>` for a stretch). Every other column is an attribute, named in
letters, digits and underscores; an empty cell, or null, means unknown. Values are held in Unicode's form NFC, so that
a name typed on two systems is one. A column that seems to mark a stretch under another name (`start`, `end_time`,
`duration_ms`) is refused: as an attribute it would leave the whole file in its place. Licence: yours to know, and to
state where you publish a dataset made of it.
"""

import csv
import json
import re
from array import array
from collections.abc import Iterable, Iterator, MutableSequence
from math import isfinite
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Any
from unicodedata import normalize

import numpy as np

from at_data.corpora import Archive, Count, from_json, need_file
from at_data.errors import CorpusError
from at_data.recordings import Recording
from at_data.rolls import Roll

LICENCE = "not stated: the list's author knows it"
SOURCE = "a list of recordings made by the user of this project"
CITATION = "none: an unpublished corpus"
GROUPS: tuple[str, ...] = ()
UNPACKS_TO: tuple[str, ...] = ()
COUNTS: tuple[Count, ...] = ()
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = ""

NAMES = ("recordings.csv", "recordings.jsonl")
MOST_BYTES = 1 << 30  # of a list
SPLITS = ("train", "valid", "test")
PLAIN = frozenset(("", ".", ".."))  # parts of a path that has to be looked at
OWN = ("path", "start_s", "length_s", "split", "id")
OF_THE_PROOF = ("waveform",)
OTHER_MARKS = {"\t": "tabs", ";": "semicolons"}  # that part cells in files that are no CSV

# start, t_start, segment_start, startTime, start_time, start_ms, end (s), and Praat's xmin, tmax: marks of a stretch in
# other people's lists
TIME_MARK = re.compile(
    r"(?:(?:t|segment|seg|clip|utterance|utt|word|phone|event)_?)?"
    r"(?:(?P<start>start|begin|onset|offset|[xt]_?min)|length|len|duration|dur|end|stop|[xt]_?max)"
    r"(?:_?(?:time|timestamp|at))?"
    r"(?:_(?:in_)?(?:s|secs?|seconds?|ms|msecs?|millis|milliseconds?|us|samples?|frames?|idx))?"
)

EXAMPLE: dict[str, Any] = {
    "files": {
        "recordings.csv": (
            "path,start_s,length_s,split,id,word,speaker\n"
            "talk/ann.wav,0.05,0.04,test,,no,ann\n"
            "talk/ann.wav,0,0.05,test,,yes,ann\n"
            "bob.flac,,,train,bob-says-yes,yes,\n"
        ),
        "bob.flac": None,
        "talk/ann.wav": None,
        "talk/unlisted.wav": None,
    },
    "recordings": (
        Recording("bob-says-yes", "table", "bob.flac", {"word": "yes"}, published_split="train"),
        Recording("talk/ann@0.0", "table", "talk/ann.wav", {"word": "yes", "speaker": "ann"}, 0.0, 0.05, "test"),
        Recording("talk/ann@0.05", "table", "talk/ann.wav", {"word": "no", "speaker": "ann"}, 0.05, 0.04, "test"),
    ),
}


def folder(root: Path) -> Path:
    """Folder from which the list's paths start: `root`, or the folder of the list where `root` is the list itself."""
    return root.parent if root.is_file() else root


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a list, in order of path and start; `root` is the list or the folder that holds it.

    No audio file is looked at: one that is absent is left out by the build, with its reason. CorpusError names file,
    line and column of what cannot be understood, and both lines of an id that occurs twice.
    """
    file = _list(root)
    lines = _csv(file) if file.suffix == ".csv" else _jsonl(file)
    numbers = array("l")  # of lines
    made = Roll.of(_recordings(file, lines, numbers))
    if not made:
        raise CorpusError(file, "it lists no recording", "one line per recording", "add your recordings")
    ids = made.columns.ids
    again = min(ids.repeated(), default=None)
    if again is not None:
        item = made.ids[again]
        raise CorpusError(
            f"{file}, line {numbers[again]}",
            f"id '{item}' stands in line {numbers[ids.find(item) or 0]} too",
            "ids that differ",
            "give them in the column id, or take one line away",
        )
    starts_s = np.nan_to_num(made.columns.starts_s)
    yield from made.take(np.lexsort((ids.ranks, starts_s, made.columns.paths.ranks)))


def _recordings(
    file: Path, lines: Iterable[tuple[int, dict[str, str]]], numbers: MutableSequence[int]
) -> Iterator[Recording]:
    """Recording of every line; the numbers of the lines are noted."""
    name = str(file)
    for number, cells in lines:
        numbers.append(number)
        yield _recording(f"{name}, line {number}", cells)


def _list(root: Path) -> Path:
    """The one list."""
    if root.is_file():
        found = [root] if root.suffix in {".csv", ".jsonl"} else []
    else:
        found = [root / name for name in NAMES if (root / name).is_file()]
    if len(found) != 1:
        raise CorpusError(
            root,
            f"{len(found) or 'no'} lists of recordings" if root.exists() else "no such file or folder",
            f"a folder with one of {' and '.join(NAMES)}, or such a file",
            "list your recordings in one file",
        )
    return found[0]


def _csv(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; spaces around a cell are no part of it."""
    need_file(file, MOST_BYTES)
    begun = 1  # the line in which a row begins
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True, skipinitialspace=True)  # or quotes after a space were text
            columns = [normalize("NFC", name.strip()) for name in next(rows, [])]
            _check_columns(file, columns)
            begun = rows.line_num + 1
            for row in rows:
                if len(row) == len(columns):
                    yield rows.line_num, {name: cell.strip() for name, cell in zip(columns, row, strict=True)}
                elif row:  # a blank line is nothing
                    raise CorpusError(
                        f"{file}, line {rows.line_num}",
                        f"{len(row)} cells",
                        f"{len(columns)}",
                        "quote cells that hold commas",
                    )
                begun = rows.line_num + 1
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error, "a CSV file in UTF-8") from error
    except csv.Error as error:
        raise CorpusError(
            f"{file}, line {begun}", f"cannot be read ({error})", "cells with whole quotes", "correct the line"
        ) from error


def _check_columns(file: Path, columns: list[str]) -> None:
    came = "no column 'path'" if "path" not in columns else None
    other = next((mark for mark in OTHER_MARKS if any(mark in name for name in columns)), None)
    if came and other:
        came += f", and {OTHER_MARKS[other]} in the first line: cells are parted by commas"
    if "" in columns:
        came = f"column {columns.index('') + 1} has no name"
    if len(set(columns)) < len(columns):
        came = f"column '{next(name for name in columns if columns.count(name) > 1)}' stands twice"
    if came:
        raise CorpusError(
            f"{file}, line 1", came, "one name per column, `path` among them", f"correct it (known: {', '.join(OWN)})"
        )
    seen: dict[str, str] = {}
    for name in columns:
        _check_name(f"{file}, line 1", name, seen)


def _check_name(where: str, name: str, seen: dict[str, str]) -> None:
    """Pass a column that is known, or can be an attribute; `seen` holds those before it, by what they look like."""
    lowered = name.lower()
    mark = TIME_MARK.fullmatch(re.sub(r"[\W_]+", "_", lowered).strip("_"))
    twin = seen.setdefault(normalize("NFKC", name).casefold(), name)
    if name in OWN and twin == name:
        return
    if lowered in OWN:
        came, todo = f"column '{name}'", f"did you mean {lowered}?"
    elif mark:
        meant = "start_s" if mark["start"] else "length_s"
        came = f"column '{name}', which would be an attribute and cut nothing"
        todo = f"did you mean {meant}? Give start_s and length_s in seconds, or name the column otherwise"
    elif lowered in OF_THE_PROOF:
        came, todo = f"column '{name}', which the proof of a split has its own meaning for", "rename it"
    elif not name.isidentifier():
        came, todo = f"column {name!a}, which cannot name an attribute", "rename it"
    elif twin != name:
        came, todo = f"columns '{twin}' and '{name}'", "rename one of them, or make them one"
    else:
        return
    raise CorpusError(
        where, came, f"{', '.join(OWN)}, or attributes named in letters, digits and underscores, no two alike", todo
    )


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each object; numbers and truth values as JSON writes them."""
    seen: dict[str, str] = {}
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = from_json(line)
        except ValueError as error:
            raise CorpusError(where, f"cannot be read ({error})", "one JSON object", "correct the line") from error
        if not isinstance(row, dict):
            raise CorpusError(where, f"got {line.strip()[:40]}", "one JSON object", "correct the line")
        if any(name != name.strip() or not name for name in row):
            raise CorpusError(where, "a key is empty or has spaces around it", "plain keys", "correct the line")
        cells = {normalize("NFC", name): _text(f"{where}, {name}", value) for name, value in row.items()}
        if len(cells) < len(row):
            raise CorpusError(where, "a key stands twice, in two spellings of Unicode", "each once", "correct the line")
        for name in cells:
            _check_name(where, name, seen)
        yield number, cells


def _lines(file: Path) -> Iterator[str]:
    """Lines of a text, one after the other; JSON strings may hold line separators that are no line ends."""
    need_file(file, MOST_BYTES)
    try:
        with file.open(encoding="utf-8-sig") as lines:
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error, "a text file in UTF-8") from error


def _unreadable(file: Path, error: OSError | UnicodeDecodeError, expected: str) -> CorpusError:
    """What hinders reading; of bytes that are no UTF-8 the first line that holds some, for the error knows no lines."""
    if isinstance(error, OSError):
        return CorpusError(file, f"cannot be read ({error})", expected, "restore the original")
    with file.open("rb") as lines:
        number, line = next(
            (n, line) for n, line in enumerate(lines, 1) if line.decode(errors="ignore").encode() != line
        )
    return CorpusError(f"{file}, line {number}", f"got {line.strip()[:80]!r}", expected, "save it so")


def _text(where: str, value: object) -> str:
    if isinstance(value, (list, dict)) or (isinstance(value, float) and not isfinite(value)):
        raise CorpusError(where, f"got {json.dumps(value)[:40]}", "a string, a number or null", "give one value")
    return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)


def _recording(where: str, cells: dict[str, str]) -> Recording:
    path = _path(where, cells.get("path", ""))
    start_s, length_s = _seconds(where, cells, "start_s"), _seconds(where, cells, "length_s")
    if length_s == 0.0:
        raise CorpusError(f"{where}, length_s", "got 0", "more than 0 seconds", "correct it, or empty the cell")
    if length_s is not None and start_s is None:
        start_s = 0.0
    split = cells.get("split") or None
    if split is not None and split not in SPLITS:
        raise CorpusError(f"{where}, split", f"got '{split}'", f"{', '.join(SPLITS)}, or nothing", "correct it")
    default = _without_suffix(path) + ("" if start_s is None else f"@{start_s}")
    attributes = {name: intern(normalize("NFC", value)) for name, value in cells.items() if name not in OWN and value}
    return Recording(cells.get("id") or default, "table", path, attributes, start_s, length_s, split)


def _path(where: str, text: str) -> str:
    parts = text.split("/")
    if "\\" not in text and PLAIN.isdisjoint(parts):
        return text  # of a million lines pathlib would take a third of the time
    path = PurePosixPath(text)
    if not path.name or path.is_absolute() or ".." in path.parts or "\\" in text:
        raise CorpusError(
            f"{where}, path",
            f"got '{text}'",
            "a file below the folder of the list, from there, with forward slashes",
            "correct it, or move the list above the audio",
        )
    return path.as_posix()


def _without_suffix(path: str) -> str:
    """As `PurePath.with_suffix("")` has it."""
    dot = path.rfind(".")
    return path[:dot] if path.rfind("/") + 1 < dot < len(path) - 1 else path


def _seconds(where: str, cells: dict[str, str], name: str) -> float | None:
    text = cells.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise CorpusError(f"{where}, {name}", f"got '{text}'", "seconds, 0 or more", "correct it, or empty the cell")
    return value
