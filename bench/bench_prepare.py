"""Preparation against the floor of bare library loops over the same files, for every kind of file and length.

    python bench/bench_prepare.py [--full] [--only wav44:1 --only words:4] [--rounds 3]

Per core: the floor in one process against `at-prepare build --workers 1`, whose reading is done in one worker. The
scaled floor does what has to be done where all items are scaled alike, and nothing else either (`floors.py`). `whole`
counts everything, from the start of Python to its end; `steady` is what every further item costs, from the difference
between a corpus and a quarter of it; `cpu` is the same in seconds of processors, the parent's among them, which others
at work on the machine disturb less. Rounds alternate.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from functools import partial
from pathlib import Path

import floors
import processes
import sounds

WANTED, WANTED_TWO = 0.9, 1.9
OUT = sounds.WORK / "datasets_prepare"
CHOSEN = ("wav16:1", "wav44:1", "wav48:4", "flac16:15", "ogg44:4", "mp3_44:4", "words:4")
WORD_ITEMS = ("words:1", "words:4")


def corpus(row: str) -> sounds.Corpus:
    """Corpus of a row of the table, written kind:seconds."""
    kind, _, length_s = row.partition(":")
    return sounds.words(float(length_s)) if kind == "words" else sounds.files(sounds.KINDS[kind], float(length_s))


def every() -> list[str]:
    """All rows: kinds of files in all lengths, and words."""
    return [f"{kind}:{length_s:g}" for kind in sounds.KINDS for length_s in sounds.ITEMS] + [*WORD_ITEMS]


def build(made: sounds.Corpus, listed: Path, workers: int) -> tuple[float, float]:
    """Seconds of the whole command, by the clock and of all processors; it has to keep every item."""
    shutil.rmtree(OUT, ignore_errors=True)
    tool = Path(sys.executable).parent / "at-prepare"
    spent = processes.run(
        [tool, "build", made.manifest, "--source", listed, "--out", OUT, "--workers", workers, "--ignore-free-space"]
    )
    (header,) = OUT.glob("*/dataset.json")
    held, expected = sum(json.loads(header.read_text())["counts"].values()), len(floors.stretches(listed))
    if held != expected:
        sys.exit(f"{header}: {held} items, expected {expected}: the sounds are too much alike")
    return spent.wall_s, spent.cpu_s


def measure(made: sounds.Corpus, rounds: int) -> list[tuple[float, float]]:
    """Medians, by the clock and of processors, of: floor, short list, full list by one process; the same by two.

    The last are those of the scaled floor by one process.
    """
    steps = [
        step
        for processes in (1, 2)
        for step in (
            partial(floors.seconds, made, processes),
            partial(build, made, made.short, processes),
            partial(build, made, made.full, processes),
        )
    ]
    steps.append(partial(floors.seconds, made, 1, floors.prepare_scaled))
    taken = []
    for _ in range(rounds):
        found = []
        for step in steps:
            floors.warm(made)  # a system may give back the memory of files within seconds
            found.append(step())
        taken.append(found)
    return [
        (statistics.median(wall_s for wall_s, _ in column), statistics.median(cpu_s for _, cpu_s in column))
        for column in zip(*taken, strict=True)
    ]


def row(name: str, made: sounds.Corpus, rounds: int) -> tuple[float, float]:
    """Print a row; its steady ratio, and how much faster two workers are."""
    floor_1, short_1, full_1, floor_2, short_2, full_2, scaled_1 = measure(made, rounds)
    further = made.items - made.fewer
    floor_us, floor_cpu_us = (1e6 * seconds / made.items for seconds in floor_1)
    steady_us, steady_cpu_us = (1e6 * (full - short) / further for full, short in zip(full_1, short_1, strict=True))
    two = (full_1[0] - short_1[0]) / (full_2[0] - short_2[0])
    print(
        f"{name:<10}{made.items:>6}{floor_us:>9.0f}{steady_us:>9.0f}{floor_us / steady_us:>8.2f}"
        f"{floor_cpu_us / steady_cpu_us:>7.2f}{floor_1[0] / full_1[0]:>8.2f}"
        f"{1e6 * scaled_1[0] / made.items / steady_us:>9.2f}"
        f"{floor_1[0] / floor_2[0]:>11.2f}{two:>8.2f}{full_1[0] / full_2[0]:>8.2f}",
        flush=True,
    )
    return floor_us / steady_us, two


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all kinds in all lengths: about half an hour")
    parser.add_argument("--only", action="append", choices=every(), help="this row; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rows = arguments.only or (every() if arguments.full else CHOSEN)
    made = {name: corpus(name) for name in rows}
    print(f"# bench_prepare: medians of {arguments.rounds} rounds; microseconds an item, by one process")
    print(f"{'':<16}{'microseconds':>18}{'ratio to the floor':>23}{'to the scaled':>16}{'two processes to one':>23}")
    print("file:s     items    floor   steady  steady    cpu   whole   steady      floor  steady   whole")
    found = {name: row(name, made[name], arguments.rounds) for name in rows}
    shutil.rmtree(OUT, ignore_errors=True)
    long = [ratio for name, (ratio, _) in found.items() if name.partition(":")[2] != "0.5"]
    print(f"least steady ratio, 1 s and longer:  {min(long, default=0):.2f}  (wanted: {WANTED})")
    print(f"median of two workers to one:        {statistics.median(t for _, t in found.values()):.2f}", end="")
    print(f"  (wanted: {WANTED_TWO}, of the floor's own 2)")
    print(f"64 KiB of a new file:                {floors.write_us():.0f} microseconds to write")


if __name__ == "__main__":
    main()
