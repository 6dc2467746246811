"""One shard, all of it: its layout, its columns against the index, its values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from at_data import shards
from at_data.headers import FORMAT, Header, Shard
from at_data.stages import scaling
from at_data.verify.index import Index, first_difference

BLOCK = 64  # items in memory at a time
FILTERS = {"none": [], "zstd": [32015], "lz4": [32004]}  # as registered with the HDF Group
MEMBERS = ["attributes", "id", "target", "waveform", "x"]
PLACES = ["first", "length", "start"]  # where padding is not stored


@dataclass(slots=True)
class Measured:
    """Sums of all values of a shard, and the least of them."""

    sums: scaling.Sums = field(default_factory=lambda: scaling.Sums(0, 0.0, 0.0))
    lowest: float = np.inf


def contradictions(folder: Path, number: int, header: Header, index: Index, measured: Measured) -> Iterator[str]:
    """Lines for what is wrong with one shard; its values are measured as they pass.

    Raises ShardError where it is no shard of this project at all.
    """
    shard = header.shards[number]
    before = sum(other.items for other in header.shards[:number])
    strange = list(_layout(folder / shard.file, shard, header))
    if strange:
        yield from strange
        return
    yield from _columns(folder, shard, before, header, index)
    if shard.items:
        yield from _values(_reader(folder, shard, header), measured)


def stored(folder: Path, shard: Shard, header: Header, row: int) -> Float[np.ndarray, "frames bins"]:
    """One item of a shard."""
    item: np.ndarray = _reader(folder, shard, header).read(np.array([row]))[0]
    return item


def _reader(folder: Path, shard: Shard, header: Header) -> shards.SplitReader:
    """Reader of this shard alone, which refuses bytes that are no shard."""
    return shards.SplitReader(folder, header.model_copy(update={"shards": [shard]}), shard.split)


def _layout(path: Path, shard: Shard, header: Header) -> Iterator[str]:
    """Lines for whatever the file holds that no shard of this header does, or lacks."""
    if header.compression != "none":
        shards.check_compression(header.compression)
    with shards.reading(path), h5py.File(path, "r", locking=False) as file:
        marks = {name: _plain(value) for name, value in file.attrs.items()}
        if marks != {"format": FORMAT, "dataset": header.digest}:
            yield f"is marked {marks}, expected format {FORMAT} and dataset {header.digest[:8]}"
        places = [] if header.padding == "stored" else PLACES
        if sorted(file) != sorted(MEMBERS + places) or sorted(file["attributes"]) != sorted(header.attributes):
            held = ", ".join(["x", *places, "id", "waveform", "target"])
            yield f"does not hold {held} and the attributes of the header, and nothing else"
            return
        x = shards.member(file, "x")
        shape: tuple[int, ...] = (shard.items, header.frames, header.bins)
        if places:
            length = shards.member(file, "length")
            shards.in_one_piece(length)  # before it is read: a few bytes can claim to be a great many
            shape = (int(length[:].sum()), header.bins)
        if (x.shape, x.dtype) != (shape, np.dtype(header.dtype)):
            yield f"x has shape {x.shape} of {x.dtype}, expected {shape} of {header.dtype}"
        made = x.id.get_create_plist()
        filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
        if filters != (FILTERS[header.compression] if x.size else []):
            yield f"x is packed by the filters {filters}, expected compression {header.compression}"
        for name in ("id", "waveform", "target", *places, *(f"attributes/{name}" for name in header.attributes)):
            column = shards.member(file, name)
            fits = column.dtype.kind == "S" if name in shards.TEXTS else column.dtype == np.int64
            if column.shape != (shard.items,) or not fits:
                yield f"{name} has shape {column.shape} of {column.dtype}"
            shards.in_one_piece(column)


def _plain(value: Any) -> Any:
    """An attribute's value as Python says it."""
    return value.item() if isinstance(value, np.generic) else value


def _columns(folder: Path, shard: Shard, before: int, header: Header, index: Index) -> Iterator[str]:
    """Lines where a column is not what the index says, in the rows that are this shard's."""
    reader = _reader(folder, shard, header)
    for name, found in (("id", reader.ids), ("waveform", reader.waveforms)):
        expected = index.texts(name, before, shard.items)
        row = first_difference(found, expected)
        if row is not None:
            yield f"row {row}: {name} is {found[row]!r}, the index has {expected[row]!r}"
    codes: dict[str, list[int]] = {}
    for name, values in header.attributes.items():
        known: dict[str | None, int] = {value: code for code, value in enumerate(values)}
        known[None] = shards.UNKNOWN
        codes[name] = reader.codes(name).tolist() if shard.items else []
        wanted = [known.get(value, -2) for value in index.texts(f"attribute.{name}", before, shard.items)]
        row = first_difference(codes[name], wanted)
        if row is not None:
            text = "none" if codes[name][row] == shards.UNKNOWN else values[codes[name][row]]
            have = index.texts(f"attribute.{name}", before + row, 1)[0]
            yield f"row {row}: {name} is {text}, the index has {have}"
    path = folder / shard.file
    with shards.reading(path), h5py.File(path, "r", locking=False) as file:
        row = first_difference(shards.member(file, "target")[:].tolist(), codes[header.target])
    if row is not None:
        yield f"row {row}: target is not {header.target}"


def _values(reader: shards.SplitReader, measured: Measured) -> Iterator[str]:
    """A line where a value is not finite; blocks of items are measured one after the other."""
    for start in range(0, len(reader), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(reader)))
        block = reader.read(rows, np.empty((len(rows), *reader.shape), np.float32))
        found = scaling.measure(block)
        if not np.isfinite(found.squares):
            row = start + int(np.argmax(~np.isfinite(block).all(axis=(1, 2))))
            yield f"row {row} ({reader.ids[row]}): holds values that are not finite"
            return
        measured.sums += found
        measured.lowest = min(measured.lowest, float(block.min()))
