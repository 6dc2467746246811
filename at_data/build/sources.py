"""What the files of a source held when they were read."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xxhash
from jaxtyping import Int32, Shaped

from at_data import scratch
from at_data.build.compact import HASH_BYTES
from at_data.errors import CorpusError, ShardError
from at_data.files import blocks
from at_data.rolls import CHUNK, Roll, Texts

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


ENTRY = [("path", np.int32), ("size_bytes", np.int64), ("xxh3_128", np.uint8, HASH_BYTES)]


class Files:
    """Content of every file of a corpus that was read, on disk, and of the noise, whose files are few.

    A path is told by the number of a recording that has it in `paths`, those of the listing.
    """

    def __init__(self, paths: Texts) -> None:
        self._paths = paths
        self._met = scratch.Growing()
        self._entries: Shaped[np.ndarray, "files"] = np.zeros(0, ENTRY)
        self._noise: Contents = {}

    def add(self, contents: Contents, recordings: Roll) -> None:
        """Note what a task of these recordings met."""
        numbers = dict(zip(self._paths.at(recordings.rows), recordings.rows.tolist(), strict=True))
        met = []
        for (which, path), held in contents.items():
            if which == "noise":
                _same(path, self._noise.setdefault((which, path), held), held)
                continue
            hashed = np.frombuffer(bytes.fromhex(held.xxh3_128) or bytes(HASH_BYTES), np.uint8)
            met.append((numbers[path], held.size_bytes, hashed))
        self._met.add(np.array(met, ENTRY))

    def merge(self) -> None:
        """Put all files in order, each once; CorpusError where two tasks met one file with different content."""
        met, self._met = self._met.array(ENTRY), scratch.Growing()
        ranks = self._paths.ranks[met["path"]]
        order = np.argsort(ranks, kind="stable")
        ranks = ranks[order]
        again = np.zeros(ranks.size, bool)
        again[1:] = ranks[1:] == ranks[:-1]
        for place in np.flatnonzero(again).tolist():
            before, held = met[order[place - 1]], met[order[place]]
            _same(self._paths.at(held["path"].reshape(1))[0], _content(before), _content(held))
        self._entries = scratch.filled(met[order[~again]], ENTRY)

    def copies(self) -> Int32[np.ndarray, "listing"]:
        """By rank of a path the rank of the first path that has the same content: a file is told from no copy of it."""
        first = scratch.filled(np.arange(len(self._paths), dtype=np.int32), np.int32)
        there = np.flatnonzero(self._entries["size_bytes"] != ABSENT)
        halves = self._entries["xxh3_128"][there].view(np.uint64)
        order = np.lexsort(halves.T)  # of equal ones in order of path
        same = np.ones(max(0, order.size - 1), bool)
        for half in halves.T:
            same &= half[order[1:]] == half[order[:-1]]
        copies = np.flatnonzero(same) + 1
        before = copies - 1
        before[1:][copies[1:] == copies[:-1] + 1] = 0  # which is a copy itself
        ranks = self._paths.ranks[self._entries["path"][there]]
        first[ranks[order[copies]]] = ranks[order[np.maximum.accumulate(before)]]
        return first

    def noise(self) -> Iterator[tuple[Key, Content]]:
        """Every file of noise."""
        yield from sorted(self._noise.items())

    def entries(self) -> Iterator[tuple[Key, Content]]:
        """Every file, in the order of `merge`."""
        for start in range(0, self._entries.size, CHUNK):
            some = self._entries[start : start + CHUNK]
            for path, entry in zip(self._paths.at(some["path"]), some, strict=True):
                yield ("corpus", path), _content(entry)
        yield from self.noise()


def _content(entry: np.void) -> Content:
    size_bytes = int(entry["size_bytes"])
    return Content(size_bytes, "" if size_bytes == ABSENT else entry["xxh3_128"].tobytes().hex())


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
    return dict(rows(path))


def rows(path: Path) -> Iterator[tuple[Key, Content]]:
    """What `write` wrote, in its order, one after the other; ShardError where it is not that."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                which: Which = "noise" if row["source"] == "noise" else "corpus"
                yield (which, row["path"]), Content(int(row["bytes"]), row["xxh3_128"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ShardError(
            path, f"cannot be read ({error})", f"a table of {', '.join(COLUMNS)}", "run `at-prepare verify`"
        ) from error
