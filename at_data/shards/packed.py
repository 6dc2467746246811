"""The chunks of an `x` packed with zstd, unpacked out of the mapped file: HDF5 says once where they lie.

Not so those of lz4: its decoder in pyarrow does not tell how much a damaged chunk gave.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Num, UInt8

from at_data.errors import ShardError
from at_data.shards.files import BROKEN, REMEDY
from at_data.shards.writing import chunk


class Chunks:
    """Rows of an `x` packed with zstd, from any thread. ValueError where it is none that `write_shard` makes."""

    def __init__(self, x: Any, path: Path) -> None:
        if x.chunks != chunk(x.shape, x.dtype.name):
            raise ValueError(f"x in pieces of {x.chunks}")
        self.path, self.dtype = path, x.dtype
        self.rows_a_chunk = x.chunks[0]
        self.values_a_row = int(np.prod(x.shape[1:]))
        self.chunk_bytes = self.rows_a_chunk * self.values_a_row * x.dtype.itemsize
        self.offsets, self.sizes = (column.tolist() for column in _table(x))
        self.file: UInt8[np.ndarray, "bytes"] = np.asarray(np.memmap(path, np.uint8, "r"))
        if self.offsets and max(map(sum, zip(self.offsets, self.sizes, strict=True))) > self.file.size:
            raise ValueError("x reaches over the end of the file")
        self.codec = pa.Codec("zstd")

    def rows(self, first: int, stop: int) -> Num[np.ndarray, "values"]:
        """Values of rows first to stop, in a row; ShardError where they cannot be unpacked."""
        size, row = self.rows_a_chunk, self.values_a_row
        if size == 1 and stop == first + 1:
            return self._unpacked(first)
        pieces = [self._unpacked(number) for number in range(first // size, -(-stop // size))] if stop > first else []
        together = np.concatenate(pieces) if pieces else np.empty(0, self.dtype)
        begin = first // size * size
        return together[(first - begin) * row : (stop - begin) * row]

    def places(self, first: int, stop: int) -> tuple[int, int]:
        """Bytes of the file in which rows first to stop lie, or about so: chunks lie there as they were written."""
        if stop <= first:
            return 0, 0
        begin, last = (place // self.rows_a_chunk for place in (first, stop - 1))
        return self.offsets[begin], self.offsets[last] + self.sizes[last]

    def _unpacked(self, number: int) -> Num[np.ndarray, "values"]:
        packed = self.file[self.offsets[number] : self.offsets[number] + self.sizes[number]]
        try:
            plain = self.codec.decompress(packed, self.chunk_bytes)
            if len(plain) != self.chunk_bytes:
                raise ValueError(f"{len(plain)} bytes in a chunk of {self.chunk_bytes}")
            values: np.ndarray = np.frombuffer(plain, self.dtype)
        except BROKEN as error:
            came = f"chunk {number} of x cannot be unpacked ({str(error)[:200]})"
            raise ShardError(self.path, came, "a whole shard", REMEDY) from error
        return values


def _table(x: Any) -> tuple[Int64[np.ndarray, "chunks"], Int64[np.ndarray, "chunks"]]:
    """Place in the file and size of every chunk, in order of their rows; ValueError where one is missing or odd."""
    found: list[Any] = []
    if hasattr(x.id, "chunk_iter"):
        x.id.chunk_iter(found.append)
    else:
        found += map(x.id.get_chunk_info, range(x.id.get_num_chunks()))
    count = -(-x.shape[0] // x.chunks[0])
    rows = [info.chunk_offset[0] for info in found]
    if len(found) != count or sorted(rows) != list(range(0, count * x.chunks[0], x.chunks[0])):
        raise ValueError(f"{len(found)} chunks of x, expected {count}")
    if any(info.filter_mask or any(info.chunk_offset[1:]) for info in found):
        raise ValueError("a chunk of x that is not packed, or not of whole rows")
    order = np.argsort(rows)
    places = np.array([(info.byte_offset, info.size) for info in found], np.int64).reshape(-1, 2)[order]
    if (places < 0).any():
        raise ValueError("a chunk of x that lies nowhere")
    return places[:, 0], places[:, 1]
