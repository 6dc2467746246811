"""What is wrong with a dataset on disk, a line each."""

from pathlib import Path

from at_data import headers, manifest, shards
from at_data.errors import AtError, ManifestError
from at_data.headers import Header, Shard

SHORT = 16  # characters of a hash that are shown


def verify(folder: Path) -> list[str]:
    """Lines for whatever is missing, altered, unreadable or of another dataset; none for a sound one.

    Hashes cover the shards and the tables beside them; the header's `content` covers the header itself, and its digest
    must be that of its manifest. The card is made of the header and not looked at. ShardError where there is no header.
    """
    header = headers.read(folder)
    problems = _header_problems(header)
    listed = {shard.file for shard in header.shards}
    for path in sorted((folder / "shards").glob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            problems.append(f"{name}: not in the header")
    for shard in header.shards:
        problem = _altered(folder / shard.file, shard.sha256) or _unlike(folder / shard.file, shard, header)
        if problem:
            problems.append(f"{shard.file}: {problem}")
    for name, sha256 in header.files.items():
        problem = _altered(folder / name, sha256)
        if problem:
            problems.append(f"{name}: {problem}")
    return problems


def _header_problems(header: Header) -> list[str]:
    problems = []
    if header.content != headers.content(header):
        problems.append("dataset.json: altered, its content is not what it says")
    try:
        made = manifest.parse(header.manifest, "dataset.json").digest
    except ManifestError as error:
        made = f"none ({error.came})"
    if made != header.digest:
        problems.append(f"dataset.json: its manifest has digest {made[:SHORT]}, it says {header.digest[:SHORT]}")
    for split, count in header.counts.items():
        held = sum(shard.items for shard in header.shards if shard.split == split)
        if held != count:
            problems.append(f"dataset.json: says {count} {split} items, its shards hold {held}")
    return problems


def _altered(path: Path, sha256: str) -> str | None:
    if not path.is_file():
        return "missing"
    found = shards.sha256(path)
    return None if found == sha256 else f"SHA-256 is {found[:SHORT]}..., the header says {sha256[:SHORT]}..."


def _unlike(path: Path, shard: Shard, header: Header) -> str | None:
    """How a shard of the right hash is still not what the header says: both were altered, or copied together."""
    try:
        dataset, shape = shards.facts(path)
    except AtError as error:
        return error.came
    if dataset != header.digest:
        return f"belongs to dataset {dataset[:8]}, not {header.digest[:8]}"
    expected = (shard.items, header.frames, header.bins)
    return None if shape == expected else f"x has shape {shape}, expected {expected}"
