"""Archives of strangers become folders: tar (plain, gz, bz2, xz) and zip, and of them nothing but files and folders.

The contents go into a new folder; whoever calls moves it to its place. Nothing is written outside that folder: a member
with an absolute path, `..`, a drive letter or a backslash in its name ends it, and so do links, devices and pipes, two
names that some file systems take for one, and names too long for some. Modes are not taken over, so nothing unpacked
can be run or has the rights of another user. How much may be written is said beforehand: a few bytes can declare a
great many. Of a folder out of git the id of its tree is computed, to be compared with that of a commit.
"""

import bz2
import errno
import gzip
import hashlib
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from unicodedata import normalize

from at_data.errors import CorpusError

CHUNK_BYTES = 1 << 20
MOST_MEMBERS = 2_000_000  # the largest archive that is fetched holds some 290,000
MOST_NAME_BYTES = 255  # of one file or folder: what common file systems take
MOST_PATH_BYTES = 1_000
MOST_READ_BYTES = 1 << 22  # headers inside a tar are read into memory whole
OURS = frozenset((".git", ".fetched.json"))  # what git and `fetch` keep in a folder
LEFTOVERS = "__MACOSX"  # what one system's packer adds beside the contents
POINTER = b"version https://git-lfs.github.com/spec/"
CONTROL = 32  # characters below are no letters
PACKED: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, UnicodeError)

Progress = Callable[[int], None]  # is told how many bytes were written


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written: how many files, their bytes, and the id git gives such a folder, where it was asked for."""

    files: int
    size_bytes: int
    tree: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive; `wrong` says what it is where it is neither file nor folder, and is empty else."""

    name: str
    folder: bool
    size_bytes: int
    executable: bool
    wrong: str
    open: Callable[[], Any]  # the stream of its bytes: tarfile and zipfile have a class of their own for that


def unpack(
    archive: Path, into: Path, *, strip: int, most_bytes: int, with_tree: bool, progress: Progress = lambda _: None
) -> Unpacked:
    """What was written into `into`, a folder that does not exist yet, without the first `strip` folders of each path.

    CorpusError, and an `into` that is not whole, where a member is not what it should be, where more than `most_bytes`
    would be written, and where the archive is damaged.
    """
    into.mkdir(parents=True)
    room = _Room(archive, into, most_bytes, progress)
    blobs: dict[str, tuple[bytes, bool]] = {}
    try:
        with archive.open("rb") as file:
            for number, member in enumerate(_members(file), start=1):
                if number > MOST_MEMBERS:
                    raise _refused(archive, f"more than {MOST_MEMBERS:,} members", "fewer")
                path = _path(archive, member, strip)
                if path:
                    room.claim(path, folder=member.folder)
                    if member.folder:
                        (into / path).mkdir(parents=True, exist_ok=True)
                    else:
                        digest = room.write(path, member, with_digest=with_tree)
                        if with_tree:
                            blobs[path] = (digest, member.executable)
    except BROKEN as error:
        raise _refused(archive, f"damaged ({error})", "a whole archive") from error
    except OSError as error:
        # gzip and bz2 say the first of bytes that are not theirs, a zip that points before its start the second
        if error.errno in {None, errno.EINVAL}:
            raise _refused(archive, f"damaged ({error})", "a whole archive") from error
        raise
    return Unpacked(room.files, room.size_bytes, tree_id(blobs) if with_tree else None)


class _Room:
    """The folder that is filled, and what it holds already."""

    def __init__(self, archive: Path, into: Path, most_bytes: int, progress: Progress) -> None:
        self.archive, self.into, self.most_bytes, self.progress = archive, into, most_bytes, progress
        self.files = self.size_bytes = 0
        self.taken: dict[str, tuple[str, bool]] = {}  # as a careless file system sees a path -> it, and is it a folder

    def claim(self, path: str, *, folder: bool) -> None:
        """Note a path and the folders above it; CorpusError where they cannot all be there, on any file system."""
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name, is_folder = "/".join(parts[:depth]), folder or depth < len(parts)
            key = normalize("NFC", name).casefold()
            if key not in self.taken:
                self.taken[key] = (name, is_folder)
                continue
            known, known_folder = self.taken[key]
            where = f"{self.archive}, {name}"
            if known != name:
                raise _refused(where, f"the same as {known} on some file systems", "names that differ by more")
            if not (is_folder and known_folder):
                raise _refused(where, "there twice", "every file once")

    def write(self, path: str, member: Member, *, with_digest: bool) -> bytes:
        """Git id of the file written there, empty where it is not wanted."""
        where = f"{self.archive}, {path}"
        if not 0 <= member.size_bytes <= self.most_bytes - self.size_bytes:
            raise _refused(where, f"{member.size_bytes:,} bytes", f"{self.most_bytes:,} in the whole archive at most")
        file, written = self.into / path, 0
        file.parent.mkdir(parents=True, exist_ok=True)
        blob = hashlib.sha1(b"blob %d\0" % member.size_bytes, usedforsecurity=False)
        with file.open("xb") as target, member.open() as source:
            while written <= member.size_bytes and (chunk := source.read(CHUNK_BYTES)):
                if not written and chunk.startswith(POINTER):
                    raise _refused(where, "a pointer of Git LFS", "the file it stands for")
                written += len(chunk)
                target.write(chunk)
                if with_digest:
                    blob.update(chunk)
                self.progress(self.size_bytes + written)
        if written != member.size_bytes:
            raise _refused(where, f"{written:,} bytes", f"the {member.size_bytes:,} that the archive declares")
        self.files += 1
        self.size_bytes += written
        return blob.digest() if with_digest else b""


