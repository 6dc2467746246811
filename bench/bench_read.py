"""Random batches from shards against the machine's copy speed on one core.

    python bench/bench_read.py [--items 8000] [--batch 64]

Both move the same number of bytes: one reads rows at random from a dataset's shards into a batch, the other copies a
batch from a random place of an array as large as the dataset.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from bench_prepare import WORK, make_clips

from at_data import shards


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    source, out = WORK / f"clips{arguments.items}", WORK / "read"
    make_clips(source, arguments.items)
    shutil.rmtree(out, ignore_errors=True)
    tool = str(Path(sys.executable).parent / "at-prepare")
    command = [tool, "build", "fsdd_digit_by_speaker", "--source", str(source), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    reader = shards.open_dataset(next(out.iterdir())).split("train")
    everything = reader.read(np.arange(len(reader)))
    batch = np.empty((arguments.batch, *reader.shape), reader.dtype)
    dice = np.random.default_rng(1)
    ratios = []
    for _ in range(arguments.rounds):
        orders = dice.permutation(len(reader))[: len(reader) // arguments.batch * arguments.batch].reshape(
            -1, arguments.batch
        )
        places = dice.integers(0, len(reader) - arguments.batch, len(orders))
        began = time.perf_counter()
        for rows in orders:
            reader.read(rows, batch)
        read_s = time.perf_counter() - began
        began = time.perf_counter()
        for place in places.tolist():
            np.copyto(batch, everything[place : place + arguments.batch])
        copy_s = time.perf_counter() - began
        ratios.append(copy_s / read_s)
    shutil.rmtree(out)
    print(f"# bench_read: batches of {arguments.batch} random items of {len(reader)}, one core")
    spread = f"from {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"ratio to copy speed: {statistics.median(ratios):.2f}  (wanted: 0.50; {spread})")


if __name__ == "__main__":
    main()
