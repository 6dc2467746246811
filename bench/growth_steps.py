"""The steps of preparation and of reading at one size, each timed in a process of its own (for `bench_growth.py`).

    python bench/growth_steps.py parent 10000 FOLDER
    python bench/growth_steps.py built 10000 FOLDER [--workers 2] [--per-shard 256]

`parent` plans a list of recordings that are not there and makes up what workers would tell of them; then comes all that
the one process does whom the workers wait for. `built` builds, verifies and opens a dataset of items of 50 ms. Printed
is one JSON object: for each step seconds of processor time (of `build` seconds by the clock) and the highest resident
memory of the process while it lasted, in MB.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import torch
import yaml

from at_data import build, cards, headers, manifest, shards
from at_data.build import parts, proof, publish, sources, tables
from at_data.build.parts import Row, Summary
from at_data.build.plan import Plan, plan
from at_data.build.sift import sift
from at_data.build.unswept import unswept
from at_data.stages import duplicates
from at_data.verify import verify
from at_data.verify.inside import look
from at_train.batches import Data, epoch_batches, order

T = TypeVar("T")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS, TAKES = 3000, 30_000
FINGERPRINT = 62  # words of one second
RATE_HZ, ITEM_S, FILE_ITEMS = 8000, 0.05, 1000
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Steps:
    """Seconds and peak memory of steps, by name."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str, step: Callable[[], T], clock: Callable[[], float] = time.process_time) -> T:
        """What a step gives; how long it took and what it held is noted."""
        with suppress(OSError):
            PEAK.write_text("5")  # Linux counts the peak from here on
        began = clock()
        found = step()
        self.taken[name] = (clock() - began, _peak_mb())
        return found


