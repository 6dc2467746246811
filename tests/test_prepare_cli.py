import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from commands import run
from conftest import write_digits
from matplotlib.image import imread

from at_data import cli, corpora, manifest


def test_list_names_every_corpus_and_manifest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "list") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in (*corpora.names(), *manifest.shipped()))
    assert run(monkeypatch, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["corpora"]) == set(corpora.names())
    assert set(listed["manifests"]) == set(manifest.shipped())


@pytest.mark.skipif(sys.platform != "linux", reason="numpy brings OpenBLAS on Linux: run this there")
@pytest.mark.parametrize("asked", [{}, {"OPENBLAS_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "2"}], ids=str)
@pytest.mark.parametrize(
    "command",
    [
        ("build", "synth_word_by_speaker", "--source"),
        ("synth_digits", "--only", "synth_word_by_speaker", "--source"),
        ("datasets", "--sources"),
    ],
    ids=lambda command: command[0],
)
def test_numpy_has_one_thread_in_a_build_unless_the_user_asks_for_more(
    command: tuple[str, ...], asked: dict[str, str], digits: Path, tmp_path: Path
) -> None:
    """Threads that wait for work at full speed would take a processor from the workers that start meanwhile."""
    script = """
from at_data import cli
from threadpoolctl import threadpool_info
try:
    cli.main()
finally:
    print({pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"})
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    source = digits.parent if command[0] != "datasets" else tmp_path
    done = subprocess.run(
        [sys.executable, "-c", script, *command, str(source), "--out", str(tmp_path / "out")],
        env=environment | asked,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == f"{ {min(2, len(os.sched_getaffinity(0))) if asked else 1} }"


def test_plan_build_verify_and_show_walk_the_road(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "plan", "synth_word_by_speaker", "--source", digits.parent, "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["recordings"] == planned["items"] == 120
    assert planned["items_by_split"] == planned["by_split"]
    assert planned["needed_disk_bytes"] > planned["data_bytes"] > 120 * 126 * 129 * 2
    assert planned["core_s"] is None
    assert planned["parent_memory_bytes"] > 0 < planned["worker_memory_bytes"]
    assert run(monkeypatch, "plan", "synth_word_by_speaker", "--source", digits.parent) == 0
    assert "train / test: speaker disjoint" in capsys.readouterr().out
    assert (
        run(monkeypatch, "build", "synth_word_by_speaker", "--source", digits.parent, "--out", tmp_path, "--workers", 1)
        == 0
    )
    captured = capsys.readouterr()
    folder = tmp_path / planned["folder"]
    assert f"{folder}: built" in captured.out
    assert "read: 0 of 120" in captured.err
    assert (
        run(monkeypatch, "build", "synth_word_by_speaker", "--source", digits.parent, "--out", tmp_path, "--workers", 1)
        == 0
    )
    assert "already there" in capsys.readouterr().out
    assert run(monkeypatch, "verify", folder) == 0
    assert "120 items" in capsys.readouterr().out
    assert run(monkeypatch, "show", folder, "--picture", tmp_path / "p.png") == 0
    text = capsys.readouterr().out
    assert "train / test" in text
    assert "word" in text
    assert imread(tmp_path / "p.png").std() > 0.1
    assert run(monkeypatch, "show", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["header"]["counts"] == planned["by_split"]
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert planned["data_bytes"] == pytest.approx(held, rel=0.02)


def test_plan_says_the_time_only_when_asked(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("plan", "synth_word_by_speaker", "--source", digits.parent, "--workers", 2)
    assert run(monkeypatch, *arguments) == 0
    text = capsys.readouterr().out
    assert "items, exact: train" in text
    assert "memory: " in text
    assert "time: " not in text
    assert run(monkeypatch, *arguments, "--time") == 0
    assert re.search(r"time: \d+ s of one core; \d+ s with --workers 2", capsys.readouterr().out)


@pytest.mark.parametrize("command", ["plan", "build", "synth_digits"])
def test_a_disk_that_is_too_small_is_exit_two_unless_told_otherwise(
    command: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    chosen = ("--only", "synth_word_by_speaker") if command == "synth_digits" else ("synth_word_by_speaker",)
    arguments = (command, *chosen, "--source", digits.parent, "--out", tmp_path / "out", "--workers", 1)
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert re.search(r"1,000 bytes free; expected [\d,]+ bytes", said)
    assert "--ignore-free-space" in said
    assert not list(tmp_path.iterdir())
    assert run(monkeypatch, *arguments, "--ignore-free-space") == 0


def test_modules_that_lie_where_somebody_works_are_not_taken_for_ours(digits: Path, tmp_path: Path) -> None:
    for name in ("numpy", "soxr", "at_data"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is not the library')")
    tool = Path(sys.executable).parent / "at-prepare"
    command = [tool, "build", "synth_speaker", "--source", digits.parent, "--out", "datasets", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "not the library" in done.stderr) == (0, False), done.stderr


def test_profile_says_how_long_each_stage_took(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["build", "synth_speaker", "--source", digits.parent, "--out", tmp_path, "--workers", 1]
    began = time.perf_counter()
    assert run(monkeypatch, *arguments, "--profile") == 0
    took_s = time.perf_counter() - began
    workers, leader = profiled(capsys.readouterr().err)
    assert {"decode", "resample", "transform", "fingerprint", "write the part", "scale"} <= set(workers)
    assert {"plan", "wait for the parts", "look for duplicates", "write the tables"} <= set(leader)
    for stages in (workers, leader):
        total = stages.pop("")
        assert total == pytest.approx(sum(stages.values()), abs=0.005 * len(stages) + 0.005)
        assert 0 < total <= took_s
    assert run(monkeypatch, *arguments) == 0
    assert "decode" not in capsys.readouterr().err


def profiled(text: str) -> list[dict[str, float]]:
    """Seconds by stage, of the workers and of who leads them; in all under no name."""
    tables: list[dict[str, float]] = []
    for line in text.splitlines():
        if found := re.match(r"( *)(.*?) +(\d+\.\d\d) s", line):
            indent, name, seconds = found.groups()
            if not indent:
                tables.append({})
            tables[-1][name if indent else ""] = float(seconds)
    return tables


def test_one_command_per_corpus_builds_its_shipped_manifests(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--only", "synth_speaker", "--only", "synth_word_by_speaker"]
    assert run(monkeypatch, "synth_digits", "--source", digits.parent, "--out", tmp_path, "--workers", 1, *only) == 0
    assert {path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir()} == {"synth_speaker", "synth_word_by_speaker"}
    assert run(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    for corpus in {manifest.load(name).corpus for name in manifest.shipped()}:
        assert f"  {corpus} " in text


def test_folds_writes_a_manifest_for_every_fold_and_carries_on_from_any_of_them(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    split = {"by": "speaker", "fold": "1/3", "method": "balanced", "valid": "next_fold", "missing_classes": "fail"}
    raw = manifest.load("synth_word_by_speaker").model_dump(mode="json")
    manifest.write(manifest.parse(raw | {"split": split}, "here"), tmp_path / "m.yaml", "mine")
    assert run(monkeypatch, "folds", tmp_path / "m.yaml", "--out", tmp_path / "k") == 0
    written = [tmp_path / "k" / f"synth_word_by_speaker_fold{number}of3.yaml" for number in (1, 2, 3)]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    assert [manifest.load(path).split for path in written] == [
        manifest.parse(raw | {"split": split | {"fold": f"{number}/3"}}, "here").split for number in (1, 2, 3)
    ]
    before = [path.read_bytes() for path in written]
    assert run(monkeypatch, "folds", written[1], "--out", tmp_path / "k") == 0
    assert [path.read_bytes() for path in written] == before
    assert run(monkeypatch, "plan", written[2], "--source", digits.parent) == 0
    assert "train / test: speaker disjoint" in capsys.readouterr().out
    written[0].write_text(written[0].read_text().replace("seed: 1", "seed: 2"))
    assert run(monkeypatch, "folds", tmp_path / "m.yaml", "--out", tmp_path / "k") == 2
    assert "another manifest lies here" in capsys.readouterr().err


def test_folds_counts_the_groups_of_a_corpus(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    split = {"by": "speaker", "fold": "1/groups", "method": "balanced", "valid": 0.2, "missing_classes": "fail"}
    raw = manifest.load("synth_word_by_speaker").model_dump(mode="json") | {"split": split}
    manifest.write(manifest.parse(raw, "here"), tmp_path / "m.yaml", "mine")
    assert run(monkeypatch, "folds", tmp_path / "m.yaml", "--out", tmp_path / "k") == 2
    assert "add --source DIR" in capsys.readouterr().err
    assert run(monkeypatch, "folds", tmp_path / "m.yaml", "--out", tmp_path / "k", "--source", digits.parent) == 0
    assert len(list((tmp_path / "k").iterdir())) == 6
    assert run(monkeypatch, "folds", "synth_word_by_speaker", "--out", tmp_path / "k") == 2
    assert "neither split nor subset.split has a fold" in capsys.readouterr().err


def test_verify_exits_one_naming_the_damaged_shard(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "build", "synth_word_by_speaker", "--source", digits.parent, "--out", tmp_path, "--workers", 1)
    (folder,) = tmp_path.iterdir()
    shard = folder / "shards/test-00000-of-00001.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    capsys.readouterr()
    assert run(monkeypatch, "verify", folder) == 1
    assert capsys.readouterr().out.startswith("shards/test-00000-of-00001.h5: SHA-256")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "synth_speaker", "--source", "nowhere", "--out", "out"), "nowhere"),
        (("build", "no_such_manifest", "--source", ".", "--out", "out"), "no_such_manifest"),
        (("gsc", "--source", ".", "--out", "out"), "gsc_words_low_noise"),
        (("datasets", "--sources", "nowhere", "--out", "out"), "nowhere: no folder"),
        (("verify", "nowhere"), "no dataset.json"),
        (("show", "nowhere"), "no dataset.json"),
    ],
)
def test_what_a_user_can_mend_is_one_paragraph_and_exit_two(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    text = capsys.readouterr().err.strip()
    assert message in text
    assert "\n\n" not in text
    assert "Traceback" not in text
    assert "expected" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("build",), ("nonsense",), ("plan", "synth_speaker")])
def test_wrong_usage_is_exit_two(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *arguments) == 2


def test_every_command_and_option_is_explained() -> None:
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        command = cli.cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()
        assert "\\" not in command.get_help(click.Context(command)), name
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None), (name, parameter.name)


@pytest.fixture(scope="module")
def many_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("made") / "speech_commands", speakers=20, takes=10).parent


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["plan", "read", "scale"])
def test_ctrl_c_exits_130_at_any_moment_and_the_next_call_carries_on(
    many_digits: Path, tmp_path: Path, moment: str
) -> None:
    command = [sys.executable, "-m", "at_data", "build", "synth_word_by_speaker", "--source", str(many_digits)]
    command += ["--out", str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if f" {moment}:" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "dataset.json").read_text())["counts"]["train"] > 0


@pytest.mark.parametrize(("package", "name"), [("at_data", "at-prepare"), ("at_train", "at-train")])
def test_windows_is_told_in_a_line(package: str, name: str) -> None:
    lacks = "import os, sys; sys.modules |= dict.fromkeys(['fcntl', 'resource']); del os.O_CLOEXEC, os.O_NONBLOCK"
    command = [sys.executable, "-c", f"{lacks}; from {package}.__main__ import main; main()"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"{name}: this system has no .*; expected Linux or macOS; .*WSL\n", done.stderr)


def test_an_interrupt_while_starting_is_130_too() -> None:
    code = "import sys, builtins, at_data.__main__ as m; real = builtins.__import__\n"
    code += (
        "def stop(name, *rest):\n    if name == 'at_data.cli': raise KeyboardInterrupt\n    return real(name, *rest)\n"
    )
    code += "builtins.__import__ = stop; m.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "at-prepare: interrupted; the same command carries on where this one stopped\n"


FSDD = {"fsdd_digit_by_speaker", "fsdd_speaker", "fsdd_digit_biased", "fsdd_speaker_biased"}


def lay_out_sources(folder: Path, digits: Path) -> Path:
    """Folder of corpora that holds one: the Free Spoken Digit Dataset."""
    (folder / "free-spoken-digit-dataset" / "recordings").mkdir(parents=True)
    for number, path in enumerate(sorted(digits.glob("*/*.wav"))):
        name = f"{number % 10}_speaker{number // 10 % 6}_{number // 60}.wav"
        shutil.copy(path, folder / "free-spoken-digit-dataset" / "recordings" / name)
    return folder


def test_datasets_builds_what_is_there_and_says_how_to_get_the_rest(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = lay_out_sources(tmp_path / "sources", digits)
    assert run(monkeypatch, "datasets", "--sources", sources, "--out", tmp_path / "out", "--workers", 1) == 0
    built = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "out").iterdir()}
    assert built == FSDD
    said = capsys.readouterr().err
    for name, module in ((name, corpora.load(name)) for name in corpora.names()):
        missing = bool(module.UNPACKS_TO) and name != "fsdd"
        assert (f"{name}: not found, no folder {' or '.join(module.UNPACKS_TO)} in {sources}" in said) == missing
        if missing:
            assert f"from {module.SOURCE}; licence {module.LICENCE}" in said
            several = " --subset" if len(module.ARCHIVES) > 1 else ""
            assert f"at-prepare fetch {name} --to {sources}{several}" in said or module.ACCESS in said
            assert said.count(f"{name}: not found") == 1
    assert "synth_digits" not in said


def test_datasets_goes_on_after_a_corpus_that_is_only_half_there_and_exits_one(
    digits: Path, noises: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = lay_out_sources(tmp_path / "sources", digits)
    (sources / "MS-SNSD").symlink_to(noises)  # noise without speech cannot make the noise task
    (sources / "speech_commands").mkdir()
    assert run(monkeypatch, "datasets", "--sources", sources, "--out", tmp_path / "out", "--workers", 1) == 1
    assert {path.name.rsplit("-", 1)[0] for path in (tmp_path / "out").iterdir()} == FSDD
    said = capsys.readouterr().err
    assert "ms_snsd_noise_type: keep.folder: no recording has clean_train" in said
    assert "gsc_words_clean: " in said


def test_fetch_names_the_parts_and_their_sizes_before_it_fetches_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "fetch", "librispeech", "--to", tmp_path) == 2
    assert re.search(
        r"no part named; expected --subset .*train-clean-100 \([\d,]+ MB\).*or all", capsys.readouterr().err
    )
    assert run(monkeypatch, "fetch", "librispeech", "--list") == 0
    assert "train-clean-100 (" in capsys.readouterr().out
    assert run(monkeypatch, "fetch", "librispeech") == 2
    assert "Missing option '--to'" in capsys.readouterr().err
    assert run(monkeypatch, "fetch", "iemocap", "--to", tmp_path / "there") == 2
    told = capsys.readouterr().err
    assert "release form" in told
    assert str(tmp_path / "there" / "IEMOCAP_full_release") in told
    assert not list(tmp_path.iterdir())
