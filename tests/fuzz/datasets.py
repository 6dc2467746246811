"""Datasets of strangers: header, shards with right and with forged hashes, the proof, an imported split."""

import hashlib
import json
from functools import partial
from pathlib import Path
from random import Random

import h5py
import numpy as np
import toy

from at_data import cards, headers, shards
from at_data.stages.splits import listing
from fuzz import mutators
from fuzz.campaigns import Act, Campaign, Files, files_in, put

SPLIT = b'id,split,group\nann/1,train,ann\nann/2,train,ann\nbob/1,valid,bob\n"cyd, the third/1",test,cyd\n'
PROOF = [
    {"splits": ["train", "valid"], "key": "speaker", "shared": 0, "examples": [], "verdict": "disjoint"},
    {"splits": ["train", "test"], "key": "waveform", "shared": 1, "examples": ["a", "b"], "verdict": "LEAK"},
]


MEMBERS = ("x", "id", "waveform", "target", "attributes/word", "attributes")
PLACES = ("start", "first", "length")  # where padding is not stored


def read_all(folder: Path) -> None:
    """Everything that training and `verify` read of a dataset."""
    dataset = shards.open_dataset(folder)
    assert headers.content(dataset.header)
    for name in dataset.splits:
        reader = dataset.split(name)
        assert len(reader.ids) == len(reader) == len(reader.waveforms)
        for attribute, values in dataset.header.attributes.items():
            codes = reader.codes(attribute)
            assert len(codes) == len(reader)
            assert not codes.size or (codes.min() >= shards.UNKNOWN and codes.max() < len(values))
        for start in range(0, len(reader), 5):
            rows = np.arange(start, min(start + 5, len(reader)), dtype=np.int64)
            values = reader.read(rows)
            assert values.shape == (len(rows), dataset.header.frames, dataset.header.bins)


def _dataset(folder: Path) -> Files:
    made = toy.dataset(
        folder / "toy", takes={"train": 1, "valid": 1}, words=("no", "yes"), waveform_of=lambda item: item
    )
    return files_in(made)


def _implicit(folder: Path) -> Files:
    made = toy.dataset(
        folder / "toy",
        takes={"train": 1, "valid": 1},
        words=("no", "yes"),
        waveform_of=lambda item: item,
        padding="implicit",
    )
    return files_in(made)


def forged(files: Files) -> Files:
    """The files with a header that says of them what they are: whoever changes a shard can do so."""
    raw = json.loads(files["dataset.json"])
    for shard in raw["shards"]:
        shard["sha256"] = hashlib.sha256(files[shard["file"]]).hexdigest()
    header = headers.Header.model_validate(raw)
    raw["content"] = headers.content(header)
    return files | {"dataset.json": json.dumps(raw).encode()}


def _lay_header(files: Files, dice: Random, folder: Path) -> Act:
    put(folder, files | {"dataset.json": mutators.json_values([files["dataset.json"]], dice)})
    return partial(read_all, folder)


def _lay_shard(files: Files, dice: Random, folder: Path) -> Act:
    name = dice.choice([name for name in files if name.endswith(".h5")])
    if dice.random() < 0.25:
        put(folder, files)
        members = MEMBERS + PLACES if json.loads(files["dataset.json"])["padding"] == "implicit" else MEMBERS
        _rebuild(folder / name, dice, members)
        files = forged(files_in(folder))
    else:
        files = forged(files | {name: _bytes_changed(files[name], dice)})
    put(folder, files)
    return partial(read_all, folder)


def _bytes_changed(content: bytes, dice: Random) -> bytes:
    """Changes where HDF5 keeps what it knows, and seldom in the values, which may be anything."""
    values = 8 * 40 * 33 * 4
    begin = content.rfind(content[-values : -values + 64]) if len(content) > values else 0
    head, rest = bytearray(content[:begin] or content), content[begin:]
    made = mutators.binary([bytes(head)], dice)
    return made + (rest if dice.random() < 0.9 else b"") if begin else made


def _rebuild(path: Path, dice: Random, members: tuple[str, ...]) -> None:
    """A shard that HDF5 finds right, and that is not what a shard is."""
    with h5py.File(path, "a", libver=("v110", "v110")) as file:
        name = dice.choice(members)
        kind = dice.randrange(9)
        if kind == 0:
            del file.attrs[dice.choice(("dataset", "format"))]
        elif kind == 1:
            file.attrs["dataset"] = dice.choice((1, b"\xff", "x", [1, 2]))
        else:
            shape = file[name].shape if isinstance(file[name], h5py.Dataset) else (8,)
            del file[name]
            if kind == 2:
                file[name] = h5py.ExternalLink("/etc/passwd", "/x")
            elif kind == 3:
                file[name] = h5py.SoftLink(dice.choice(("/x", "/nowhere", f"/{name}")))
            elif kind == 4:
                file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
            elif kind == 5:
                file.create_dataset(name, dice.choice(((2**40,), (0,), (), (8, 2**30, 2**20))), "f4")
            elif kind == 6:
                file.create_dataset(
                    name, data=np.full(shape, dice.choice((-2, 99, 2**40))), dtype=dice.choice(("i8", "f8", "u1"))
                )
            elif kind == 7:
                file.create_dataset(name, shape, h5py.string_dtype() if dice.random() < 0.5 else "S100000")
            else:
                file.create_dataset(name, shape, "f4", chunks=True, compression="gzip", fillvalue=1.0)


def _proof(_: Path) -> list[bytes]:
    return [json.dumps(PROOF).encode()]


def _lay_proof(seeds: list[bytes], dice: Random, folder: Path) -> Act:
    (folder / "leaks.json").write_bytes(mutators.json_values(seeds, dice))
    return partial(cards.read_proof, folder)


def _split(_: Path) -> list[bytes]:
    return [SPLIT]


def _lay_split(seeds: list[bytes], dice: Random, folder: Path) -> Act:
    content = mutators.cells(seeds, dice)
    (folder / "splits.csv").write_bytes(content)
    return partial(listing.read, str(folder / "splits.csv"), hashlib.sha256(content).hexdigest())


CAMPAIGNS = (
    Campaign("datasets/header", 800, _dataset, _lay_header),
    Campaign("datasets/shards", 900, _dataset, _lay_shard, crashes=True),
    Campaign("datasets/places", 400, _implicit, _lay_shard, crashes=True),
    Campaign("datasets/proof", 200, _proof, _lay_proof),
    Campaign("datasets/split", 400, _split, _lay_split),
)
