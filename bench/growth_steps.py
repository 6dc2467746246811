"""The steps of preparation and of reading at one size, each timed in a process of its own (for `bench_growth.py`).

    python bench/growth_steps.py floors 10000 FOLDER
    python bench/growth_steps.py parent 10000 FOLDER; python bench/growth_steps.py checked 10000 FOLDER
    python bench/growth_steps.py built 10000 FOLDER [--workers 2] [--per-shard 256]
    python bench/growth_steps.py reported 100 FOLDER

`parent` plans a list of recordings that are not there and makes up what workers would tell of them; then comes all that
the one process does whom the workers wait for; `checked` verifies the tables that it leaves. `built` builds, verifies
and opens a dataset of items of 50 ms, `reported` reports on made-up runs. `floors` is what bare Python and numpy take
for as many names. Printed is one JSON object: for each step seconds of processor time (of `build` and `verify` seconds
by the clock), and in MB the most memory of its own that was seen of the process while it lasted (pages of files, which
the system may take back, are not its own).
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import yaml

from at_data import build, cards, headers, manifest, shards
from at_data.build import alike, due, item_index, parts, proof, publish, sources, tables, told
from at_data.build.parts import Row, Summary
from at_data.build.plan import Plan, plan
from at_data.build.sift import sift
from at_data.unswept import unswept
from at_data.verify import verify
from at_data.verify.inside import look

T = TypeVar("T")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS, TAKES = 3000, 30_000
FINGERPRINT = 62  # words of one second
VOCABULARY, DENSE = 100_000, 0.58
RATE_HZ, ITEM_S, FILE_ITEMS = 8000, 0.05, 1000
STATUS = Path("/proc/self/status")
ASK_EVERY_S = 0.01


class Steps:
    """Seconds and peak memory of steps, by name."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str, step: Callable[[], T], clock: Callable[[], float] = time.process_time) -> T:
        """What a step gives; how long it took and what it held is noted."""
        began = clock()
        with _watched() as seen_mb:
            found = step()
        self.taken[name] = (clock() - began, max(seen_mb))
        return found


@contextmanager
def _watched() -> Iterator[list[float]]:
    """Memory of this process of its own, looked at again and again (Linux)."""
    seen_mb = [_own_mb()]
    done = threading.Event()

    def look() -> None:
        while not done.wait(ASK_EVERY_S):
            seen_mb.append(_own_mb())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen_mb
    finally:
        done.set()
        thread.join()
        seen_mb.append(_own_mb())


