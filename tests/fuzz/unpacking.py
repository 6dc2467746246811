"""Archives of corpora: zip and tar in every packing, changed in any byte and made to lead elsewhere."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from random import Random

from at_data.fetch import archives
from fuzz import mutators
from fuzz.campaigns import Act, Campaign

CONTENTS = {"set/readme.txt": b"hello", "set/one/a.wav": bytes(3000), "set/one/b.wav": bytes(range(256)) * 4}
NAMES = (
    "../x",
    "/nowhere/x",
    "set/../../x",
    "..",
    "",
    ".",
    "a\\b",
    "C:x",
    "set/readme.txt/x",
    "SET/readme.txt",
    "x" * 300,
    ".git/config",
    "a\0b",
    "set//one",
    "\u00e9",
    "e\u0301",
    "con",
    "x/" * 600,
    "\ud800",
    "a\nb",
)
PACKERS = {"tar": bytes, "gz": partial(gzip.compress, mtime=0), "bz2": bz2.compress, "xz": lzma.compress}
MOST_BYTES = 1 << 20
TAR_KINDS = (
    tarfile.REGTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
    tarfile.DIRTYPE,
    tarfile.GNUTYPE_SPARSE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.XHDTYPE,
    b"Z",
)


def _tar(entries: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _zip(entries: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _tars(_: Path) -> list[bytes]:
    return [_tar(CONTENTS)]


def _zips(_: Path) -> list[bytes]:
    return [_zip(CONTENTS)]


def _lay_tar(seeds: list[bytes], dice: Random, folder: Path) -> Act:
    if dice.random() < 0.3:
        content = _odd_tar(dice)
    else:
        content = mutators.binary(seeds, dice)
        content = _summed(content) if dice.random() < 0.7 else content
    packed = PACKERS[dice.choice(list(PACKERS))](content)
    if dice.random() < 0.2:
        packed = mutators.binary([packed], dice)
    return _written(packed, folder, dice)


def _odd_tar(dice: Random) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=dice.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))) as tar:
        for name in dice.choices((*NAMES, *CONTENTS), k=3):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (
                dice.choice((tarfile.REGTYPE, *TAR_KINDS)),
                dice.choice(("/etc/passwd", "../..", "")),
            )
            info.size = dice.choice((0, 5, 5, 5_000_000, 8**11))
            try:
                tar.addfile(info, io.BytesIO(bytes(info.size)) if info.size < MOST_BYTES else None)
            except (ValueError, UnicodeError, OSError):
                continue
    return made.getvalue()


def _summed(content: bytes) -> bytes:
    """A tar whose headers have right checksums again."""
    made = bytearray(content)
    for place in range(0, len(made) - 511, 512):
        if made[place + 257 : place + 262] == b"ustar":
            made[place + 148 : place + 156] = b" " * 8
            made[place + 148 : place + 156] = b"%06o\0 " % sum(made[place : place + 512])
    return bytes(made)


def _lay_zip(seeds: list[bytes], dice: Random, folder: Path) -> Act:
    return _written(_odd_zip(dice) if dice.random() < 0.3 else mutators.binary(seeds, dice), folder, dice)


def _odd_zip(dice: Random) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in dice.choices((*NAMES, *CONTENTS), k=3):
            kind = dice.choice((stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, 0))
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.create_system, info.external_attr = 3, (kind | 0o777) << 16
            try:
                archive.writestr(info, bytes(dice.choice((0, 5, 3_000_000))), zipfile.ZIP_DEFLATED)
            except (ValueError, UnicodeError, UserWarning):
                continue
    return made.getvalue()


def _written(content: bytes, folder: Path, dice: Random) -> Act:
    (folder / "a.archive").write_bytes(content)
    return partial(_unpack, folder, dice.choice((0, 0, 1)))


def _unpack(folder: Path, strip: int) -> None:
    held = archives.unpack(folder / "a.archive", folder / "out", strip=strip, most_bytes=MOST_BYTES, with_tree=True)
    files = [path for path in (folder / "out").rglob("*") if not path.is_dir()]
    assert len(files) == held.files
    assert all(path.is_file() and not path.is_symlink() for path in files)
    assert sum(path.stat().st_size for path in files) == held.size_bytes <= MOST_BYTES


CAMPAIGNS = (
    Campaign("unpacking/tar", 700, _tars, _lay_tar, out="out", keeps=False),
    Campaign("unpacking/zip", 500, _zips, _lay_zip, out="out", keeps=False),
)
