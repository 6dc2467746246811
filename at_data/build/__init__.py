"""A manifest and a corpus folder -> a finished dataset folder. The one place that knows the whole route."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from at_data import cards, headers, shards
from at_data.build import publish, work
from at_data.build.estimate import Estimate, estimate
from at_data.build.plan import Plan, Task, plan
from at_data.build.pool import Pool, locked, unusable
from at_data.build.sift import Sifted, refuse_too_bad, sift
from at_data.errors import ShardError
from at_data.files import settle, write_whole
from at_data.manifest import Manifest
from at_data.stages import leaks

PARTIAL = ".partial"  # ends the name of the folder a build works in

Progress = Callable[[str, int, int, int], None]
"""Called with the phase, what is done of it, all of it (recordings read, items scaled), and how many were bad."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished dataset, and whether this call had to do anything."""

    folder: Path
    header: headers.Header
    fresh: bool


def build(
    manifest: Manifest,
    source: Path,
    out: Path,
    *,
    noise_source: Path | None = None,
    workers: int = 1,
    max_bad: float = 0.01,
    progress: Progress = lambda *_: None,
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
    progress
        Told of every finished shard.

    Raises
    ------
    CorpusError
        The source is not the corpus, or too much of it is bad.
    ManifestError
        The manifest asks for the impossible.
    ShardError
        The output folder is in the way, the disk is full, a worker died. What was finished stays; call again.

    """
    final = out / manifest.folder
    with Pool(workers) as pool:
        progress("plan", 0, 1, 0)
        made = plan(manifest, source, noise_source)
        if final.exists():
            return Built(final, _same(final, made), fresh=False)
        # known before anything is read, so told before anything is read
        refuse_too_bad(made.unlabelled, "unlabelled", made.asked, max_bad, source)
        folder = out / (manifest.folder + PARTIAL)
        try:
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            (folder / "shards").mkdir(exist_ok=True)
            with locked(folder):
                _resume_or_start_over(folder, made)
                header = _complete(folder) or _run(folder, made, pool, max_bad, progress)
                _publish(folder, final)
        except OSError as error:
            raise unusable(error, folder) from error
    return Built(final, header, fresh=True)


def _same(final: Path, made: Plan) -> headers.Header:
    header = headers.read(final)
    if (header.digest, header.listing) != (made.manifest.digest, made.listing):
        what = "another manifest" if header.digest != made.manifest.digest else "other recordings"
        raise ShardError(
            final,
            f"a dataset of {what} lies here (digest {header.digest[:8]}, listing {header.listing[:8]})",
            f"digest {made.manifest.digest[:8]} and listing {made.listing[:8]}, or nothing",
            "choose another --out, or move that folder away; it was not touched",
        )
    return header


def _resume_or_start_over(folder: Path, made: Plan) -> None:
    """What an earlier call finished stays when it belongs to the same plan."""
    mark = folder / "plan.json"
    facts = {"digest": made.manifest.digest, "listing": made.listing, "format": headers.FORMAT}
    header = _complete(folder)
    if header and (header.digest, header.listing) == (made.manifest.digest, made.listing):
        return
    if _read_mark(mark) != facts:
        (folder / "dataset.json").unlink(missing_ok=True)
        for name in ("parts", "shards"):
            shutil.rmtree(folder / name)
            (folder / name).mkdir()
        write_whole(mark, json.dumps(facts))


def _read_mark(mark: Path) -> Any:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # absent, or torn by a crash: not ours to carry on


def _complete(folder: Path) -> headers.Header | None:
    """Header of a folder that lacks its final name alone: it is written after everything else."""
    try:
        return headers.read(folder)
    except ShardError:
        return None


def _missing(folder: Path, made: Plan) -> list[Task]:
    """Tasks without a whole part; until the scale is fixed those with bad recordings too, for files get mended."""
    scaled = any((folder / "shards").glob("*.h5"))
    return [task for task in made.tasks if not _whole(folder, task, bad_too=scaled)]


def _whole(folder: Path, task: Task, *, bad_too: bool) -> bool:
    """Whether a task's part, or the shard made of it, is there to the last byte."""
    try:
        summary = work.read_summary(folder, task.number)
    except (OSError, ValueError, KeyError):
        return False
    if (folder / task.file).is_file():
        return True
    return (bad_too or not summary.bad) and work.part_is_whole(folder, task.number, summary)


def _run(folder: Path, made: Plan, pool: Pool, max_bad: float, progress: Progress) -> headers.Header:
    summaries = _build_parts(folder, made, pool, progress)
    quarantine = folder / "quarantine.jsonl"
    publish.write_quarantine(quarantine, (entry for summary in summaries for entry in summary.left_out))
    sifted = sift(made, summaries, max_bad, quarantine)
    pairs = zip(made.tasks, sifted.items, strict=True)
    train = (item for task, kept in pairs if task.split == "train" for item in kept)
    scale = publish.scale_of(train, made.manifest.scaling.kind)
    hashes = _finish_shards(folder, publish.finish_tasks(made, sifted, scale), pool, progress)
    proof = _proof(made, sifted)
    duplicates = publish.write_duplicates(folder / "duplicates.csv", made, sifted)
    files = _write_tables(folder, made, sifted, proof)
    header = publish.header(made, sifted, hashes, scale, duplicates, files)
    (folder / "README.md").write_text(cards.card(header, proof), encoding="utf-8")
    headers.write(folder, header)
    return header


def _build_parts(folder: Path, made: Plan, pool: Pool, progress: Progress) -> list[work.Summary]:
    missing = _missing(folder, made)
    done = len(made.recordings) - sum(len(task.recordings) for task in missing)
    bad = 0
    progress("read", done, len(made.recordings), bad)
    for task, lost in pool.run(work.build_part, missing, folder):
        done, bad = done + len(task.recordings), bad + lost
        progress("read", done, len(made.recordings), bad)
    return [work.read_summary(folder, task.number) for task in made.tasks]


def _finish_shards(folder: Path, tasks: Sequence[work.Finish], pool: Pool, progress: Progress) -> list[str]:
    total = sum(len(task.rows) for task in tasks)
    hashes = {task.number: shards.sha256(folder / task.file) for task in tasks if (folder / task.file).is_file()}
    done = sum(len(task.rows) for task in tasks if task.number in hashes)
    progress("scale", done, total, 0)
    for task, digest in pool.run(work.finish_shard, [task for task in tasks if task.number not in hashes], folder):
        hashes[task.number] = digest
        done += len(task.rows)
        progress("scale", done, total, 0)
    return [hashes[task.number] for task in tasks]


def _proof(made: Plan, sifted: Sifted) -> list[leaks.Line]:
    """The whole proof: groups as planned, then waveforms and noise files as used."""
    by_split: dict[str, set[str]] = {task.split: set() for task in made.tasks}
    for task, kept in zip(made.tasks, sifted.items, strict=True):
        by_split[task.split].update(sifted.waveforms[item.recording.id] for item in kept)
    proof = [*made.proof, *leaks.prove_disjoint("waveform", by_split, waived=made.manifest.duplicates == "keep")]
    if made.noise:
        same = made.noise.same
        noises = {
            split: {same.get(noise.path, noise.path) for noise in files} for split, files in made.noise.by_split.items()
        }
        proof += leaks.prove_disjoint("noise file", noises)
    return proof


def _write_tables(folder: Path, made: Plan, sifted: Sifted, proof: Sequence[leaks.Line]) -> dict[str, str]:
    """SHA-256 of every table beside the shards, once all are written."""
    publish.write_index(folder / "index.parquet", made, sifted)
    publish.write_splits(folder / "splits.csv", made, sifted)
    publish.write_leaks(folder / "leaks.json", proof)
    publish.write_quarantine(folder / "quarantine.jsonl", sifted.left_out)
    names = ("duplicates.csv", "index.parquet", "leaks.json", "quarantine.jsonl", "splits.csv")
    return {name: shards.sha256(folder / name) for name in names}


def _publish(folder: Path, final: Path) -> None:
    """The folder takes its final name once everything in it is on disk."""
    shutil.rmtree(folder / "parts", ignore_errors=True)
    for name in ("plan.json", ".lock"):
        (folder / name).unlink(missing_ok=True)
    settle(folder)
    folder.rename(final)


__all__ = ["Built", "Estimate", "Plan", "Progress", "Task", "build", "estimate", "plan"]
