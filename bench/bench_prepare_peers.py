"""Preparation against what users would pick instead, on the same 3,000 one-second files in the same run.

    python bench/bench_prepare_peers.py [--clips 3000] [--rounds 2]

Each peer is a script of `bench/peers` with an environment of its own, made with pip on first use (a gigabyte or two).
`whole` is by the clock, from before Python starts to after it left. Without start-up the clock of a peer runs from the
first file to the last, with libraries imported; `at-prepare build --workers 2` has the difference to a quarter of the
files. The floor is that of `floors.py`. Files are read just before each. Rounds alternate; medians.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import bench_prepare
import floors
import sounds
from environments import python_of

KIND = sounds.KINDS["wav8"]
OUT = sounds.WORK / "peer_out"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its script, what pip installs for it, how many processes it has, how many times as fast we want to be."""

    script: str
    packages: tuple[str, ...]
    processes: int
    wanted: float


PEERS = {
    "the paper's way": Peer("prepare_paper", ("librosa", "resampy", "setuptools<81"), 1, 25),
    "datasets + librosa": Peer("prepare_datasets", ("datasets", "librosa"), 2, 6),
    "lhotse": Peer("prepare_lhotse", ("lhotse", "scipy", "soundfile", "torch", "urllib3"), 2, 6),
}


def clips_a_second(python: Path, peer: Peer, listed: Path) -> tuple[float, float]:
    """Speed of a peer by the clock of whoever calls it, and by its own."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    script = Path(__file__).parent / "peers" / f"{peer.script}.py"
    began = time.perf_counter()
    done = subprocess.run([python, script, listed, OUT / "out"], capture_output=True, text=True, check=False)
    whole_s = time.perf_counter() - began
    shutil.rmtree(OUT, ignore_errors=True)
    if done.returncode:
        sys.exit(f"{script} ended with {done.returncode}\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return told["items"] / whole_s, told["items"] / told["seconds"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    made = sounds.files(KIND, 1.0, arguments.clips)
    listed = made.folder / "paths.txt"
    listed.write_text("\n".join(str(path) for path in sorted(made.folder.glob("*.wav"))))
    pythons = {name: python_of(peer.script.replace("_", "-"), peer.packages) for name, peer in PEERS.items()}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in PEERS}
    ours, floor = [], []
    for _ in range(arguments.rounds):
        floors.warm(made)
        short_s, full_s = (bench_prepare.build(made, rows, 2)[0] for rows in (made.short, made.full))
        ours.append((made.items / full_s, (made.items - made.fewer) / (full_s - short_s)))
        floor.append(made.items / floors.seconds(made, 2)[0])
        for name, python in pythons.items():
            if python:
                floors.warm(made)
                speeds[name].append(clips_a_second(python, PEERS[name], listed))
    shutil.rmtree(bench_prepare.OUT, ignore_errors=True)
    whole, further = medians(ours)
    at_least = statistics.median(floor)
    print(f"# bench_prepare_peers: {arguments.clips} one-second wavs at 8 kHz, medians of {arguments.rounds} rounds")
    print(f"{'':<20}{'':>10}{'clips/s, without':>26}{'ours to it, without':>27}")
    print(f"{'':<20}{'processes':>10}{'whole':>14}{'start-up':>12}{'whole':>15}{'start-up':>12}")
    print(f"{'at-prepare build':<20}{2:>10}{whole:>14.0f}{further:>12.0f}")
    print(f"{'the floor':<20}{2:>10}{'':>14}{at_least:>12.0f}{'':>15}{further / at_least:>12.1f}")
    for name, peer in PEERS.items():
        if speeds[name]:
            told, own = medians(speeds[name])
            ratios = f"{whole / told:>15.1f}{further / own:>12.1f}"
            print(f"{name:<20}{peer.processes:>10}{told:>14.0f}{own:>12.0f}{ratios}  (wanted: {peer.wanted:g})")
        else:
            print(f"{name:<20}{peer.processes:>10}   skipped: pip could not make its environment")


def medians(taken: list[tuple[float, float]]) -> tuple[float, float]:
    """Of the first and of the second of each."""
    first, second = zip(*taken, strict=True)
    return statistics.median(first), statistics.median(second)


if __name__ == "__main__":
    main()
