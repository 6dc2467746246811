"""A dataset folder examined from end to end, without its audio."""

from pathlib import Path

from at_data import guard, headers
from at_data.build.strangers import BESIDE
from at_data.build.tables import NAMES
from at_data.errors import ShardError
from at_data.headers import Header
from at_data.stages.scaling import Sums
from at_data.verify import described, files, scaling
from at_data.verify.examined import Found
from at_data.verify.inside import look

# What a child may use: as long as a slow disk needs, as much memory as tables and a block of items need.
CALL_S, BYTES_A_SECOND = 120.0, 1e6
MEMORY_BYTES, OF_TABLES = 2 << 30, 64


def verify(folder: str | Path) -> list[str]:
    """Lines for whatever is missing, altered, unreadable, contradictory or of another dataset; none for a sound one.

    ShardError where there is no header.
    """
    return examine(Path(folder)).problems


def examine(folder: Path) -> Found:
    """What is wrong with a dataset, and what was looked at.

    First the header is held against itself, and every file against its hash. Only what passed is looked into: shards
    and tables are held against each other and against the header, in a child process, for HDF5 and Parquet files are
    read by libraries that a stranger's bytes may crash.
    """
    found = Found()
    header = _header(folder, found)
    if header is None:
        return found
    made = described.manifest_of(header)
    found.tell(described.contradictions(files.header_bytes(folder), header, made), "dataset.json")
    sound = not found.problems
    found.tell(files.strange(folder, header))
    shards = [(shard.file, shard.sha256) for shard in header.shards]
    altered = files.altered(folder, [*shards, *header.files.items()])
    for name, problem in altered.items():
        found.tell([problem], name)
    if sound and "leaks.json" not in altered:
        card = files.unlike_card(folder, header)
        found.tell([card] if card else [], "README.md")
    if sound and not isinstance(made, str) and not altered.keys() & set(NAMES):
        whole = [number for number, (name, _) in enumerate(shards) if name not in altered]
        _look(folder, header, made.scaling.kind, whole, found)
    names = [*BESIDE, *header.files, *(name for name, _ in shards)]
    found.checked |= {"shards": len(shards), "items": sum(header.counts.values()), "files": len(names)}
    found.checked["bytes"] = files.size_bytes(folder, names)
    return found


def _header(folder: Path, found: Found) -> Header | None:
    """Header of a folder that has one; a line where it cannot be read."""
    try:
        return headers.read(folder)
    except ShardError as error:
        if not (folder / "dataset.json").is_file():
            raise
        found.tell([f"{error.came}; expected {error.expected}"], "dataset.json")
        return None


def _look(folder: Path, header: Header, kind: str, whole: list[int], found: Found) -> None:
    """Tables and whole shards looked into; where no shard is missing, the scaling as well."""
    tables = files.size_bytes(folder, header.files)
    everything = tables + files.size_bytes(folder, [shard.file for shard in header.shards])
    limits = guard.Limits(CALL_S + everything / BYTES_A_SECOND, MEMORY_BYTES + OF_TABLES * tables)
    jobs: list[tuple[str, int | None]] = [(str(folder), None), *((str(folder), number) for number in whole)]
    train, lowest, before = Sums(0, 0.0, 0.0), float("inf"), len(found.problems)
    for job, answer in zip(jobs, guard.each(look, jobs, limits), strict=True):
        if isinstance(answer, guard.Ended):
            where = "tables" if job[1] is None else header.shards[job[1]].file
            found.tell([f"the process that read it {answer.text}"], where)
            if job[1] is None:
                return  # no shard can be held against them
            continue
        found.tell(answer["problems"])
        if job[1] is None:
            found.checked |= answer["checked"]
            if not answer["index"]:
                return
        else:
            lowest = min(lowest, answer["lowest"])
            if header.shards[job[1]].split == "train":
                train += Sums(*answer["sums"])
    if len(whole) == len(header.shards) and len(found.problems) == before:
        found.tell(scaling.contradictions(header, kind, train, lowest))
