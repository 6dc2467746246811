"""Random batches from shards against the machine's copy speed on one core, and against other libraries.

    python bench/bench_read.py [--items 8000] [--batch 64] [--words DIR] [--only mapped packed padding cold peers]

`mapped`: batches of random items out of uncompressed shards, beside two floors that move the same number of bytes out
of an array in memory: one copy a batch from a random place, and one copy an item from a random place each. What random
places cost beside the first, without a file or Python's part in it, says numpy's own gathering out of that array.
`packed`: random words in items of 1 s out of compressed shards, beside the codec alone, which unpacks the same chunks
out of memory one by one in the same order, and h5py reading them in that of the file, 64 at a time. Words are made up,
of some 0.4 s, or those of `--words`: a folder of wav files, or LibriSpeech, whose words are given times as they are
spelt.
`padding`: the same words in items of 4 s, stored whole and as real frames; also an epoch of them out of files that the
page cache does not hold.
`cold`: one epoch out of files that the page cache does not hold, in a random order and by runs.
`peers`: the same items through other libraries with two workers (`bench/peers/read_peers.py`).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cramjam
import h5py
import numpy as np
import pyarrow as pa
import torch
from environments import python_of
from read_data import WORK, Store, words, write

from at_data import shards
from at_train.batches import Data, Runs, Split, epoch_batches

ROUNDS = 5
Way = Callable[[], None]


def in_turns(ways: dict[str, Way], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of this process for each way, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            taken[name].append(time.process_time() - began)
    return taken


def row(name: str, items: int, taken: list[float], note: str = "") -> None:
    """One line of a table."""
    took_s = statistics.median(taken)
    print(f"  {name:<34} {items / took_s:>10,.0f} items/s  {note}")


def ratio(floor: list[float], ours: list[float], wanted: str) -> str:
    """Median of the rounds' ratios, and their spread."""
    found = [f / o for f, o in zip(floor, ours, strict=True)]
    return f"{statistics.median(found):.2f} (wanted: {wanted}; from {min(found):.2f} to {max(found):.2f})"


