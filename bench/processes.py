"""What a command and everything it starts take: seconds, seconds of processors, memory (Linux)."""

import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ADOPT = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
ASK_EVERY_S = 0.02


@dataclass(slots=True)
class Spent:
    """Seconds by the clock and of all processors; where it was asked for, the highest memory of each process.

    `peaks_mb` is what was resident, as the kernel notes it, pages of files among it that the system may take back at
    any time; `own_mb` is what is of no file and has to stay, the most that was seen at any look. Both are by role:
    `parent` is the command itself, `server` what its workers are copied from, then `worker 1`, `worker 2` ... in the
    order they were started.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peaks_mb: dict[str, float] = field(default_factory=dict)
    own_mb: dict[str, float] = field(default_factory=dict)


def run(command: list[object], *, memory: bool = False) -> Spent:
    """What a command took; its words are shown, and the bench ends, where it fails."""
    # what outlives the command comes to this process, so that its processor time is counted as well
    ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    words = [str(word) for word in command]
    own = _below(os.getpid())
    before, began = _cpu_s(), time.perf_counter()
    # as users have it: compiled modules are kept
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    spent = Spent()
    watcher = threading.Thread(target=_watch, args=(process.pid, spent, done := threading.Event()))
    if memory:
        watcher.start()
    _, said = process.communicate()
    spent.wall_s = time.perf_counter() - began
    done.set()
    if memory:
        watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}\n{said}")
    for adopted in _below(os.getpid()) - own:
        with suppress(ChildProcessError):
            os.waitpid(adopted, 0)
    spent.cpu_s = _cpu_s() - before
    return spent


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _mb(told: str) -> float:
    return int(told.split(maxsplit=1)[0]) / 1024


def _watch(pid: int, spent: Spent, done: threading.Event) -> None:
    """Note the highest memory of a process and those below it until all is over."""
    roles = {pid: "parent"}
    while not done.is_set():
        for below in sorted(_below(pid) - roles.keys()):
            told = Path(f"/proc/{below}/stat")
            with suppress(OSError, ValueError, IndexError):
                above = int(told.read_text().rpartition(")")[2].split()[1])
                kind = "server" if above == pid else "worker"
                number = sum(role.startswith(kind) for role in roles.values())
                roles[below] = f"{kind} {number + 1}" if kind == "worker" or number else kind
        for known, role in roles.items():
            with suppress(OSError, ValueError, KeyError):
                told = dict(line.split(":", 1) for line in Path(f"/proc/{known}/status").read_text().splitlines())
                peak, anonymous, shared = (_mb(told[name]) for name in ("VmHWM", "RssAnon", "RssShmem"))
                spent.peaks_mb[role] = max(spent.peaks_mb.get(role, 0.0), peak)
                spent.own_mb[role] = max(spent.own_mb.get(role, 0.0), anonymous + shared)
        time.sleep(ASK_EVERY_S)


def _below(pid: int) -> set[int]:
    """Children of a process, and theirs."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(child) for child in task.read_text().split()}
    return found.union(*(_below(child) for child in found))
