"""Which corpora exist: the modules in this folder, each a corpus of that name.

A corpus module turns a folder on disk into Recordings and does nothing else. It offers

- a docstring: what was recorded, who spoke, how many, under which licence, where it comes from;
- `LICENCE`, `SOURCE`, `CITATION`: strings for the dataset card;
- `GROUPS`: the identity attributes that should not stand in two splits, for the leak proof;
- `UNPACKS_TO`: names of the folder the corpus unpacks to, where it has one; `find` looks for them;
- `COUNTS`: what its authors publish about how much there is, for `at-prepare plan` to compare with;
- `ARCHIVES`: what `at-prepare fetch` downloads or clones, where the corpus may be had without a form;
- `ACCESS`: what a person has to do to get the corpus, where `ARCHIVES` do not hold all of it; else empty;
- `EXAMPLE`: `files` (relative path -> text, or None for audio) and the exact `recordings` they become;
- `recordings(root)`: Recordings in order of path, CorpusError where `root` is not this corpus;
- `folder(root)`, only where paths do not start at `root` itself: the folder they start from.

A recording whose file name says less than it should is yielded with the attributes that are known: it is the
manifest's matter whether it can be used. Hidden files (`.DS_Store`, `._a.wav`) are no recordings.
"""

import json
import os
import pkgutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from at_data.errors import CorpusError
from at_data.recordings import Recording

MOST_BYTES = 1 << 26  # of a label file that is read whole; published ones have a few millions


@dataclass(frozen=True, slots=True)
class Count:
    """How many recordings a corpus has by its authors' word: one number for each version they published.

    Counted are the recordings that have the attribute `of` (all where it is None) and the attribute values of `where`;
    with `distinct` the different values that attribute has among them. A corpus that has none of those recordings is
    not compared: whoever has one part of a corpus is not told that the others are missing.
    """

    numbers: tuple[int, ...]
    of: str | None = None
    distinct: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Archive:
    """A file to download, or a repository to fetch a commit of, and where it belongs.

    `checksum` is a kind, a colon and hexadecimal digits: `sha256` or `md5` of the file; `git-tree`, the tree of the
    commit that a generated archive was made of, held against what was unpacked; or `git-commit`, a commit of the git
    repository at `url`. `into` is the folder that receives the contents, one of the corpus' `UNPACKS_TO` or below it,
    and `strip` the number of leading folders inside the archive that are dropped. `subset` is the name to ask for this
    file by. `size_is_exact` is False where nobody publishes `size_bytes` to the byte: then the checksum alone decides.
    Of what git generates or packs the size is never exact.
    """

    subset: str
    url: str
    checksum: str
    size_bytes: int
    into: str
    strip: int = 0
    size_is_exact: bool = True


def names() -> tuple[str, ...]:
    """Names of all corpora, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> ModuleType:
    """Corpus module of that name; CorpusError lists the known names."""
    if name not in names():
        raise CorpusError(
            "corpus",
            f"got '{name}'" + "".join(f", did you mean '{near}'?" for near in get_close_matches(name, names(), n=1)),
            f"one of {', '.join(names())}",
            "correct the name, or list your files in a `table`",
        )
    return import_module(f"{__name__}.{name}")


def need_folder(source: Path) -> None:
    """CorpusError where `source` is no folder; says whether it is a file or not there."""
    if not source.is_dir():
        came = "it is a file" if source.exists() else "no such folder"
        raise CorpusError(source, came, "the folder of the corpus", "unpack the corpus, and point at its folder")


def root(module: ModuleType, source: Path) -> Path:
    """Folder from which the paths of the corpus' Recordings start, where a user points at `source`."""
    folder: Path = module.folder(source) if hasattr(module, "folder") else source
    return folder


def find(name: str, sources: Path) -> Path | None:
    """Folder of a corpus among those in `sources`, by the names it unpacks to; None where there is none."""
    return next((sources / folder for folder in load(name).UNPACKS_TO if (sources / folder).is_dir()), None)


