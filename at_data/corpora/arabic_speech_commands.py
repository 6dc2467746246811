"""Arabic Speech Commands: forty keywords, one second each at 16 kHz, recorded by thirty volunteers.

12,000 recordings: 30 speakers x 40 keywords (digits and commands, named in English) x 10 takes, fully crossed; speakers
are numbers. Layout: `dataset/<keyword>/<speaker>_NO_<take>.wav`, and noise in `background_noise/`. `train.csv`,
`val.csv` and `test.csv` (columns `file,class`) name the published parts, which share no speaker. Licence: CC BY 4.0.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY 4.0"
SOURCE = "Zenodo record 4662481; GitHub repository abdulkaderghandoura/arabic-speech-commands-dataset"
CITATION = (
    "A. Ghandoura, F. Hjabo, O. Al Dakkak, 'Building and Benchmarking an Arabic Speech Commands Dataset for "
    "Small-Footprint Keyword Spotting', Engineering Applications of Artificial Intelligence 102, 2021"
)
GROUPS = ("speaker",)
UNPACKS_TO = ("arabic-speech-commands-dataset",)
COUNTS = (Count((12_000,), of="speaker"), Count((30,), distinct="speaker"))
# tree of the commit that release v1.0 names; the archive is generated, so its size is only about this
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "v1.0",
        "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset/archive/"
        "72f3438212ff6cf8fbe5ae8068361840646429bd.tar.gz",
        "git-tree:949ac1549885a36440ce6f7cca44fe850aea12f9",
        320_000_000,
        "arabic-speech-commands-dataset",
        strip=1,
    ),
)
ACCESS = ""

DIGITS = frozenset(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
NAME = re.compile(r"(?P<speaker>.+)_NO_(?P<take>\d+)")
NOISE = "background_noise"
FOLDER, DEPTH = "dataset", 2  # keywords lie in folders of their own in this one
TABLES = {"train": "train.csv", "valid": "val.csv", "test": "test.csv"}


def _example(path: str, split: str | None, **attributes: str) -> Recording:
    return Recording(path.removesuffix(".wav"), "arabic_speech_commands", path, attributes, published_split=split)


EXAMPLE: dict[str, Any] = {
    "files": {
        "train.csv": "file,class\ndataset/one/00000001_NO_01.wav,one\ndataset/one/absent_NO_01.wav,one\n",
        "val.csv": "file,class\ndataset/rotate/00000021_NO_06.wav,rotate\n",
        "test.csv": "file,class\n",
        "background_noise/rain.wav": None,
        "dataset/one/00000001_NO_01.wav": None,
        "dataset/rotate/00000021_NO_06.wav": None,
        "dataset/rotate/00000022_NO_01.wav": None,
    },
    "recordings": (
        _example("background_noise/rain.wav", None, word=NOISE),
        _example("dataset/one/00000001_NO_01.wav", "train", word="one", digit="one", speaker="00000001", take="01"),
        _example("dataset/rotate/00000021_NO_06.wav", "valid", word="rotate", speaker="00000021", take="06"),
        _example("dataset/rotate/00000022_NO_01.wav", None, word="rotate", speaker="00000022", take="01"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an Arabic Speech Commands folder, in order of path.

    Attributes: word, digit (for the ten words that are digits), speaker, take. A wav file that breaks the naming rule
    has its word alone. The published split is None for what no csv file names. CorpusError where no keyword is found.
    """
    need_folder(root)
    split_of = _published(root)
    seen, ours = 0, False
    for path in walk(root, ".wav"):
        parents = path.split("/")[:-1]
        if parents != [NOISE] and (len(parents) != DEPTH or parents[0] != FOLDER):
            continue
        seen += 1
        word = intern(parents[-1])
        parts = NAME.fullmatch(path[path.rindex("/") + 1 : -len(".wav")])
        ours = ours or bool(parts)
        attributes = {
            "word": word,
            **({"digit": word} if word in DIGITS else {}),
            **(parts.groupdict() if parts else {}),
        }
        item = path[: -len(".wav")]
        yield Recording(item, "arabic_speech_commands", path, attributes, published_split=split_of.get(path))
    if not ours:
        raise CorpusError(
            root,
            f"{seen} wav files, no keyword among them",
            f"{FOLDER}/<keyword>/<speaker>_NO_<take>.wav",
            f"point at the folder that holds {FOLDER}/",
        )


def _published(root: Path) -> dict[str, str]:
    """Path -> part, for the files the csv files name."""
    split_of: dict[str, str] = {}
    for split, name in TABLES.items():
        if (root / name).is_file():
            split_of |= dict.fromkeys(_files(root / name), split)
    return split_of


def _files(table: Path) -> list[str]:
    """Column `file` of a table."""
    try:
        rows = csv.DictReader(io.StringIO(text_of(table), newline=""))
        if "file" not in (rows.fieldnames or ()):
            raise CorpusError(table, "no column 'file'", "columns file,class", "restore the original file")
        return [row["file"] for row in rows]
    except csv.Error as error:
        raise CorpusError(table, f"cannot be read ({error})", "a CSV file", "restore the original file") from error
