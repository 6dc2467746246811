"""Word times of speech, as aligners write them: lines of librispeech-alignments, TextGrids, CTM files.

A file that cannot be understood ends with CorpusError, which says where. Times are seconds from the beginning of the
utterance, words are as they are written; silences are no words.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from itertools import chain, count, islice
from math import inf
from os import scandir
from pathlib import Path
from typing import BinaryIO

from at_data.corpora import need_file, text_of
from at_data.errors import CorpusError

ALIGNMENT, GRID = ".alignment.txt", ".textgrid"
LINE = re.compile(r'(\S+)\s+"([^"]*)"\s+"([^"]*)"')
WORDS = re.compile(r'"IntervalTier"[^"]*"(?:[^"]* - )?words"')
TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?[\d.][^\s"]*)')  # as Praat reads: other text is a comment
SILENT = {"", "sil", "sp", "<eps>", "<sil>"}

MOST_BYTES = 1 << 31  # of a CTM file: a line for each of nine million words takes some 400 million
MOST_PIECE_BYTES = 1 << 20  # of the lines of one utterance in it

Word = tuple[float, float, str]  # begin and length in seconds, the word as it is written
Piece = tuple[Path, int, int, int]  # of a CTM file: first byte, the one after the last, first line


def names(folder: Path, *, folders: bool) -> list[str]:
    """Sorted names of the folders in a folder, or of the files; none where there is no such folder."""
    try:
        with scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir() == folders)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        came = f"cannot be read ({error.strerror})"
        raise CorpusError(error.filename or folder, came, "a readable folder", "check permissions and links") from error


def _wrong(file: Path, line: int, came: str, expected: str) -> CorpusError:
    return CorpusError(f"{file}, line {line}", came, expected, "correct the line, or take the file away")


def _between(start: float, end: float, word: str) -> Word:
    """Word and its times; ValueError where they are not in order."""
    if not 0 <= start <= end < inf:
        raise ValueError(f"{word or 'a silence'} from {start:g} to {end:g} s")
    return start, round(end - start, 6), word


def aligned(file: Path) -> dict[str, list[Word]]:
    """Words of each utterance that a file of librispeech-alignments names."""
    aligned: dict[str, list[Word]] = {}
    for number, line in enumerate(text_of(file).split("\n"), 1):
        if not line.strip():
            continue
        try:
            utterance, words = _aligned_line(line.strip())
        except ValueError as error:
            expected = 'utterance, "WORD,,WORD" with nothing for a silence, "end,end,end" in seconds and in order'
            raise _wrong(file, number, f"{error} in {line.strip()[:60]!a}", expected) from error
        if aligned.setdefault(utterance, words) is not words:
            raise _wrong(file, number, f"{utterance} a second time", "a line for each utterance")
    if not aligned:
        raise CorpusError(file, "it holds no utterance", "a line for each utterance", "restore it, or take it away")
    return aligned


def _aligned_line(line: str) -> tuple[str, list[Word]]:
    """Utterance of a line, and its words; ValueError says what is wrong."""
    parts = LINE.fullmatch(line)
    if not parts:
        raise ValueError("not three such columns")
    words, ends = parts[2].split(","), [float(end) for end in parts[3].split(",")]
    if len(words) != len(ends):
        raise ValueError(f"{len(words)} words and {len(ends)} times")
    found = [_between(*stretch) for stretch in zip([0.0, *ends], ends, words, strict=False)]
    return parts[1], [word for word in found if word[2]]


def grid(file: Path) -> list[Word]:
    """Words in the tier of that name of a TextGrid; several speakers' tiers are not told apart, the first is read."""
    text = text_of(file)
    tier = WORDS.search(text)
    if not tier:
        raise CorpusError(file, "no tier of intervals called words", "a TextGrid of words", "take the file away")
    tokens = TOKEN.finditer(text, tier.end())
    head = [*islice(tokens, 3)]  # from, to, how many
    number = int(head[2][2]) if len(head) == 3 and (head[2][2] or "").isdecimal() else 0  # noqa: PLR2004
    marks = [*islice(tokens, 3 * number)]
    found = []
    for first, last, label in zip(marks[::3], marks[1::3], marks[2::3], strict=False):
        try:
            # a mark of another kind is None, which no number can be made of
            word = _between(float(first[2]), float(last[2]), label[1].replace('""', '"').strip())
        except (ValueError, TypeError, AttributeError) as error:
            line, came = text.count("\n", 0, first.start()) + 1, f"got {first[0]} {last[0]} {label[0]}"
            raise _wrong(file, line, came, "begin and end in seconds and in order, then a word in quotes") from error
        if word[2].lower() not in SILENT:
            found.append(word)
    if not number or len(marks) < 3 * number:
        came = f"{len(marks) // 3} of {number or 'no'} intervals"
        raise CorpusError(file, came, "a whole TextGrid", "restore it, or take it away")
    return found


