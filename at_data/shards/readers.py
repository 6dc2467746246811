"""The items of a finished dataset, read in any order."""

import math
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Num

from at_data import headers
from at_data.errors import ShardError
from at_data.headers import Header
from at_data.shards.extents import Extents, padding
from at_data.shards.files import REMEDY, in_one_piece, member, open_file, reading
from at_data.shards.values import Form, Values
from at_data.stages import scaling

UNKNOWN = -1  # code of an attribute a recording does not have
TEXTS = ("id", "waveform")


class SplitReader:
    """The items of one split, read in any order from any thread or process.

    Shards are mapped into memory, so an item costs one copy, or unpacking it, and HDF5 takes no part in it. Nothing is
    opened before the first read, and a pickled or forked reader opens its own. `padding` is the value of frames
    that are not stored, None where all are.
    """

    def __init__(self, folder: Path, header: Header, split: str) -> None:
        self.folder = folder
        self.header = header
        self.name = split
        self.shape = (header.frames, header.bins)
        self.dtype = np.dtype(header.dtype)
        scale = scaling.Scale(header.scaling.mean, header.scaling.std)
        self.padding = padding(scale, header.dtype) if header.padding == "implicit" else None
        self._shards = [shard for shard in header.shards if shard.split == split and shard.items]
        self._starts = np.cumsum([0] + [shard.items for shard in self._shards])
        self._is_mapped = header.compression == "none"
        self._values: dict[int, dict[int, Values]] = {}  # of each process its own, by number of the shard

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": {}}

    @cached_property
    def ids(self) -> list[str]:
        """Item ids, in row order."""
        return self._texts("id")

    @cached_property
    def waveforms(self) -> list[str]:
        """Hashes of the recordings the items were cut from, as decoded, in row order."""
        return self._texts("waveform")

    @cached_property
    def real(self) -> Extents:
        """Where the real frames of each item lie, in row order; all of them where padding is stored."""
        if self.padding is None:
            frames = np.full(len(self), self.shape[0], np.int64)
            return Extents(np.zeros_like(frames), frames)
        found = [self._of(shard).real for shard in range(len(self._shards))]
        columns = [(real.starts, real.lengths) for real in found if real is not None]
        starts, lengths = (np.concatenate(column) for column in zip(*columns, strict=True))
        return Extents(starts, lengths)

    def codes(self, attribute: str) -> Int64[np.ndarray, "items"]:
        """Codes of an attribute, in row order; -1 where the recording has none."""
        if attribute not in self.header.attributes:
            known = ", ".join(self.header.attributes)
            raise ShardError(self.folder, f"no attribute '{attribute}'", f"one of: {known}", "choose one of those")
        columns = list(self._columns(f"attributes/{attribute}"))
        codes: np.ndarray = np.concatenate(columns) if columns else np.zeros(0, np.int64)
        values = len(self.header.attributes[attribute])
        if codes.size and not UNKNOWN <= codes.min() <= codes.max() < values:
            came = f"codes of {attribute} from {codes.min()} to {codes.max()}"
            raise ShardError(self.folder, came, f"{UNKNOWN} to {values - 1}", REMEDY)
        return codes

    def read(
        self, rows: Int64[np.ndarray, "batch"], out: Num[np.ndarray, "batch frames bins"] | None = None
    ) -> Num[np.ndarray, "batch frames bins"]:
        """Items at these rows, in this order, padding included, in the stored type (or cast into `out`).

        Rows count from 0; IndexError where there is none of that number.
        """
        which, inside, opened = self._places(rows)
        if out is None:  # not before the shards are known to hold what the header says
            out = np.empty((len(rows), *self.shape), self.dtype)
        assert out.flags.c_contiguous, "rows of `out` are filled as they lie in memory"
        assert out.shape == (len(rows), *self.shape), "`out` is of another shape"
        if self._is_mapped and self.padding is None and which:
            # All views first, then all copies: between two copies the processor fetches nothing, and as a call each
            # they take a tenth longer. Rows of values: copying one axis costs numpy two thirds of copying two.
            items = [opened[shard].rows[row] for shard, row in zip(which, inside, strict=True)]
            np.concatenate(items, out=out.reshape(-1), casting="unsafe")
            return out
        for item, shard, row in zip(out.reshape(len(rows), math.prod(self.shape)), which, inside, strict=True):
            opened[shard].fill(row, item)
        return out

    def read_real(
        self, rows: Int64[np.ndarray, "batch"], out: Num[np.ndarray, "real bins"] | None = None
    ) -> Num[np.ndarray, "real bins"]:
        """Real frames of the items at these rows, as of `read`, one item's after the other's, in the stored type."""
        which, inside, opened = self._places(rows)
        lengths = self.real.lengths[rows]
        if out is None:
            out = np.empty((int(lengths.sum()), self.shape[1]), self.dtype)
        assert out.flags.c_contiguous, "rows of `out` are filled as they lie in memory"
        if self._is_mapped and which:
            pieces = [opened[shard].real_rows(row) for shard, row in zip(which, inside, strict=True)]
            np.concatenate(pieces, out=out.reshape(-1, pieces[0].shape[1]), casting="unsafe")
            return out
        flat, start = out.reshape(-1), 0
        stops = (np.cumsum(lengths) * self.shape[1]).tolist()
        for shard, row, stop in zip(which, inside, stops, strict=True):
            values = opened[shard]
            values.copy(values.bounds[row], values.bounds[row + 1], flat[start:stop])
            start = stop
        return out

    def ask_for(self, rows: Int64[np.ndarray, "wanted"]) -> None:
        """Nothing: the system is told to read these rows from disk meanwhile, the sooner in runs the better."""
        if not hasattr(os, "posix_fadvise") or not len(rows):
            return
        wanted = np.unique(rows)
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        breaks = np.flatnonzero((np.diff(wanted) > 1) | (np.diff(shards) > 0)) + 1
        for run in np.split(wanted, breaks):
            shard = int(np.searchsorted(self._starts, run[0], side="right") - 1)
            first = int(self._starts[shard])
            self._of(shard).ask_for(int(run[0]) - first, int(run[-1]) - first + 1)

    def _places(self, rows: Int64[np.ndarray, "batch"]) -> tuple[list[int], list[int], dict[int, Values]]:
        """For each row its shard and its row there; the shards that are open, by their numbers."""
        if np.asarray(rows).dtype == bool:
            raise IndexError("a mask where rows are numbers: np.flatnonzero(mask)")
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        which = shards.tolist()
        if which and not 0 <= min(which) <= max(which) < len(self._shards):
            raise IndexError(f"rows {min(rows)} to {max(rows)} of a split of {len(self)}, which count from 0")
        opened = self._values.setdefault(os.getpid(), {})
        for shard in set(which).difference(opened):
            self._of(shard)
        return which, (rows - self._starts[shards]).tolist(), opened

    def _of(self, shard: int) -> Values:
        opened = self._values.setdefault(os.getpid(), {})
        if shard not in opened:
            said = self._shards[shard]
            form = Form(said.items, self.shape, self.dtype, self.header.compression, self.padding)
            opened[shard] = Values(self.folder / said.file, form)
        return opened[shard]

    def _texts(self, name: str) -> list[str]:
        columns = list(self._columns(name))
        try:
            return [item.decode() for column in columns for item in column.tolist()]
        except UnicodeDecodeError as error:
            raise ShardError(self.folder, f"a {name} that is not in UTF-8", "text", REMEDY) from error

    def _columns(self, name: str) -> Iterator[np.ndarray]:
        for shard in self._shards:
            with open_file(self.folder / shard.file) as file, reading(self.folder / shard.file):
                column = member(file, name)
                if column.shape != (shard.items,) or column.dtype.kind != ("S" if name in TEXTS else "i"):
                    raise ValueError(f"{name} of shape {column.shape} and type {column.dtype}")
                in_one_piece(column)
                values = column[:]
            yield values


class Dataset:
    """A finished dataset folder."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold items."""
        return tuple(name for name, count in self.header.counts.items() if count)

    def split(self, name: str) -> SplitReader:
        """Reader of one split."""
        if name not in self.splits:
            raise ShardError(
                self.folder, f"no split '{name}'", f"one of: {', '.join(self.splits)}", "choose one of those"
            )
        return SplitReader(self.folder, self.header, name)


def open_dataset(folder: str | Path) -> Dataset:
    """Dataset in a folder; its shards are opened when first read, wherever the process has gone by then.

    ShardError where the folder holds no dataset.
    """
    where = Path(folder)
    return Dataset(where.absolute(), headers.read(where))
