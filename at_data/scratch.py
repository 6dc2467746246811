"""Arrays in files without a name: the system keeps of them in memory what it has room for.

They lie in the folder for temporary files (`TMPDIR`), and are gone with the process however it ends. What is small
lies in memory.
"""

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from jaxtyping import Shaped

from at_data.errors import ScratchError

SMALL_BYTES = 1 << 18  # a file would not be worth its page tables
BUFFER_BYTES = 1 << 16


def zeros(count: int, dtype: object) -> Shaped[np.ndarray, "count"]:
    """So many zeros, to be written to; ScratchError where the disk has no room for them."""
    kind = np.dtype(dtype)  # type: ignore[call-overload]
    size_bytes = count * kind.itemsize
    if size_bytes <= SMALL_BYTES:
        return np.zeros(count, kind)
    with _told(), _unnamed() as file:
        _reserve(file, size_bytes)
        return np.frombuffer(mmap.mmap(file.fileno(), size_bytes), kind)


def filled(values: Shaped[np.ndarray, "count"], dtype: object) -> Shaped[np.ndarray, "count"]:
    """The same values in a file, as another type."""
    found = zeros(values.size, dtype)
    found[:] = values
    return found


class Growing:
    """An array of which the end is not known yet: bytes are added, and in the end all are there at once."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, data: bytes | Shaped[np.ndarray, "..."]) -> None:
        """Add what an array or a buffer holds; ScratchError where the disk has no room for it."""
        some = data.tobytes() if isinstance(data, np.ndarray) else data
        self.size_bytes += len(some)
        self._held += some
        if len(self._held) >= (BUFFER_BYTES if self._file else SMALL_BYTES):
            with _told():
                self._file = self._file or _unnamed()
                self._file.write(self._held)
            self._held.clear()

    def array(self, dtype: object) -> Shaped[np.ndarray, "count"]:
        """All that was added; nothing more can be."""
        if self._file is None:
            return np.frombuffer(bytes(self._held), np.dtype(dtype))  # type: ignore[call-overload]
        with _told(), self._file as file:
            file.write(self._held)
            file.flush()
            self._held.clear()
            return np.frombuffer(mmap.mmap(file.fileno(), self.size_bytes), np.dtype(dtype))  # type: ignore[call-overload]


def _unnamed() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _reserve(file: IO[bytes], size_bytes: int) -> None:
    """Room on the disk: a process that writes to mapped memory without any dies."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size_bytes)
        return
    nothing = bytes(BUFFER_BYTES)
    for start in range(0, size_bytes, BUFFER_BYTES):
        file.write(nothing[: size_bytes - start])
    file.flush()


@contextmanager
def _told() -> Iterator[None]:
    """Within it a disk that cannot be written to is an error a user can act on; a lack of memory is no disk's fault."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise ScratchError("files", "too many are open", "a few dozen more", "raise `ulimit -n`") from error
        raise ScratchError(
            _place(),
            f"notes on the recordings cannot be written ({(error.strerror or str(error)).lower()})",
            "room for some 400 bytes a recording and item, and four times their fingerprints",
            "free some space there, or name another folder in TMPDIR",
        ) from error


def _place() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # none of those that are looked at can be written to
        return os.environ.get("TMPDIR", "the folder for temporary files")
