"""A manifest and a corpus folder -> a finished dataset folder. The one place that knows the whole route."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from at_data import cards, headers, shards
from at_data.build import parts, publish, sources, tables, work
from at_data.build.estimate import Estimate, estimate, space
from at_data.build.locks import locked
from at_data.build.plan import Plan, Task, plan
from at_data.build.pool import Pool
from at_data.build.sift import Sifted, refuse_too_bad, sift
from at_data.build.worker import unusable
from at_data.errors import CorpusError, ShardError
from at_data.files import force, settle, settle_name, write_whole
from at_data.manifest import Manifest
from at_data.stages import bias, leaks

PARTIAL = ".partial"  # ends the name of the folder a build works in
FILES = 256  # source files looked at in one go
EXAMPLES = 5  # changed files named in an error

Progress = Callable[[str, int, int, int], None]
"""Called with the phase, what is done of it, all of it (recordings read, items scaled), and how many were bad."""

Tell = Callable[[str], None]
"""Called with a line for the user."""


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
        Told of what may make the result differ: other versions of libraries than an earlier call's.
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

    """
    final = out / manifest.folder
    with Pool(workers) as pool:
        progress("plan", 0, 1, 0)
        made = plan(manifest, source, noise_source)
        if final.exists():
            return Built(final, _same(final, made, pool, quick=quick, explain=explain), fresh=False)
        # known before anything is read, so told before anything is read
        refuse_too_bad(made.unlabelled, "unlabelled", made.asked, max_bad, source)
        folder = out / (manifest.folder + PARTIAL)
        try:
            if not ignore_free_space:
                space.refuse_too_small(made, folder, workers)
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            (folder / "shards").mkdir(exist_ok=True)
            with locked(folder) as pool.hold:
                _resume_or_start_over(folder, made, warn, explain)
                header = _complete(folder, made) or _run(folder, made, pool, max_bad, progress, explain)
                _publish(folder, final)
        except OSError as error:
            raise unusable(error, folder) from error
    return Built(final, header, fresh=True)


def _same(final: Path, made: Plan, pool: Pool, *, quick: bool, explain: Tell) -> headers.Header:
    """Header of a finished dataset that is of this plan, and whose sources are as they were."""
    header = headers.read(final)
    if (header.digest, header.listing) != (made.manifest.digest, made.listing):
        what = "another manifest" if header.digest != made.manifest.digest else "other recordings"
        raise ShardError(
            final,
            f"a dataset of {what} lies here (digest {header.digest[:8]}, listing {header.listing[:8]})",
            f"digest {made.manifest.digest[:8]} and listing {made.listing[:8]}, or nothing",
            "choose another --out, or move that folder away; it was not touched",
        )
    contents = sources.read(final / "sources.csv")
    changed = [text for text in _differences(contents, made, pool, quick=quick) if text]
    if changed:
        raise ShardError(
            final,
            f"its source is no longer what it was built from: {'; '.join(changed[:EXAMPLES])}"
            + (f"; and more of {len(contents)} files" if len(changed) > EXAMPLES else ""),
            "the files that sources.csv lists, or no dataset here",
            "restore them, or move that folder away and build again; it was not touched",
        )
    explain(
        f"{final.name}: finished; {len(contents)} source files have the {'sizes' if quick else 'contents'} they had"
    )
    return header


def _differences(contents: sources.Contents, made: Plan, pool: Pool, *, quick: bool) -> Iterator[str | None]:
    keys = sorted(contents)
    pieces = [{key: contents[key] for key in keys[at : at + FILES]} for at in range(0, len(keys), FILES)]
    look = partial(sources.difference, sizes_only=quick)
    for _, text in pool.run(look, pieces, parts.roots(made.tasks[0])):
        yield text


