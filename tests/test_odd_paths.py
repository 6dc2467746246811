"""Folders whose names mean something to somebody else, and places that cannot be written to."""

import errno
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import pytest
from conftest import write_digits
from finished import rows, tree

from at_data import cli as at_data_cli
from at_data import manifest, shards
from at_data.build import build, locks, plan
from at_data.cards import picture
from at_data.errors import CorpusError, ManifestError, ShardError
from at_data.verify import verify
from at_train import cli as at_train_cli

START = "import sys; from at_data.__main__ import main; sys.argv = ['at-prepare', *sys.argv[1:]]; main()"
FULL = Path("/dev/full")


def prepare(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *map(str, words)]
    return subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE, **how)


@pytest.mark.parametrize("name", ["~", "s3:bucket"])
def test_a_dataset_lies_where_it_was_asked_for_and_is_read_from_there(
    digits: Path, settings: dict[str, Any], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    built = build(manifest.parse(settings, "here"), digits, Path(name))
    assert tree(tmp_path / name / built.folder.name) == tree(dataset)
    assert list(home.iterdir()) == []
    assert not verify(built.folder)
    assert len(rows(built.folder.absolute())) == 120


def test_a_tilde_that_the_shell_leaves_is_the_home(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / dataset.name)
    known = {"HOME": str(tmp_path), "MPLCONFIGDIR": mpl.get_cachedir()}  # fonts need not be looked for anew
    done = prepare("show", f"~/{dataset.name}", "--picture=~/p.png", cwd="/", env=known)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").is_file()


def test_a_picture_that_cannot_be_written_is_told_in_a_line(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"cannot be written \(no such file"):
        picture(shards.open_dataset(dataset), tmp_path / "absent" / "p.png")


def test_a_picture_of_another_kind_is_refused_before_anything_is_drawn(dataset: Path, tmp_path: Path) -> None:
    done = prepare("show", dataset, "--picture", tmp_path / "p.svg", stdout=subprocess.DEVNULL)
    assert (done.returncode, "ends in .png" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk without room")
def test_words_that_cannot_be_written_are_told_in_a_line(dataset: Path) -> None:
    with FULL.open("w") as full:
        done = prepare("show", dataset, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("at-prepare: standard output: no space left on device; expected")


def test_whoever_comes_second_is_told_so_and_touches_nothing(
    digits: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings, "here")
    work = tmp_path / (made.folder + ".partial")
    work.mkdir()
    with locks.locked(work), pytest.raises(ShardError, match="another build is writing here"):
        build(made, digits, tmp_path)
    assert {path.name for path in work.iterdir()} <= {".lock", ".workers"}


def test_a_manifest_that_cannot_be_written_is_told_and_no_piece_of_it_left(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ManifestError, match=r"m\.yaml: cannot be written \(no space left on device\); expected"):
        manifest.write(manifest.parse(settings, "here"), tmp_path / "m.yaml", "made here")
    assert list(tmp_path.iterdir()) == []


def test_joiners_within_a_word_of_a_file_name_are_no_control_characters(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = write_digits(tmp_path / "speech_commands", speakers=6, takes=1)
    first = next(corpus.glob("one/*.wav"))
    made = plan(manifest.parse(settings, "here"), corpus)
    renamed = first.rename(first.with_name(f"\u0645\u06cc\u200c\u0631{first.name}"))
    again = plan(manifest.parse(settings, "here"), corpus)
    assert len(again.recordings) == len(made.recordings)
    renamed.rename(first.with_name(f"a\x07{first.name}"))
    with pytest.raises(CorpusError, match="control characters"):
        plan(manifest.parse(settings, "here"), corpus)


@pytest.mark.parametrize("package", [at_data_cli, at_train_cli], ids=["at-prepare", "at-train"])
def test_a_disk_that_is_full_elsewhere_is_not_taken_for_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, package: ModuleType
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(package.cli, "main", full)
    with pytest.raises(OSError, match="No space left"):
        package.main()


@pytest.mark.skipif(shutil.which("make") is None, reason="install make")
def test_make_takes_folders_with_spaces_in_their_names() -> None:
    folders = {"SOURCES": "my corpora", "OUT": "my datasets", "DEMO": "my demo"}
    command = [
        "make",
        "--dry-run",
        "datasets",
        "demo",
        "clean",
        *(f"{name}={folder}" for name, folder in folders.items()),
    ]
    printed = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, text=True, capture_output=True).stdout
    lines = [shlex.split(line, comments=True) for line in printed.replace("\\\n", "").splitlines()]
    (datasets,) = (line for line in lines if "datasets" in line)
    assert datasets[1:] == ["datasets", "--sources", "my corpora", "--out", "my datasets"]
    begun = [word for line in lines if line[:1] != ["echo"] for word in line if word.startswith("my")]
    assert {word.partition("/")[0] for word in begun} == set(folders.values())


@pytest.mark.skipif(shutil.which("make") is None, reason="install make")
def test_make_takes_a_tilde_that_the_shell_leaves_for_the_home(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "clean", "demo", "DEMO=~/my demo"]
    known = os.environ | {"HOME": str(tmp_path)}
    where = Path(__file__).parents[1]
    printed = subprocess.run(command, cwd=where, check=True, text=True, capture_output=True, env=known).stdout
    assert "~" not in printed
    assert f"rm -rf '{tmp_path}/my demo'" in printed


@pytest.mark.skipif(shutil.which("make") is None, reason="install make")
def test_make_tells_its_targets_by_what_every_system_has_alike(tmp_path: Path) -> None:
    (tmp_path / "awk").symlink_to(shutil.which("awk") or "")  # a Mac's sed knows no tabs
    command, where = [shutil.which("make") or "", "help"], Path(__file__).parents[1]
    told = subprocess.run(command, cwd=where, check=True, text=True, capture_output=True, env={"PATH": str(tmp_path)})
    assert "\ntest        Run the whole test suite\n" in told.stdout
