"""Corpora that anybody may have: their archives downloaded, compared with a checksum, unpacked and put in place.

Below the folder that is asked for, `.downloads/` holds archives until they are unpacked, and unfinished ones for the
next call to go on with. A commit of a git repository becomes an archive there first. An archive is unpacked beside its
place and moved there when all of it is known to be right; files of other subsets stay, and one that was there before
with other bytes goes to `.replaced/`. Then the receipt, `.fetched.json` in the corpus' folder, says what came from
where, so that the next call does not fetch it again.
"""

import errno
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pooch

from at_data.corpora import Archive
from at_data.errors import CorpusError
from at_data.fetch.archives import Unpacked, unpack
from at_data.fetch.clone import Cloner, forget, tree_of
from at_data.fetch.download import Downloader
from at_data.files import write_whole

DOWNLOADS = ".downloads"
REPLACED = ".replaced"
RECEIPT = ".fetched.json"
UNPACKED_TIMES = 2  # as many bytes as its archive an unpacked corpus takes, about: 1.0 for FLAC, 2.5 for RAVDESS
MOST_TIMES = 50  # more is no corpus but an archive made to fill a disk
TREE = "git-tree"
COMMIT = "git-commit"
GOT = re.compile(r"got '?(?P<digits>[0-9a-f]+)")

Progress = Callable[[str, int, int], None]  # phase, bytes done, bytes in all (about as many, where nobody knows)


