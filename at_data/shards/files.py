"""HDF5 files that strangers may have made: opened, looked into, refused."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from at_data.errors import ShardError

REMEDY = "run `at-prepare verify`, then build again"
BROKEN = (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError)


def open_file(path: Path) -> Any:
    """The file, open for reading; ShardError where HDF5 cannot open it."""
    if not path.is_file():
        raise ShardError(path, "no such file", "a whole shard", REMEDY)
    try:
        # finished shards never change: no lock, so network file systems without locks serve them too
        return h5py.File(path, "r", locking=False)
    except BROKEN as error:
        raise ShardError(path, f"cannot be opened ({error})", "a whole shard", REMEDY) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, whatever HDF5 and h5py raise of bytes that are no shard is told as ShardError."""
    try:
        yield
    except BROKEN as error:
        came = f"cannot be read ({str(error)[:300] or type(error).__name__})"
        raise ShardError(path, came, "a whole shard", REMEDY) from error


def member(file: Any, name: str) -> Any:
    """Dataset of that name that lies in the very file; ValueError for any other: HDF5 follows links to any file."""
    *above, _ = name.split("/")
    for place in ("/".join(above), name) if above else (name,):
        if not isinstance(file.get(place, getlink=True), h5py.HardLink):
            raise ValueError(f"{place} is absent, or a link")  # noqa: TRY004 - told as all that is wrong
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{name} is no dataset, or lies in another file")
    return found


def in_one_piece(column: Any) -> None:
    """ValueError where a column is packed, or not wholly in the file: a few bytes can claim to be a great many."""
    if column.chunks is not None or (column.nbytes and column.id.get_storage_size() != column.nbytes):
        raise ValueError(f"{column.name} is not whole, or in pieces")
    if column.nbytes > Path(column.file.filename).stat().st_size:
        raise ValueError(f"{column.name} is larger than its file")


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plugin() -> Any:
    """The package that packs with zstd and lz4; ShardError where it is not installed."""
    try:
        import hdf5plugin  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise needs("hdf5plugin") from error
    return hdf5plugin


def unpacker() -> Any:
    """The package that unpacks lz4; ShardError where it is not installed."""
    try:
        import cramjam  # noqa: PLC0415 - optional extra
    except ImportError as error:
        raise needs("cramjam") from error
    return cramjam


def needs(package: str) -> ShardError:
    """The error of a compressed shard without a package for it."""
    return ShardError(
        "store.compression",
        f"a compression without the package {package}",
        f"{package} installed",
        "pip install 'anti-transfer[compress]'",
    )


def check_compression(compression: str) -> None:
    """Nothing, or ShardError where a compression needs a package that is not installed."""
    if compression != "none":
        plugin()
    if compression == "lz4":
        unpacker()
