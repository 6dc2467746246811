"""Software and machine behind a run's numbers."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("anti-transfer", "torch", "numpy", "h5py", "pydantic", "tensorboard")
CHECKOUT = Path(__file__).resolve().parents[1]


def sessions(run: Path, epoch: int, device: torch.device) -> list[dict[str, Any]]:
    """What `environment.json` holds: one entry per start of the run, with the epoch it began at, this one last."""
    try:
        earlier = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # nothing depends on what earlier starts were
        earlier = []
    return [*(earlier if isinstance(earlier, list) else []), {"from_epoch": epoch, **describe(device)}]


def describe(device: torch.device) -> dict[str, Any]:
    """Versions, commit, platform, threads and device of this process."""
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cuda": torch.version.cuda,
    }


def commit() -> str | None:
    """Git commit of the checkout this file lies in, `+changes` added when files differ from it; None elsewhere."""
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - fixed words
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
