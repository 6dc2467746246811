"""Sole use of a folder, on file systems that lock files and on those that do not."""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from at_data.errors import ShardError

TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
UNKNOWN = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # as some network file systems say
EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
ORPHANS_S = 60.0  # for workers whose parent was killed to leave: they are told at once, and may be within a decoder
LOOK_S = 0.02  # between two looks

_held: set[Path] = set()  # by this process: POSIX locks do not keep a process from itself


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """Sole use of a work folder; inside, a handle that every worker shall keep open until it ends.

    The kernel's lock of `.lock` in it dies with the process that holds it: flock, or POSIX locks where the file system
    has none. Where it has neither, a file beside the folder (its name and `.owner`) names the process that works here;
    it is passed on when that process is dead.

    A process that is killed leaves workers behind, for a moment, that still write. The handle is of `.workers`, whose
    flock all who have it open hold together: it is free when the last worker of an earlier build is gone, which is
    waited for. There is none where the file system lacks flock.

    Raises
    ------
    ShardError
        Another build is writing here, or one on another machine may be, or its workers do not end.

    """
    key = folder.resolve()
    if key in _held:
        raise _taken(folder)
    _held.add(key)
    try:
        with (folder / ".lock").open("w") as file, (folder / ".workers").open("w") as workers:
            owner = None
            if not _lock(fcntl.flock, file.fileno(), folder) and not _lock(fcntl.lockf, file.fileno(), folder):
                owner = key.with_name(key.name + ".owner")
                _own(owner, folder)
            try:
                yield workers.fileno() if _alone(workers.fileno(), folder) else None
            finally:
                if owner is not None:
                    owner.unlink(missing_ok=True)
    finally:
        _held.discard(key)


def _lock(how: Callable[[int, int], object], file: int, folder: Path) -> bool:
    """Whether the file is locked; not so where the file system cannot do it this way."""
    try:
        how(file, EXCLUSIVE)
    except OSError as error:
        if error.errno in TAKEN:
            raise _taken(folder) from error
        if error.errno not in UNKNOWN:
            raise
        return False
    return True


def _alone(workers: int, folder: Path) -> bool:
    """Whether the workers' lock is held, once all workers of earlier builds are gone; not so where flock is lacking."""
    end = time.monotonic() + ORPHANS_S
    while True:
        try:
            return _lock(fcntl.flock, workers, folder)
        except ShardError as error:
            if time.monotonic() > end:
                raise ShardError(
                    folder,
                    "worker processes of a build that was ended are still writing here",
                    f"that they leave within {ORPHANS_S:g} s",
                    "end them, or wait, and run the same command again",
                ) from error
            time.sleep(LOOK_S)


def _taken(folder: Path) -> ShardError:
    return ShardError(
        folder,
        "another build is writing here",
        "one build per folder at a time",
        "wait for it, or choose another --out",
    )


def _own(owner: Path, folder: Path) -> None:
    """Name this process in the owner's file, which appears whole or not at all."""
    mine = owner.with_name(f"{owner.name}.{socket.gethostname()}.{os.getpid()}")
    mine.write_text(json.dumps(_process(os.getpid())), encoding="utf-8")
    try:
        if not _linked(mine, owner):
            _inherit(owner, mine, folder)
    finally:
        mine.unlink(missing_ok=True)


def _linked(mine: Path, name: Path) -> bool:
    """Whether a file has taken this name, which nothing else had."""
    try:
        os.link(mine, name)
    except FileExistsError:
        return False
    except OSError:  # no hard links here either
        with suppress(FileExistsError), name.open("x", encoding="utf-8") as file:
            file.write(mine.read_text(encoding="utf-8"))
            return True
        return False
    return True


def _inherit(owner: Path, mine: Path, folder: Path) -> None:
    """Take the place of an owner that is dead; one heir at a time, and none while the owner may live."""
    heir = owner.with_name(owner.name + ".heir")
    if not _linked(mine, heir):
        raise _perhaps_taken(folder, heir)
    try:
        if _linked(mine, owner):  # it has just left
            return
        if not _dead(owner):
            raise _perhaps_taken(folder, owner)
        mine.replace(owner)
    finally:
        heir.unlink(missing_ok=True)


def _dead(owner: Path) -> bool:
    """Whether the owner was a process of this machine that is no more."""
    try:
        facts = json.loads(owner.read_text(encoding="utf-8"))
        host, number = facts["host"], int(facts["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(host == socket.gethostname() and _process(number) != facts)


def _perhaps_taken(folder: Path, file: Path) -> ShardError:
    return ShardError(
        folder,
        f"another build is writing here, or was ended on another machine ({file} says so)",
        "one build per folder at a time, on a file system without locks",
        "wait for it, or remove that file if no such process runs",
    )


def _process(number: int) -> dict[str, Any]:
    """A process as the owner's file names it; when it started is known on Linux alone, and None of a dead one."""
    started: str | None = None
    with suppress(OSError):
        # fields after the name, which may hold anything: proc(5), field 22
        started = (
            Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
    if started is None and _lives(number):
        started = "unknown"
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return {"host": socket.gethostname(), "process": number, "started": started, "boot": boot}


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
