"""Planning a corpus of 300,000 recordings: time against a bare walk over the same tree, and memory.

    python bench/bench_plan.py [--recordings 300000] [--rounds 3]

The trees hold empty files in the layouts of gsc and of nsynth, which has a label table besides. Measured is everything
`at-prepare plan` does before it tries a few recordings: listing, selecting, splitting, proving, dealing to shards. Each
plan runs in a process of its own; its peak memory holds Python and all libraries.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

from at_data import manifest
from at_data.build import plan

WORK = Path(__file__).parent / "work"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "vocal")
SPEAKERS = 3_000


def make_gsc(folder: Path, recordings: int) -> dict[str, object]:
    """Empty clips of ten words by 3,000 speakers; the manifest that keeps them all."""
    for word in WORDS:
        (folder / word).mkdir(parents=True)
    for number in range(recordings):
        word, speaker = WORDS[number % 10], number // 10 % SPEAKERS
        touch(folder / word / f"{speaker:08x}_nohash_{number // (10 * SPEAKERS)}.wav")
    raw = yaml.safe_load(manifest.shipped()["gsc_words_clean"].read_text())
    return raw | {
        "balance": "none",
        "split": {"by": "speaker", "method": "balanced", "train": 0.7, "valid": 0.2, "test": 0.1},
        "shared": [],
    }


def make_nsynth(folder: Path, recordings: int) -> dict[str, object]:
    """Empty notes of 3,000 instruments and their table, a tenth of them for validation and a tenth for testing."""
    shares = {"train": recordings - 2 * (recordings // 10), "valid": recordings // 10, "test": recordings // 10}
    for part, (subset, share) in enumerate(shares.items()):
        audio = folder / f"nsynth-{subset}" / "audio"
        audio.mkdir(parents=True)
        table = {}
        for number in range(share):
            instrument = f"{FAMILIES[number % 10]}_acoustic_{part}{number // 10 % 100:02d}"
            note = f"{instrument}-{number // 5000 % 128:03d}-{number // 1000 % 5 * 25:03d}"
            note = note if note not in table else f"{instrument}-{number:06d}-100"
            touch(audio / f"{note}.wav")
            table[note] = {
                "note_str": note,
                "instrument_str": instrument,
                "instrument_family": number % 10,
                "instrument_family_str": FAMILIES[number % 10],
                "instrument_source": 0,
                "instrument_source_str": "acoustic",
                "pitch": int(note.split("-")[1]),
                "velocity": int(note.split("-")[2]),
                "qualities": [0] * 10,
                "qualities_str": [],
                "sample_rate": 16000,
                "note": number,
                "instrument": number % 1000,
            }
        (folder / f"nsynth-{subset}" / "examples.json").write_text(json.dumps(table))
    return yaml.safe_load(manifest.shipped()["nsynth_family"].read_text()) | {"balance": "none"}


def touch(path: Path) -> None:
    """Empty file."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def walk(folder: Path) -> float:
    """Seconds of a bare walk that looks at every name."""
    start = time.perf_counter()
    for _ in os.walk(folder):
        pass
    return time.perf_counter() - start


def measure(file: Path, folder: Path) -> None:
    """Plan in this process; prints seconds, megabytes, recordings."""
    start = time.perf_counter()
    made = plan(manifest.load(file), folder)
    took_s = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps([took_s, peak_mb, len(made.recordings)]))


def main() -> None:
    """Make the trees, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    for corpus, make in (("gsc", make_gsc), ("nsynth", make_nsynth)):
        folder = WORK / f"plan_{corpus}"
        shutil.rmtree(folder, ignore_errors=True)
        file = WORK / f"plan_{corpus}.yaml"
        WORK.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(make(folder, arguments.recordings)))
        command = [sys.executable, __file__, "--measure", str(file), str(folder)]
        rounds = [
            (walk(folder), *json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            for _ in range(arguments.rounds)
        ]
        walk_s, plan_s, peak_mb, planned = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"{corpus}: {planned:.0f} recordings planned in {plan_s:.1f} s (wanted under 30), ", end="")
        print(f"{plan_s / walk_s:.0f} times a bare walk, peak {peak_mb:.0f} MB (wanted under 1,000)")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