def _resume_or_start_over(folder: Path, made: Plan, warn: Tell, explain: Tell) -> None:
    """What an earlier call finished stays when it belongs to the same plan."""
    mark = folder / "plan.json"
    facts = {"digest": made.manifest.digest, "listing": made.listing, "format": headers.FORMAT}
    if _complete(folder, made):
        return
    versions = publish.versions()
    before = _read_mark(mark)
    if not isinstance(before, dict) or {key: before.get(key) for key in facts} != facts:
        explain(f"{made.manifest.folder}: nothing of this plan is here" + (", another plan's goes" if before else ""))
        (folder / "dataset.json").unlink(missing_ok=True)
        for name in ("parts", "shards"):
            shutil.rmtree(folder / name)
            (folder / name).mkdir()
        write_whole(mark, json.dumps(facts | {"versions": versions}))
    elif before.get("versions") != versions:
        other = sorted(set(dict(before.get("versions") or {}).items()) ^ set(versions.items()))
        warn(
            f"{made.manifest.folder}: an earlier call began this with other versions "
            f"({', '.join(f'{name} {version}' for name, version in other)}); its shards may differ in their last bits: "
            f"remove {folder.name} to begin again"
        )


def _read_mark(mark: Path) -> Any:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # absent, or torn by a crash: not ours to carry on


def _complete(folder: Path, made: Plan) -> headers.Header | None:
    """Header of a folder of this plan that lacks its final name alone: it is written after everything else."""
    try:
        header = headers.read(folder)
    except ShardError:
        return None
    return header if (header.digest, header.listing) == (made.manifest.digest, made.listing) else None


def _missing(folder: Path, made: Plan, pool: Pool, explain: Tell) -> list[Task]:
    """Tasks without a whole part of unchanged sources, in order."""
    tasks = (*made.tasks, *made.watched)
    reasons = {task.number: reason for task, reason in pool.run(parts.unusable, tasks, folder)}
    for task in tasks:
        explain(f"{task.file or task.split}: {reasons[task.number] or 'kept, its source files are as they were'}")
    return [task for task in tasks if reasons[task.number]]


def _run(folder: Path, made: Plan, pool: Pool, max_bad: float, progress: Progress, explain: Tell) -> headers.Header:
    summaries = _build_parts(folder, made, _missing(folder, made, pool, explain), pool, progress)
    quarantine = folder / "quarantine.jsonl"
    tables.write_quarantine(
        quarantine, (entry for summary in summaries[: len(made.tasks)] for entry in summary.left_out)
    )
    words = dict(entry for task in (*made.tasks, *made.watched) for entry in parts.read_words(folder, task.number))
    sifted = sift(made, summaries, words, max_bad, quarantine)
    contents = sources.merged(summary.sources for summary in summaries)
    pairs = zip(made.tasks, sifted.items, strict=True)
    train = (item for task, kept in pairs if task.split == "train" for item in kept)
    scale = publish.scale_of(train, made.manifest.scaling.kind)
    finish = publish.finish_tasks(made, sifted, scale, summaries[: len(made.tasks)])
    _revive(folder, made, finish, pool, explain)
    hashes = _finish_shards(folder, finish, pool, progress)
    proof = _proof(made, sifted)
    leaks.refuse(proof, made.manifest.name)
    duplicates = _write_tables(folder, made, sifted, proof, contents)
    files = {name: shards.sha256(folder / name) for name in tables.NAMES}
    header = publish.header(made, sifted, hashes, scale, duplicates, files)
    (folder / "README.md").write_text(cards.card(header, proof), encoding="utf-8")
    _force_all(folder)
    headers.write(folder, header)
    return header


def _build_parts(
    folder: Path, made: Plan, missing: Sequence[Task], pool: Pool, progress: Progress
) -> list[parts.Summary]:
    total = sum(len(task.recordings) for task in (*made.tasks, *made.watched))
    done = total - sum(len(task.recordings) for task in missing)
    bad = 0
    progress("read", done, total, bad)
    for task, lost in pool.run(work.build_part, missing, folder):
        done, bad = done + len(task.recordings), bad + lost
        progress("read", done, total, bad)
    return [parts.read_summary(folder, task.number) for task in (*made.tasks, *made.watched)]


