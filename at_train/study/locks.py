"""One owner per run, among processes of one machine or of several that share a file system.

A lock is a folder. Its owner is the file in it with the highest number. Who wants the lock makes the next number, which
only one process can, and only where no living process owns it. Two things say that an owner lives: a file that it
holds with flock, where the file system has that, and the owner file itself. On the owner's machine its process is
looked for; from elsewhere, and where nobody tells when a process was started, the file must have been touched of late,
by the clock of the file system.
"""

import errno
import fcntl
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

BEAT_S = 15.0  # an owner touches its file this often
DEAD_AFTER_S = 180.0  # an owner on another machine, or of unknown start, that has not for so long is dead
FLOCK = "flock"
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}  # what file systems that have none answer
READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Owner:
    """A process: where it runs (machine, boot, process namespace), its number, and when it was started."""

    host: str
    place: str
    pid: int
    started: str | None


@dataclass(frozen=True)
class Hold:
    """A lock that this process owns."""

    path: Path
    file: IO[str]

    def beat(self) -> bool:
        """Whether the lock is still ours; whoever looks on now sees that we live."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        return _newest(self.path.parent) == self.path

    def release(self) -> None:
        """Let others have it."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def take(folder: Path) -> Hold | None:
    """The lock in this folder, or None where a living process owns it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / FLOCK).open("a")
    path = folder / f"{_number(_newest(folder)) + 1}.json"
    if not _flocked(file) or owner(folder) is not None or not _written(path):
        file.close()
        return None
    for older in folder.glob("*.json"):
        if _number(older) < _number(path):
            older.unlink(missing_ok=True)
    return Hold(path, file)


def owner(folder: Path) -> Owner | None:
    """The living process that owns the lock in this folder, if any."""
    newest = _newest(folder)
    if newest is None:
        return None
    try:
        age_s = _now(folder) - newest.stat().st_mtime
        found = Owner(**json.loads(newest.read_text(encoding="utf-8")))
    except FileNotFoundError:  # released at this moment
        return None
    except (ValueError, TypeError):  # being written at this moment, or cut short by a crash
        found = Owner("?", "?", 0, None)
    here = found.place == _place()
    if here and found.started:
        alive = found.started == _started(found.pid)
    else:
        alive = age_s < DEAD_AFTER_S and (not here or _exists(found.pid))
    return found if alive else None


def me() -> Owner:
    """What we are as an owner."""
    return Owner(platform.node(), _place(), os.getpid(), _started(os.getpid()))


def _written(path: Path) -> bool:
    """Whether the owner file could be made by us; False where another process was quicker."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(me()), file)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("*.json"), key=_number, default=None)


def _number(path: Path | None) -> int:
    return int(path.stem) if path else 0


def _flocked(file: IO[str]) -> bool:
    """Whether nobody else holds this file; True too where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def _now(folder: Path) -> float:
    """Time by the clock that dates the files in this folder, which need not be the clock of this machine.

    This machine's for who may not write there: they can only look, and take no lock by it.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return time.time()


def _place() -> str:
    """Machine, boot and process namespace: within one of these a process number means one process."""
    return f"{platform.node()} {_text('/proc/sys/kernel/random/boot_id')} {_link('/proc/self/ns/pid')}"


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since boot; None where there is no such process or no /proc."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else None  # noqa: PLR2004 - 22nd of all, see proc(5)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
