"""Workers that die cost what killed them, and nothing else."""

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import fatal
import pytest
from conftest import NOISE
from finished import quarantine, tree
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from at_data import forks
from at_data.build import worker
from at_data.build.journal import Limits
from at_data.build.pool import Pool
from at_data.errors import ShardError
from at_data.verify import verify


def as_known(_: object) -> tuple[str | None, bool]:
    """Threads that a worker's libraries may have, and whether Ctrl-C is kept from it."""
    return os.environ.get("OMP_NUM_THREADS"), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_copied_from_a_new_server_know_what_the_others_knew() -> None:
    """The process they are copied from may be killed by anybody."""
    with Pool(1):
        end_server()  # another test may have started it, which knows nothing
    for _ in range(2):
        with Pool(1) as pool:
            assert [found for _, found in pool.run(as_known, [1])] == [("1", True)]
            end_server()
            assert [found for _, found in Pool(1).run(as_known, [1])] == [("1", True)]


def begins_with(_: object) -> tuple[set[str], bool, bool]:
    """Modules that a first recording would wait for; whether shared memory is left alone; whether cycles are sought."""
    missing = {"numpy", "scipy.fft", "at_data.build.work"} - sys.modules.keys()
    return missing, gc.get_freeze_count() > 0, gc.isenabled()


def test_a_worker_begins_with_all_imported_and_its_own_cycles_alone_to_look_for() -> None:
    with Pool(1):
        end_server()  # another test may have started it, without these
    with Pool(1) as pool:
        assert [found for _, found in pool.run(begins_with, [1])] == [(set(), True, True)]


def end_server() -> None:
    os.kill(multiprocessing.forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    time.sleep(0.2)


QUICK = Limits(cpu_s=0.3, clock_s=1.0)


BUSY = Limits(cpu_s=0.3, clock_s=20.0)  # on a machine with others at work that much processor time takes longer


CRASHED = {
    "SIGSEGV": "crashed (signal 11: segmentation fault)",
    "null": "crashed (signal 11: segmentation fault)",
    "SIGABRT": "crashed (signal 6: abort)",
    "SIGFPE": "crashed (signal 8: arithmetic error)",
    "SIGILL": "crashed (signal 4: illegal instruction)",
    "SIGBUS": f"crashed (signal {int(signal.SIGBUS)}: bus error)",
    "exit": "ended its process (exit code 3)",
}


def outcome(task):
    return [CRASHED.get(what, f"read {what}") for what in task]


@pytest.mark.parametrize("what", CRASHED)
def test_a_recording_that_kills_its_worker_is_left_out_and_the_others_are_read(what):
    with Pool(1) as pool:
        ((task, done),) = pool.run(fatal.read, [["a", what, "b"]])
    assert done == outcome(task)
    assert not multiprocessing.active_children()


@hypothesis_settings(max_examples=8)
@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "SIGSEGV", "exit"]), max_size=5), min_size=1, max_size=4),
    st.sampled_from([1, 2, 8]),
)
def test_whoever_else_is_at_work_the_same_recordings_are_blamed(tasks, workers):
    with Pool(workers) as pool:
        found = sorted(pool.run(fatal.read, tasks))
    assert found == sorted((task, outcome(task)) for task in tasks)


def test_a_task_is_started_no_oftener_than_it_has_killers_and_twice_more(tmp_path):
    task = ["SIGSEGV", "a", "exit", "b", "SIGABRT"]
    with Pool(2) as pool:
        ((_, done),) = pool.run(fatal.read, [task], tmp_path)
    assert done == outcome(task)
    assert len(list(tmp_path.iterdir())) == 3 + 2