def _revive(folder: Path, made: Plan, finish: Sequence[work.Finish], pool: Pool, explain: Tell) -> None:
    """Shards of an earlier call that would be made differently now go, and their parts come back.

    A source that changed once shards were written changes the scale of all, or takes a recording from another shard.
    """
    stale = [task for task in finish if (folder / task.file).is_file() and not _made_of(folder, task)]
    again = []
    for task in stale:
        explain(f"{task.file}: made anew, the scale or its items are others than when it was made")
        (folder / task.file).unlink()
        if sources.content(parts.part_path(folder, task.number)).xxh3_128 != task.part:
            again.append(made.tasks[task.number])
    for done, _ in pool.run(work.build_part, again, folder):
        now = parts.read_summary(folder, done.number)
        if now.part != finish[done.number].part:
            raise CorpusError(
                made.root,
                f"a source file of {done.file} changed while it was read",
                "files that stay as they are during a build",
                "run the same command again",
            )


def _made_of(folder: Path, task: work.Finish) -> bool:
    """Whether a finished shard is what the task would make now."""
    try:
        return parts.made_path(folder, task.number).read_text(encoding="ascii") == task.key
    except (OSError, ValueError):
        return False


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
    if made.watched:
        held_out = (recording.id for task in made.watched for recording in task.recordings)
        by_split[leaks.HELD_OUT] = {sifted.waveforms[item] for item in held_out if item in sifted.waveforms}
    rules = made.manifest.duplicates
    proof = [*made.proof, *leaks.prove_disjoint(leaks.WAVEFORM, by_split, waived=rules.exact == "keep")]
    proof += leaks.prove_alike(sifted.near, made.places, by_split, waived=rules.near == "keep")
    if made.noise:
        same = made.noise.same
        noises = {
            split: {same.get(noise.path, noise.path) for noise in files} for split, files in made.noise.by_split.items()
        }
        proof += leaks.prove_disjoint(leaks.NOISE, noises)
        heard: dict[str, set[str]] = {split: set() for split in noises}
        for task, kept in zip(made.tasks, sifted.items, strict=True):
            # what contradicts a bias has the noise of the test
            split = "test" if task.split == bias.CONFLICTING else task.split
            heard[split].update(sifted.noises[item.row.mixing["noise"]] for item in kept if item.row.mixing)
        proof += leaks.prove_disjoint(leaks.NOISE_WAVEFORM, heard)
    return proof


def _write_tables(
    folder: Path, made: Plan, sifted: Sifted, proof: Sequence[leaks.Line], contents: sources.Contents
) -> dict[str, int]:
    """Counts of what is in `duplicates.csv`, once all tables are written."""
    tables.write_index(folder / "index.parquet", made, sifted)
    tables.write_splits(folder / "splits.csv", made, sifted)
    tables.write_leaks(folder / "leaks.json", proof)
    tables.write_quarantine(folder / "quarantine.jsonl", sifted.left_out)
    tables.write_passed_over(folder / "passed_over.parquet", made)
    tables.write_fingerprints(folder / "fingerprints.parquet", made, sifted)
    sources.write(folder / "sources.csv", contents)
    return tables.write_duplicates(folder / "duplicates.csv", made, sifted)


def _force_all(folder: Path) -> None:
    """Everything but the header forced to disk: a header that a crash leaves says that all else is whole."""
    settle(folder / "shards")
    for name in (*tables.NAMES, "README.md"):
        force(folder / name)
    force(folder)


def _publish(folder: Path, final: Path) -> None:
    """The folder takes its final name once everything in it is on disk."""
    shutil.rmtree(folder / "parts")
    for name in ("plan.json", ".lock", ".workers"):
        (folder / name).unlink(missing_ok=True)
    settle(folder)
    folder.rename(final)
    settle_name(final)


__all__ = ["Built", "Estimate", "Plan", "Progress", "Task", "build", "estimate", "plan"]
