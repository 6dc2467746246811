"""What a campaign is: sound inputs, a way to change one, and a reader that must take it or refuse it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from at_data.guard import Limits

Act = Callable[[], object]
Files = dict[str, bytes]  # by path
CASE = Limits(call_s=30.0, memory_bytes=1 << 29)


@dataclass(frozen=True)
class Campaign:
    """Inputs of one kind.

    `prepare` makes the sound inputs in a folder of its own, and what it gives goes to `lay`, which writes one changed
    input into an empty folder and gives the call that reads it. Only `out` in that folder may be written by that call.
    Folders in it are left standing for the next input where all of them need the same ones (`keeps`).
    `crashes` is whether a library that the reader uses may crash, hang or want memory, so that the project reads such
    input in a child process.
    """

    name: str
    cases: int  # in one run of the test suite
    prepare: Callable[[Path], Any]
    lay: Callable[[Any, Random, Path], Act]
    out: str = ""
    keeps: bool = True
    crashes: bool = False
    limits: Limits = CASE


def files_in(folder: Path) -> Files:
    """Bytes of every file below a folder by its path from there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def put(folder: Path, files: Files) -> None:
    """Files with those bytes below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def cleared(folder: Path, *, keeps: bool) -> None:
    """A folder without files, and without folders that are called like files; folders cost more than all the rest."""
    if not keeps:
        shutil.rmtree(folder, ignore_errors=True)
    for above, folders, names in os.walk(folder):
        for name in folders:
            path = Path(above, name)
            if path.is_symlink():
                path.unlink()
            elif "." in name:
                shutil.rmtree(path)
        for name in names:
            Path(above, name).unlink()
    folder.mkdir(parents=True, exist_ok=True)
