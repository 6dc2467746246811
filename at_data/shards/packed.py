"""The chunks of a packed `x`, unpacked out of the mapped file: HDF5 says once where they lie."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Num

from at_data.errors import ShardError
from at_data.shards.files import BROKEN, REMEDY, unpacker
from at_data.shards.writing import chunk

Unpack = Callable[[memoryview, Num[np.ndarray, "values"]], None]
"""A packed chunk, and where its values are wanted; ValueError or the like where it is none, or not of so many."""

SIZE = struct.Struct("<I")
LZ4_HEADER, LZ4_BLOCK = struct.Struct(">QI"), struct.Struct(">I")  # bytes of a chunk, of a block; of a packed block


class Chunks:
    """Rows of an `x` packed with zstd or lz4, from any thread. ValueError where it is none that `write_shard` makes."""

    def __init__(self, x: Any, path: Path, compression: str) -> None:
        if x.chunks != chunk(x.shape, x.dtype.name):
            raise ValueError(f"x in pieces of {x.chunks}")
        self.path, self.dtype = path, x.dtype
        self.rows_a_chunk = x.chunks[0]
        self.values_a_row = int(np.prod(x.shape[1:]))
        self.offsets, self.sizes = (column.tolist() for column in _table(x))
        # slices of a memoryview cost a third of those of an array, which are a tenth of unpacking
        self.file = np.asarray(np.memmap(path, np.uint8, "r")).data
        if self.offsets and max(map(sum, zip(self.offsets, self.sizes, strict=True))) > self.file.nbytes:
            raise ValueError("x reaches over the end of the file")
        self.unpack: Unpack = _lz4() if compression == "lz4" else _zstd()

    def copy(self, first: int, stop: int, out: Num[np.ndarray, "values"]) -> None:
        """Write the values of rows first to stop into `out`, in a row; ShardError where they cannot be unpacked."""
        size, row = self.rows_a_chunk, self.values_a_row
        if size == 1 and stop == first + 1 and out.dtype == self.dtype:
            self._unpack(first, out)
            return
        for number in range(first // size, -(-stop // size) if stop > first else first // size):
            begin = number * size
            here = range(max(first, begin), min(stop, begin + size))
            wanted = out[(here.start - first) * row : (here.stop - first) * row]
            if len(here) == size and out.dtype == self.dtype:
                self._unpack(number, wanted)
                continue
            whole = np.empty(size * row, self.dtype)
            self._unpack(number, whole)
            wanted[:] = whole[(here.start - begin) * row : (here.stop - begin) * row]

    def places(self, first: int, stop: int) -> tuple[int, int]:
        """Bytes of the file in which rows first to stop lie, or about so: chunks lie there as they were written."""
        if stop <= first:
            return 0, 0
        begin, last = (place // self.rows_a_chunk for place in (first, stop - 1))
        return self.offsets[begin], self.offsets[last] + self.sizes[last]

    def _unpack(self, number: int, into: Num[np.ndarray, "values"]) -> None:
        begin = self.offsets[number]
        try:
            self.unpack(self.file[begin : begin + self.sizes[number]], into)
        except (*BROKEN, struct.error) as error:
            came = f"chunk {number} of x cannot be unpacked ({str(error)[:200]})"
            raise ShardError(self.path, came, "a whole shard", REMEDY) from error


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


def _zstd() -> Unpack:
    """What unpacks a chunk as HDF5's filter 32015 packs it."""
    codec = pa.Codec("zstd")

    def unpack(packed: memoryview, into: np.ndarray) -> None:
        plain = codec.decompress(packed, into.nbytes)
        if len(plain) != into.nbytes:
            raise ValueError(f"{len(plain)} bytes in a chunk of {into.nbytes}")
        into[:] = np.frombuffer(plain, into.dtype)

    return unpack


def _lz4() -> Unpack:
    """What unpacks a chunk as HDF5's filter 32004 packs it; ShardError where the package for it is not installed."""
    cramjam = unpacker()
    into_memory = cramjam.lz4.decompress_block_into

    def block(packed: memoryview, into: np.ndarray) -> None:
        if len(packed) >= SIZE.size and SIZE.unpack_from(packed)[0] <= into.nbytes:
            # cramjam takes what may be a size before the block for one, so one is put there
            packed = memoryview(SIZE.pack(into.nbytes) + bytes(packed))
        try:
            found = into_memory(packed, into)
        except cramjam.DecompressionError as error:
            raise ValueError(str(error)) from error
        if found != into.nbytes:
            raise ValueError(f"{found} bytes in a block of {into.nbytes}")

    def unpack(packed: memoryview, into: np.ndarray) -> None:
        size = into.nbytes
        whole, most = LZ4_HEADER.unpack_from(packed)
        if whole != size or not most:
            raise ValueError(f"{whole} bytes in blocks of {most} in a chunk of {size}")
        place = LZ4_HEADER.size
        plain = into if size <= most else into.view(np.uint8)
        for begin in range(0, size, most):
            (held,) = LZ4_BLOCK.unpack_from(packed, place)
            place += LZ4_BLOCK.size
            wanted = plain if size <= most else plain[begin : begin + most]
            if place + held > len(packed):
                raise ValueError(f"a block of {held} bytes in the last {len(packed) - place} of a chunk")
            if held == wanted.nbytes:  # what does not shrink is not packed
                wanted.view(np.uint8)[:] = np.frombuffer(packed[place : place + held], np.uint8)
            else:
                block(packed[place : place + held], wanted)
            place += held

    return unpack
