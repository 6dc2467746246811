"""Arrays in files without a name: what was put in comes out, nothing is left behind, a full disk is told."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data import scratch
from at_data.errors import ScratchError

SIZES = (0, 1, scratch.SMALL_BYTES // 8, scratch.SMALL_BYTES // 8 + 1, scratch.SMALL_BYTES)


@pytest.mark.parametrize("count", SIZES)
def test_zeros_are_zeros_that_can_be_written_to(count):
    found = scratch.zeros(count, np.int64)
    assert (found.size, found.dtype, found.any()) == (count, np.int64, False)
    found[:] = np.arange(count)
    assert np.array_equal(found, np.arange(count))


@pytest.mark.parametrize("count", SIZES)
def test_filled_holds_the_values_as_another_type(count):
    found = scratch.filled(np.arange(count), np.int32)
    assert found.dtype == np.int32
    assert np.array_equal(found, np.arange(count))


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 60), st.integers(1, 20))
def test_what_grows_holds_all_that_was_added(pieces, small, buffer):
    with pytest.MonkeyPatch.context() as patch:  # so small that files are written
        patch.setattr(scratch, "SMALL_BYTES", small)
        patch.setattr(scratch, "BUFFER_BYTES", buffer)
        growing = scratch.Growing()
        for number, piece in enumerate(pieces):
            growing.add(piece if number % 2 else np.frombuffer(piece, np.uint8))
            assert growing.size_bytes == sum(map(len, pieces[: number + 1]))
        assert growing.array(np.uint8).tobytes() == b"".join(pieces)


def test_nothing_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held, growing = scratch.zeros(scratch.SMALL_BYTES, np.int64), scratch.Growing()
    growing.add(bytes(2 * scratch.SMALL_BYTES))
    assert not list(tmp_path.iterdir())
    assert held.size + growing.array(np.uint8).size == 3 * scratch.SMALL_BYTES
    assert not list(tmp_path.iterdir())


def test_a_system_that_reserves_no_room_gets_zeros_written(monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    for size in (scratch.SMALL_BYTES + 1, scratch.SMALL_BYTES + 8192, scratch.SMALL_BYTES + scratch.BUFFER_BYTES):
        found = scratch.zeros(size, np.uint8)
        assert (found.size, found.any()) == (size, False)


def refuse(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_no_folder_for_temporary_files_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", lambda *_: refuse(errno.ENOENT))
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with pytest.raises(ScratchError, match="/nowhere: notes on the recordings cannot be written"):
        scratch.zeros(scratch.SMALL_BYTES, np.int64)


def test_what_is_no_fault_of_a_disk_is_not_told_as_one(monkeypatch):
    monkeypatch.setattr(scratch.mmap, "mmap", lambda *_: refuse(errno.ENOMEM))
    with pytest.raises(MemoryError):
        scratch.zeros(scratch.SMALL_BYTES, np.int64)
    monkeypatch.setattr(scratch.tempfile, "TemporaryFile", lambda: refuse(errno.EMFILE))
    with pytest.raises(ScratchError, match="ulimit -n"):
        scratch.zeros(scratch.SMALL_BYTES, np.int64)


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ScratchError, match=r"gone: notes on the recordings cannot be written.*TMPDIR"):
        scratch.zeros(scratch.SMALL_BYTES, np.int64)
    growing = scratch.Growing()
    with pytest.raises(ScratchError, match="TMPDIR"):
        growing.add(bytes(2 * scratch.SMALL_BYTES))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux: a device that is always full")
def test_a_full_disk_is_an_error(monkeypatch):
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(scratch.tempfile, "TemporaryFile", lambda: full)
        growing = scratch.Growing()
        with pytest.raises(ScratchError, match="no space left"):
            growing.add(bytes(2 * scratch.SMALL_BYTES))