def _peak_mb() -> float:
    with suppress(OSError, IndexError):
        return int(STATUS.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def settings(per_shard: int, length_s: float) -> manifest.Manifest:
    """Manifest of the made-up corpus."""
    raw = yaml.safe_load(manifest.shipped()["fsdd_digit_by_speaker"].read_text())
    raw |= {"name": "growth", "corpus": "table", "target": "word", "nuisances": ["speaker"], "keep": {}, "shared": []}
    raw |= {"split": {"by": "speaker", "method": "balanced", "train": 0.7, "valid": 0.2, "test": 0.1}}
    raw["audio"]["sample_rate_hz"] = RATE_HZ
    raw["segment"] |= {"length_s": length_s, "hop_s": length_s}
    raw["store"]["recordings_per_shard"] = per_shard
    return manifest.parse(raw, "bench")


def listed(folder: Path, items: int, *, stretches: bool) -> Path:
    """Folder with a list of recordings: of files that are not there, or of stretches of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "recordings.csv").open("w", encoding="utf-8") as file:
        file.write("path,word,speaker" + (",start_s,length_s\n" if stretches else "\n"))
        for number in range(items):
            word, speaker = WORDS[number % 10], f"{number // 10 % min(SPEAKERS, items // 20):08x}"
            path = f"{word}/{speaker}_nohash_{number // TAKES}_{number % TAKES}.wav"
            where = f",{number % FILE_ITEMS * ITEM_S:.2f},{ITEM_S}" if stretches else ""
            file.write(
                f"{number // FILE_ITEMS}.wav,{word},{speaker}{where}\n" if stretches else f"{path},{word},{speaker}\n"
            )
    dice = np.random.default_rng(1)
    for number in range(-(-items // FILE_ITEMS) if stretches else 0):
        noise = dice.normal(0, 0.1, int(FILE_ITEMS * ITEM_S * RATE_HZ))
        soundfile.write(folder / f"{number}.wav", noise, RATE_HZ)
    return folder


def made_up(made: Plan, folder: Path) -> None:
    """What workers would leave: a summary of every task, and fingerprints that hold no near-duplicates."""
    dice = np.random.default_rng(2)
    # words that change slowly, half of their bits by chance, as those of speech do
    steps = dice.integers(0, 1 << 32, (40_000, 3), np.uint32)
    pool = np.repeat(steps[:, 0] & (steps[:, 1] | steps[:, 2]), 3)
    for task in made.tasks:
        count = len(task.recordings)
        hashes = [text.hex() for text in np.frombuffer(dice.bytes(16 * count), "V16").tolist()]
        runs = dice.integers(0, pool.size - 7, (count, FINGERPRINT // 6 + 1, 1)) + np.arange(6)
        words = pool[runs].reshape(count, -1)[:, :FINGERPRINT]
        flips = dice.integers(0, 1 << 32, (4, *words.shape), np.uint32)
        words = words ^ (flips[0] & flips[1] & flips[2] & flips[3])  # a bit in sixteen
        parts.words_path(folder, task.number).write_bytes(words.astype("<u4").tobytes())
        names = [recording.id for recording in task.recordings]
        summary = Summary(
            rows=[Row(place, 0, 0.0, (16_254, 1234.5678901 + place, 2345.67890123), None) for place in range(count)],
            waveforms=dict(zip(names, hashes, strict=True)),
            left_out=[],
            sources={
                ("corpus", recording.path): sources.Content(32_044, text)
                for recording, text in zip(task.recordings, hashes, strict=True)
            },
            noises={},
            fingerprints=dict.fromkeys(names, FINGERPRINT),
            part="0" * 32,
            words="0" * 32,
        )
        parts.write_summary(folder, task.number, summary)


def parent(items: int, folder: Path) -> Steps:
    """All that one process does for a build of so many items."""
    source, steps = listed(folder / "corpus", items, stretches=False), Steps()
    for name in ("parts", "shards"):
        (folder / name).mkdir(exist_ok=True)
    made = steps("plan", lambda: plan(settings(256, 1.0), source))
    with unswept():
        made_up(made, folder)
        summaries = steps("read summaries", lambda: [parts.read_summary(folder, t.number) for t in made.tasks])
        heard = zip(made.tasks, summaries, strict=True)
        words = dict(entry for task, summary in heard for entry in parts.read_words(folder, task.number, summary))
        places = made.places
        steps("near-duplicates (all cores)", lambda: duplicates.near(words, places))
        sifted = steps("sift", lambda: sift(made, summaries, words, 0.01, folder, lambda *_: []))
        lines = steps("prove", lambda: proof.prove(made, sifted))
        contents = sources.merged(summary.sources for summary in summaries)
        train = [item for task, kept in zip(made.tasks, sifted.items, strict=True) for item in kept]
        scale = steps("scale", lambda: publish.scale_of(train, "standard"))
        finish = steps("tasks of the shards", lambda: publish.finish_tasks(made, sifted, scale, summaries))
        steps("index.parquet", lambda: tables.write_index(folder / "index.parquet", made, sifted))
        steps("splits.csv", lambda: tables.write_splits(folder / "splits.csv", made, sifted))
        tables.write_leaks(folder / "leaks.json", lines)
        tables.write_quarantine(folder / "quarantine.jsonl", sifted.left_out)
        tables.write_passed_over(folder / "passed_over.parquet", made)
        fingerprints = folder / "fingerprints.parquet"
        steps("fingerprints.parquet", lambda: tables.write_fingerprints(fingerprints, made, sifted))
        steps("sources.csv", lambda: sources.write(folder / "sources.csv", contents))
        twins = steps("duplicates.csv", lambda: tables.write_duplicates(folder / "duplicates.csv", made, sifted))
        files = {name: shards.sha256(folder / name) for name in tables.NAMES}
        hashes = ["0" * 64] * len(finish)
        header = steps("header", lambda: publish.header(made, sifted, hashes, scale, twins, files))
        steps("card", lambda: cards.card(header, lines))
        headers.write(folder, header)
    del summaries, words, places, sifted, contents, train, finish, made
    found: dict[str, Any] = steps("verify the tables", lambda: look((str(folder), None)))
    assert not found["problems"], found["problems"]
    return steps


def built(items: int, folder: Path, workers: int, per_shard: int) -> Steps:
    """A build of so many tiny items, and what is done with the dataset."""
    source, steps = listed(folder / "corpus", items, stretches=True), Steps()
    wanted = settings(per_shard, ITEM_S)
    made = steps(
        "build", lambda: build.build(wanted, source, folder / "out", workers=workers, max_bad=0.5), time.perf_counter
    )
    problems = steps("verify", lambda: verify(made.folder), time.perf_counter)
    assert not problems, problems
    data = steps("fit: open", lambda: Data.open(made.folder))
    train = data.splits["train"]
    steps("fit: ids", lambda: len(train.ids))
    steps("fit: order of an epoch", lambda: order(1, 1, len(train)))
    cpu = torch.device("cpu")
    steps("fit: batches of an epoch", lambda: sum(len(batch.ids) for batch in epoch_batches(train, 64, 1, 1, cpu)))
    return steps


def main() -> None:
    """Measure one size and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("parent", "built"))
    parser.add_argument("items", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--per-shard", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.kind == "parent":
        steps = parent(arguments.items, arguments.folder)
    else:
        steps = built(arguments.items, arguments.folder, arguments.workers, arguments.per_shard)
    json.dump(steps.taken, sys.stdout)


if __name__ == "__main__":
    main()
