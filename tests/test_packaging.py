"""What a user gets who installs the package instead of cloning it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mypy import api as mypy

import at_data
import at_train

ROOT = Path(__file__).resolve().parents[1]
TYPES = """
from pathlib import Path
from typing import assert_type
from at_data import AtError, Dataset, Header, Manifest, Recording, load_manifest, open_dataset, verify_dataset
from at_train import AntiTransfer

class Mine(AtError): ...
def of(recording: Recording, penalty: AntiTransfer) -> None:
    assert_type(recording.id, str)
    assert_type(penalty.layers, tuple[str, ...])
    assert_type(load_manifest("a"), Manifest)
    assert_type(open_dataset(Path("a")), Dataset)
    assert_type(open_dataset(Path("a")).header, Header)
    assert_type(verify_dataset(Path("a")), list[str])
"""
LIST = "from at_data import manifest; print(*manifest.shipped()); manifest.load('gsc_words_clean')"


@pytest.mark.slow
def test_an_installed_wheel_brings_the_shipped_manifests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        assert {"at_data/py.typed", "at_train/py.typed"} <= set(archive.namelist())  # or users' checkers see Any alone
        commands = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    assert "at-prepare = at_data.__main__:main" in commands
    assert "at-train = at_train.__main__:main" in commands
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {LIST}"
    listed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout.split() == sorted(path.stem for path in (ROOT / "manifests").glob("*.yaml"))


@pytest.mark.slow
def test_type_checkers_of_users_see_every_public_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(name in TYPES for name in {*at_data.__all__, *at_train.__all__} - {"__version__"})
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    said, errors, code = mypy.run(
        ["--strict", "--follow-imports", "silent", "--config-file=", "--cache-dir", str(tmp_path), "-c", TYPES]
    )
    assert code == 0, said + errors
