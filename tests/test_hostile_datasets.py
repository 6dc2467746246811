"""Datasets whose hashes were forged: reading refuses, a library that hangs costs a child."""

import h5py
import numpy as np
import pytest
import toy
from fuzz import runner
from fuzz.campaigns import files_in, put
from fuzz.datasets import forged, read_all

from at_data import cards, guard, headers, shards, verify
from at_data.errors import ShardError
from at_data.guard import Ended, Limits

SHARD = "shards/train-00000-of-00001.h5"


@pytest.fixture
def folder(tmp_path):
    return toy.dataset(tmp_path / "toy", takes={"train": 1}, words=("no", "yes"))


def forge(folder):
    put(folder, forged(files_in(folder)))


def test_a_shard_of_another_hash_is_a_line(folder):
    (folder / SHARD).write_bytes(b"x" + (folder / SHARD).read_bytes()[1:])
    assert any(SHARD in line and "SHA-256" in line for line in verify.verify(folder))


def test_a_shard_that_hdf5_hangs_over_costs_a_child(tmp_path):
    """Case 82 hung libhdf5 when it was found; whatever a later one makes of it, the caller goes on."""
    runner.run(runner.campaign_of("datasets/shards"), 1, [82], tmp_path / "work")
    assert isinstance(guard.call(read_all, tmp_path / "work" / "case", Limits(call_s=3.0)), Ended)


@pytest.mark.parametrize("name", ["x", "id", "waveform", "attributes/word"])
@pytest.mark.parametrize(
    "kind", ["external link", "soft link", "external storage", "absent", "huge", "packed", "group"]
)
def test_what_only_seems_to_be_in_the_shard_is_refused(name, kind, folder, tmp_path):
    elsewhere = tmp_path / "secret"
    elsewhere.write_bytes(bytes(1 << 20))
    with h5py.File(folder / SHARD, "a") as file:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        if kind == "external link":
            file[name] = h5py.ExternalLink(str(elsewhere), "/x")
        elif kind == "soft link":
            file[name] = h5py.SoftLink("/target")
        elif kind == "external storage":
            file.create_dataset(name, shape, dtype, external=[(str(elsewhere), 0, h5py.h5f.UNLIMITED)])
        elif kind == "huge":
            file.create_dataset(name, (2**40, *shape[1:]), dtype)
        elif kind == "packed":
            file.create_dataset(name, shape, dtype, chunks=True, compression="gzip")
        elif kind == "group":
            file.create_group(name)
    forge(folder)
    with pytest.raises(ShardError):
        read_all(folder)


def test_codes_outside_the_vocabulary_are_refused(folder):
    with h5py.File(folder / SHARD, "a") as file:
        file["attributes/word"][0] = 99
    forge(folder)
    with pytest.raises(ShardError, match="codes of word from 0 to 99"):
        shards.open_dataset(folder).split("train").codes("word")


def test_a_sound_dataset_is_read_as_ever(folder):
    forge(folder)
    read_all(folder)
    assert shards.open_dataset(folder).split("train").read(np.arange(8)).shape == (8, toy.FRAMES, toy.BINS)


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 2**40},
        {"frames": 2**20, "bins": 2**20},
        {"bins": 0},
        {"dtype": "object"},
        {"target": "nothing"},
        {"files": {"../../etc/passwd": "0" * 64}},
        {"shards": [{"file": "../../etc/passwd", "split": "train", "items": 1, "sha256": ""}]},
        {"shards": [{"file": "shards/a.h5", "split": "train", "items": -1, "sha256": ""}]},
        {"scaling": {"mean": "NaN", "std": 1.0}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_header_that_promises_what_cannot_be_is_refused(change, folder):
    header = headers.read(folder).model_copy(update=change)
    (folder / "dataset.json").write_text(header.model_dump_json(warnings=False))
    with pytest.raises(ShardError):
        headers.read(folder)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100_000, '[{"splits": ["a"]}]', "\ufeff\0"])
def test_a_broken_proof_is_refused(text, tmp_path):
    (tmp_path / "leaks.json").write_text(text)
    with pytest.raises(ShardError):
        cards.read_proof(tmp_path)