class Counting:
    """What a corpus on disk holds, counted while its recordings pass, beside what its authors published."""

    def __init__(self, module: ModuleType) -> None:
        self.counts: tuple[Count, ...] = module.COUNTS
        self.found = [0] * len(self.counts)
        self.values: list[set[str]] = [set() for _ in self.counts]
        # of fourteen counts that differ in one value of `where`, each recording looks at its own
        self.by_where: dict[tuple[str, ...], dict[tuple[str | None, ...], list[int]]] = {}
        for place, count in enumerate(self.counts):
            places = self.by_where.setdefault(tuple(count.where), {})
            places.setdefault(tuple(count.where.values()), []).append(place)

    def over(self, recordings: Iterable[Recording]) -> Iterator[Recording]:
        """The same recordings, counted as they pass."""
        for recording in recordings:
            attributes = recording.attributes
            for names, places in self.by_where.items():
                for place in places.get(tuple(map(attributes.get, names)), ()):
                    count = self.counts[place]
                    if count.of is None or count.of in attributes:
                        self.found[place] += 1
                        value = attributes.get(count.distinct) if count.distinct else None
                        if value is not None:
                            self.values[place].add(value)
            yield recording

    def differences(self) -> Iterator[str]:
        """A line for every published count that the recordings seen do not have, where they have any of it."""
        for count, found, values in zip(self.counts, self.found, self.values, strict=True):
            here = len(values) if count.distinct else found
            if found and here not in count.numbers:
                what = f"values of {count.distinct}" if count.distinct else "recordings"
                among = "".join(f", {name} {value}" for name, value in count.where.items())
                published = " or ".join(f"{number:,}" for number in count.numbers)
                yield f"{here:,} {what} here{among}; published: {published}"


def walk(root: Path, *suffixes: str) -> Iterator[str]:
    """Paths of the files below a folder that end in one of the suffixes (in any case), from `root`, in string order.

    One walk, holding no more than the names of the folders it is in. Hidden files and folders are passed over; links to
    folders are followed, but not in circles.
    """
    wanted = tuple(suffix.lower() for suffix in suffixes)
    above: list[tuple[int, int]] = []

    def below(folder: str, prefix: str) -> Iterator[str]:
        status = os.stat(folder)  # noqa: PTH116 - of 300,000 files a Path each is half the time
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        above.append(here)
        try:
            with os.scandir(folder) as entries:
                # a folder sorts as its paths will: "a-b/x" comes before "a/x"
                names = sorted(
                    entry.name + "/" if entry.is_dir() else entry.name
                    for entry in entries
                    if not entry.name.startswith(".")
                )
            for name in names:
                if name.endswith("/"):
                    yield from below(os.path.join(folder, name[:-1]), prefix + name)  # noqa: PTH118
                elif name.lower().endswith(wanted):
                    if not name.isascii() or not prefix.isascii():
                        _need_utf8(root, prefix + name)
                    yield prefix + name
        finally:
            above.pop()

    try:
        yield from below(os.fspath(root), "")
    except OSError as error:
        raise CorpusError(
            error.filename or root, f"cannot be read ({error.strerror})", "a readable folder", "check its permissions"
        ) from error


def _need_utf8(root: Path, path: str) -> None:
    """CorpusError where a path holds bytes that are no UTF-8: it will stand in tables and in JSON."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        came = f"the name {path!a} is not in UTF-8"
        raise CorpusError(root, came, "names in UTF-8", "rename it, or take it away") from error


def note_once(root: Path, places: dict[str, str], name: str, path: str) -> None:
    """Note where a recording lies whose name is its id; CorpusError where `places` knows it from another path."""
    if places.setdefault(name, path) != path:
        raise CorpusError(
            root,
            f"{name} stands twice: {places[name]} and {path}",
            "each recording once",
            "point at the folder of one copy, or take the other away",
        )


def need_file(file: Path, most_bytes: int = MOST_BYTES) -> None:
    """CorpusError where a label file is none: absent, a folder, pipe or device, or longer than any such file is."""
    try:
        status = file.stat()
    except FileNotFoundError as error:
        raise CorpusError(file, "no such file", "a label file of the corpus", "unpack the whole corpus") from error
    except (OSError, ValueError) as error:
        raise CorpusError(file, f"cannot be read ({error})", "a readable file", "restore the original") from error
    if not stat.S_ISREG(status.st_mode):
        raise CorpusError(file, "a folder, pipe or device", "a file", "restore the original")
    if status.st_size > most_bytes:
        came, expected = f"{status.st_size:,} bytes", f"{most_bytes:,} at most"
        raise CorpusError(file, came, expected, "restore the original")


def text_of(file: Path) -> str:
    """Text of a label file without its byte-order mark; CorpusError where it is no such file or not in UTF-8."""
    need_file(file)
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(file, f"cannot be read ({error})", "a text file in UTF-8", "restore the original") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these keys, each of which stands there once."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"key '{name}' stands twice")
        made[name] = value
    return made


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number; write null for what is not known")


def from_json(text: str) -> Any:
    """Value that a JSON text says.

    ValueError where it is none, is too deep, holds half a surrogate pair, a number that is none (NaN, Infinity), or a
    key twice in one object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("brackets too deep inside each other") from error
    return value