def orders(items: int, batch: int) -> np.ndarray:
    """Rows of random batches."""
    return np.random.default_rng(1).permutation(items)[: items // batch * batch].reshape(-1, batch)


def spend(split: Split, batch: int, runs: Runs | None = None) -> None:
    """Nothing: an epoch of batches is made, each let go before the next."""
    for _ in epoch_batches(split, batch, 1, 1, torch.device("cpu"), runs):
        pass


def mapped(values: np.ndarray, batch: int) -> None:
    """Random batches beside copies of the same bytes."""
    folder = write("mapped", values, Store())
    reader = shards.open_dataset(folder).split("train")
    out = np.empty((batch, *reader.shape), reader.dtype)
    rows = orders(len(values), batch)
    places = np.random.default_rng(2).integers(0, len(values) - batch, len(rows)).tolist()
    flat, target = values.reshape(len(values), -1), out.reshape(batch, -1)

    def by_item() -> None:
        for some in rows.tolist():
            for place, item in enumerate(some):
                target[place] = flat[item]

    torch.set_num_threads(1)
    split = Data.open(folder).splits["train"]
    taken = in_turns(
        {
            "copies of a batch": lambda: [np.copyto(out, values[place : place + batch]) for place in places] and None,
            "copies of an item": by_item,
            "numpy gathers a batch": lambda: [flat.take(some, 0, target, "clip") for some in rows] and None,
            "reader": lambda: [reader.read(some, out) for some in rows] and None,
            "tensors": lambda: spend(split, batch),
        }
    )
    print(f"## mapped: batches of {batch} of {len(values):,} items of {values[0].nbytes:,} bytes, one core")
    for name in taken:
        row(name, rows.size, taken[name])
    print("  ratio to copies of a batch:", ratio(taken["copies of a batch"], taken["reader"], "0.80"))
    print("  ratio to copies of an item:", ratio(taken["copies of an item"], taken["reader"], "0.80"))
    gathered = ratio(taken["copies of a batch"], taken["numpy gathers a batch"], "nothing, it bounds the reader")
    print("  numpy's gathering to copies of a batch:", gathered)


def packed(folder: Path | None, batch: int) -> None:
    """Random items of compressed shards beside the codec alone, and h5py's own reading of the same chunks."""
    values = np.ascontiguousarray(words(folder, 1024)[:, :126]).astype(np.float16)
    rows = orders(len(values), batch)
    every, per_shard = rows.ravel().tolist(), Store().per_shard
    for compression in ("lz4", "zstd"):
        made = write(compression, values, Store(compression=compression))
        reader = shards.open_dataset(made).split("train")
        out = np.empty((batch, *reader.shape), reader.dtype)
        files = [h5py.File(path, locking=False, rdcc_nbytes=0) for path in sorted((made / "shards").glob("*.h5"))]

        def in_order(files: list[h5py.File] = files) -> None:
            for file in files:
                for start in range(0, len(file["x"]), batch):
                    file["x"][start : start + batch]

        def by_index(files: list[h5py.File] = files) -> None:
            for some in rows[: len(rows) // 4].tolist():
                for item in some:
                    files[item // per_shard]["x"][item % per_shard]

        chunks = [file["x"].id.read_direct_chunk((row, 0, 0))[1] for file in files for row in range(len(file["x"]))]
        unpack = _codec(compression, values[0].nbytes)
        ways = {
            "the codec alone": lambda chunks=chunks, unpack=unpack: [unpack(chunks[item]) for item in every] and None,
            "h5py, slices in order": in_order,
            "h5py, random items": by_index,
        }
        taken = in_turns(ways | {"reader, random items": lambda r=reader, o=out: [r.read(s, o) for s in rows] and None})
        size = sum(path.stat().st_size for path in (made / "shards").glob("*.h5")) / values.nbytes
        print(f"## packed: {compression}, {size:.2f} of the size, chunks of one item")
        counts = (rows.size, len(values), len(rows) // 4 * batch, rows.size)
        each = {name: [s / n for s in found] for (name, found), n in zip(taken.items(), counts, strict=True)}
        for name, found in each.items():
            row(name, 1, found)
        for name in ("the codec alone", "h5py, slices in order"):
            print(f"  ratio to {name}:", ratio(each[name], each["reader, random items"], "0.80"))
        _ = [file.close() for file in files]


def _codec(name: str, size: int) -> Callable[[bytes], object]:
    """What unpacks one chunk of one block, as fast as the library can: lz4 always into the same memory."""
    if name == "zstd":
        return lambda chunk: pa.Codec("zstd").decompress(chunk, size)
    header = 16  # of HDF5's filter 32004: sizes of the chunk, of its blocks, of the packed block; as large: not packed
    plain = np.empty(size, np.uint8)

    def unpack(chunk: bytes) -> None:
        if len(chunk) == header + size:
            plain[:] = np.frombuffer(chunk, np.uint8, offset=header)
        else:
            cramjam.lz4.decompress_block_into(memoryview(chunk)[header:], plain)

    return unpack


def padding(folder: Path | None, batch: int) -> None:
    """Size and cost of words in items of 4 s, whole and as real frames."""
    items = words(folder)
    taken, sizes, cold_s = {}, {}, {}
    ways: dict[str, Way] = {}
    torch.set_num_threads(1)
    for form in ("stored", "implicit"):
        made = write(f"padding_{form}", items.astype(np.float16), Store(padding=form))
        reader = shards.open_dataset(made).split("train")
        split, rows = Data.open(made).splits["train"], orders(len(items), batch)
        out = np.empty((batch, *reader.shape), reader.dtype)
        cold_s[form] = [_cold_epoch_s(made, rows, out) for _ in range(ROUNDS)]
        sizes[form] = sum(path.stat().st_size for path in (made / "shards").glob("*.h5"))
        ways[f"{form}, whole items"] = lambda r=reader, o=out, rows=rows: [r.read(s, o) for s in rows] and None
        ways[f"{form}, tensors"] = lambda s=split: spend(s, batch)
        if form == "implicit":
            ways["implicit, what a GPU is sent"] = lambda r=reader, rows=rows: [r.read_real(s) for s in rows] and None
    taken = in_turns(ways)
    real = reader.real.lengths.mean() / reader.shape[0]
    print(f"## padding: {len(items):,} words in items of 4 s, {real:.0%} of the frames real")
    factor = sizes["stored"] / sizes["implicit"]
    print(f"  on disk: {sizes['stored']:,} bytes stored, {sizes['implicit']:,} implicit: {factor:.1f} times less")
    for name, found in taken.items():
        row(name, rows.size, found)
    for form, found in cold_s.items():
        row(f"{form}, cold, by the clock", rows.size, found)


def _cold_epoch_s(folder: Path, rows: np.ndarray, out: np.ndarray) -> float:
    """Seconds of the clock for whole items out of files that nobody has read lately."""
    forget(folder)
    reader = shards.open_dataset(folder).split("train")
    return _clock(lambda: [reader.read(some, out) for some in rows])


def forget(folder: Path) -> None:
    """Nothing: the page cache is told to drop the shards of a dataset, which it cannot while they are unwritten."""
    for path in (folder / "shards").glob("*.h5"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(values: np.ndarray, batch: int) -> None:
    """An epoch out of files that the page cache does not hold."""
    folder = write("cold", values, Store())
    print(f"## cold: one epoch of {len(values):,} items, page cache dropped before; seconds of the clock")
    found: dict[str, list[float]] = {}
    for _ in range(3):
        for name, runs in (("permutation", None), ("runs of 128 in 2,048", Runs(128, 2048))):
            split = Data.open(folder).splits["train"]
            forget(folder)
            began = time.perf_counter()
            spend(split, batch, runs)
            found.setdefault(name, []).append(time.perf_counter() - began)
    for name, taken in found.items():
        row(name, len(values), taken)


def peers(values: np.ndarray, batch: int) -> None:
    """The same items through other libraries; ours in one process, by the clock as theirs."""
    folder = write("peers", values, Store())
    reader, rows = shards.open_dataset(folder).split("train"), orders(len(values), batch)
    np.save(WORK / "items.npy", values)
    print(f"## peers: random batches of {batch} of the same {len(values):,} items, two workers; ours without any")
    out = np.empty((batch, *reader.shape), reader.dtype)
    ours = []
    best = 0.0
    for peer in ("h5py", "webdataset", "litdata"):
        # with the same torch, numpy and h5py as ours, which the first is made of alone
        python = Path(sys.executable) if peer == "h5py" else python_of(f"read-{peer}", [peer], beside=True)
        if python is None:
            print(f"  {peer:<34} skipped: its packages cannot be had (no network?)")
            continue
        ours.append(_clock(lambda: [reader.read(some, out) for some in rows]))
        script = Path(__file__).parent / "peers" / "read_peers.py"
        call = [str(python), str(script), peer, str(WORK / "items.npy"), str(WORK / f"peer-{peer}")]
        ended = subprocess.run([*call, "--batch", str(batch)], capture_output=True, text=True, check=False)
        if ended.returncode:
            print(f"  {peer:<34} failed: {ended.stderr.strip().splitlines()[-1][:150]}")
            continue
        told = json.loads(ended.stdout.strip().splitlines()[-1])
        best = max(best, told["per_s"])
        print(f"  {peer:<34} {told['per_s']:>10,.0f} items/s  first batch after {told['first_s']:.2f} s")
    row("reader", rows.size, ours)
    print(f"  times the best peer: {rows.size / statistics.median(ours) / best:.1f} (wanted: 10)")


def _clock(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--words", type=Path)
    sections = ["mapped", "packed", "padding", "cold", "peers"]
    parser.add_argument("--only", nargs="+", choices=sections, default=sections)
    arguments = parser.parse_args()
    values = np.random.default_rng(1).normal(size=(arguments.items, 126, 129)).astype(np.float16)
    for name in arguments.only:
        if name == "packed":
            packed(arguments.words, arguments.batch)
        elif name == "padding":
            padding(arguments.words, arguments.batch)
        else:
            {"mapped": mapped, "cold": cold, "peers": peers}[name](values, arguments.batch)
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
