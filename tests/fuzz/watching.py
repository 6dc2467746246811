"""What a call does beside giving a result: files written, programs started, code made of data, memory taken."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = frozenset(
    (
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.symlink",
        "os.link",
        "os.chmod",
        "os.chown",
        "os.truncate",
        "os.utime",
    )
)
NEVER = frozenset(
    "os.system os.exec os.fork os.forkpty os.posix_spawn os.spawn os.startfile subprocess.Popen pty.spawn "  # noqa: SIM905
    "socket.connect socket.bind pickle.find_class marshal.loads code.__new__ ctypes.dlopen".split()
)

OF_IMPORTS = frozenset(("marshal.loads", "code.__new__", "ctypes.dlopen"))

_now: "Watch | None" = None


class Watch:
    """What was seen while one call was watched."""

    def __init__(self, writable: Path | None) -> None:
        self.writable = os.path.realpath(writable) if writable else None
        self.seen: list[str] = []

    def note(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = details
            writes = bool(set(mode) & set("wax+")) if mode else bool((flags or 0) & WRITING)
            if writes and not isinstance(path, int) and not self.may(path):
                self.seen.append(f"opened {path!r} to write")
        elif event in CHANGING:
            for path in details:
                if isinstance(path, (str, bytes, os.PathLike)) and not self.may(path):
                    self.seen.append(f"{event} {path!r}")
        elif event in NEVER and not (event in OF_IMPORTS and _importing()):
            self.seen.append(f"{event} {details!r}"[:200])
        elif event == "exec" and getattr(details[0], "co_filename", "").startswith("<") and not _importing():
            self.seen.append(f"executed code from {details[0].co_filename}")

    def may(self, path: Any) -> bool:
        """Whether the call may write there."""
        if os.fsdecode(path) == os.devnull:
            return True
        if self.writable is None:
            return False
        real = os.path.join(os.path.realpath(os.path.dirname(os.fsdecode(path))), os.path.basename(os.fsdecode(path)))  # noqa: PTH118, PTH119, PTH120 - a Path cannot hold all that bytes can name
        return real == self.writable or real.startswith(self.writable + os.sep)


@contextmanager
def watched(writable: Path | None) -> Iterator[Watch]:
    """What is seen of everything within, where warnings are errors."""
    global _now  # noqa: PLW0603 - an audit hook cannot be taken away, only told to rest
    watch = Watch(writable)
    sys.unraisablehook = lambda what: watch.seen.append(f"unraisable {what.exc_value!r} in {what.object!r}"[:200])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _now = watch
        try:
            yield watch
        finally:
            _now = None


def install() -> None:
    """Have the interpreter tell what is done from now on."""
    sys.addaudithook(_hook)


def _hook(event: str, details: tuple[Any, ...]) -> None:
    if _now is not None:
        _now.note(event, details)


def _importing() -> bool:
    """Whether a module is being imported, which may make classes by executing text of its own."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of all that lies below a folder."""
    found = {}
    for above, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(above, name)  # noqa: PTH118 - twenty thousand times
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns if name in names else 0)
    return found


def forget_peak() -> None:
    """Begin anew to measure the most memory that this process holds."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def memory_bytes(which: str) -> int:
    """Memory that this process holds (VmRSS), or held at most (VmHWM); 0 where that is not told."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{which}:")), 0)