@pytest.mark.parametrize(
    ("what", "limits", "reason"),
    [("spin 600", BUSY, "0.3 s of processor time"), ("wait 600", QUICK, "longer than 1 s")],
)
def test_a_recording_that_takes_too_long_is_left_out_and_the_others_are_read(what, limits, reason):
    began = time.monotonic()
    with Pool(2, limits) as pool:
        done = sorted(pool.run(fatal.read, [["a", what], ["b"]]))
    assert [task for task, _ in done] == [["a", what], ["b"]]
    assert done[0][1][0] == "read a"
    assert reason in done[0][1][1]
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(("what", "limits"), [("spin 0.1", Limits(0.3, 20.0)), ("wait 0.25", Limits(10.0, 1.0))])
def test_many_quick_recordings_are_not_one_slow_one(what, limits):
    with Pool(1, limits) as pool:
        ((_, done),) = pool.run(fatal.read, [[what] * 9])
        time.sleep(1.2)  # nor is a worker with nothing to do
        ((_, again),) = pool.run(fatal.read, [["a"]])
    assert (done, again) == ([f"read {what}"] * 9, ["read a"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_once_from_outside_costs_no_recording(tmp_path, workers):
    task = ["a", f"once {tmp_path / 'mark'}", "b"]
    with Pool(workers) as pool:
        done = dict(map(str, pair) for pair in pool.run(fatal.read, [task, ["c"]]))
    assert done[str(task)] == str([f"read {what}" for what in task])


def test_a_worker_killed_again_from_outside_ends_the_run_and_blames_nobody():
    with (
        Pool(2) as pool,
        pytest.raises(ShardError, match=r"worker process died \(killed, or out of memory\).*--workers"),
    ):
        list(pool.run(fatal.read, [["a", "SIGKILL"], ["b"]]))
    assert not multiprocessing.active_children()


def test_what_was_finished_before_a_run_ends_was_handed_on():
    with Pool(1) as pool:
        run = pool.run(fatal.read, [["SIGKILL"], ["a"], ["b"]])
        assert [next(run)[0], next(run)[0]] == [["a"], ["b"]]
        with pytest.raises(ShardError):
            next(run)


def test_a_death_at_no_recording_ends_the_run():
    with Pool(2) as pool, pytest.raises(ShardError, match=r"died twice: it crashed .signal 11: segmentation fault"):
        list(pool.run(fatal.no_recordings, [1, 2]))


def test_a_file_that_many_recordings_need_is_named_and_none_of_them_blamed():
    with Pool(1) as pool, pytest.raises(ShardError, match=r"^noise/hum\.wav: a worker process died twice: it crashed"):
        list(pool.run(fatal.read, [["a", "noise"]]))


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_the_work_reach_the_caller(workers):
    with Pool(workers) as pool, pytest.raises(ShardError, match=r"ran out of memory.*fewer --workers"):
        list(pool.run(fatal.greedy, [1 << 60]))
    with Pool(workers) as pool, pytest.raises(ShardError, match=r"shards/1\.h5: no space left.*kept"):
        list(pool.run(fatal.full, [1]))
    with Pool(workers) as pool, pytest.raises(ZeroDivisionError) as caught:
        list(pool.run(fatal.mistaken, [1]))
    assert "in mistaken" in caught.value.__notes__[0]
    assert not multiprocessing.active_children()


def test_no_task_is_done_in_this_process():
    with Pool(1) as pool:
        assert os.getpid() not in {pid for _, pid in pool.run(fatal.here, [1, 2])}


def test_a_run_that_is_left_ends_its_workers_and_the_pool_goes_on():
    with Pool(2, QUICK) as pool:
        for _ in pool.run(fatal.read, [["a"], ["wait 600"], ["wait 600"]]):
            break
        assert [done for _, done in pool.run(fatal.read, [["b"]])] == [["read b"]]
    assert not multiprocessing.active_children()


def test_a_script_without_a_guard_may_build(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from at_data.build.pool import Pool\nprint('once')\n"
        "with Pool(1) as pool:\n    print(list(pool.run(abs, [-1])))\n"
    )
    ended = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert ended.stdout == "once\n[(-1, 1)]\n"


def test_the_script_of_a_caller_is_what_it_was_after_builds_in_several_threads():
    script, inside, leave = sys.modules["__main__"], threading.Event(), threading.Event()

    def start():
        with forks.without_main():
            inside.set()
            leave.wait()

    with forks.without_main():
        other = threading.Thread(target=start)
        other.start()
        inside.wait(0.1)
    leave.set()
    other.join()
    assert sys.modules["__main__"] is script


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_leave_with_their_parent(tmp_path, how):
    script = (
        f"import sys; sys.path.insert(0, {str(Path(fatal.__file__).parent)!r})\n"
        "import fatal, pathlib\nfrom at_data.build.pool import Pool\n"
        f"with Pool(2) as pool: list(pool.run(fatal.orphan, [pathlib.Path({str(tmp_path)!r})] * 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    process.send_signal(how)
    assert process.wait(10) != 0
    until(lambda: not any(alive(int(path.name)) for path in tmp_path.iterdir()))


def until(true, seconds=20.0):
    """Wait for something that must come true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


WRAPPER = """
import importlib.machinery, importlib.util, os, signal, sys
places = [place for place in sys.path if os.path.abspath(place) != os.path.dirname(os.path.abspath(__file__))]
found = importlib.machinery.PathFinder.find_spec("soundfile", places)
real = sys.modules["soundfile"] = importlib.util.module_from_spec(found)
found.loader.exec_module(real)
class SoundFile(real.SoundFile):
    def __init__(self, file, *rest, **more):
        content = os.pread(file, 16, 0)
        if content.startswith(b"SIG"):
            os.kill(os.getpid(), getattr(signal, content.decode().split()[0]))
        super().__init__(file, *rest, **more)
real.SoundFile = SoundFile
"""


INTERRUPTED = """
import signal
from multiprocessing import reduction
from at_data import guard
from at_data.build.pool import Pool

send = reduction.sendfds
def interrupted(*told):
    signal.raise_signal(signal.SIGINT)
    send(*told)
def ask():
    {ask}

ask()
reduction.sendfds = interrupted
try:
    ask()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("ask", ["with Pool(1) as pool: list(pool.run(abs, [-1]))", "guard.call(abs, -1)"])
def test_ctrl_c_while_a_worker_is_asked_for_is_told_once(ask):
    """The process that workers are copied from would tell of a request without an end."""
    script = INTERRUPTED.format(ask=ask)
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


@pytest.fixture
def at_prepare(tmp_path):
    """The command, where a decoder that files can crash stands before the real one."""
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "soundfile.py").write_text(WRAPPER)

    def run(made, source, out, *more):
        (tmp_path / "m.yaml").write_text(json.dumps(made))
        command = [
            sys.executable,
            "-m",
            "at_data",
            "build",
            tmp_path / "m.yaml",
            "--source",
            source,
            "--out",
            out,
            *more,
        ]
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "decoder")}
        return subprocess.run(list(map(str, command)), env=environment, check=False, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_a_build_goes_on_without_the_recordings_that_crash_the_decoder(at_prepare, digits, settings, tmp_path):
    corpus = Path(shutil.copytree(digits, tmp_path / "made" / "speech_commands"))
    (tmp_path / "made" / "synthesised.json").write_text("{}")
    clips = sorted(corpus.rglob("*.wav"))
    for place, what in ((3, "SIGSEGV"), (4, "SIGABRT"), (77, "SIGSEGV")):
        clips[place].write_text(what)
    trees = []
    for workers in (1, 8):
        out = tmp_path / f"out{workers}"
        ended = at_prepare(settings, corpus, out, "--workers", workers, "--max-bad", 5)
        assert ended.returncode == 0, ended.stderr
        (built,) = out.iterdir()
        trees.append(tree(built))
    assert trees[0] == trees[1]
    reasons = {entry["recording"]: entry["reason"] for entry in quarantine(built) if entry["kind"] == "bad"}
    expected = {3: CRASHED["SIGSEGV"], 4: CRASHED["SIGABRT"], 77: CRASHED["SIGSEGV"]}
    assert {str(clips[place].relative_to(corpus)).removesuffix(".wav"): words for place, words in expected.items()} == {
        name.removesuffix(".wav"): reason.removeprefix("its decoder ").partition(";")[0]
        for name, reason in reasons.items()
    }
    assert not list(verify(built))
    ended = at_prepare(settings, corpus, tmp_path / "strict", "--workers", 2)
    assert ended.returncode == 2
    assert "3 of 120 recordings are bad" in ended.stderr
    assert "its decoder crashed (signal 11: segmentation fault)" in ended.stderr
    for place in (3, 4, 77):  # mended: tried again
        shutil.copy(digits / clips[place].relative_to(corpus), clips[place])
    ended = at_prepare(settings, corpus, tmp_path / "strict", "--workers", 2)
    assert ended.returncode == 0, ended.stderr
    (whole,) = (tmp_path / "strict").iterdir()
    assert [entry for entry in quarantine(whole) if entry["kind"] == "bad"] == []


def test_a_noise_file_that_crashes_the_decoder_ends_the_build_and_is_named(
    at_prepare, digits, noises, settings, tmp_path
):
    broken = Path(shutil.copytree(noises, tmp_path / "MS-SNSD"))
    for number, path in enumerate(sorted(broken.rglob("*.wav"))):
        path.write_text(f"SIGSEGV {number}")
    ended = at_prepare(settings | {"noise": NOISE}, digits, tmp_path / "out", "--noise-source", broken)
    assert ended.returncode == 2
    assert "noise_train" in ended.stderr
    assert "a worker process died twice: it crashed (signal 11: segmentation fault)" in ended.stderr


def test_what_hdf5_cannot_close_is_not_told_a_second_time(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: told.append(str(error)))
    monkeypatch.setattr(sys, "unraisablehook", lambda found: told.append(str(found.exc_value)))
    worker._say_no_failure_twice()
    for text in ("Can't decrement id ref count (file write failed: errno = 28)", "something else"):
        sys.excepthook(RuntimeError, RuntimeError(text), None)
        sys.unraisablehook(SimpleNamespace(exc_value=RuntimeError(text)))
    assert told == ["something else"] * 2
