"""What a user gets who installs the package instead of cloning it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIST = "from at_data import manifest; print(*manifest.shipped()); manifest.load('gsc_words_clean')"


@pytest.mark.slow
def test_an_installed_wheel_brings_the_shipped_manifests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        commands = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    assert "at-prepare = at_data.__main__:main" in commands
    assert "at-train = at_train.__main__:main" in commands
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {LIST}"
    listed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout.split() == sorted(path.stem for path in (ROOT / "manifests").glob("*.yaml"))
