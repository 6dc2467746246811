"""A run of a study is trained by one process at a time, on any machine."""

import os
import subprocess
import sys
import time

from foreign import foreign

from at_train.study import locks


def test_a_lock_has_one_owner_and_can_be_given_back(tmp_path):
    hold = locks.take(tmp_path / "lock")
    assert locks.take(tmp_path / "lock") is None
    assert locks.owner(tmp_path / "lock") == locks.me()
    assert hold.beat()
    hold.release()
    assert locks.owner(tmp_path / "lock") is None
    again = locks.take(tmp_path / "lock")
    assert again.beat()
    again.release()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    code = "import os; from pathlib import Path; from at_train.study import locks; "
    code += f"locks.take(Path({str(tmp_path / 'lock')!r})); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert list((tmp_path / "lock").glob("*.json"))
    assert locks.owner(tmp_path / "lock") is None
    locks.take(tmp_path / "lock").release()


def test_without_proc_a_lock_is_not_kept_by_who_has_got_the_number_of_a_dead_process(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_text", lambda _: "")
    monkeypatch.setattr(locks, "_link", lambda _: "")
    hold = locks.take(tmp_path)
    assert locks.owner(tmp_path) == locks.me()
    assert locks.take(tmp_path) is None
    hold.file.close()  # as the end of a process does, whose number this one now has
    assert locks.owner(tmp_path) == locks.me()
    os.utime(hold.path, (0, time.time() - locks.DEAD_AFTER_S * 2))
    locks.take(tmp_path).release()


def test_the_lock_of_another_machine_is_taken_over_when_it_was_silent_for_long(tmp_path):
    foreign(tmp_path / "fresh", locks.DEAD_AFTER_S / 2)
    foreign(tmp_path / "stale", locks.DEAD_AFTER_S * 2)
    assert locks.take(tmp_path / "fresh") is None
    assert locks.owner(tmp_path / "fresh").host == "other"
    locks.take(tmp_path / "stale").release()


def test_an_owner_that_was_taken_for_dead_notices(tmp_path, monkeypatch):
    hold = locks.take(tmp_path)
    monkeypatch.setattr(locks, "_flocked", lambda _: True)  # as where file systems have no locks
    monkeypatch.setattr(locks, "_started", lambda _: "another time")
    other = locks.take(tmp_path)
    assert not hold.beat()
    assert other.beat()
    hold.file.close()
    other.release()
