"""The tables beside the index, read."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from at_data.build import kinds, sources
from at_data.errors import ShardError
from at_data.headers import Header
from at_data.verify.files import as_json
from at_data.verify.index import Index

HEARD = {"recording": pa.string(), "split": pa.string(), "waveform": pa.string(), "words": pa.binary()}

Entry = dict[str, str]


class Heard(NamedTuple):
    """What is kept of the sound of one recording."""

    recording: str
    split: str
    waveform: str
    words: bytes


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables beside the index, as they were read."""

    splits: list[Entry]
    duplicates: list[Entry]
    quarantine: list[Entry]
    passed_over: list[tuple[str, str]]
    heard: list[Heard]
    contents: sources.Contents

    def lost(self, index: Index) -> set[str]:
        """Recordings that were planned and of which no item came: no table says what they were."""
        return {e["recording"] for e in self.quarantine if e["kind"] in kinds.PLANNED} - index.recordings.keys()


def read(folder: Path, header: Header) -> Tables:
    """Tables of a dataset folder; ShardError names the first that is not the table it should be."""
    over = _parquet(folder / "passed_over.parquet", {"recording": pa.string(), "reason": pa.string()})
    heard = _parquet(folder / "fingerprints.parquet", HEARD)
    return Tables(
        splits=_csv(folder / "splits.csv", ("id", "split", "group")),
        duplicates=_csv(folder / "duplicates.csv", ("waveform", "id", "path", header.target, "split")),
        quarantine=_entries(folder / "quarantine.jsonl"),
        passed_over=list(zip(over["recording"].to_pylist(), over["reason"].to_pylist(), strict=True)),
        heard=[Heard(*row) for row in zip(*(heard[name].to_pylist() for name in HEARD), strict=True)],
        contents=sources.read(folder / "sources.csv"),
    )


def _csv(path: Path, columns: tuple[str, ...]) -> list[Entry]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            found = tuple(next(reader, ()))
            if found == columns:
                return [dict(zip(columns, row, strict=True)) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    raise _broken(path, f"has the columns {', '.join(found)}")


def _parquet(path: Path, columns: Mapping[str, Any]) -> pa.Table:
    try:
        table = pq.read_table(path)
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
