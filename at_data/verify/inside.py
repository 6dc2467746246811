"""What one child process looks at: all tables of a dataset, or one shard, and what it found as plain values."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from at_data import cards, headers, manifest
from at_data.errors import AtError, ScratchError
from at_data.headers import Header
from at_data.manifest import Manifest
from at_data.unswept import unswept
from at_data.verify import crosschecks, measured, proof, shard, tables
from at_data.verify import index as indexes

MOST = 20  # lines told of one file


@unswept()
def look(job: tuple[str, int | None]) -> dict[str, Any]:
    """What is wrong with the tables of a folder, or with the shard of that number; and what was measured."""
    folder, number = Path(job[0]), job[1]
    if number is None:
        return _tables(folder)
    header, _, index = _opened(folder)
    name, found = header.shards[number].file, shard.Measured()
    lines = _told(folder, shard.contradictions(folder, number, header, index, found), name)
    sums = found.sums
    return {
        "problems": [line if line.startswith(name) else f"{name}: {line}" for line in lines],
        "sums": [sums.count, sums.total, sums.squares],
        "lowest": found.lowest,
    }


@lru_cache(maxsize=1)
def _opened(folder: Path) -> tuple[Header, Manifest, indexes.Index]:
    """Read once by every child: a finished folder does not change."""
    header = headers.read(folder)
    made = manifest.parse(header.manifest, "dataset.json")
    return header, made, indexes.read(folder, header, made)


def _tables(folder: Path) -> dict[str, Any]:
    """Everything that is said in tables, held against everything else; `index` says whether shards can be."""
    checked: dict[str, int] = {}
    usable: list[bool] = []

    def lines() -> Iterator[str]:
        header, made, index = _opened(folder)
        usable.append(len(index.table) == sum(shard.items for shard in header.shards))
        own = [f"index.parquet: {line}" for line in indexes.contradictions(index, header, made)]
        yield from own
        if own:
            return  # the others are held against it
        yield from (f"dataset.json: {line}" for line in measured.contradictions(index, header, made))
        read = tables.read(folder, header, index)
        yield from crosschecks.contradictions(read, index, header, made)
        read = replace(read, splits=[], contents={})  # nobody asks for them any more
        yield from (f"leaks.json: {line}" for line in proof.contradictions(folder, read, index, made))
        checked.update(recordings=len(index.recordings), lines=len(cards.read_proof(folder)))

    problems = _told(folder, lines(), "tables")
    return {"problems": problems, "checked": checked, "index": any(usable)}


def _told(folder: Path, lines: Iterator[str], where: str) -> list[str]:
    """Lines, not too many of them; an error of ours is one."""
    found: list[str] = []
    try:
        for line in lines:
            found.append(line)
            if len(found) == MOST:
                found.append("and more that is not told")
                break
    except ScratchError:
        raise  # no fault of the dataset
    except AtError as error:
        found.append(f"{error.where.removeprefix(f'{folder}/')}: {error.came}; expected {error.expected}")
    except Exception as error:  # noqa: BLE001 - what somebody made up may break anything; what was found before is kept
        found.append(f"{where}: cannot be looked into ({type(error).__name__}: {str(error)[:200]})")
    return found