def tree_id(blobs: dict[str, tuple[bytes, bool]]) -> str:
    """Id of the git tree that holds these files: path -> their git id, and whether they may be run."""
    entries: dict[str, list[tuple[bytes, bytes]]] = {"": []}
    for path, (digest, executable) in blobs.items():
        mode = b"100755" if executable else b"100644"
        folder, _, name = path.rpartition("/")
        raw = name.encode("utf-8", "surrogateescape")
        entries.setdefault(folder, []).append((raw, mode + b" " + raw + b"\0" + digest))
        while folder:
            folder = folder.rpartition("/")[0]
            entries.setdefault(folder, [])
    # the deepest folders first, so that their ids are known when those above are computed
    for folder in sorted(entries, key=lambda path: path.count("/") + bool(path), reverse=True):
        # git sorts a folder as if its name ended in a slash; files were noted by their names alone
        body = b"".join(entry for _, entry in sorted(entries[folder]))
        tree = hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).digest()
        if not folder:
            return tree.hex()
        above, _, name = folder.rpartition("/")
        raw = name.encode("utf-8", "surrogateescape")
        entries[above].append((raw + b"/", b"40000 " + raw + b"\0" + tree))
    raise AssertionError("the root is among them")


def _members(file: IO[bytes]) -> Iterator[Member]:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                yield _of_zip(archive, info)
        return
    opened: Any = next((opener(file, "rb") for magic, opener in PACKED if start.startswith(magic)), file)
    with tarfile.open(fileobj=_Forward(opened), mode="r:") as tar:  # type: ignore[call-overload]
        while (entry := tar.next()) is not None:
            tar.members.clear()  # of 300,000 members the tar file would keep all it knows
            yield _of_tar(tar, entry)


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    wrong = "encrypted" if info.flag_bits & 1 else "" if kind in {0, stat.S_IFREG, stat.S_IFDIR} else "a link or device"
    # up to a NUL zipfile reads a name, and shows all of it in orig_filename alone
    name = info.orig_filename if "\0" in info.orig_filename else info.filename
    folder = info.filename.endswith("/")  # is_dir fails where there is no name
    return Member(name, folder, info.file_size, bool(mode & 0o100), wrong, partial(archive.open, info))


def _of_tar(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Member:
    plain = entry.type in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE} and not entry.issparse()
    wrong = "" if plain else "a link, device or pipe, or sparse"
    return Member(
        entry.name, entry.isdir(), entry.size, bool(entry.mode & 0o100), wrong, partial(tar.extractfile, entry)
    )


class _Forward:
    """A stream that is read in small pieces and never backwards, so that a tar cannot fill memory or run in circles."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def read(self, size: int = -1) -> bytes:
        """As many bytes, or fewer at the end."""
        if not 0 <= size <= MOST_READ_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        piece: bytes = self.stream.read(size)
        return piece

    def seek(self, place: int) -> int:
        """Go on to a place further on."""
        if place < self.stream.tell():
            raise tarfile.ReadError("a member before the one before it")
        return int(self.stream.seek(place))

    def tell(self) -> int:
        """Place of the next byte."""
        return int(self.stream.tell())


def _path(archive: Path, member: Member, strip: int) -> str:
    """Path of a member below the folder that is filled; empty for what is not written."""
    name = member.name
    where = f"{archive}, {name!r}"
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if parts[:1] == [LEFTOVERS]:
        return ""
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise _refused(where, "a path that may lead elsewhere", "paths below the archive's own folder")
    if any(ord(letter) < CONTROL for letter in name) or any(part.casefold() in OURS for part in parts):
        raise _refused(where, "a name that is not for archives", "plain names")
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(sizes, default=0) > MOST_NAME_BYTES or sum(sizes) + len(sizes) > MOST_PATH_BYTES:
        raise _refused(f"{archive}, {name[:40]!r}...", "a name too long for some file systems", "shorter names")
    if member.wrong:
        raise _refused(where, member.wrong, "files and folders only")
    if len(parts) <= strip and not member.folder:
        raise _refused(where, "a file outside the folder of the contents", f"{strip} folders above every file")
    return "/".join(parts[strip:])


def _refused(where: object, came: str, expected: str) -> CorpusError:
    return CorpusError(where, came, expected, "nothing was put in place; get the archive anew, or report it")
