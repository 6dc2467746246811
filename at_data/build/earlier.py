"""What an earlier call left: found finished, carried on, made anew, or refused."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from at_data import headers, shards
from at_data.build import parts, publish, sources, work
from at_data.build.due import Due
from at_data.build.plan import Plan, Task
from at_data.build.pool import Pool
from at_data.errors import CorpusError, ShardError
from at_data.files import write_whole

FILES = 256  # source files looked at in one go
EXAMPLES = 5  # changed files named in an error

Tell = Callable[[str], None]
"""Called with a line for the user."""


def named(final: Path) -> bool:
    """Whether anything bears this name, be it a link that leads nowhere."""
    return final.exists() or final.is_symlink()


def same(final: Path, made: Plan, pool: Pool, *, quick: bool, explain: Tell) -> headers.Header:
    """Header of a finished dataset that is of this plan, and whose sources are as they were."""
    header = _header(final)
    if (header.digest, header.listing) != (made.manifest.digest, made.listing):
        what = "another manifest" if header.digest != made.manifest.digest else "other recordings"
        raise ShardError(
            final,
            f"a dataset of {what} lies here (digest {header.digest[:8]}, listing {header.listing[:8]})",
            f"digest {made.manifest.digest[:8]} and listing {made.listing[:8]}, or nothing",
            "choose another --out, or move that folder away; it was not touched",
        )
    count, changed = 0, []
    for files, text in _differences(final / "sources.csv", made, pool, quick=quick):
        count += files
        if text:
            changed.append(text)
    if changed:
        raise ShardError(
            final,
            f"its source is no longer what it was built from: {'; '.join(changed[:EXAMPLES])}"
            + (f"; and more of {count} files" if len(changed) > EXAMPLES else ""),
            "the files that sources.csv lists, or no dataset here",
            "restore them, or move that folder away and build again; it was not touched",
        )
    explain(f"{final.name}: finished; {count} source files have the {'sizes' if quick else 'contents'} they had")
    return header


def _header(final: Path) -> headers.Header:
    """Header of what bears the name of the dataset; ShardError where that is something else."""
    try:
        return headers.read(final)
    except ShardError as error:
        if (final / "dataset.json").is_file():
            there = f"a folder whose dataset.json cannot be used ({error.came})"
        elif final.is_dir():
            there = "a folder with no dataset.json in it"
        else:
            there = "a file" if final.exists() else "a link that leads nowhere"
        raise ShardError(
            final,
            f"this name is taken by {there}, which is no finished dataset",
            "a finished dataset of this manifest, or nothing",
            "choose another --out, or move that away; it was not touched",
        ) from error


def _differences(table: Path, made: Plan, pool: Pool, *, quick: bool) -> Iterator[tuple[int, str | None]]:
    """Of a few files at a time: how many, and the first that is no longer what it was, in words."""
    rows = sources.rows(table)
    pieces = iter(lambda: dict(islice(rows, FILES)), {})
    look = partial(sources.difference, sizes_only=quick)
    for piece, text in pool.run(look, pieces, parts.roots(made.tasks[0])):
        yield len(piece), text


def take_over(folder: Path, made: Plan, warn: Tell, explain: Tell) -> None:
    """What an earlier call finished stays when it belongs to the same plan."""
    mark = folder / "plan.json"
    facts = {"digest": made.manifest.digest, "listing": made.listing, "format": headers.FORMAT}
    if complete(folder, made):
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


def complete(folder: Path, made: Plan) -> headers.Header | None:
    """Header of a folder of this plan that lacks its final name alone: it is written after everything else."""
    try:
        header = headers.read(folder)
    except ShardError:
        return None
    return header if (header.digest, header.listing) == (made.manifest.digest, made.listing) else None


def missing(folder: Path, made: Plan, pool: Pool, explain: Tell) -> list[Task]:
    """Tasks without a whole part of unchanged sources, in order."""
    tasks = (*made.tasks, *made.watched)
    begun = [task for task in tasks if parts.summary_path(folder, task.number).exists()]
    reasons: dict[int, str | None] = {task.number: parts.NOT_BUILT for task in tasks}
    reasons |= {task.number: reason for task, reason in pool.run(parts.unusable, begun, folder)}
    for task in tasks:
        reason = reasons[task.number] or "its part is kept, its source files are as they were"
        explain(f"{task.file or task.split}: {reason}")
    return [task for task in tasks if reasons[task.number]]


def revive(folder: Path, made: Plan, finish: Sequence[Due], pool: Pool, explain: Tell) -> dict[int, str]:
    """SHA-256 of finished shards that stay; those that would be made differently now go, and their parts come back.

    A source that changed once shards were written changes the scale of all, or takes a recording from another shard.
    """
    again, hashes = [], {}
    for task in finish:
        if not (folder / task.file).is_file():
            continue
        stale = _stale(folder, task)
        if stale is None:
            hashes[task.number] = parts.made_sha256(folder, task.number)
            continue
        explain(f"{task.file}: made anew, {stale}")
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
    return hashes


def _stale(folder: Path, task: Due) -> str | None:
    """Why a finished shard is not what the task would make now, in words; None where it is."""
    try:
        key, sha256 = parts.made_path(folder, task.number).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return "nothing says what it was made of"
    if key != task.key:
        return "the scale or its items are others than when it was made"
    return None if shards.sha256(folder / task.file) == sha256 else "it is not what it was when it was made"
