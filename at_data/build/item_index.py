"""`index.parquet`: which item of a dataset lies where, and what it was made of."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from at_data import parquet
from at_data.build.plan import Plan
from at_data.build.rows import Items
from at_data.build.sift import Sifted

GROUP = 1 << 14  # rows of a row group of a table: no more of them are held at a time

Make = Callable[[Items], Any]
"""Values of a column, of some items of one shard."""


def write_index(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`index.parquet`: one row per item, in shard order."""
    shards = [items for items in sifted.items if len(items)]
    columns = _columns(plan, sifted, shards)
    names = [*columns]
    names.insert(names.index("shard") + 1, "row")
    schema = pa.schema([(name, columns[name][0] if name in columns else pa.int64()) for name in names])
    starts = np.cumsum([0, *(len(items) for items in shards)]).tolist()
    with parquet.writer(path, schema) as writer:
        for start in range(0, max(1, starts[-1]), GROUP):
            some, rows = [], [np.zeros(0, np.int64)]
            for place in range(bisect_right(starts, start) - 1, bisect_left(starts, start + GROUP)):
                if place < len(shards):
                    first = starts[place]
                    here = range(max(0, start - first), min(start + GROUP - first, len(shards[place])))
                    some.append(shards[place].only(slice(here.start, here.stop)))
                    rows.append(np.arange(here.start, here.stop))
            made = {name: _column(some, kind, make) for name, (kind, make) in columns.items()}
            made["row"] = pa.array(np.concatenate(rows))
            writer.write_table(pa.table([made[name] for name in names], schema), row_group_size=GROUP)


def _columns(plan: Plan, sifted: Sifted, shards: Sequence[Items]) -> dict[str, tuple[pa.DataType, Make]]:
    """Columns by name, with their types; one of nothing but empty places has no type."""
    text, length_s = pa.string(), plan.manifest.segment.length_s
    columns: dict[str, tuple[pa.DataType, Make]] = {
        "id": (text, lambda items: items.ids),
        "recording": (text, lambda items: list(items.recordings.ids)),
        "path": (text, lambda items: items.recordings.columns.paths.at(items.recordings.rows)),
        "start_s": (pa.float64(), _starts_s),
        "stop_s": (pa.float64(), lambda items: _starts_s(items) + length_s),
        "split": (text, lambda items: [items.task.split] * len(items)),
        "shard": (text, lambda items: [items.task.file] * len(items)),
        "waveform": (text, lambda items: sifted.waveforms.hexed(items.recordings.rows)),
    }
    known = {name for items in shards for name in items.recordings.attributes}
    for name in plan.attributes:
        columns[f"attribute.{name}"] = (text if name in known else pa.null(), _attribute(name))
    mixed = shards[0].mixed if shards else []
    for name in mixed:
        columns[f"noise.{name}"] = (pa.array(shards[0].mixing(name)[:1]).type, _mixing(name))
    if mixed:
        columns["noise.waveform"] = (text, lambda items: [sifted.noises[noise] for noise in items.mixing("noise")])
    return columns


def _starts_s(items: Items) -> Float64[np.ndarray, "items"]:
    recordings = items.recordings
    return np.asarray(np.nan_to_num(recordings.columns.starts_s[recordings.rows]) + items.column("start_s"))


def _attribute(name: str) -> Make:
    return lambda items: items.recordings.columns.attribute(name).at(items.recordings.rows)


def _mixing(name: str) -> Make:
    return lambda items: items.mixing(name)


def _column(shards: Sequence[Items], kind: pa.DataType, make: Make) -> pa.Array:
    """One column of some items."""
    found = [pa.array(make(items), kind) for items in shards]
    return pa.concat_arrays(found) if found else pa.array([], kind)
