"""`index.parquet`, read and held against header and manifest."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from at_data import parquet
from at_data.errors import ShardError
from at_data.headers import Header
from at_data.manifest import Manifest
from at_data.recordings import Recording
from at_data.stages import mixtures, noise

TEXTS = ("id", "recording", "path", "split", "shard", "waveform")
COLUMNS = ("id", "recording", "path", "start_s", "stop_s", "split", "shard", "row", "waveform")
OF_A_RECORDING = ("path", "split", "waveform")
NUMBERS = {"start_s": pa.float64(), "stop_s": pa.float64(), "row": pa.int64(), "noise.clipped": pa.int64()}
HEARD = "noise.waveform"
LEVEL_DB = 0.01  # between a level that was asked for and the one measured in single precision


@dataclass(frozen=True, slots=True)
class Index:
    """The table, and every recording in it once: with its split, its waveform, and no stretch, which is not in it."""

    table: pa.Table
    recordings: dict[str, Recording]
    splits: dict[str, str]
    waveforms: dict[str, str]

    def texts(self, name: str, start: int = 0, length: int | None = None) -> list[str | None]:
        """Values of a column, from a row on."""
        column: list[str | None] = self.table[name].slice(start, length).to_pylist()
        return column

    def numbers(self, name: str) -> np.ndarray:
        """Values of a column of numbers."""
        column: np.ndarray = self.table[name].to_numpy()
        return column


def read(folder: Path, header: Header, made: Manifest) -> Index:
    """Index of a dataset; ShardError where it is not a table of its columns."""
    path = folder / "index.parquet"
    attributes = [f"attribute.{name}" for name in header.attributes]
    mixing = [] if made.noise == "none" else [*(f"noise.{field.name}" for field in fields(noise.Mixing)), HEARD]
    types = {name: NUMBERS.get(name, pa.float64()) for name in ("start_s", "stop_s", "row", *mixing)}
    types |= dict.fromkeys((*TEXTS, *attributes, *mixing[:1], *mixing[-1:]), pa.string())
    try:
        table = parquet.read(path)
        wrong = _of_other_columns(table, {name: types[name] for name in (*COLUMNS, *attributes, *mixing)}, attributes)
        if not wrong:
            table = table.cast(pa.schema([(name, types[name]) for name in table.column_names])).combine_chunks()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        wrong = f"cannot be read ({error})"
    if wrong:
        raise ShardError(path, wrong, "the index of this dataset", "build it again")
    first = _first_rows(table)
    few: dict[str, str] = {}  # splits and attributes, which very many recordings share
    texts = {name: table[name].take(first).to_pylist() for name in ("recording", *OF_A_RECORDING)}
    texts |= {name: [few.setdefault(v, v) for v in table[name].take(first).to_pylist()] for name in attributes}
    texts["split"] = [few.setdefault(value, value) for value in texts["split"]]
    ids = texts["recording"]
    values = zip(*(texts[name] for name in attributes), strict=True) if attributes else [()] * len(ids)
    recordings = {
        item: Recording(
            item, made.corpus, path, {n: v for n, v in zip(header.attributes, row, strict=True) if v is not None}
        )
        for item, path, row in zip(ids, texts["path"], values, strict=True)
    }
    splits, waveforms = (dict(zip(ids, texts[name], strict=True)) for name in ("split", "waveform"))
    return Index(table, recordings, splits, waveforms)


def _of_other_columns(table: pa.Table, types: dict[str, pa.DataType], may_lack: list[str]) -> str | None:
    """What is wrong with the columns of a table; one of nothing but empty places has no type."""
    if table.column_names != list(types):
        return f"has the columns {', '.join(table.column_names)}"
    for name, kind in types.items():
        if table[name].type not in (kind, pa.null()):
            return f"{name} is of type {table[name].type}"
        if table[name].null_count and name not in may_lack:
            return f"{name} has empty places"
    return None


def contradictions(index: Index, header: Header, made: Manifest) -> Iterator[str]:
    """Lines where the table is not that of this header, or contradicts itself."""
    table = index.table
    if table.num_rows != sum(header.counts.values()):
        yield f"has {table.num_rows} rows, the header counts {sum(header.counts.values())} items"
        return
    yield from _places(index, header)
    yield from _ids(index)
    for name in (*OF_A_RECORDING, *(f"attribute.{name}" for name in header.attributes)):
        row = _torn(table, name)
        if row is not None:
            yield f"row {row}: {name} is not that of the other items of {table['recording'][row]}"
    yield from _values(index, header)
    yield from _stretches(index, made)
    if made.noise != "none":
        yield from _mixings(index, made.noise)


def _places(index: Index, header: Header) -> Iterator[str]:
    expected: dict[str, list[Any]] = {
        "shard": [shard.file for shard in header.shards for _ in range(shard.items)],
        "split": [shard.split for shard in header.shards for _ in range(shard.items)],
        "row": [row for shard in header.shards for row in range(shard.items)],
    }
    for name, values in expected.items():
        row = first_difference(index.table[name].to_pylist(), values)
        if row is not None:
            yield f"row {row}: {name} is {index.table[name][row]}, the header's shards make it {values[row]}"


def _ids(index: Index) -> Iterator[str]:
    ids, recordings = index.texts("id"), index.texts("recording")
    if len(set(ids)) != len(ids):
        yield f"{len(ids) - len(set(ids))} items have the id of another"
    for row, (item, recording) in enumerate(zip(ids, recordings, strict=True)):
        number = str(item).removeprefix(f"{recording}#")
        if not (number.isascii() and number.isdecimal() and item == f"{recording}#{int(number)}"):
            yield f"row {row}: {item!r} is no item of {recording!r}"
            return


def _values(index: Index, header: Header) -> Iterator[str]:
    for name, values in header.attributes.items():
        found = set(index.table[f"attribute.{name}"].unique().to_pylist())
        if name == header.target and None in found:
            yield f"attribute.{name}: an item has none, and it is the target"
        strange = sorted(value for value in found - {None} if value not in values)
        if strange:
            yield f"attribute.{name}: {', '.join(strange[:5])}: not among its values in the header"


def _stretches(index: Index, made: Manifest) -> Iterator[str]:
    start_s, stop_s = index.numbers("start_s"), index.numbers("stop_s")
    good = np.isfinite(start_s) & (start_s >= 0) & (stop_s > start_s) & (stop_s == start_s + made.segment.length_s)
    if not good.all():
        row = int(np.argmin(good))
        yield f"row {row}: from {start_s[row]} to {stop_s[row]} s is no segment of {made.segment.length_s} s"


def _mixings(index: Index, mix: noise.Mix) -> Iterator[str]:
    """Lines where what is said of the noise could not be, or is not what the manifest asks for."""
    columns = {field.name: index.numbers(f"noise.{field.name}") for field in fields(noise.Mixing)}
    asked, other, achieved = ("level_requested_dbfs", "snr_requested_db", "level_achieved_dbfs")
    if mix.snr_db is not None:
        asked, other, achieved = (other, asked, "snr_achieved_db")
    # a mixture that was turned down has both sounds turned down
    gain = columns["clip_gain_db"] if mix.snr_db is None else 0.0
    met = np.abs(columns[achieved] - gain - columns[asked]) <= LEVEL_DB
    good = {
        "noise_offset_s": columns["noise_offset_s"] >= 0,
        other: np.isnan(columns[other]),
        asked: _within(columns[asked], mix),
        achieved: met,
        "clipped": columns["clipped"] >= 0,
        "peak": columns["peak"] >= 0,
        "clip_gain_db": columns["clip_gain_db"] <= 0,
    }
    finite = ("noise_offset_s", "level_achieved_dbfs", "speech_gain_db", "noise_gain_db", "peak", "clip_gain_db")
    for name in (*columns, *good):
        fine = good.get(name, np.full(len(index.table), True))
        if name in finite:
            fine &= np.isfinite(columns[name])
        elif name not in ("noise", other):
            fine &= ~np.isnan(columns[name])
        if not fine.all():
            row = int(np.argmin(fine))
            yield f"row {row}: noise.{name} is {columns[name][row]}, which no such mixture has"
            return
    if len(set(zip(index.texts("noise.noise"), index.texts(HEARD), strict=True))) != len(
        set(index.texts("noise.noise"))
    ):
        yield f"{HEARD}: a noise has two of them"
    if isinstance(mix, noise.Task) and index.texts("noise.noise") != index.texts(f"attribute.{mixtures.NOISE}"):
        yield f"noise.noise is not attribute.{mixtures.NOISE}"


def _within(asked: np.ndarray, mix: noise.Mix) -> np.ndarray:
    """Whether each level is one that the manifest may draw."""
    span = mix.level_dbfs if mix.snr_db is None else mix.snr_db
    if isinstance(span, tuple):
        return np.asarray((asked >= span[0]) & (asked <= span[1]))
    return np.isin(asked, span.one_of if isinstance(span, noise.OneOf) else span.each_of if span else ())


def _codes(column: pa.ChunkedArray) -> Int64[np.ndarray, "rows"]:
    """A number for each value, the same for the same; -1 for none."""
    indices = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    codes: np.ndarray = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _first_rows(table: pa.Table) -> Int64[np.ndarray, "recordings"]:
    rows: np.ndarray = np.unique(_codes(table["recording"]), return_index=True)[1].astype(np.int64)
    return rows


def _torn(table: pa.Table, name: str) -> int | None:
    """First row that says something else of its recording than an earlier one."""
    recordings, codes = _codes(table["recording"]), _codes(table[name])
    first = _first_rows(table)
    torn = codes != codes[first][recordings]
    return int(np.argmax(torn)) if torn.any() else None


def first_difference(found: Sequence[object], expected: Sequence[object]) -> int | None:
    """Place at which two rows of the same length begin to differ."""
    return next((place for place, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b), None)


def same_numbers(found: dict[str, float | int], said: dict[str, float | int]) -> bool:
    """Whether two measurements agree but for the order in which they were added up."""
    close = partial(math.isclose, rel_tol=1e-9, abs_tol=1e-9)
    return found.keys() == said.keys() and all(close(found[key], said[key]) for key in said)
