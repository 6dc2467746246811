"""What the files of a source held when they were read."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xxhash

from at_data.build.compact import HASH_BYTES
from at_data.errors import CorpusError, ShardError
from at_data.files import blocks

ABSENT = -1  # bytes of a file that is not there
COLUMNS = ("source", "path", "bytes", "xxh3_128")

Which = Literal["corpus", "noise"]


@dataclass(frozen=True, slots=True)
class Content:
    """Size of a file in bytes and the 128-bit xxh3 of all of it, in hex; times and folders play no part."""

    size_bytes: int
    xxh3_128: str

    def __str__(self) -> str:
        return "absent" if self.size_bytes == ABSENT else f"{self.size_bytes} bytes, {self.xxh3_128[:8]}"


Key = tuple[Which, str]  # which folder a path starts from, and the path
Contents = dict[Key, Content]


def content(path: Path) -> Content:
    """Content of a file; what cannot be read counts as absent, and so does a pipe or device, which nobody waits for."""
    return taken(path)[0]


def taken(path: Path) -> tuple[Content, bytes | None]:
    """Content of a file, and the bytes that it is of where they are a megabyte or less."""
    digest, size_bytes, whole = xxhash.xxh3_128(), 0, b""
    try:
        for block in blocks(path):
            digest.update(block)
            whole = block if not size_bytes else b""
            size_bytes += len(block)
    except (OSError, ValueError):
        return Content(ABSENT, ""), None
    return Content(size_bytes, digest.hexdigest()), whole if len(whole) == size_bytes else None


def difference(contents: Mapping[Key, Content], roots: Mapping[Which, Path], *, sizes_only: bool = False) -> str | None:
    """First file, in order, that is no longer what it was, in words; None where all are."""
    for (which, path), before in sorted(contents.items()):
        file = roots[which] / path
        now = Content(_size_bytes(file), before.xxh3_128) if sizes_only else content(file)
        if now != before:
            return f"{path} changed ({before}; now {now})"
    return None


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return ABSENT


class Files:
    """Content of every file of a corpus that was read, in columns, and of the noise, whose files are few."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._sizes = array("q")
        self._hashes = bytearray()
        self._noise: Contents = {}

    def add(self, contents: Contents, known: Iterable[str]) -> None:
        """Note what a task met; a path that is `known` is not held a second time."""
        names = {path: path for path in known}
        for (which, path), held in contents.items():
            if which == "noise":
                _same(path, self._noise.setdefault((which, path), held), held)
                continue
            self._paths.append(names.get(path, path))
            self._sizes.append(held.size_bytes)
            self._hashes += bytes.fromhex(held.xxh3_128) or bytes(HASH_BYTES)

    def merge(self) -> None:
        """Put all files in order, each once; CorpusError where two tasks met one file with different content."""
        order = sorted(range(len(self._paths)), key=self._paths.__getitem__)
        last = -1
        kept = []
        for at in order:
            if last >= 0 and self._paths[last] == self._paths[at]:
                _same(self._paths[at], self._content(last), self._content(at))
                continue
            kept.append(at)
            last = at
        self._paths = [self._paths[at] for at in kept]
        self._sizes = array("q", [self._sizes[at] for at in kept])
        self._hashes = bytearray().join(self._hashes[HASH_BYTES * at : HASH_BYTES * (at + 1)] for at in kept)

    def entries(self) -> Iterator[tuple[Key, Content]]:
        """Every file, in the order of `merge`."""
        for at, path in enumerate(self._paths):
            yield ("corpus", path), self._content(at)
        yield from sorted(self._noise.items())

    def _content(self, at: int) -> Content:
        size_bytes = self._sizes[at]
        hashed = self._hashes[HASH_BYTES * at : HASH_BYTES * (at + 1)]
        return Content(size_bytes, "" if size_bytes == ABSENT else hashed.hex())


def _same(path: str, before: Content, held: Content) -> None:
    """Nothing, or CorpusError where a file had two contents."""
    if before != held:
        raise CorpusError(
            path,
            f"it changed while it was read ({before}; then {held})",
            "files that stay as they are during a build",
            "run the same command again: what was read of the older content is read anew",
        )


def write(path: Path, entries: Iterable[tuple[Key, Content]]) -> None:
    """`sources.csv`: every file that was read, its size and the hash of its content."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*key, held.size_bytes, held.xxh3_128) for key, held in entries)


def read(path: Path) -> Contents:
    """What `write` wrote; ShardError where it is not that."""
    found: Contents = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                which: Which = "noise" if row["source"] == "noise" else "corpus"
                found[which, row["path"]] = Content(int(row["bytes"]), row["xxh3_128"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ShardError(
            path, f"cannot be read ({error})", f"a table of {', '.join(COLUMNS)}", "run `at-prepare verify`"
        ) from error
    return found
