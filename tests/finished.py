"""What lies in the folder of a finished dataset."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of a dataset's index."""
    return pq.read_table(folder / "index.parquet").to_pylist()


def quarantine(folder: Path) -> list[dict[str, str]]:
    """What a dataset left out and why, line by line."""
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]
