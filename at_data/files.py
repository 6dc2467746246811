"""Files read in blocks, written in pieces, written whole or not at all, forced to disk."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

# Written at once: for larger pieces Linux looks for larger stretches of free memory, which a virtual machine may have
# given back to its host. There a megabyte in one piece takes up to ten times as long as in pieces.
WRITTEN_BYTES = 1 << 16


def blocks(path: Path, block_bytes: int = 1 << 20) -> Iterator[bytes]:
    """All bytes of a file, some at a time.

    OSError where it cannot be read or is a folder, a pipe or a device, on which a reader might wait for ever.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "a folder, pipe or device", str(path))
        # each read sets that much memory aside: for a short file that costs more than to read it
        wanted, left = min(block_bytes, status.st_size + 1), status.st_size
        while block := os.read(handle, wanted):
            yield block
            left -= len(block)
            if left <= 0 and len(block) < wanted:
                break  # this was its end
    finally:
        os.close(handle)


def write_pieces(file: BinaryIO, place: int, data: memoryview) -> None:
    """Write contiguous data into a file that stands at a place, and was opened with a buffer of WRITTEN_BYTES.

    What reaches the system are whole pieces that lie at whole multiples of their size.
    """
    held = data.cast("B") if data.nbytes else data
    cuts = range(WRITTEN_BYTES - place % WRITTEN_BYTES, held.nbytes, WRITTEN_BYTES)
    file.writelines(held[first:last] for first, last in pairwise((0, *cuts, held.nbytes)))


def write_whole(path: Path, text: str) -> None:
    """Text under its name once every byte of it is on disk; a kill leaves the file that was there, or none.

    Where it cannot be written nothing of it is left.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


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
