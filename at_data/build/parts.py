"""What a task leaves in the work folder until its shard is made: a part and its summary."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from at_data.build import kinds, sources
from at_data.build.plan import Task

NOT_BUILT = "not built yet"


@dataclass(frozen=True, slots=True)
class Row:
    """What a shard's summary says of one item.

    `real` is the first frame of it that is in the part, and how many are; `place` is where in the part that is, counted
    in frames.
    """

    recording: int
    segment: int
    start_s: float
    place: int
    real: tuple[int, int]
    sums: tuple[int, float, float]
    mixing: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of one task, without arrays: rows in the order of the part file, hashes and losses by recording.

    `rows` are as `by_column` gives them. `sources` holds the content of every file that was opened, `noises` the hash
    of every noise's waveform. `part` and `words` are hashes of the part file and of the file of fingerprints, which a
    build that carries on holds them to: a crash can leave them short or torn. `fingerprints` holds how many words each
    recording has in that file, in its order.
    """

    rows: Mapping[str, list[Any]]
    waveforms: dict[str, str]
    left_out: list[dict[str, str]]
    sources: sources.Contents
    noises: dict[str, str]
    fingerprints: dict[str, int]
    part: str
    words: str

    @property
    def bad(self) -> int:
        """Recordings that could not be used, in part or at all; those the manifest drops are not among them."""
        return len({entry["recording"] for entry in self.left_out if entry["kind"] == kinds.BAD})


def by_column(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Rows as their columns, by the name of the field."""
    return {field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)}


def part_path(folder: Path, number: int) -> Path:
    """Unscaled float32 items of a task, in the work folder, without the frames of zeros before and after them."""
    return folder / "parts" / f"{number:05d}.f32"


def words_path(folder: Path, number: int) -> Path:
    """Fingerprints of a task's recordings, one after the other."""
    return folder / "parts" / f"{number:05d}.u32"


def summary_path(folder: Path, number: int) -> Path:
    """Summary of a task; written last, so its presence says the part is whole."""
    return folder / "parts" / f"{number:05d}.json"


def write_summary(folder: Path, number: int, summary: Summary) -> None:
    """The summary under its name; not forced to disk: one that a crash tears is not read, and its part made again."""
    facts = record(summary)  # field by field: asdict copies deeply, which costs a tenth of the whole road
    facts["sources"] = [(*key, held.size_bytes, held.xxh3_128) for key, held in summary.sources.items()]
    path = summary_path(folder, number)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(path)


def read_summary(folder: Path, number: int) -> Summary:
    """Summary a finished part left."""
    raw = json.loads(summary_path(folder, number).read_text(encoding="utf-8"))
    if len({len(raw["rows"][field.name]) for field in fields(Row)}) != 1:
        raise ValueError("columns of different lengths")
    contents: sources.Contents = {(which, path): sources.Content(*held) for which, path, *held in raw["sources"]}
    return Summary(**(raw | {"sources": contents}))


def made_path(folder: Path, number: int) -> Path:
    """Key of what a task's finished shard was made of (`Finish.key`), and the SHA-256 it had."""
    return folder / "parts" / f"{number:05d}.made"


def made_sha256(folder: Path, number: int) -> str:
    """SHA-256 that a task's finished shard had when it was made."""
    return made_path(folder, number).read_text(encoding="ascii").split()[1]


def unusable(task: Task, folder: Path) -> str | None:
    """Why a task must be done (again), in words; None where what it left is whole and its sources are as they were.

    A task with bad recordings is done again until its shard is there, for files get mended.
    """
    try:
        summary = read_summary(folder, task.number)
    except FileNotFoundError:
        return NOT_BUILT
    except (OSError, ValueError, KeyError, TypeError):
        return "its summary is torn, or of another version"
    changed = sources.difference(summary.sources, roots(task))
    if changed:
        return changed
    finished = (folder / task.file).is_file()
    if summary.bad and not finished:
        return f"{summary.bad} of its recordings were bad and are tried again"
    held = {words_path(folder, task.number): summary.words}
    if not finished:
        held[part_path(folder, task.number)] = summary.part
    torn = any(sources.content(path).xxh3_128 != expected for path, expected in held.items())
    return "its part is short, torn or gone" if torn else None


def roots(task: Task) -> dict[sources.Which, Path]:
    """Folders that the paths of a task's sources start from."""
    found: dict[sources.Which, Path] = {"corpus": task.root}
    if task.noise_root is not None:
        found["noise"] = task.noise_root
    return found


def record(of: Any) -> dict[str, Any]:
    """Fields of a dataclass by name, as they are."""
    return {field.name: getattr(of, field.name) for field in fields(of)}
