"""The values of one shard, mapped into memory or unpacked: its items, whole or as real frames."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Num

from at_data.shards.extents import Extents
from at_data.shards.files import in_one_piece, member, open_file, plugin, reading
from at_data.shards.packed import Chunks
from at_data.shards.writing import chunk

# Rows first to stop of `x`, in a row: a view, or a copy just unpacked.
Rows = Callable[[int, int], Num[np.ndarray, "values"]]
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

    `items` are all items, each a row of values, where they can be had without a call: mapped, and whole. ShardError
    where the file is no such shard.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form = path, form
        mapped = form.compression == "none"
        # a chunk is one item, so none is wanted twice: HDF5 need not keep any
        file = open_file(path, keep_bytes=0)
        with reading(path):
            self.real = None if form.padding is None else _extents(file, form)
            shape = (form.items, *form.shape) if self.real is None else (self.real.frames, form.shape[1])
            x = member(file, "x")
            if x.shape != shape or x.dtype != form.dtype:
                raise ValueError(f"x of shape {x.shape} and type {x.dtype}, expected {shape} of {form.dtype}")
            self.rows, self.in_file = _mapped(x, path) if mapped or not x.size else _packed(x, path, form.compression)
            self.items = self.rows(0, form.items).reshape(form.items, -1) if mapped and self.real is None else None
        if form.compression != "lz4":  # all others are read from the mapped file
            file.close()
        # plain numbers: one of numpy's costs more than half an item
        self.bounds = range(form.items + 1) if self.real is None else [*self.real.firsts.tolist(), self.real.frames]
        self.starts = [] if self.real is None else (self.real.starts * form.shape[1]).tolist()

    def fill(self, row: int, out: Num[np.ndarray, "values"]) -> None:
        """One item, as a row of values, and padding where it has none of its own."""
        values = self.rows(self.bounds[row], self.bounds[row + 1])
        if self.real is None:
            out[:] = values
            return
        start = self.starts[row]
        stop = start + values.size
        out[:start] = self.form.padding
        out[start:stop] = values
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


def _packed(x: Any, path: Path, compression: str) -> tuple[Rows, Places]:
    if compression == "lz4":
        return _unpacked(x)
    chunks = Chunks(x, path)
    return chunks.rows, chunks.places


def _unpacked(x: Any) -> tuple[Rows, Places]:
    """Chunks unpacked when they are wanted, by HDF5's own functions: h5py's indexing costs more than the codec."""
    plugin()
    if x.chunks != chunk(x.shape, x.dtype.name):
        raise ValueError(f"x in pieces of {x.chunks}")
    rest = x.shape[1:]
    values = int(np.prod(rest))

    def rows(first: int, stop: int) -> Num[np.ndarray, "values"]:
        out = np.empty((stop - first, *rest), x.dtype)
        if stop > first:
            place = x.id.get_space()
            place.select_hyperslab((first, *[0] * len(rest)), out.shape)
            x.id.read(h5py.h5s.create_simple(out.shape), place, out)
        return out.reshape(values * (stop - first))

    def places(first: int, stop: int) -> tuple[int, int]:
        if stop <= first:
            return 0, 0
        # chunks lie in their order, one after the other: that is how they were written
        ends = [(place // x.chunks[0] * x.chunks[0], *[0] * (x.ndim - 1)) for place in (first, stop - 1)]
        begin, last = (x.id.get_chunk_info_by_coord(end) for end in ends)
        return (begin.byte_offset, last.byte_offset + last.size)

    return rows, places


def _mapped(x: Any, path: Path) -> tuple[Rows, Places]:
    """Views of the file itself, and where its rows lie: HDF5 takes no part in reading it."""
    if not x.size:
        nothing = np.empty(0, x.dtype)
        return lambda _first, _stop: nothing, lambda _first, _stop: (0, 0)
    offset = x.id.get_offset()
    if offset is None:
        raise ValueError(f"{x.name} is in pieces")
    # np.asarray: a plain view; indexing a memmap object costs more than copying the item
    flat = np.asarray(np.memmap(path, x.dtype, "r", offset, (x.size,)))
    values = x.size // x.shape[0]
    row_bytes = values * x.dtype.itemsize
    return (
        lambda first, stop: flat[first * values : stop * values],
        lambda first, stop: (offset + first * row_bytes, offset + stop * row_bytes),
    )
