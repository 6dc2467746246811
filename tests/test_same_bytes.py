"""A manifest and a source give the same bytes, whoever builds, where and when, and in whatever order."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finished import tree
from started import Builder, finished, small


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return small(tmp_path_factory.mktemp("same"))


@pytest.fixture(scope="module")
def expected(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("first") / "out"
    ended = builder.run(out)
    assert ended.returncode == 0, ended.stderr
    return tree(finished(out)[0])


def moved(builder: Builder, folder: Path) -> Builder:
    """The same source elsewhere, written in another order, on another day."""
    source = folder / "elsewhere é" / builder.source.name
    for path in sorted(builder.source.parent.rglob("*"), key=lambda path: path.name[::-1]):
        if path.is_file():
            copy = source.parent / path.relative_to(builder.source.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            os.utime(copy, (1e9, 1e9))
    return replace(builder, source=source)


VARIANTS: dict[str, dict[str, Any]] = {
    "1 worker": {"workers": 1},
    "8 workers": {"workers": 8},
    "another order of the folders": {"order": {"shuffle": 1}},
    "yet another order, 8 workers": {"order": {"shuffle": 2}, "workers": 8},
    "another folder, another day": {"moved": True},
    "another working folder": {"cwd": "/"},
    "another zone, language and hash seed": {
        "variables": {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"}
    },
    "as many threads as there are": {"variables": {"OMP_NUM_THREADS": "8", "OPENBLAS_NUM_THREADS": "8"}},
    "all at once": {
        "moved": True,
        "workers": 3,
        "cwd": "/",
        "order": {"shuffle": 3},
        "variables": {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_but_manifest_and_source_changes_a_byte(
    builder: Builder, expected: dict[str, str], tmp_path: Path, variant: str
) -> None:
    how = dict(VARIANTS[variant])
    builder = replace(builder, environment=how.pop("variables", {}))
    if how.pop("moved", False):
        builder = moved(builder, tmp_path)
    ended = builder.run(tmp_path / "out", how.pop("workers", 2), **how)
    assert ended.returncode == 0, ended.stderr
    assert tree(finished(tmp_path / "out")[0]) == expected


def test_the_order_of_folders_is_really_another(builder: Builder) -> None:
    script = "import os, sys; print([names for _, folders, files in os.walk(sys.argv[1]) for names in folders + files])"
    listed = [
        subprocess.run(
            [sys.executable, "-c", script, str(builder.source)],
            env=builder.variables({"shuffle": seed}),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert listed[0] != listed[1]
    assert sorted(listed[0]) == sorted(listed[1])