def _own_mb() -> float:
    told = STATUS.read_text()
    return sum(int(told.split(f"{name}:")[1].split(maxsplit=1)[0]) for name in ("RssAnon", "RssShmem")) / 1024


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
            word, speaker = WORDS[number % 10], _speaker(number, items)
            where = f",{number % FILE_ITEMS * ITEM_S:.2f},{ITEM_S}" if stretches else ""
            file.write(
                f"{number // FILE_ITEMS}.wav,{word},{speaker}{where}\n"
                if stretches
                else f"{_path(number, items)},{word},{speaker}\n"
            )
    dice = np.random.default_rng(1)
    for number in range(-(-items // FILE_ITEMS) if stretches else 0):
        noise = dice.normal(0, 0.1, int(FILE_ITEMS * ITEM_S * RATE_HZ))
        soundfile.write(folder / f"{number}.wav", noise, RATE_HZ)
    return folder


def _speaker(number: int, items: int) -> str:
    return f"{number // 10 % min(SPEAKERS, items // 20):08x}"


def _path(number: int, items: int) -> str:
    """Path of a recording that is not there."""
    return f"{WORDS[number % 10]}/{_speaker(number, items)}_nohash_{number // TAKES}_{number % TAKES}.wav"


def made_up(made: Plan, folder: Path) -> None:
    """What workers would leave: a summary of every task, and fingerprints that hold no near-duplicates.

    Words change slowly; few are common and most are rare, and of four in ten so few bits are set that nobody looks
    them up. Numbers were chosen so that as many pairs come to a first look as of 700 to 6,450 real recordings of
    speech: 5 to 20 a recording.
    """
    dice = np.random.default_rng(2)
    steps = dice.integers(0, 1 << 32, (VOCABULARY, 5), np.uint32)
    dense = steps[:, 0] & (steps[:, 1] | steps[:, 2])
    pool = np.repeat(np.where(dice.random(VOCABULARY) < DENSE, dense, dense & steps[:, 3] & steps[:, 4]), 3)
    for task in made.tasks:
        count = len(task.recordings)
        hashes = [text.hex() for text in np.frombuffer(dice.bytes(16 * count), "V16").tolist()]
        first = (pool.size - 7) * dice.random((count, FINGERPRINT // 6 + 1, 1)) ** 2
        runs = first.astype(np.int64) + np.arange(6)
        words = pool[runs].reshape(count, -1)[:, :FINGERPRINT]
        flips = dice.integers(0, 1 << 32, (4, *words.shape), np.uint32)
        words = words ^ (flips[0] & flips[1] & flips[2] & flips[3])  # a bit in sixteen
        parts.words_path(folder, task.number).write_bytes(words.astype("<u4").tobytes())
        names = [recording.id for recording in task.recordings]
        summary = Summary(
            rows=parts.by_column(
                [Row(p, 0, 0.0, 126 * p, (0, 126), (16_254, 1234.567 + p, 2345.678), None) for p in range(count)]
            ),
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


def floors(items: int) -> Steps:
    """What bare Python and numpy take to sort names, to look each up, and to gather numbers from random places."""
    names, steps = [_path(number, items) for number in range(items)], Steps()
    dice = np.random.default_rng(3)
    mixed = [names[place] for place in dice.permutation(len(names)).tolist()]
    known = {name: number for number, name in enumerate(names)}
    words = dice.integers(0, 1 << 32, FINGERPRINT * len(names), np.uint32)
    places = dice.integers(0, words.size, words.size)
    steps("floor: sort names", lambda: sorted(mixed))
    steps("floor: look names up", lambda: [known[name] for name in mixed])
    steps("floor: gather words", lambda: words[places])
    return steps


def parent(items: int, folder: Path) -> Steps:
    """All that one process does for a build of so many items."""
    source, steps = listed(folder / "corpus", items, stretches=False), Steps()
    for name in ("parts", "shards"):
        (folder / name).mkdir(exist_ok=True)
    made = steps("plan", lambda: plan(settings(256, 1.0), source))
    with unswept():
        made_up(made, folder)
        said = steps("read summaries", lambda: told.told(folder, made))
        steps("near-duplicates (all cores)", lambda: alike.pairs(said.words, made.places))
        sifted = steps("sift", lambda: sift(made, said, 0.01, folder, lambda *_: []))
        lines = steps("prove", lambda: proof.prove(made, sifted))
        steps("merge the sources", said.files.merge)
        scale = steps("scale", lambda: publish.scale_of(sifted.items, "standard"))
        finish = due.due(made, sifted, scale, said.parts)
        steps("tasks of the shards", lambda: [task.key for task in finish])
        steps("index.parquet", lambda: item_index.write_index(folder / "index.parquet", made, sifted))
        steps("splits.csv", lambda: tables.write_splits(folder / "splits.csv", made, sifted))
        tables.write_leaks(folder / "leaks.json", lines)
        tables.write_quarantine(folder / "quarantine.jsonl", sifted.left_out)
        tables.write_passed_over(folder / "passed_over.parquet", made)
        fingerprints = folder / "fingerprints.parquet"
        steps("fingerprints.parquet", lambda: tables.write_fingerprints(fingerprints, made, sifted))
        steps("sources.csv", lambda: sources.write(folder / "sources.csv", said.files.entries()))
        twins = steps("duplicates.csv", lambda: tables.write_duplicates(folder / "duplicates.csv", made, sifted))
        files = {name: shards.sha256(folder / name) for name in tables.NAMES}
        hashes = ["0" * 64] * len(finish)
        header = steps("header", lambda: publish.header(made, sifted, hashes, scale, twins, files))
        steps("card", lambda: cards.card(header, lines))
        headers.write(folder, header)
    return steps


def checked(folder: Path) -> Steps:
    """The tables that `parent` has left, looked at."""
    steps = Steps()
    found: dict[str, Any] = steps("verify the tables", lambda: look((str(folder), None)))
    assert not found["problems"], found["problems"]
    return steps


def built(items: int, folder: Path, workers: int, per_shard: int) -> Steps:
    """A build of so many tiny items, and what is done with the dataset."""
    import torch  # noqa: PLC0415 - those who plan have nothing to do with it, and it takes memory

    from at_train.batches import Data, epoch_batches, order  # noqa: PLC0415

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


def reported(runs: int, folder: Path) -> Steps:
    """A report on so many runs."""
    import growth_runs  # noqa: PLC0415 - torch and matplotlib, which those who plan have nothing to do with

    from at_train import report  # noqa: PLC0415

    report.report(growth_runs.make(folder / "first", 2 * growth_runs.SEEDS), folder / "first_report")  # loads all
    made, steps = growth_runs.make(folder / "runs", runs), Steps()
    material = steps("report: read the runs", lambda: report.gather(made))
    steps("report: tables as text", lambda: report.comparison_text(material))
    steps("report: page and pictures", lambda: report.write(material, folder / "report"))
    return steps


def main() -> None:
    """Measure one size and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("floors", "parent", "checked", "built", "reported"))
    parser.add_argument("items", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--per-shard", type=int, default=256)
    arguments = parser.parse_args()
    if arguments.kind == "floors":
        steps = floors(arguments.items)
    elif arguments.kind == "parent":
        steps = parent(arguments.items, arguments.folder)
    elif arguments.kind == "checked":
        steps = checked(arguments.folder)
    elif arguments.kind == "reported":
        steps = reported(arguments.items, arguments.folder)
    else:
        steps = built(arguments.items, arguments.folder, arguments.workers, arguments.per_shard)
    json.dump(steps.taken, sys.stdout)


if __name__ == "__main__":
    main()
