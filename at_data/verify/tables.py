"""The tables beside the index, read."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt32

from at_data import parquet
from at_data.build import kinds, sources
from at_data.build.compact import WORD_BYTES
from at_data.errors import ShardError
from at_data.headers import Header
from at_data.verify.files import as_json
from at_data.verify.index import Index

HEARD = {"recording": pa.string(), "split": pa.string(), "waveform": pa.string(), "words": pa.binary()}
ROWS = 1 << 14  # looked at in one go

Entry = dict[str, str]


class Placed(NamedTuple):
    """What `splits.csv` says of one recording."""

    id: str
    split: str
    group: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What is kept of the sound of recordings, in columns; `words` are bytes."""

    recordings: list[str]
    splits: list[str]
    waveforms: list[str]
    words: pa.LargeBinaryArray

    @property
    def sizes(self) -> Int64[np.ndarray, "recordings"]:
        """Bytes of every fingerprint."""
        ends = np.frombuffer(self.words.buffers()[1], np.int64, len(self.words) + 1)
        return np.asarray(np.diff(ends))

    @property
    def fingerprints(self) -> UInt32[np.ndarray, "words"]:
        """Words of all fingerprints, whose bytes are whole words."""
        data = self.words.buffers()[2]
        count = int(self.sizes.sum()) // WORD_BYTES
        held = np.frombuffer(data, "<u4", count) if data is not None else np.zeros(0, "<u4")
        return held.astype(np.uint32, copy=False)


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables beside the index, as they were read."""

    splits: list[Placed]
    duplicates: list[Entry]
    quarantine: list[Entry]
    passed_over: list[tuple[str, str]]
    heard: Heard
    contents: sources.Contents

    def lost(self, index: Index) -> set[str]:
        """Recordings that were planned and of which no item came: no table says what they were."""
        return {e["recording"] for e in self.quarantine if e["kind"] in kinds.PLANNED} - index.recordings.keys()


def read(folder: Path, header: Header, index: Index) -> Tables:
    """Tables of a dataset folder; ShardError names the first that is not the table it should be.

    Texts that stand in the index are not held a second time.
    """
    over = _parquet(folder / "passed_over.parquet", {"recording": pa.string(), "reason": pa.string()})
    heard = _parquet(folder / "fingerprints.parquet", HEARD)
    return Tables(
        splits=list(_placed(folder / "splits.csv", index)),
        duplicates=list(_csv(folder / "duplicates.csv", ("waveform", "id", "path", header.target, "split"))),
        quarantine=_entries(folder / "quarantine.jsonl"),
        passed_over=list(zip(over["recording"].to_pylist(), over["reason"].to_pylist(), strict=True)),
        heard=_heard(heard, index),
        contents=sources.read(folder / "sources.csv"),
    )


def _placed(path: Path, index: Index) -> Iterator[Placed]:
    """Rows of `splits.csv`; splits and groups are few."""
    few: dict[str, str] = {}
    for row in _csv(path, ("id", "split", "group")):
        known = index.recordings.get(row["id"])
        item = row["id"] if known is None else known.id
        yield Placed(item, few.setdefault(row["split"], row["split"]), few.setdefault(row["group"], row["group"]))


def _heard(table: pa.Table, index: Index) -> Heard:
    """Columns of the fingerprints."""
    recordings: list[str] = []
    waveforms: list[str] = []
    for chunk in table.select(["recording", "waveform"]).to_batches(ROWS):
        for item, waveform in zip(chunk["recording"].to_pylist(), chunk["waveform"].to_pylist(), strict=True):
            known = index.recordings.get(item)
            recordings.append(item if known is None else known.id)
            said = index.waveforms.get(item)
            waveforms.append(said if said is not None and said == waveform else waveform)
    splits = table["split"].combine_chunks().dictionary_encode()
    names: list[str] = splits.dictionary.to_pylist()
    of = [names[code] for code in splits.indices.to_numpy(zero_copy_only=False).tolist()]
    # joined, for the first byte of the first fingerprint to come first
    words = table["words"].cast(pa.large_binary())
    words = pa.concat_arrays([pa.array([], pa.large_binary()), *words.chunks])
    return Heard(recordings, of, waveforms, words)


def _csv(path: Path, columns: tuple[str, ...]) -> Iterator[Entry]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            found = tuple(next(reader, ()))
            if found != columns:
                raise _broken(path, f"has the columns {', '.join(found)}")
            for row in reader:
                yield dict(zip(columns, row, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise _broken(path, f"cannot be read ({error})") from error


def _parquet(path: Path, columns: Mapping[str, Any]) -> pa.Table:
    try:
        table = parquet.read(path)
        if table.column_names == list(columns) and not any(table[name].null_count for name in columns):
            return table.cast(pa.schema(list(columns.items())))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    raise _broken(path, f"has the columns {', '.join(table.column_names)}, or empty places")


def _entries(path: Path) -> list[Entry]:
    try:
        return [_entry(as_json(line)) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    except (OSError, ValueError) as error:
        raise _broken(path, f"cannot be read ({error})") from error


def _entry(found: object) -> Entry:
    """Entry of the quarantine; ValueError for anything else."""
    if not isinstance(found, dict) or not {"id", "recording", "kind", "reason"} <= found.keys():
        raise ValueError(f"{str(found)[:100]} is no entry")
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"{str(found)[:100]} holds more than text")
    return found


def _broken(path: Path, came: str) -> ShardError:
    return ShardError(path.name, came, "a table of this dataset", "build it again")
