import inspect
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from at_data import headers, shards
from at_data.build import tables
from at_data.errors import ShardError
from at_data.verify import verify


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """The dataset, to be damaged."""
    for path in dataset.rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(dataset)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "copy"


def whole(folder: Path, split: str = "train") -> np.ndarray:
    """All items of a split as HDF5 itself reads them."""
    header = headers.read(folder)
    pieces = []
    for shard in header.shards:
        if shard.split == split:
            with h5py.File(folder / shard.file) as file:
                pieces.append(file["x"][:])
    return np.concatenate(pieces)


def first(reader: shards.SplitReader) -> bytes:
    return reader.read(np.array([0, len(reader) - 1])).tobytes()


def test_mapped_reads_equal_what_hdf5_reads_in_any_order_with_repeats(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("train")
    rows = np.random.default_rng(1).integers(0, len(reader), 200)
    np.testing.assert_array_equal(reader.read(rows), whole(dataset)[rows])


def test_a_given_array_is_filled_and_cast(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("valid")
    out = np.empty((2, *reader.shape), np.float32)
    assert reader.read(np.array([1, 0]), out) is out
    np.testing.assert_array_equal(out, whole(dataset, "valid")[[1, 0]].astype(np.float32))


def test_a_folder_may_be_text_and_is_found_from_wherever_it_is_read(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    reader = shards.open_dataset(dataset.name).split("valid")
    assert not verify(dataset.name)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(reader.read(np.arange(len(reader))), whole(dataset, "valid"))


@pytest.mark.parametrize("read", ["read", "read_real"])
def test_rows_that_are_not_there_are_no_other_items(dataset: Path, read: str) -> None:
    reader = shards.open_dataset(dataset).split("valid")
    reader._shards, reader._starts = reader._shards[:1], reader._starts[:2]  # most splits have one
    for row in (-1, -len(reader), len(reader)):
        with pytest.raises(IndexError, match=f"split of {len(reader)}, which count from 0"):
            getattr(reader, read)(np.array([0, row]))
    assert getattr(reader, read)(np.zeros(0, np.int64)).size == 0


def test_a_mask_is_no_row_numbers(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("valid")
    with pytest.raises(IndexError, match=r"a mask.*flatnonzero"):  # unwrapped: types are checked in tests alone
        inspect.unwrap(shards.SplitReader._places)(reader, np.ones(len(reader), bool))


def test_a_given_array_of_another_shape_is_not_filled(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("valid")
    with pytest.raises(AssertionError, match="another shape"):
        reader.read(np.array([1, 0]), np.empty((2, *reader.shape[::-1]), np.float32))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_reader_serves_worker_processes_it_was_opened_before(dataset: Path, method: str) -> None:
    reader = shards.open_dataset(dataset).split("train")
    here = first(reader)
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        assert list(pool.map(first, [reader, reader])) == [here, here]


def test_a_reader_serves_threads(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("train")
    expected = whole(dataset)
    orders = [np.random.default_rng(seed).permutation(len(reader)) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(reader.read, orders), strict=True):
            np.testing.assert_array_equal(found, expected[order])


def test_a_pickled_reader_carries_no_data(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("train")
    reader.read(np.arange(4))
    assert len(pickle.dumps(reader)) < 20_000


def test_a_sound_dataset_verifies(dataset: Path) -> None:
    assert verify(dataset) == []


def test_verify_names_a_shard_of_which_one_bit_flipped(copy: Path) -> None:
    path = copy / "shards/train-00001-of-00005.h5"
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 1
    path.write_bytes(raw)
    (problem,) = verify(copy)
    assert problem.startswith("shards/train-00001-of-00005.h5: SHA-256 is ")


def test_verify_names_missing_and_stray_shards(copy: Path) -> None:
    (copy / "shards/train-00000-of-00005.h5").rename(copy / "shards/mine.h5")
    assert verify(copy) == ["shards/mine.h5: not in the header", "shards/train-00000-of-00005.h5: missing"]


@pytest.mark.parametrize("name", tables.NAMES)
def test_verify_names_a_table_that_was_altered_or_is_gone(copy: Path, name: str) -> None:
    (copy / name).write_text("{}")
    (problem,) = verify(copy)
    assert problem.startswith(f"{name}: SHA-256 is ")
    (copy / name).unlink()
    assert verify(copy) == [f"{name}: missing"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scaling": {"mean": 5.0, "std": 1.0}}, "dataset.json: altered"),
        ({"digest": "0" * 64}, "its manifest has digest"),
        ({"manifest": {}}, "its manifest has digest none"),
    ],
)
def test_verify_names_a_header_that_was_altered(copy: Path, change: dict[str, Any], problem: str) -> None:
    path = copy / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert any(problem in line for line in verify(copy))


def test_every_item_names_the_waveform_it_was_cut_from(dataset: Path) -> None:
    table = {row["id"]: row["waveform"] for row in pq.read_table(dataset / "index.parquet").to_pylist()}
    for split in ("train", "valid", "test"):
        reader = shards.open_dataset(dataset).split(split)
        assert dict(zip(reader.ids, reader.waveforms, strict=True)).items() <= table.items()


def test_a_shard_that_is_gone_is_one_clear_error(copy: Path) -> None:
    (copy / "shards/train-00000-of-00005.h5").unlink()
    reader = shards.open_dataset(copy).split("train")
    with pytest.raises(ShardError, match=r"train-00000-of-00005\.h5: no such file; expected a whole shard; run"):
        reader.read(np.arange(10))


def test_reading_a_truncated_shard_is_one_clear_error(copy: Path) -> None:
    path = copy / "shards/train-00000-of-00005.h5"
    path.write_bytes(path.read_bytes()[:3000])
    reader = shards.open_dataset(copy).split("train")
    with pytest.raises(ShardError, match=r"train-00000-of-00005\.h5: cannot be opened.*verify"):
        reader.read(np.arange(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99; expected format 1"),
        ({"frames": "many"}, "frames"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_header_of_another_kind_is_refused(copy: Path, change: dict[str, Any], message: str) -> None:
    path = copy / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ShardError, match=message):
        shards.open_dataset(copy)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no dataset\.json"):
        shards.open_dataset(tmp_path)


def test_unknown_splits_and_attributes_list_the_known(dataset: Path) -> None:
    opened = shards.open_dataset(dataset)
    with pytest.raises(ShardError, match="train, valid, test"):
        opened.split("dev")
    with pytest.raises(ShardError, match="speaker, take, word"):
        opened.split("train").codes("mood")


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("rows", [2, 3, 5, 9])
def test_blocks_of_another_number_of_items_are_no_shard(tmp_path: Path, rows: int, compression: str) -> None:
    """Blocks of two and one of the rest, where the shard is to hold four."""
    values, ids = np.ones((rows, 3, 2), np.float32), [f"{number}" for number in range(4)]
    blocks = [values[at : at + 2] for at in range(0, rows, 2)]
    with pytest.raises((ValueError, TypeError)):
        shards.write_shard(
            tmp_path / "a.h5", "d", blocks, (4, 3, 2), {"word": np.zeros(4)}, ids, ids,
            target="word", dtype="float32", compression=compression,
        )  # fmt: skip