def fetch(
    module: ModuleType,
    to: Path,
    subsets: Sequence[str],
    progress: Progress = lambda _phase, _done, _total: None,
    *,
    keep: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """Folders below `to` that hold those subsets of a corpus, all of them where none is named; fetched if need be.

    `keep` leaves the archives in `.downloads/`. CorpusError where there is nothing to fetch, where a subset is unknown,
    where the disk is too small, and where what came is not what was published; what was there before is there still.
    """
    wanted = _wanted(module, subsets, to)
    corpus = module.__name__.rpartition(".")[2]
    try:
        to.mkdir(parents=True, exist_ok=True)
        missing = [archive for archive in wanted if not _is_here(archive, to)]
        if missing:
            with _alone(to):
                _need_room(to, corpus, missing, keep=keep)
                for archive in missing:
                    _fetch_one(corpus, archive, to, progress, keep=keep, pause=pause)
    except OSError as error:
        raise _disk_error(to, error) from error
    return list(dict.fromkeys(to / archive.into for archive in wanted))


def _wanted(module: ModuleType, subsets: Sequence[str], to: Path) -> list[Archive]:
    corpus = module.__name__.rpartition(".")[2]
    by_subset: dict[str, Archive] = {archive.subset: archive for archive in module.ARCHIVES}
    unknown = [subset for subset in subsets if subset not in by_subset]
    if by_subset and not unknown:
        return [by_subset[subset] for subset in dict.fromkeys(subsets or by_subset)]
    if by_subset:
        raise CorpusError(
            corpus,
            f"no subset {', '.join(unknown)} to fetch",
            ", ".join(by_subset),
            module.ACCESS or "correct the name, or name none to get all",
        )
    folder = f" It belongs in {to / module.UNPACKS_TO[0]}." if module.UNPACKS_TO else ""
    raise CorpusError(
        corpus,
        "nothing that can be fetched",
        "a corpus that may be had without a form and whose checksum is published",
        f"{module.ACCESS}{folder}" if module.ACCESS else "make it, or list your own files",
    )


def _fetch_one(
    corpus: str, archive: Archive, to: Path, progress: Progress, *, keep: bool, pause: Callable[[float], None]
) -> None:
    """Download, unpack, compare, put in place, write the receipt: in this order."""
    file = (_clone if _kind(archive) == COMMIT else _download)(corpus, archive, to, progress, pause)
    tree = tree_of(file, _digits(archive)) if _kind(archive) == COMMIT else _digits(archive)
    with_tree = _kind(archive) in {TREE, COMMIT}
    target = (to / archive.into).resolve()
    corpus_folder = (to / PurePosixPath(archive.into).parts[0]).resolve()
    beside = corpus_folder.with_name(f".{corpus_folder.name}.unpacking")
    shutil.rmtree(beside, ignore_errors=True)  # of a call that was interrupted
    try:
        held = unpack(
            file,
            beside,
            strip=archive.strip,
            most_bytes=MOST_TIMES * archive.size_bytes,
            with_tree=with_tree,
            progress=lambda done: progress(
                f"unpack {archive.subset}", done, max(done, UNPACKED_TIMES * archive.size_bytes)
            ),
        )
        progress(f"unpack {archive.subset}", held.size_bytes, held.size_bytes)
        if with_tree and held.tree != tree:
            raise _wrong_bytes(archive, f"git tree {held.tree}")
        entries = sorted(entry.name for entry in beside.iterdir())
        replaced = _put(beside, target, to / REPLACED / archive.into)
    except CorpusError:
        forget(file)  # it would be as wrong the next time
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    _write_receipt(target, archive, held, entries, replaced)
    if not keep:
        forget(file)


def _download(corpus: str, archive: Archive, to: Path, progress: Progress, pause: Callable[[float], None]) -> Path:
    """Return the archive in `.downloads/`, its bytes compared with the checksum where that is one of bytes."""
    folder = to / DOWNLOADS
    name = _name(corpus, archive)
    known = None if _kind(archive) == TREE else archive.checksum
    downloader = Downloader(
        part=folder / f"{name}.part",
        size_bytes=archive.size_bytes,
        exact=known is not None and archive.size_is_exact,
        progress=lambda done: progress(f"download {archive.subset}", done, max(done, archive.size_bytes)),
        pause=pause,
    )
    pooch.get_logger().setLevel(logging.WARNING)  # it says what is said here anyway
    for leftover in folder.glob("tmp*"):  # pooch's, of a call that was killed
        leftover.unlink()
    try:
        pooch.retrieve(archive.url, known_hash=known, fname=name, path=folder, downloader=downloader)
    except ValueError as error:
        downloader.forget()
        got = GOT.search(str(error))
        raise _wrong_bytes(archive, got["digits"] if got else str(error)) from error
    downloader.forget()
    return folder / name


def _clone(corpus: str, archive: Archive, to: Path, progress: Progress, pause: Callable[[float], None]) -> Path:
    """Return the archive in `.downloads/` that git makes of the commit."""
    file = to / DOWNLOADS / f"{_name(corpus, archive).removesuffix('.git')}.tar"
    Cloner(
        archive.url,
        _digits(archive),
        file,
        size_bytes=archive.size_bytes,
        most_bytes=MOST_TIMES * archive.size_bytes,
        folder=to / archive.into,
        progress=lambda done: progress(f"download {archive.subset}", done, max(done, archive.size_bytes)),
        pause=pause,
    )()
    return file


def _name(corpus: str, archive: Archive) -> str:
    return f"{corpus}-{archive.subset}-{PurePosixPath(urlsplit(archive.url).path).name}"


def _put(beside: Path, target: Path, aside: Path) -> int:
    """Move what was unpacked to its place; files with other bytes that lay there go aside, and are counted."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(target)
        return 0
    if beside.is_dir() and target.is_dir():
        return sum(_put(entry, target / entry.name, aside / entry.name) for entry in sorted(beside.iterdir()))
    if beside.is_file() and target.is_file() and cmp(beside, target, shallow=False):
        return 0
    while aside.exists():
        aside = aside.with_name(aside.name + ".before")
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(target, aside)
    beside.rename(target)
    return 1


def _receipt(target: Path) -> dict[str, Any]:
    """What was fetched into a folder, by subset; nothing where that cannot be read."""
    try:
        known = json.loads((target / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _is_here(archive: Archive, to: Path) -> bool:
    target = to / archive.into
    held = _receipt(target).get(archive.subset)
    if not isinstance(held, dict) or held.get("checksum") != archive.checksum:
        return False
    entries = held.get("entries")
    return isinstance(entries, list) and all((target / str(entry)).exists() for entry in entries)


def _write_receipt(target: Path, archive: Archive, held: Unpacked, entries: list[str], replaced: int) -> None:
    known = _receipt(target)
    known[archive.subset] = {
        "url": archive.url,
        "checksum": archive.checksum,
        "files": held.files,
        "bytes": held.size_bytes,
        "replaced": replaced,
        "entries": entries,
    }
    write_whole(target / RECEIPT, json.dumps(known, indent=1, sort_keys=True) + "\n")


def _need_room(to: Path, corpus: str, missing: Sequence[Archive], *, keep: bool) -> None:
    """CorpusError where the archives and what they hold will not fit."""
    # what git brings is packed, the archive made of it is not
    sizes = [archive.size_bytes * (UNPACKED_TIMES if _kind(archive) == COMMIT else 1) for archive in missing]
    here = sum(path.stat().st_size for path in (to / DOWNLOADS).glob(f"{corpus}-*"))
    need = (
        UNPACKED_TIMES * sum(archive.size_bytes for archive in missing)
        + (sum(sizes) if keep else max(sizes))
        - min(here, max(sizes))
    )
    free = shutil.disk_usage(to).free
    if free < need:
        raise CorpusError(
            to,
            f"{free / 1e9:.1f} GB free",
            f"{need / 1e9:.1f} GB for {', '.join(archive.subset for archive in missing)} and its archive",
            "make room, choose another folder, or name fewer subsets",
        )


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Sole use of a folder's downloads; they go where nothing is left of them. The lock dies with the process."""
    import fcntl  # noqa: PLC0415 - not on Windows

    handle = os.open(to, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CorpusError(
                to, "another fetch is at work here", "one at a time", "wait for it, or choose another folder"
            ) from error
        downloads = to / DOWNLOADS
        downloads.mkdir(exist_ok=True)
        try:
            yield
        finally:
            if not any(downloads.iterdir()):
                downloads.rmdir()
    finally:
        os.close(handle)


def _kind(archive: Archive) -> str:
    return archive.checksum.partition(":")[0]


def _digits(archive: Archive) -> str:
    return archive.checksum.partition(":")[2]


def _wrong_bytes(archive: Archive, came: str) -> CorpusError:
    return CorpusError(
        archive.url,
        f"what came is not what was published: {came}",
        archive.checksum,
        "it was deleted; call again, and if that changes nothing report it",
    )


def _disk_error(to: Path, error: OSError) -> CorpusError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return CorpusError(to, "the disk is full", "room for the corpus", "make room and call again: it goes on")
    return CorpusError(
        error.filename or to,
        f"cannot be read or written ({error.strerror or error})",
        "a folder to write to",
        "check its permissions",
    )
