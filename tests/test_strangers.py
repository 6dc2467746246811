"""What lies in a work folder and no build wrote is refused by name and kept; what systems put there goes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished import tree

from at_data import build as builds
from at_data import headers, manifest
from at_data.build import build, strangers
from at_data.errors import ShardError
from at_data.manifest import Manifest
from at_data.verify import verify

SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini", "._splits.csv", "shards/._a.h5", "parts/.DS_Store")


@pytest.fixture
def made(settings: dict[str, Any]) -> Manifest:
    return manifest.parse(settings, "here")


def when(wanted: str, do: Callable[[], object]) -> builds.Progress:
    """Progress that does something as soon as a phase has begun."""

    def tell(phase: str, done: int, *_: int) -> None:
        if (phase, done) == (wanted, 0):
            do()

    return tell


def lay(work: Path, *names: str) -> None:
    for name in names:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")


@pytest.mark.parametrize("name", ["thesis.doc", "shards/notes.txt", "parts/notes.txt", "notes/a", "splits.csv.bak"])
def test_what_came_during_a_build_is_refused_and_the_next_call_carries_on_once_it_is_gone(
    digits: Path, dataset: Path, made: Manifest, tmp_path: Path, name: str
) -> None:
    work = tmp_path / f"{made.folder}.partial"
    with pytest.raises(ShardError, match="no build wrote what lies in it: ") as told:
        build(made, digits, tmp_path, progress=when("scale", lambda: lay(work, name)))
    assert told.value.where == str(work)
    assert told.value.came.endswith(": notes/" if name == "notes/a" else f": {name}")
    assert not (tmp_path / made.folder).exists()
    before = tree(work)
    assert before[name]
    assert headers.read(work) == headers.read(dataset)
    with pytest.raises(ShardError, match="no build wrote"):
        build(made, digits, tmp_path)
    assert tree(work) == before
    (work / name).unlink()
    shutil.rmtree(work / "notes", ignore_errors=True)
    phases: list[str] = []
    built = build(made, digits, tmp_path, progress=lambda phase, *_: phases.append(phase))
    assert tree(built.folder) == tree(dataset)
    assert set(phases) == {"plan"}


def test_strangers_in_a_work_folder_are_refused_before_anything_of_another_plan_goes(
    digits: Path, dataset: Path, made: Manifest, tmp_path: Path
) -> None:
    work = tmp_path / f"{made.folder}.partial"
    ours = ["plan.json", "parts/00000.json", "shards/train-00000-of-00099.h5", "shards/test-00000-of-00099.h5.partial"]
    theirs = ["a b.txt", "parts/thesis.doc", "shards/0.h5", "shards/more/1.h5", "x", "y", "z"]
    lay(work, *ours, *theirs)
    (work / "README.md").symlink_to(digits / "validation_list.txt")
    before = tree(work)
    listed = r": README\.md, a b\.txt, parts/thesis\.doc, shards/0\.h5, shards/more/ and 3 more; .*nothing was removed"
    with pytest.raises(ShardError, match=listed):
        build(made, digits, tmp_path)
    assert {name: sha256 for name, sha256 in tree(work).items() if name not in {".lock", ".workers"}} == before
    (work / "README.md").unlink()
    shutil.rmtree(work / "shards" / "more")
    for name in theirs:
        (work / name).unlink(missing_ok=True)
    assert tree(build(made, digits, tmp_path).folder) == tree(dataset)


def test_what_systems_put_into_folders_and_what_a_killed_build_was_writing_is_in_no_dataset(
    digits: Path, dataset: Path, made: Manifest, tmp_path: Path
) -> None:
    work = tmp_path / f"{made.folder}.partial"
    lay(work, *SYSTEM, "dataset.json.partial")
    with pytest.raises(ShardError, match=r"lies in it: thesis\.doc;"):
        build(made, digits, tmp_path, progress=when("scale", lambda: lay(work, "thesis.doc")))
    (work / "thesis.doc").unlink()
    lay(work, *SYSTEM, "plan.json.partial", "dataset.json.partial", "shards/train-00000-of-00005.h5.partial")
    built = build(made, digits, tmp_path)
    assert tree(built.folder) == tree(dataset)
    assert verify(built.folder) == []


def test_what_a_network_disk_keeps_of_open_files_is_nobodys(tmp_path: Path) -> None:
    lay(tmp_path, ".nfs0001", "shards/.fuse_hidden01")
    strangers.refuse(tmp_path)
    strangers.sweep(tmp_path, [])
    assert len(tree(tmp_path)) == 2


@pytest.mark.parametrize("name", ["._notes/", "parts/wordsx/", "shards/words0/", "dataset.json/", "plan.json.partial/"])
def test_a_folder_where_no_build_makes_one_is_a_stranger(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    for look in (strangers.refuse, lambda folder: strangers.sweep(folder, [])):
        with pytest.raises(ShardError) as told:
            look(tmp_path)
        assert told.value.came.endswith(f": {name}")
