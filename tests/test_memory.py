"""Memory of the process that leads a build does not grow with the corpus."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from at_data import manifest, rolls, scratch
from at_data.build import alike, compact, due, item_index, parts, plan, proof, publish, sources, tables, told
from at_data.build.plan import Plan
from at_data.build.sift import sift
from at_data.rolls import assignment, columns, texts

FEWER, MORE = 500, 2_000
SMALL = 256  # rows, strings and bytes that are held at a time here, so that so few recordings fill them many times
WORDS, REAL = 12, (0, 126)
BYTES = 60  # of an added recording, at most: its id alone, as an object of Python, takes more


def listed(folder: Path, count: int) -> Path:
    """A list of recordings that are not there."""
    folder.mkdir(parents=True)
    rows = [f"{n % 7}/{n // 10 % 40:05d}_{n:07d}.wav,{n % 10},{n // 10 % 40}" for n in range(count)]
    (folder / "recordings.csv").write_text("path,word,speaker\n" + "\n".join(rows), encoding="utf-8")
    return folder


def tell(made: Plan, folder: Path) -> None:
    """Leave what workers would, had they read the recordings."""
    (folder / "parts").mkdir(parents=True)
    dice = np.random.default_rng(1)
    for task in made.tasks:
        count, ids = len(task.recordings), [recording.id for recording in task.recordings]
        hashes = [dice.bytes(16).hex() for _ in ids]
        words = dice.integers(0, 1 << 32, (count, WORDS), np.uint32)
        parts.words_path(folder, task.number).write_bytes(words.astype("<u4").tobytes())
        paths = [("corpus", recording.path) for recording in task.recordings]
        summary = parts.Summary(
            rows=parts.by_column([parts.Row(n, 0, 0.0, 126 * n, REAL, (16_254, 1.0, 2.0), None) for n in range(count)]),
            waveforms=dict(zip(ids, hashes, strict=True)),
            left_out=[],
            sources={key: sources.Content(32_044, digest) for key, digest in zip(paths, hashes, strict=True)},
            noises={},
            fingerprints=dict.fromkeys(ids, WORDS),
            part="0" * 32,
            words="0" * 32,
        )
        parts.write_summary(folder, task.number, summary)


def sum_up(made: Plan, folder: Path) -> None:
    """All that the one process does once the recordings are read; the search for near-duplicates is its workers'."""
    said = told.told(folder, made)
    said.files.merge()
    sifted = sift(made, said, 0.01, folder, lambda *_: [])
    lines = proof.prove(made, sifted)
    scale = publish.scale_of(sifted.items, "standard")
    keys = [task.key for task in due.due(made, sifted, scale, said.parts)]
    item_index.write_index(folder / "index.parquet", made, sifted)
    tables.write_splits(folder / "splits.csv", made, sifted)
    tables.write_leaks(folder / "leaks.json", lines)
    tables.write_passed_over(folder / "passed_over.parquet", made)
    tables.write_fingerprints(folder / "fingerprints.parquet", made, sifted)
    sources.write(folder / "sources.csv", said.files.entries())
    twins = tables.write_duplicates(folder / "duplicates.csv", made, sifted)
    publish.header(made, sifted, ["0" * 64] * len(keys), scale, twins, {})


def peak(step: Callable[[], Any]) -> tuple[int, Any]:
    """Most bytes that Python and numpy held during a step, and what it gave."""
    tracemalloc.start()
    try:
        found = step()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rolls, texts, columns, assignment, compact, sources, alike):
        monkeypatch.setattr(module, "CHUNK", SMALL)
    for module in (tables, item_index):
        monkeypatch.setattr(module, "GROUP", SMALL)
    monkeypatch.setattr(scratch, "SMALL_BYTES", SMALL)
    monkeypatch.setattr(scratch, "BUFFER_BYTES", 4 * SMALL)


@pytest.mark.usefixtures("small")
def test_a_recording_more_takes_next_to_no_memory(settings: dict[str, Any], tmp_path: Path) -> None:
    raw = settings | {"corpus": "table", "target": "word", "nuisances": ["speaker"], "keep": {}, "shared": []}
    raw |= {"store": settings["store"] | {"recordings_per_shard": SMALL}}
    wanted = manifest.parse(raw, "here")
    peaks: list[tuple[int, int]] = []
    for count in (FEWER, FEWER, MORE):  # the first loads what is loaded once
        folder = tmp_path / str(len(peaks))
        source = listed(folder / "corpus", count)
        planned, made = peak(lambda source=source: plan(wanted, source))
        assert len(made.recordings) == count
        tell(made, folder)
        peaks.append((planned, peak(lambda made=made, folder=folder: sum_up(made, folder))[0]))
    for before, after in zip(peaks[1], peaks[2], strict=True):
        assert (after - before) / (MORE - FEWER) < BYTES
