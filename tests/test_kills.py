"""Builds killed at random moments, their parent or any of their processes, end in the same bytes."""

import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished import tree
from started import Builder, finished, small

from at_data.verify import verify

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc: run this on Linux")

KILLS = 12  # at least
STARTS = 100  # at most
WORKERS = (1, 2, 8)
PHASES = ("start", "read", "scale", "tables")
# what is killed in one folder, call by call; then a call ends it undisturbed
COURSE = ("start", "read", "read", "scale", "read", "scale", "tables", "tables")
VICTIMS = {"parent": 0.5, "worker": 0.38, "server": 0.12}
NEEDED = {"parent": 4, "worker": 4, "server": 1, **dict.fromkeys(PHASES, 2)}  # of the kills


def family(session: int) -> dict[str, list[int]]:
    """Processes of a build by what they are: the parent, the server that workers are copied from, the workers."""
    found: dict[str, list[int]] = {"parent": [session], "server": [], "worker": []}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                said = (entry / "cmdline").read_text()
                if int(fields[3]) == session and fields[0] != "Z" and "forkserver" in said:
                    found["server" if int(fields[1]) == session else "worker"].append(int(entry.name))
    return found


def phase(out: Path, said: Path, shards: int) -> str:
    """What a build is at, as its words and its work folder tell."""
    words = said.read_text()
    if "scale: " in words:
        return "tables" if len(list(out.glob("*/shards/*.h5"))) == shards else "scale"
    return "read" if "read: " in words else "start"


def spans(process: Any, look: Any) -> dict[str, float]:
    """Seconds that each phase of a build lasts, which has to end well."""
    lasted = dict.fromkeys(PHASES, 0.0)
    before = time.monotonic()
    while process.poll() is None:
        was = look()
        time.sleep(0.002)
        before, since = time.monotonic(), before
        lasted[was] += before - since
    assert process.returncode == 0
    return lasted


def kill(process: Any, wanted: str, span_s: float, look: Any, dice: np.random.Generator) -> tuple[str, str] | None:
    """The phase a build was in when it lost a process, and which; None where it ended before the phase came."""
    while look() != wanted and process.poll() is None:
        time.sleep(0.002)
    with suppress(subprocess.TimeoutExpired):
        process.wait(dice.uniform(0, span_s))
    was = look()
    victims = family(process.pid)
    kind = str(dice.choice(list(VICTIMS), p=list(VICTIMS.values())))
    kind = kind if victims[kind] else "parent"
    if process.poll() is not None:
        return None
    with suppress(ProcessLookupError):
        os.kill(int(dice.choice(victims[kind])), signal.SIGKILL)
        return was, kind
    return None


def free(lock: Path) -> bool:
    """Whether nobody holds a lock: asked of the kernel, as trying it would keep others from it."""
    return f":{lock.stat().st_ino} " not in Path("/proc/locks").read_text()


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return small(tmp_path_factory.mktemp("kills"), per_shard=3)


@pytest.mark.slow
def test_no_kill_loses_anything(builder: Builder, tmp_path: Path) -> None:
    undisturbed = builder.run(tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = tree(finished(tmp_path / "undisturbed")[0])
    shards = sum(name.startswith("shards/") for name in expected)
    said = tmp_path / "said"
    watched = tmp_path / "watched"
    lasted = spans(builder.start(watched, 1, said), lambda: phase(watched, said, shards))
    dice = np.random.default_rng(50)
    killed: Counter[str] = Counter()
    ended, starts, sessions, course = [], 0, [], iter(COURSE)
    while killed.total() < 2 * KILLS or any(killed[name] < least for name, least in NEEDED.items()) or not ended:
        starts += 1
        assert starts < STARTS, killed
        # each starts at once: whatever the last one left running must not get in its way
        out = tmp_path / f"out{len(ended)}"
        process = builder.start(out, int(dice.choice(WORKERS)), said)
        sessions.append(process.pid)
        wanted = next(course, None)
        found = wanted and kill(process, wanted, lasted[wanted], lambda out=out: phase(out, said, shards), dice)
        killed.update(found or ())
        assert process.wait(120) in (0, 2, -signal.SIGKILL), said.read_text()
        assert process.returncode != 2 or ("worker process" in said.read_text() and found), said.read_text()
        assert finished(out) or process.returncode != 0
        for folder in finished(out):  # whatever bears a final name is whole, and the same
            assert tree(folder) == expected
            ended.append(folder)
            course = iter(COURSE)
    assert verify(ended[-1]) == []
    end = time.monotonic() + 20
    while any(family(session)[kind] for session in sessions for kind in ("server", "worker")):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.1)
    print(f"{starts} starts, {len(ended)} finished, killed {dict(killed)}")  # noqa: T201 - for docs/reliability.md


def test_the_next_build_waits_for_a_worker_that_outlives_its_parent(builder: Builder, tmp_path: Path) -> None:
    out, said = tmp_path / "out", tmp_path / "said"
    process = builder.start(out, 1, said)
    while not list(out.glob("*.partial/parts/*.json")):
        assert process.poll() is None, said.read_text()
        time.sleep(0.002)
    (worker,) = family(process.pid)["worker"]
    os.kill(worker, signal.SIGSTOP)  # as one that is within a decoder, and does not look up
    process.kill()
    process.wait()
    following = builder.start(out, 1, tmp_path / "said next")
    (lock,) = out.glob("*.partial/.lock")
    while free(lock):
        time.sleep(0.02)
    before = tree(out)
    time.sleep(3)
    assert "read: " not in (tmp_path / "said next").read_text()
    assert tree(out) == before
    os.kill(worker, signal.SIGCONT)
    assert following.wait(60) == 0, (tmp_path / "said next").read_text()
    assert verify(finished(out)[0]) == []
