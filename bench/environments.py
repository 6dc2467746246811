"""Environments of the libraries that ours is compared with, made with pip on first use."""

import shutil
import site
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WORK = Path(__file__).parent / "work"


def python_of(name: str, packages: Sequence[str], *, beside: bool = False) -> Path | None:
    """Python of an environment with these packages; None where pip cannot have them.

    `beside` also gives it what the environment has that this runs in, so that both use the same torch, numpy and h5py.
    """
    folder = WORK / f"env-{name}"
    python, made = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(packages)
    if made.is_file() and made.read_text() == wanted:
        return python
    print(f"making {folder.name}: {', '.join(packages)} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if beside:
        (own,) = folder.glob("lib/python*/site-packages")
        (own / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    call = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "no reason given")
        print(f"pip: {why}", file=sys.stderr)
        return None
    made.write_text(wanted)
    return python
