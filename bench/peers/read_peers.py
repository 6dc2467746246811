"""Random batches as another library gives them, with two worker processes: items per second, as JSON.

    python read_peers.py h5py|webdataset|litdata items.npy WORK [--batch 64]

Run by `bench_read.py`, each peer by the Python of its own environment. Items are written in the peer's own form first,
one file or shard of it for every 512; the second of two epochs is timed.
"""

# ruff: noqa: PLC0415 - each peer is installed in its own environment alone

import argparse
import json
import shutil
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

WORKERS = 2
PER_SHARD = 512
CHUNK_MB = 64


class OneFile(torch.utils.data.Dataset):
    """Items of one HDF5 file, as tutorials have it: opened in the worker, read by index."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, None

    def __len__(self) -> int:
        import h5py

        with h5py.File(self.path) as file:
            return len(file["x"])

    def __getitem__(self, row: int) -> torch.Tensor:
        import h5py

        self.file = self.file or h5py.File(self.path)
        return torch.from_numpy(self.file["x"][row])


def with_h5py(items: np.ndarray, work: Path, batch: int) -> Iterable[Any]:
    """Loader over a file of contiguous items."""
    import h5py

    with h5py.File(work / "items.h5", "w") as file:
        file["x"] = items
    dice = torch.Generator().manual_seed(1)
    return DataLoader(OneFile(work / "items.h5"), batch, shuffle=True, num_workers=WORKERS, generator=dice)


def with_webdataset(items: np.ndarray, work: Path, batch: int) -> Iterable[Any]:
    """Loader over tar files of .npy members, shuffled in a buffer of a thousand."""
    import webdataset

    for start in range(0, len(items), PER_SHARD):
        with webdataset.TarWriter(str(work / f"{start // PER_SHARD:05d}.tar")) as tar:
            for number, item in enumerate(items[start : start + PER_SHARD], start):
                memory = BytesIO()
                np.save(memory, item)
                tar.write({"__key__": f"{number:08d}", "npy": memory.getvalue()})
    pattern = f"{work}/{{00000..{(len(items) - 1) // PER_SHARD:05d}}}.tar"
    split = webdataset.WebDataset(pattern, shardshuffle=100, seed=1).shuffle(1000).decode().to_tuple("npy")
    return webdataset.WebLoader(split.batched(batch), batch_size=None, num_workers=WORKERS)


def one(row: int, path: str) -> dict[str, np.ndarray]:
    """Item that LitData writes."""
    return {"x": np.load(path, mmap_mode="r")[row].copy()}


def with_litdata(items: np.ndarray, work: Path, batch: int) -> Iterable[Any]:
    """Loader over the chunks that LitData makes."""
    import functools

    import litdata

    np.save(work / "items.npy", items)
    litdata.optimize(
        fn=functools.partial(one, path=str(work / "items.npy")),
        inputs=list(range(len(items))),
        output_dir=str(work / "chunks"),
        chunk_bytes=f"{CHUNK_MB}MB",
        num_workers=1,
    )
    split = litdata.StreamingDataset(str(work / "chunks"), shuffle=True, seed=1)
    return litdata.StreamingDataLoader(split, batch_size=batch, num_workers=WORKERS)


def items_in(batch: Any) -> int:
    """Number of items in whatever a peer calls a batch."""
    if isinstance(batch, dict):
        batch = batch["x"]
    return len(batch[0] if isinstance(batch, (list, tuple)) else batch)


def main() -> None:
    """Measure one peer and print."""
    peers = {"h5py": with_h5py, "webdataset": with_webdataset, "litdata": with_litdata}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=peers)
    parser.add_argument("items", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    items = np.load(arguments.items, mmap_mode="r")
    loader = peers[arguments.peer](items, arguments.work, arguments.batch)
    torch.set_num_threads(1)
    for _ in range(2):
        began, first_s, seen = time.perf_counter(), 0.0, 0
        for batch in loader:
            seen += items_in(batch)
            first_s = first_s or time.perf_counter() - began
        took_s = time.perf_counter() - began
    # workers are started at every epoch; their start is told apart from what they do
    found = {"peer": arguments.peer, "items": seen, "seconds": took_s, "first_s": first_s, "per_s": seen / took_s}
    shutil.rmtree(arguments.work)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
