"""A manifest and a corpus folder -> a finished dataset folder. The one place that knows the whole route."""

import shutil
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from at_data import cards, headers, shards
from at_data.build import (
    alike,
    due,
    earlier,
    item_index,
    proof,
    publish,
    sources,
    stopwatch,
    strangers,
    tables,
    told,
    work,
)
from at_data.build.earlier import Tell
from at_data.build.estimates import Estimate, estimate, space
from at_data.build.finish import finish_shard, give_name
from at_data.build.locks import locked
from at_data.build.plan import Plan, Task, plan
from at_data.build.pool import Pool
from at_data.build.sift import Sifted, sift, too_unlabelled
from at_data.build.worker import unusable
from at_data.files import force, settle, settle_name
from at_data.manifest import Manifest
from at_data.stages import leaks
from at_data.unswept import unswept

PARTIAL = ".partial"  # ends the name of the folder a build works in
BESIDE = 4  # threads that write tables and force shards to disk, while this process waits for its workers

Progress = Callable[[str, int, int, int], None]
"""Called with the phase, what is done of it, all of it (recordings read, items scaled), and how many were bad."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished dataset, and whether this call had to do anything."""

    folder: Path
    header: headers.Header
    fresh: bool
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of this process by stage: its own work, and waiting for workers."""
    spent_by_workers: dict[str, float] = field(default_factory=dict)
    """Seconds of all workers together by stage."""


def build(
    manifest: Manifest,
    source: str | Path,
    out: str | Path,
    *,
    noise_source: str | Path | None = None,
    workers: int = 1,
    max_bad: float = 0.01,
    quick: bool = False,
    ignore_free_space: bool = False,
    progress: Progress = lambda *_: None,
    warn: Tell = lambda _: None,
    explain: Tell = lambda _: None,
) -> Built:
    """Dataset of a manifest under `out`: built, carried on, or found finished.

    Parameters
    ----------
    manifest, source, noise_source
        What to build, from which corpus folder, with which noise folder.
    out
        Folder that receives `<name>-<digest8>`.
    workers
        Processes; they change no byte.
    max_bad
        Share of recordings, 0 to 1, that may be bad before the build fails.
    quick
        Of a finished dataset compare the sizes of its source files alone, not their contents.
    ignore_free_space
        Begin although the disk has less free than the build will take.
    progress
        Told of every finished shard.
    warn
        Told of what is doubtful about the corpus, and of what may make the result differ: other versions of libraries
        than an earlier call's.
    explain
        Told of every shard why it is built or not.

    Raises
    ------
    CorpusError
        The source is not the corpus, or too much of it is bad.
    ManifestError
        The manifest asks for the impossible.
    ShardError
        The output folder is in the way, the disk is full, a worker died. What was finished stays; call again.
    ValueError
        `workers` or `max_bad` is out of range.

    """
    if workers < 1 or not 0 <= max_bad <= 1:
        raise ValueError(f"workers={workers}, max_bad={max_bad}: expected 1 or more, and a share from 0 to 1")
    source, out = Path(source), Path(out)
    noise_source = None if noise_source is None else Path(noise_source)
    final = out / manifest.folder
    stopwatch.start()
    stopwatch.taken()
    with Pool(workers) as pool:
        stopwatch.lap("start")
        progress("plan", 0, 1, 0)
        made = plan(manifest, source, noise_source)
        for warning in made.warnings:
            warn(f"{manifest.corpus}: {warning}")
        stopwatch.lap("plan")
        if earlier.named(final):
            header = earlier.same(final, made, pool, quick=quick, explain=explain)
            stopwatch.lap("compare the sources")
            return Built(final, header, False, stopwatch.taken(), pool.spent)
        refusal = too_unlabelled(made, source, max_bad)
        if refusal is not None:  # known before anything is read, so told before anything is read
            raise refusal
        folder = out / (manifest.folder + PARTIAL)
        try:
            if not ignore_free_space:
                space.refuse_too_small(made, folder, workers)
            stopwatch.lap("estimate the space")
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder) as pool.hold:
                if earlier.named(final):  # another call has published it since
                    header = earlier.same(final, made, pool, quick=quick, explain=explain)
                    shutil.rmtree(folder)
                    return Built(final, header, False, stopwatch.taken(), pool.spent)
                strangers.refuse(folder)
                for name in ("parts", "shards"):
                    (folder / name).mkdir(exist_ok=True)
                earlier.take_over(folder, made, warn, explain)
                header = earlier.complete(folder, made) or _run(folder, made, pool, max_bad, progress, explain)
                _publish(folder, final, header)
                stopwatch.lap("publish")
        except OSError as error:
            raise unusable(error, folder) from error
    return Built(final, header, True, stopwatch.taken(), pool.spent)


@unswept()
def _run(folder: Path, made: Plan, pool: Pool, max_bad: float, progress: Progress, explain: Tell) -> headers.Header:
    missing = earlier.missing(folder, made, pool, explain)
    stopwatch.lap("look at what is there")
    said = _build_parts(folder, made, missing, pool, progress)
    quarantine = folder / "quarantine.jsonl"
    tables.write_quarantine(quarantine, chain.from_iterable(said.left_out[: len(made.tasks)]))
    stopwatch.lap("read the summaries")
    said.files.merge()
    sifted = sift(made, said, max_bad, quarantine, alike.spread(folder, pool))
    stopwatch.lap("look for duplicates")
    lines = proof.prove(made, sifted)
    leaks.refuse(lines, made.manifest.name)
    stopwatch.lap("prove")
    proof.refuse_recordings_as_noise(made, sifted, said.files)
    train = (kept for kept in sifted.items if kept.task.split == "train")
    scale = publish.scale_of(train, made.manifest.scaling.kind)
    finish = due.due(made, sifted, scale, said.parts[: len(made.tasks)])
    there = earlier.revive(folder, made, finish, pool, explain)
    stopwatch.lap("measure the scale")
    with ThreadPoolExecutor(BESIDE) as beside:  # which lets go when shards that were written have their names
        written = beside.submit(_write_tables, folder, made, sifted, lines, said.files)
        hashes = _finish_shards(folder, finish, there, pool, progress, beside, written)
        stopwatch.lap("wait for the shards")
        duplicates = written.result()
    files = {name: shards.sha256(folder / name) for name in tables.NAMES}
    header = publish.header(made, sifted, hashes, scale, duplicates, files)
    stopwatch.lap("write the tables")
    (folder / "README.md").write_text(cards.card(header, lines), encoding="utf-8")
    stopwatch.lap("write the card")
    _force_all(folder)
    headers.write(folder, header)
    stopwatch.lap("force to disk")
    return header


def _build_parts(folder: Path, made: Plan, missing: Sequence[Task], pool: Pool, progress: Progress) -> told.Told:
    """What all tasks told; each is listened to while workers are at the next ones."""
    telling = told.Telling(folder, made)
    numbers = {task.number for task in missing}
    total = sum(len(task.recordings) for task in (*made.tasks, *made.watched))
    done = total - sum(len(task.recordings) for task in missing)
    bad = 0
    progress("read", done, total, bad)
    for task in (*made.tasks, *made.watched):
        if task.number not in numbers:
            telling.add(task)
    stopwatch.lap("read the summaries")
    for task, lost in pool.run(work.build_part, missing, folder):
        stopwatch.lap("wait for the parts")
        telling.add(task)
        stopwatch.lap("read the summaries")
        done, bad = done + len(task.recordings), bad + lost
        progress("read", done, total, bad)
    return telling.told()


def _finish_shards(
    folder: Path,
    tasks: Sequence[due.Due],
    there: dict[int, str],
    pool: Pool,
    progress: Progress,
    beside: ThreadPoolExecutor,
    written: Future[Any],
) -> list[str]:
    """SHA-256 of every shard, once all are on disk under their names; what fails beside, the tables too, ends it."""
    total = sum(len(task) for task in tasks)
    hashes = dict(there)
    named: deque[Future[None]] = deque()
    done = sum(len(task) for task in tasks if task.number in hashes)
    progress("scale", done, total, 0)
    for task, digest in pool.run(finish_shard, [task for task in tasks if task.number not in hashes], folder):
        hashes[task.number] = digest
        named.append(beside.submit(give_name, folder, task.file, task.number))
        while named and named[0].done():
            named.popleft().result()
        if written.done():
            written.result()
        done += len(task)
        progress("scale", done, total, 0)
    for name in named:
        name.result()
    return [hashes[task.number] for task in tasks]


def _write_tables(
    folder: Path, made: Plan, sifted: Sifted, lines: Sequence[leaks.Line], files: sources.Files
) -> dict[str, int]:
    """Counts of what is in `duplicates.csv`, once all tables are written."""
    item_index.write_index(folder / "index.parquet", made, sifted)
    tables.write_splits(folder / "splits.csv", made, sifted)
    tables.write_leaks(folder / "leaks.json", lines)
    tables.write_quarantine(folder / "quarantine.jsonl", sifted.left_out)
    tables.write_passed_over(folder / "passed_over.parquet", made)
    tables.write_fingerprints(folder / "fingerprints.parquet", made, sifted)
    sources.write(folder / "sources.csv", files.entries())
    return tables.write_duplicates(folder / "duplicates.csv", made, sifted)


def _force_all(folder: Path) -> None:
    """Everything but the header forced to disk: a header that a crash leaves says that all else is whole."""
    settle(folder / "shards")
    for name in (*tables.NAMES, "README.md"):
        force(folder / name)
    force(folder)


def _publish(folder: Path, final: Path, header: headers.Header) -> None:
    """The folder takes its final name once everything in it is on disk, and nothing but the dataset is in it."""
    strangers.sweep(folder, [shard.file for shard in header.shards])
    shutil.rmtree(folder / "parts")
    for name in ("plan.json", ".lock", ".workers"):
        (folder / name).unlink(missing_ok=True)
    settle(folder)
    folder.rename(final)
    settle_name(final)


__all__ = ["Built", "Estimate", "Plan", "Progress", "Task", "build", "estimate", "plan", "too_unlabelled"]
