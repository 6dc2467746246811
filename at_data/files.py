"""Files written whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Text under its name once every byte of it is on disk; a kill leaves the file that was there, or none."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def settle(folder: Path) -> None:
    """Every file below a folder forced to disk, and the names of the files with them."""
    for path in [*sorted(folder.rglob("*")), folder]:
        force(path)


def settle_name(path: Path) -> None:
    """A name that was just given, forced to disk: it is its folder that holds it."""
    force(path.parent)


def force(path: Path) -> None:
    """What a file holds, or the names that a folder holds, forced to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
