"""The work folder of a build is had by one process at a time, also where the file system has no locks."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys

import fatal
import pytest

from at_data.build import locks
from at_data.build.pool import Pool
from at_data.errors import ShardError


def without(monkeypatch, *names, number=errno.ENOLCK):
    """Have kinds of locks fail with an error of the file system."""

    def fail(*_):
        raise OSError(number, os.strerror(number))

    for name in names:
        monkeypatch.setattr(fcntl, name, fail)


def taken(folder):
    with pytest.raises(ShardError) as caught, locks.locked(folder):
        pass
    return str(caught.value)


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_somebody_holds_is_another_build(monkeypatch, tmp_path, number):
    without(monkeypatch, "flock", number=number)
    assert "another build is writing here" in taken(tmp_path)


def test_a_failing_disk_is_no_other_build(monkeypatch, tmp_path):
    without(monkeypatch, "flock", number=errno.EIO)
    with pytest.raises(OSError, match="Input/output"), locks.locked(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("names", [("flock",), ("flock", "lockf")])
def test_a_folder_whose_file_system_lacks_locks_is_had_by_one_at_a_time(monkeypatch, tmp_path, names, number):
    folder = tmp_path / "work"
    folder.mkdir()
    without(monkeypatch, *names, number=number)
    script = f"""
import errno, fcntl, pathlib, sys
from at_data.build import locks
from at_data.errors import ShardError
def fail(*_): raise OSError(errno.ENOLCK, "")
for name in {names!r}: setattr(fcntl, name, fail)
try:
    with locks.locked(pathlib.Path({str(folder)!r})): print("had")
except ShardError as error:
    print(error)
"""

    def other():
        return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    with locks.locked(folder):
        assert "another build is writing here" in taken(folder)
        if number == errno.ENOLCK:
            assert "another build is writing here" in other()
    if number == errno.ENOLCK:
        assert other() == "had\n"
    with locks.locked(folder):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", ".workers", "work"]


@pytest.fixture
def owner(monkeypatch, tmp_path):
    """Where an owner is named who holds a folder on a file system without locks."""
    without(monkeypatch, "flock", "lockf")
    (tmp_path / "work").mkdir()
    return tmp_path / "work.owner"


def test_the_owner_of_a_folder_is_named(owner):
    with locks.locked(owner.with_suffix("")):
        facts = json.loads(owner.read_text())
    assert (facts["host"], facts["process"]) == (socket.gethostname(), os.getpid())
    assert not owner.exists()


@pytest.mark.parametrize("change", [{"process": 2**22 + 1}, {"started": "1"}, {"boot": "before"}])
def test_a_dead_owner_is_succeeded(owner, change):
    with locks.locked(owner.with_suffix("")):
        facts = json.loads(owner.read_text())
    owner.write_text(json.dumps(facts | change))
    with locks.locked(owner.with_suffix("")):
        assert json.loads(owner.read_text()) == facts
    assert sorted(path.name for path in owner.parent.iterdir()) == ["work"]


@pytest.mark.parametrize("facts", ['{"host": "elsewhere", "process": 1, "started": "1", "boot": ""}', "torn {", "[]"])
def test_an_owner_that_may_live_is_left_and_its_file_named(owner, facts):
    owner.write_text(facts)
    assert f"({owner} says so)" in taken(owner.with_suffix(""))
    assert owner.read_text() == facts
    assert sorted(path.name for path in owner.parent.iterdir()) == ["work", "work.owner"]


def test_of_many_heirs_one_at_a_time_has_the_folder(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "log").mkdir()
    dead = {"host": socket.gethostname(), "process": 2**22 + 1, "started": "1", "boot": ""}
    (tmp_path / "work.owner").write_text(json.dumps(dead))
    with Pool(4) as pool:
        had = [times for _, times in pool.run(fatal.take, [tmp_path / "work"] * 4, tmp_path / "log")]
    assert sum(had) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "work"]
