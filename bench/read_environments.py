"""Environments of the libraries that reading is compared with, made on first use."""

import shutil
import site
import subprocess
import sys
from pathlib import Path

PACKAGES = {"h5py": [], "webdataset": ["webdataset"], "litdata": ["litdata"]}


def python_of(peer: str) -> Path | None:
    """Python of a peer's environment; None where pip cannot have its packages.

    Torch, numpy and h5py are those of the environment this runs in, so that all compare with the same ones.
    """
    folder = Path(__file__).parent / "work" / f"env-read-{peer}"
    python = folder / "bin" / "python"
    if not PACKAGES[peer]:
        return Path(sys.executable)
    if (folder / ".installed").is_file():
        return python
    print(f"making {folder.name}: {', '.join(PACKAGES[peer])} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    call = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES[peer]]
    if subprocess.run(call, capture_output=True, check=False).returncode:
        shutil.rmtree(folder)
        return None
    (folder / ".installed").touch()
    return python
