"""ESC-50: fifty kinds of everyday sounds, cut from field recordings of Freesound, five seconds each at 44.1 kHz.

2,000 clips: 50 categories x 40, in five major categories (animals, natural, human, interior, exterior). Layout:
`audio/<fold>-<source>-<take>-<target>.wav` and a row for each in `meta/esc50.csv`; a source is one upload to Freesound,
from which several takes may come. Five folds are published for cross-validation, and no source stands in two. The table
marks the clips that are in ESC-10 too. Its authors warn that some recordings of a category were band-limited alike
before they were uploaded. Licence: CC BY-NC 3.0; the clips of ESC-10 CC BY 3.0.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY-NC 3.0; the clips of ESC-10 CC BY 3.0"
SOURCE = "GitHub repository karolpiczak/ESC-50"
CITATION = "K. J. Piczak, 'ESC: Dataset for Environmental Sound Classification', ACM Multimedia 2015"
GROUPS = ("source", "fold")
UNPACKS_TO = ("ESC-50", "ESC-50-master")
COUNTS = (Count((2_000,), of="category"), Count((50,), distinct="category"))
# sha256: not from the author: GitHub generates the archive, and several projects that pin this commit record the same
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "all",
        "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip",
        "sha256:661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f",
        645_832_161,
        "ESC-50",
        strip=1,
    ),
)
ACCESS = ""

NAME = re.compile(r"(?P<fold>\d)-(?P<source>\d+)-(?P<take>[A-Z])-(\d+)")
TABLE = "meta/esc50.csv"
# attribute -> column
COLUMNS = {"category": "category", "fold": "fold", "esc10": "esc10", "source": "src_file", "take": "take"}
MAJOR = ("animals", "natural", "human", "interior", "exterior")  # of targets 0 to 9, 10 to 19 ...
CLASSES = 50


def _example(path: str, **attributes: str) -> Recording:
    return Recording(path.removesuffix(".wav"), "esc50", path, attributes)


EXAMPLE: dict[str, Any] = {
    "files": {
        "README.md": "ESC-50",
        "meta/esc50.csv": (
            "filename,fold,target,category,esc10,src_file,take\n"
            "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
            "5-99-B-36.wav,5,36,vacuum_cleaner,False,99,B\n"
        ),
        "audio/.DS_Store": "what a file system left behind",
        "audio/1-100032-A-0.wav": None,
        "audio/1-7-A-0.wav": None,
        "audio/5-99-B-36.wav": None,
        "audio/street.wav": None,
    },
    "recordings": (
        _example(
            "audio/1-100032-A-0.wav",
            category="dog",
            major_category="animals",
            fold="1",
            source="100032",
            take="A",
            esc10="True",
        ),
        _example("audio/1-7-A-0.wav", fold="1", source="7", take="A"),
        _example(
            "audio/5-99-B-36.wav",
            category="vacuum_cleaner",
            major_category="interior",
            fold="5",
            source="99",
            take="B",
            esc10="False",
        ),
        _example("audio/street.wav"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an ESC-50 folder, in order of path.

    Attributes: category, major_category, fold (1 to 5), esc10 (True, False), source (the clip's number at Freesound),
    take. A wav file without a row has the fold, source and take of its name; a row whose file is absent is yielded all
    the same. Suffixes may be written in any case. CorpusError where no file follows the naming rule, or the table is
    absent or empty, contradicts itself or the names of its files, or says something else.
    """
    need_folder(root)
    home = root / "audio"
    found = {path: NAME.fullmatch(path[: -len(".wav")]) for path in walk(home, ".wav")} if home.is_dir() else {}
    if not any(found.values()):
        raise CorpusError(
            root,
            f"{len(found)} wav files in audio/, none of ESC-50",
            "audio/<fold>-<source>-<take>-<target>.wav",
            "point at the folder that holds audio/ and meta/",
        )
    rows = _rows(root / TABLE)
    present = {name[: -len(".wav")] for name in found}
    for name in sorted([*found, *(f"{stem}.wav" for stem in rows if stem not in present)]):
        parts, stem = found.get(name), name[: -len(".wav")]
        attributes = rows.get(stem) or (parts.groupdict() if parts else {})
        yield Recording(f"audio/{stem}", "esc50", f"audio/{name}", attributes)


def _rows(file: Path) -> dict[str, dict[str, str]]:
    """File name without suffix -> attributes, of the table."""
    lines = csv.reader(text_of(file).splitlines(), strict=True)
    rows: dict[str, dict[str, str]] = {}
    meant: dict[str, str] = {}
    try:
        header = next(lines, [])
        missing = sorted({"filename", "target", *COLUMNS.values()} - set(header))
        if missing:
            raise CorpusError(
                f"{file}, line 1",
                f"no column {', '.join(missing)}",
                "columns filename,fold,target,category,esc10,src_file,take",
                "restore the original file",
            )
        for cells in lines:
            if cells:
                where, row = f"{file}, line {lines.line_num}", dict(zip(header, cells, strict=False))
                attributes = _attributes(where, row, len(cells) == len(header))
                stem = row["filename"][: -len(".wav")]
                if stem in rows:
                    raise CorpusError(where, f"{stem} a second time", "each file once", "restore the original file")
                _agree(where, row, meant)
                rows[stem] = attributes
    except csv.Error as error:
        raise CorpusError(
            f"{file}, line {lines.line_num}", f"cannot be read ({error})", "a CSV file", "restore the original file"
        ) from error
    if not rows:
        raise CorpusError(file, "it lists no clip", "a row for each clip", "restore the original file")
    return rows


def _attributes(where: str, row: dict[str, str], whole: bool) -> dict[str, str]:
    """Attributes of a row; CorpusError where it is cut off or its target is none of the fifty."""
    target = row.get("target", "")
    if not (whole and row["filename"].lower().endswith(".wav") and target.isdecimal() and int(target) < CLASSES):
        raise CorpusError(
            where,
            f"got {','.join(row.values())!a}",
            f"a wav file, and a target from 0 to {CLASSES - 1}, in a row as long as the first",
            "restore the original file",
        )
    known = {name: row[column] for name, column in COLUMNS.items() if row[column]}
    return {**known, "major_category": MAJOR[int(target) * len(MAJOR) // CLASSES]}


def _agree(where: str, row: dict[str, str], meant: dict[str, str]) -> None:
    """CorpusError where a row's target is not that of its file name, or pairs with another category than above.

    `meant` holds the pairs of the rows above, either way round.
    """
    parts, number = NAME.fullmatch(row["filename"][: -len(".wav")]), int(row["target"])
    target, category = f"target {number}", f"category {row['category']}"
    came = f"{target}, but the name ends in {parts[4]}" if parts and int(parts[4]) != number else ""
    for one, two in ((target, category), (category, target)) if row["category"] else ():
        if meant.setdefault(one, two) != two:
            came = f"{one} is {two}, but {meant[one]} in a row above"
    if came:
        expected = "the target that the file name ends in, and one category for each target"
        raise CorpusError(where, came, expected, "restore the original file")
