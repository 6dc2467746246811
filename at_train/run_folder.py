"""The files of a run folder, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from at_data.errors import CheckpointError, ConfigError

PARTIAL = ".partial"  # ends the name of a file that is still being written


def write(path: Path, text: str) -> None:
    """File with this text; a crash at any moment leaves the earlier one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """File with this content as JSON."""
    write(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read(run: Path) -> dict[str, Any]:
    """What `run.json` says; CheckpointError when the folder is no run."""
    path = run / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(run, "no run.json in it", "a run folder", "name a folder that `at-train fit` wrote") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be read ({error})", "the facts of a run", "train again in a new folder") from error
    if not isinstance(content, dict) or "digest" not in content:
        raise CheckpointError(path, "no digest in it", "the facts of a run", "train again in a new folder")
    return content


def read_finished(run: Path) -> dict[str, Any]:
    """What `run.json` says of a finished run; CheckpointError when training has not ended."""
    facts = read(run)
    if facts["state"] != "finished":
        raise CheckpointError(run, f"a run that is {facts['state']}", "a finished run", "let `at-train fit` with the same settings finish it")
    return facts


def claim(run: Path, digest: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What `run.json` says where this very run was begun before, None where the folder is new or empty.

    Raises ConfigError, with the folder untouched, when it holds another run or anything else.
    """
    if (run / "run.json").is_file():
        facts = read(run)
        if facts["digest"] != digest:
            raise ConfigError(run, f"holds another run ({_difference(facts, settings)})", "a new folder", "choose another --out")
        return facts
    strange = sorted(path.name for path in run.iterdir() if not path.name.endswith(PARTIAL)) if run.is_dir() else []
    if strange or (run.exists() and not run.is_dir()):
        raise ConfigError(run, f"exists and is no run ({', '.join(strange[:3]) or 'a file'})", "a new folder", "choose another --out")
    return None


def _difference(facts: dict[str, Any], settings: dict[str, Any]) -> str:
    theirs = facts.get("settings", {})
    different = [f"{name} {theirs.get(name)!r}, not {value!r}" for name, value in settings.items() if theirs.get(name) != value]
    return "; ".join(different) or "of another dataset or other orthogonal runs"


def truncate_metrics(run: Path, epoch: int) -> None:
    """Drop the results of later epochs from `metrics.jsonl`, and a line that a kill tore in two."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    write(path, "".join(line for line in whole if json.loads(line)["epoch"] <= epoch))
