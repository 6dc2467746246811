"""The files of a dataset folder: which are strange, which are missing, which are not what their hashes say."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from at_data import cards, shards
from at_data.build.strangers import BESIDE, put_by_a_system
from at_data.build.tables import NAMES
from at_data.headers import Header

SHORT = 16  # characters of a hash that are shown


def strange(folder: Path, header: Header) -> Iterator[str]:
    """Lines for what belongs to no dataset: files of other names, folders, links, devices."""
    known = {*BESIDE, *NAMES, *(shard.file for shard in header.shards)}
    for place, folders, names in os.walk(folder):
        for path in sorted(Path(place, name) for name in [*folders, *names]):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                yield f"{name}: a link, expected a file of the folder's own"
            elif path.is_dir():
                if name != "shards":
                    yield f"{name}: a folder that no dataset has"
            elif name not in known:
                whose = "the system put it there unasked, and it may be deleted"
                yield f"{name}: " + (whose if put_by_a_system(path.name) else "not in the header")
            elif not path.is_file():
                yield f"{name}: neither file nor folder"


def altered(folder: Path, listed: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is wrong with those of the listed files, by name, that are missing or not of their SHA-256."""
    found = {}
    for name, sha256 in listed:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            found[name] = "missing"
            continue
        try:
            now = shards.sha256(path)
        except OSError as error:
            found[name] = f"cannot be read ({error.strerror})"
            continue
        if now != sha256:
            found[name] = f"SHA-256 is {now[:SHORT]}..., the header says {sha256[:SHORT]}..."
    return found


def unlike_card(folder: Path, header: Header) -> str | None:
    """How the card is not the one that header and proof make; it holds what the header's `content` does not cover."""
    try:
        expected = cards.card(header, cards.read_proof(folder)).encode()
    except Exception as error:  # noqa: BLE001 - a header or a proof that somebody made up; both are told of elsewhere
        return f"no card can be made of header and proof ({type(error).__name__}: {error})"
    path = folder / "README.md"
    if path.is_symlink() or not path.is_file():
        return "missing"
    if path.stat().st_size == len(expected) and path.read_bytes() == expected:
        return None
    return "not the card that dataset.json and leaks.json make: one of the three was altered"


def size_bytes(folder: Path, names: Iterable[str]) -> int:
    """Bytes of those files that are there."""
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def header_bytes(folder: Path) -> bytes:
    """`dataset.json` as it lies on disk."""
    return (folder / "dataset.json").read_bytes()


def as_json(text: str) -> object:
    """What a line of JSON says; ValueError for none, however deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