def ctm_pieces(folders: list[Path]) -> dict[str, list[Piece]]:
    """Where the lines of each utterance stand in the CTM files of some folders."""
    pieces: dict[str, list[Piece]] = {}
    for folder in folders:
        suffixes = (".ctm", ".txt") if folder.name == "word_labels" else (".ctm",)
        for name in names(folder, folders=False):
            if name.lower().endswith(suffixes):
                _index(folder / name, pieces)
    return pieces


def _index(file: Path, pieces: dict[str, list[Piece]]) -> None:
    """Add where the utterances of a CTM file stand in it: lines of one that follow each other are one piece."""
    at, key, begin, first = 0, "", 0, 1
    need_file(file, MOST_BYTES)
    with file.open("rb") as source:
        for number, line in enumerate(chain(_lines(file, source), [b"end"]), 1):
            name = b"".join(line.split(None, 1)[:1]).removeprefix(BOM_UTF8).decode(errors="replace")
            if name and name != key:
                if key and not key.startswith(";;"):
                    here = pieces.setdefault(key, [])
                    if here and here[0][0] != file:
                        came = f"{key} stands in {here[0][0]} too"
                        raise _wrong(file, first, came, "each utterance in one file")
                    if at - begin > MOST_PIECE_BYTES:
                        came = f"{at - begin:,} bytes of lines of {key[:60]!a}"
                        raise _wrong(file, first, came, "a line for each word")
                    here.append((file, begin, at, first))
                key, begin, first = name, at, number
            at += len(line)


def _lines(file: Path, source: BinaryIO) -> Iterator[bytes]:
    """Lines of a file, none of them so long that it fills memory."""
    for number in count(1):
        line = source.readline(MOST_PIECE_BYTES)
        if len(line) == MOST_PIECE_BYTES:
            raise _wrong(file, number, f"{len(line):,} bytes or more", "a line of a few words")
        if not line:
            return
        yield line


def ctm(file: Path, begin: int, end: int, first: int) -> list[Word]:
    """Words of one piece of a CTM file."""
    with file.open("rb") as source:
        source.seek(begin)
        lines = source.read(end - begin).decode("utf-8-sig", errors="replace").rstrip("\n").split("\n")
    found = []
    for number, line in enumerate(lines, first):
        cells = line.split()
        if not cells or line.startswith(";;"):
            continue
        try:
            _, _, start, length, word, *rest = cells
            found.append((*_begin_length(start, length, rest), word))
        except ValueError as error:
            expected = "utterance, channel, begin and duration in seconds, word, and one field more or none"
            raise _wrong(file, number, f"got {line.strip()[:60]!a}", expected) from error
    return [word for word in found if word[2].lower() not in SILENT]


def _begin_length(start: str, length: str, rest: list[str]) -> tuple[float, float]:
    """Begin and duration of a CTM line in seconds; ValueError where they are none, or the line goes on."""
    start_s, length_s = float(start), float(length)
    if not (0 <= start_s < inf and 0 <= length_s < inf and len(rest) < 2):  # noqa: PLR2004
        raise ValueError(start, length, rest)
    return start_s, length_s
