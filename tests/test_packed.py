"""Packed chunks: unpacked as HDF5 unpacks them, and refused where they are damaged."""

import random
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from at_data import shards
from at_data.errors import ShardError
from at_data.shards.packed import Chunks

pytest.importorskip("hdf5plugin")
SHAPE = (40, 129)
ITEMS = 12


@pytest.fixture(scope="module", params=["zstd", "lz4"])
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A shard of items that shrink a little, a great deal, or not at all."""
    path = tmp_path_factory.mktemp("packed") / "a.h5"
    values = np.random.default_rng(1).normal(size=(ITEMS, *SHAPE)).astype(np.float16)
    values[::3, 20:], values[1::3] = 0, np.round(values[1::3])
    ids, codes = [f"{number}" for number in range(ITEMS)], {"word": np.zeros(ITEMS, np.int64)}
    compression = request.param
    shards.write_shard(
        path, "d", [values], values.shape, codes, ids, ids, target="word", dtype="float16", compression=compression
    )
    return path, compression


def opened(path: Path, compression: str) -> Chunks:
    with h5py.File(path) as file:
        return Chunks(file["x"], path, compression)


def rows(chunks: Chunks, first: int, stop: int, dtype: type = np.float16) -> np.ndarray:
    out = np.full((stop - first) * SHAPE[0] * SHAPE[1], np.nan, dtype)
    chunks.copy(first, stop, out)
    return out.reshape(-1, *SHAPE)


def test_rows_are_those_that_hdf5_gives(packed: tuple[Path, str]) -> None:
    chunks = opened(*packed)
    with h5py.File(packed[0]) as file:
        for first, stop in [(0, 1), (0, ITEMS), (3, 7), (ITEMS - 1, ITEMS), (5, 5)]:
            np.testing.assert_array_equal(rows(chunks, first, stop), file["x"][first:stop])
            wide = rows(chunks, first, stop, np.float32)
            np.testing.assert_array_equal(wide, file["x"][first:stop].astype(np.float32))


def test_a_damaged_chunk_is_refused_or_as_long_as_ever(packed: tuple[Path, str], tmp_path: Path) -> None:
    whole, dice, refused = packed[0].read_bytes(), random.Random(2), 0
    chunks = opened(*packed)
    for number in range(300):
        damaged = bytearray(whole)
        item = number % ITEMS
        begin, size = chunks.offsets[item], chunks.sizes[item]
        within = 16 if dice.random() < 0.3 else size  # what says how long it is, or any of it
        for _ in range(dice.choice([1, 2, 8])):
            damaged[begin + dice.randrange(within)] ^= 1 << dice.randrange(8)
        path = tmp_path / "damaged.h5"
        path.write_bytes(damaged)
        try:
            rows(opened(path, packed[1]), item, item + 1)
        except ShardError as error:
            assert f"chunk {item} of x cannot be unpacked" in str(error)  # noqa: PT017 - either is right
            refused += 1
    assert refused > 50


def test_a_chunk_that_is_cut_short_is_refused(packed: tuple[Path, str]) -> None:
    chunks = opened(*packed)
    for size in (0, 5, 13, 16, 20):
        chunks.sizes[2] = size
        with pytest.raises(ShardError, match="chunk 2 of x cannot be unpacked"):
            rows(chunks, 2, 3)


def test_a_chunk_that_is_not_packed_is_refused_at_every_shorter_length(packed: tuple[Path, str]) -> None:
    chunks = opened(*packed)
    whole = chunks.sizes[2]
    for size in (*range(32), *range(32, whole, 997), whole - 1):
        chunks.sizes[2] = size
        with pytest.raises(ShardError, match="chunk 2 of x cannot be unpacked"):
            rows(chunks, 2, 3)


# 255 bytes packed; the first four also read as their number, and what follows as 255 others
AMBIGUOUS = b"\xff\0\0\0\xff\x55" + bytes(11) + b"\1\0\x80\xf0\x4e" + bytes(range(18, 102)) + b"\1\0\x83\x50tail!"


@pytest.mark.parametrize("blocks", [[AMBIGUOUS], [AMBIGUOUS, bytes(range(255)), b"and then some"]])
def test_blocks_are_what_hdf5_takes_them_for(blocks: list[bytes], tmp_path: Path) -> None:
    import hdf5plugin  # noqa: PLC0415 - an extra

    size = 255 * (len(blocks) - 1) + (255 if len(blocks) == 1 else len(blocks[-1]))
    held = b"".join(struct.pack(">I", len(block)) + block for block in blocks)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", (1, size, 1), "u1", chunks=(1, size, 1), compression=hdf5plugin.LZ4())
        x.id.write_direct_chunk((0, 0, 0), struct.pack(">QI", size, 255) + held)
    with h5py.File(tmp_path / "a.h5") as file:
        chunks, expected = Chunks(file["x"], tmp_path / "a.h5", "lz4"), file["x"][0, :, 0]
    found = np.zeros(size, np.uint8)
    chunks.copy(0, 1, found)
    np.testing.assert_array_equal(found, expected)
