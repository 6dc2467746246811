"""The values of one shard, mapped into memory or unpacked: its items, whole or as real frames."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num

from at_data.shards.extents import Extents
from at_data.shards.files import in_one_piece, member, open_file, reading
from at_data.shards.packed import Chunks

# Writes rows first to stop of `x`, in a row, into memory for as many.
Copy = Callable[[int, int, Num[np.ndarray, "values"]], None]
# Bytes of the file, begin and end, in which rows first to stop lie, or about so.
Places = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Form:
    """What a shard of a dataset has to look like: items, shape of each, type, compression, padding if not stored."""

    items: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    compression: str
    padding: np.ndarray | None


class Values:
    """The values of one shard. `real` says where real frames lie, and is None where items lie there whole.

    `rows` are those of `x`, each a row of values, where the file is mapped as it is; of a packed one there are none.
    ShardError where the file is no such shard.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form
        with open_file(path) as file, reading(path):
            self.real = None if form.padding is None else _extents(file, form)
            shape = (form.items, *form.shape) if self.real is None else (self.real.frames, form.shape[1])
            x = member(file, "x")
            if x.shape != shape or x.dtype != form.dtype:
                raise ValueError(f"x of shape {x.shape} and type {x.dtype}, expected {shape} of {form.dtype}")
            self.copy, self.in_file, flat = self._read(x)
            self.rows = np.empty((0, 0), form.dtype) if flat is None else flat.reshape(shape[0], math.prod(shape[1:]))
        # plain numbers: one of numpy's costs more than half an item
        self.bounds = range(form.items + 1) if self.real is None else [*self.real.firsts.tolist(), self.real.frames]
        self.starts = [] if self.real is None else (self.real.starts * form.shape[1]).tolist()

    def _read(self, x: Any) -> tuple[Copy, Places, Num[np.ndarray, "values"] | None]:
        """How rows of x are had, and all of them if they are mapped; HDF5 says but where they are."""
        if self.form.compression != "none" and x.size:
            chunks = Chunks(x, self.path, self.form.compression)
            return chunks.copy, chunks.places, None
        flat, offset = _mapped(x, self.path)
        values = x.size // max(1, x.shape[0])

        def copy(first: int, stop: int, out: Num[np.ndarray, "values"]) -> None:
            out[:] = flat[first * values : stop * values]

        row_bytes = values * x.dtype.itemsize
        return copy, lambda first, stop: (offset + first * row_bytes, offset + stop * row_bytes), flat

    def real_rows(self, row: int) -> Num[np.ndarray, "_ values"]:
        """Real frames of one item, or all of it as one row where items lie there whole; out of `rows`."""
        return self.rows[self.bounds[row] : self.bounds[row + 1]]

    def fill(self, row: int, out: Num[np.ndarray, "values"]) -> None:
        """One item, as a row of values, and padding where it has none of its own."""
        if self.real is None:
            self.copy(row, row + 1, out)
            return
        first, last = self.bounds[row], self.bounds[row + 1]
        start = self.starts[row]
        stop = start + (last - first) * self.form.shape[1]
        out[:start] = self.form.padding
        self.copy(first, last, out[start:stop])
        out[stop:] = self.form.padding

    def ask_for(self, start: int, stop: int) -> None:
        """Nothing: the system is told that these items are wanted soon, and reads them from disk meanwhile."""
        begin, end = self.in_file(self.bounds[start], self.bounds[stop])
        with self.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_WILLNEED)


def _extents(file: Any, form: Form) -> Extents:
    """Extents of a shard's items; ValueError where they are none: real frames outside an item, or out of order."""
    columns = []
    for name in ("start", "first", "length"):
        column = member(file, name)
        if column.shape != (form.items,) or column.dtype != np.int64:
            raise ValueError(f"{name} of shape {column.shape} and type {column.dtype}")
        in_one_piece(column)
        columns.append(column[:])
    starts, firsts, lengths = columns
    frames = form.shape[0]
    inside = (starts >= 0) & (lengths >= 0) & (starts <= frames) & (lengths <= frames - starts)
    real = Extents(starts, lengths)
    if not inside.all() or not np.array_equal(firsts, real.firsts):
        raise ValueError("start, first and length are not those of items one after the other")
    return real


def _mapped(x: Any, path: Path) -> tuple[Num[np.ndarray, "values"], int]:
    """View of the file itself, and where in it that lies."""
    if not x.size:
        return np.empty(0, x.dtype), 0
    offset = x.id.get_offset()
    if offset is None:
        raise ValueError(f"{x.name} is in pieces")
    # np.asarray: a plain view; indexing a memmap object costs more than copying the item
    return np.asarray(np.memmap(path, x.dtype, "r", offset, (x.size,))), offset
