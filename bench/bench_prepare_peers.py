"""Preparation against what users would pick instead, on the same 3,000 one-second files in the same run.

    python bench/bench_prepare_peers.py [--clips 3000] [--rounds 2]

Each peer is a script of `bench/peers` with an environment of its own, made with pip on first use (a gigabyte or two).
Peers are given their start-up: their clock runs from the first file to the last, with libraries imported. The clock of
`at-prepare build --workers 2` starts before Python does and stops after it left; without start-up, from the difference
to a quarter of the files, it has what the peers are given. The floor is that of
`floors.py`. Rounds alternate; medians.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
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


def clips_a_second(python: Path, peer: Peer, listed: Path) -> float:
    """Speed that a peer measures of itself."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    script = Path(__file__).parent / "peers" / f"{peer.script}.py"
    done = subprocess.run([python, script, listed, OUT / "out"], capture_output=True, text=True, check=False)
    shutil.rmtree(OUT, ignore_errors=True)
    if done.returncode:
        sys.exit(f"{script} ended with {done.returncode}\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return told["items"] / told["seconds"]


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
    speeds: dict[str, list[float]] = {name: [] for name in PEERS}
    ours, further, floor = [], [], []
    for _ in range(arguments.rounds):
        short_s, full_s = (bench_prepare.build(made, rows, 2)[0] for rows in (made.short, made.full))
        ours.append(made.items / full_s)
        further.append((made.items - made.fewer) / (full_s - short_s))
        floor.append(made.items / floors.seconds(made, 2)[0])
        for name, python in pythons.items():
            if python:
                speeds[name].append(clips_a_second(python, PEERS[name], listed))
    shutil.rmtree(bench_prepare.OUT, ignore_errors=True)
    print(f"# bench_prepare_peers: {arguments.clips} one-second wavs at 8 kHz, medians of {arguments.rounds} rounds")
    print("                     processes  clips/s  ours is")
    mine = statistics.median(ours)
    print(f"{'at-prepare build':<20}{2:>10}{mine:>9.0f}")
    print(f"{'  without start-up':<20}{2:>10}{statistics.median(further):>9.0f}")
    print(f"{'  the floor':<20}{2:>10}{statistics.median(floor):>9.0f}{mine / statistics.median(floor):>7.1f} x")
    for name, peer in PEERS.items():
        if speeds[name]:
            theirs = statistics.median(speeds[name])
            print(f"{name:<20}{peer.processes:>10}{theirs:>9.0f}{mine / theirs:>7.1f} x  (wanted: {peer.wanted:g})")
        else:
            print(f"{name:<20}{peer.processes:>10}   skipped: pip could not make its environment")


if __name__ == "__main__":
    main()
