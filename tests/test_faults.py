"""Builds whose disk fails, fills up, loses power, or whose source changes places: nothing half-written has a name."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from finished import quarantine, tree
from started import Builder, finished, small

from at_data import manifest, shards
from at_data.build import build, locks, worker
from at_data.build.pool import Pool
from at_data.verify import verify

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="faults need /proc: run this on Linux")

ERRNO = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}
FAULTS = 8  # builds that meet one, in the sweep
OUTAGES = 4  # times the power fails


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return small(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def traced(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A dataset built undisturbed, and every call that wrote it."""
    folder = tmp_path_factory.mktemp("traced")
    ended = builder.run(folder / "out", order={"under": str(folder / "out"), "trace": str(folder / "trace")})
    assert ended.returncode == 0, ended.stderr
    return finished(folder / "out")[0], events(folder / "trace")


@pytest.fixture(scope="module")
def expected(traced: tuple[Path, list[dict[str, Any]]]) -> dict[str, str]:
    return tree(traced[0])


def events(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text().splitlines()] if trace.exists() else []


def one_clear_error(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("; expected ") == 1, ended.stderr


def carried_on(builder: Builder, out: Path, expected: dict[str, str]) -> None:
    """The next call, undisturbed, ends in the same bytes, whatever the last one left."""
    assert all(tree(folder) == expected for folder in finished(out))
    build(manifest.load(builder.manifest), builder.source, out, workers=2)
    assert [tree(folder) for folder in out.iterdir() if folder.is_dir()] == [expected]


def sweep(calls: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """Faults to try: the first and the last call of every kind by every process, and others at random."""
    dice = random.Random(5)
    every = [(role, what, nth) for (role, what), count in sorted(calls.items()) for nth in range(1, count + 1)]
    edges = [(*key, nth) for key, count in sorted(calls.items()) for nth in {1, count}]
    edges = dice.sample(edges, min(len(edges), FAULTS))  # or the parent's, which come first, would be all
    chosen = dict.fromkeys([*edges, *dice.sample(every, min(len(every), FAULTS))])
    return [
        {"role": role, "what": what, "nth": nth, "errno": dice.choice(list(ERRNO.values())), "lasting": lasting}
        for (role, what, nth), lasting in zip(chosen, [True, False] * len(chosen), strict=False)
    ][:FAULTS]


@pytest.mark.slow
def test_whichever_call_fails_there_is_one_clear_error_and_nothing_is_lost(
    builder: Builder, traced: tuple[Path, list[dict[str, Any]]], expected: dict[str, str], tmp_path: Path
) -> None:
    met: Counter[str] = Counter()
    for number, fault in enumerate(sweep(Counter((event["role"], event["what"]) for event in traced[1]))):
        out = tmp_path / f"{number}" / "out"
        out.parent.mkdir()
        order = {"under": str(out), "fault": fault, "count": str(out.parent / "count")}
        ended = builder.run(out, order=order)
        named = finished(out)
        assert not named or tree(named[0]) == expected, fault
        if ended.returncode:
            one_clear_error(ended)
            met[f"{fault['role']} {fault['what']}"] += 1
        else:
            assert named, fault
        if ended.returncode and number % 4 == 0:  # a disk that fails twice
            order["fault"] = fault | {"nth": 2 * fault["nth"]}
            builder.run(out, order=order)
        carried_on(builder, out, expected)
        shutil.rmtree(out.parent)
    print(dict(met))  # noqa: T201 - for docs/reliability.md
    assert met.total() >= FAULTS * 0.8
    assert {what.partition(" ")[0] for what in met} == {event["role"] for event in traced[1]}


@pytest.mark.parametrize("most_bytes", [3_000, 60_000, 250_000])
def test_a_library_that_cannot_write_is_one_clear_error(
    builder: Builder, expected: dict[str, str], tmp_path: Path, most_bytes: int
) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    one_clear_error(builder.run(tmp_path / "out", preexec_fn=limit))
    assert finished(tmp_path / "out") == []
    carried_on(builder, tmp_path / "out", expected)


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[Path]:
    """A file system of its own, where this process may mount one."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(["mount", *how, str(folder)], check=False, capture_output=True, text=True)
    if ended.returncode:
        pytest.skip(f"cannot mount ({ended.stderr.strip()}): run this as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounts a file system: run this as root")
@pytest.mark.parametrize("kilobytes", [400, 1_800, 2_400])
def test_a_full_disk_is_one_clear_error(
    builder: Builder, expected: dict[str, str], tmp_path: Path, kilobytes: int
) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs") as disk:
        ended = builder.run(disk / "out", 2, "--ignore-free-space")
        one_clear_error(ended)
        assert "no space left" in ended.stderr
        assert finished(disk / "out") == []
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        carried_on(builder, disk / "out", expected)


WRITES_A_SHARD = """
import sys
from pathlib import Path
import numpy as np
from at_data import shards
values = np.random.default_rng(0).normal(size=(20, 126, 129)).astype(np.float16)
names = [str(number) for number in range(20)]
try:
    shards.write_shard(
        Path(sys.argv[1]) / "a.h5", "d", iter([values[:10], values[10:]]), values.shape, {"word": np.arange(20)},
        names, names, target="word", dtype="float16", compression=sys.argv[2],
    )
except OSError as error:
    print(error.errno)
"""


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounts a file system: run this as root")
@pytest.mark.parametrize("compression", ["none", "lz4"])
@pytest.mark.parametrize("kilobytes", [200, 400, 600, 620, 640])
def test_a_shard_that_meets_a_full_disk_anywhere_is_the_systems_error(
    tmp_path: Path, kilobytes: int, compression: str
) -> None:
    """HDF5 may notice at its last write, when a file is closed."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs") as disk:
        command = [sys.executable, "-c", WRITES_A_SHARD, str(disk), compression]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.split() == [str(errno.ENOSPC)], done.stderr


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounts a file system: run this as root")
def test_a_disk_that_cannot_be_written_is_one_clear_error_and_finished_data_are_read(
    builder: Builder, expected: dict[str, str], tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs") as disk:
        (disk / "out").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ended = builder.run(disk / "out")
        one_clear_error(ended)
        assert "read-only file system" in ended.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        carried_on(builder, disk / "out", expected)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert builder.run(disk / "out").returncode == 0
        assert verify(finished(disk / "out")[0]) == []


def below(path: str, folder: Path) -> str | None:
    """Where a file lies in a dataset, in its work folder or under its final name."""
    for root in (folder, folder.with_name(folder.name + ".partial")):
        if path == str(root) or path.startswith(f"{root}/"):
            return os.path.relpath(path, root)
    return None


def test_what_gets_a_final_name_was_forced_to_disk_before(traced: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, trace = traced
    forced: dict[int, list[int]] = {}
    checked = set()
    for event in trace:
        if event["what"] == "fsync":
            forced[event["inode"]] = event["state"]
        elif event["what"] == "replace" and not below(event["to"], folder).startswith("parts/"):
            assert forced.get(event["inode"]) == event["state"], event
            checked.add(below(event["to"], folder))
    shard_files = {path.relative_to(folder).as_posix() for path in folder.glob("shards/*")}
    assert checked == {"plan.json", "dataset.json", *shard_files}


def test_everything_is_on_disk_before_the_folder_has_its_name_and_the_name_after(
    traced: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, trace = traced
    moments = {event["to"]: place for place, event in enumerate(trace) if event["to"]}
    header, name = moments[f"{folder}.partial/dataset.json"], moments[str(folder)]
    forced = [{"state": event.get("state"), "inode": event.get("inode")} for event in trace]
    for path in folder.rglob("*"):
        if path.is_file():
            last = {"state": [path.stat().st_size, path.stat().st_mtime_ns], "inode": path.stat().st_ino}
            places = [at for at, event in enumerate(trace) if event["what"] == "fsync" and forced[at] == last]
            # the header says that all else is whole, so it is the last; a crash may leave it without what comes after
            assert min(places, default=len(trace)) < (name if path.name == "dataset.json" else header), path
    for where, until in ((".", name), ("shards", name), ("shards", header)):
        changed = [at for at, event in enumerate(trace[:until]) if touches(event, folder, where)]
        forces = [
            at for at, event in enumerate(trace[:until]) if event["what"] == "fsync" and at_place(event, folder, where)
        ]
        assert forces[-1] > changed[-1], where
    assert any(event["what"] == "fsync" and event["path"] == str(folder.parent) for event in trace[name:])


def touches(event: dict[str, Any], folder: Path, where: str) -> bool:
    """Whether a call gave or took a name in a folder of the dataset."""
    paths = [below(path, folder) for path in (event["path"], event["to"]) if path]
    here = any(path not in {None, "."} and str(Path(path).parent) == where for path in paths)
    return event["what"] != "fsync" and here


def at_place(event: dict[str, Any], folder: Path, where: str) -> bool:
    return below(event["path"], folder) == where


def there(out: Path, pattern: str) -> int:
    """How many files of a work folder match, none where it is taken away meanwhile."""
    with suppress(FileNotFoundError):
        return len(list(out.glob(f"*.partial/{pattern}")))
    return 0


def outage(folder: Path, trace: list[dict[str, Any]], dice: random.Random) -> Counter[str]:
    """What a work folder lost, as a power failure loses it: whatever was not forced to disk is torn, or gone."""
    forced = {event["inode"]: event["state"] for event in trace if event["what"] == "fsync" and "inode" in event}
    names = {event["path"]: event["at"] for event in trace if event["what"] == "fsync"}
    given = {event["to"] or event["path"]: event["at"] for event in trace if event["what"] != "fsync"}
    lost: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        now = path.stat()
        whole = forced.get(now.st_ino) == [now.st_size, now.st_mtime_ns]
        named = names.get(str(path.parent), 0) > given.get(str(path), 0)
        how = dice.choice(["kept", "gone"] if whole else ["kept", "gone", "empty", "short", "zeros", "rubbish"])
        if (whole and named) or how == "kept":
            continue
        lost[how] += 1
        content = bytearray(path.read_bytes())
        cut = dice.randrange(len(content) + 1)
        if how == "gone":
            path.unlink()
        elif how in {"empty", "short"}:
            os.truncate(path, cut if how == "short" else 0)
        else:
            torn = bytes(len(content) - cut) if how == "zeros" else dice.randbytes(len(content) - cut)
            path.write_bytes(bytes(content[:cut]) + torn)
    return lost


@pytest.mark.slow
def test_a_power_failure_at_any_moment_loses_nothing(
    builder: Builder, expected: dict[str, str], tmp_path: Path
) -> None:
    dice = random.Random(6)
    lost: Counter[str] = Counter()
    moments = [("parts/*.json", 3), ("parts/*.json", 7), ("shards/*.h5", 1), ("shards/*.h5", 5)]
    moments += [("splits.csv", 1), ("README.md", 1), ("dataset.json", 1), ("dataset.json.partial", 1)]
    for number in range(OUTAGES):
        pattern, count = moments[number % len(moments)]
        out, trace = tmp_path / f"out{number}", tmp_path / f"trace{number}"
        process = builder.start(out, 1 + number % 2, tmp_path / "said", {"under": str(out), "trace": str(trace)})
        while process.poll() is None and there(out, pattern) < count:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)  # the parent and all of its own go at once, as the machine does
        process.wait()
        for folder in out.glob("*.partial"):
            lost += outage(folder, events(trace), dice)
        carried_on(builder, out, expected)
        shutil.rmtree(out)
    print(dict(lost))  # noqa: T201 - for docs/reliability.md
    assert set(lost) == {"gone", "empty", "short", "zeros", "rubbish"}


def test_a_header_that_outlived_its_plan_is_not_taken_for_the_coming_one(
    builder: Builder, traced: tuple[Path, list[dict[str, Any]]], expected: dict[str, str], tmp_path: Path
) -> None:
    work = tmp_path / "out" / (traced[0].name + ".partial")
    work.mkdir(parents=True)
    header = json.loads((traced[0] / "dataset.json").read_text())
    facts = {"digest": header["digest"], "listing": header["listing"], "format": header["format"]}
    (work / "plan.json").write_text(json.dumps(facts | {"versions": header["versions"]}))
    (work / "dataset.json").write_text(json.dumps(header | {"listing": "0" * 64}))
    carried_on(builder, tmp_path / "out", expected)


def test_a_source_that_goes_away_ends_the_build_and_its_return_completes_it(
    builder: Builder, expected: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(builder.source.parent, tmp_path / "corpus")
    moving = Builder(builder.manifest, tmp_path / "corpus" / builder.source.name)
    out, said = tmp_path / "out", tmp_path / "said"
    process = moving.start(out, 1, said)
    while process.poll() is None and not there(out, "parts/*.json"):
        time.sleep(0.001)
    moving.source.rename(tmp_path / "away")
    assert process.wait(120) == 2
    assert "recordings are bad" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert finished(out) == []
    bad = [entry for folder in out.glob("*.partial") for entry in quarantine(folder)]
    assert 0 < len(bad) < 40
    assert builder.run(out, 1, "--source", str(moving.source)).returncode == 2  # nor is there a plan without it
    (tmp_path / "away").rename(moving.source)
    carried_on(moving, out, expected)


def test_workers_of_a_killed_build_are_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = f"import fcntl, time; f = open({str(tmp_path / '.workers')!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX)"
    command = [sys.executable, "-c", f"{script}; print(flush=True); time.sleep(1)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        monkeypatch.setattr(locks, "ORPHANS_S", 0.1)
        with (
            pytest.raises(locks.ShardError, match="worker processes of a build that was ended"),
            locks.locked(tmp_path),
        ):
            pass
        monkeypatch.undo()
        with locks.locked(tmp_path) as hold:
            assert hold is not None
            assert orphan.wait(10) == 0


LOCKED = """
import fcntl, sys, time
files = [open(path, "ab") for path in sys.argv[1:]]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
time.sleep(600)
"""
READ = """
import sys
from pathlib import Path
from at_data import shards
dataset = shards.open_dataset(Path(sys.argv[1]))
print(*(len(dataset.split(name).ids) for name in dataset.splits))
"""


@contextmanager
def refused(*files: Path) -> Iterator[None]:
    """Time in which nobody gets a lock of these files, as on a file system that has none."""
    command = [sys.executable, "-c", LOCKED, *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            with pytest.raises(OSError, match="lock"):
                h5py.File(files[0], "a", locking=True)
            yield
        finally:
            holder.kill()


def test_a_finished_dataset_is_read_where_its_files_cannot_be_locked(
    traced: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder = traced[0]

    def read(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", READ, str(folder)]
        return subprocess.run(command, env=os.environ | more, check=False, capture_output=True, text=True)

    with refused(*folder.glob("shards/*.h5")):
        assert read().stdout.split() == [str(items) for items in shards.open_dataset(folder).header.counts.values()]
        # HDF5 heeds its variable before its caller, so who asks for locks there is told of them
        assert "unable to lock file" in read(HDF5_USE_FILE_LOCKING="TRUE").stderr


def test_a_shard_is_written_where_its_file_cannot_be_locked(tmp_path: Path) -> None:
    with refused(tmp_path / "one.h5"):
        codes = {"word": np.zeros(2, np.int64)}
        blocks = [np.ones((2, 3, 4), np.float32)]
        names = ["a", "b"]
        shards.write_shard(
            tmp_path / "one.h5",
            "0" * 64,
            blocks,
            (2, 3, 4),
            codes,
            names,
            names,
            target="word",
            dtype="float32",
            compression="none",
        )
    with h5py.File(tmp_path / "one.h5", locking=False) as file:
        assert (file.attrs["dataset"], file["x"].shape) == ("0" * 64, (2, 3, 4))


@pytest.mark.parametrize(("times", "works"), [(2, True), (3, False)])
def test_a_server_that_is_killed_while_it_copies_a_worker_is_started_again(
    monkeypatch: pytest.MonkeyPatch, times: int, *, works: bool
) -> None:
    start, failures = worker.Worker._start, [EOFError, BrokenPipeError, ConnectionResetError][:times]

    def fail_first(self: worker.Worker, hold: int | None) -> None:
        if failures:
            raise failures.pop(0)
        start(self, hold)

    monkeypatch.setattr(worker.Worker, "_start", fail_first)
    with Pool(1) as pool:
        if works:
            assert list(pool.run(abs, [-1])) == [(-1, 1)]
        else:
            with pytest.raises(locks.ShardError, match="the process they are copied from was ended"):
                list(pool.run(abs, [-1]))
