"""Folders of runs and of studies -> runs, and a line for every one that is no finished run, so that none is dropped."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from at_data.errors import CheckpointError, ConfigError
from at_train.results import Run, load_run

STUDIES = "studies"  # folder of a study with a file that tells each study whose runs lie here
ORTHOGONAL = "orthogonal"
WITHIN = ("runs", ORTHOGONAL)  # folders of a study that hold run folders
FAILED = "failed"  # folder with a file for every run that an error ended


@dataclass(frozen=True)
class Missing:
    """A run that no number comes from: its name, its state and the reason; its digest, as far as it is known."""

    name: str
    state: str
    reason: str
    digest: str = field(default="", compare=False)


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    `title` names the study, `place` is where its report goes if nothing else is said. `others` are digests of runs
    that a study trained for others to use, and asks for in no row. `unasked` are names of what lies in a study's
    folder, or failed in it, and no study there asks for any more: it counts for nothing.
    """

    runs: tuple[Run, ...]
    missing: tuple[Missing, ...]
    title: str = ""
    place: Path | None = None
    others: frozenset[str] = frozenset()
    unasked: tuple[str, ...] = ()

    @property
    def unasked_title(self) -> str:
        """How many those are, in words."""
        return f"{len(self.unasked)} {'run' if len(self.unasked) == 1 else 'runs'} that no study here asks for"


def gather(folders: Sequence[Path]) -> Material:
    """Runs in these folders, each a run folder or a study's.

    CheckpointError for a folder that is neither, or is damaged; within a study such a run is listed as missing. Runs
    that lie in two folders count once, and are finished if they are in one.
    """
    runs: dict[str, Run] = {}
    others: dict[str, bool] = {}
    missing: list[Missing] = []
    studies = [folder for folder in folders if is_study(folder)]
    for folder in folders:
        if folder not in studies and not (folder / "run.json").is_file():
            came = "neither run.json nor runs in it" if folder.is_dir() else "no such folder"
            todo = "name folders that `at-train fit` or `at-train study` wrote"
            raise CheckpointError(folder, came, "the folder of a run, or of a study", todo)
        for one in _study(folder) if folder in studies else _told(load_run(folder), {}):
            if isinstance(one, Run):
                if one.finished or one.digest not in runs:
                    runs[one.digest] = one
                used = folder in studies and one.folder.parent.name == ORTHOGONAL
                others[one.digest] = others.get(one.digest, True) and used
            else:
                missing.append(one)
    facts = [fact for folder in studies for fact in _facts(folder)]
    names = [str(fact["name"]) for fact in facts if fact.get("name")] or [folder.resolve().name for folder in studies]
    place = studies[0] / "report" if len(studies) == 1 else None
    asked = {name for fact in facts for name, _ in _cells(fact.get("entries"))}
    alone = {digest for digest, used in others.items() if used and runs[digest].folder.name not in asked}
    title = ", ".join(names)
    counted = {run.folder.name for run in runs.values()}  # one may be named by itself as well
    unasked = [name for folder in studies for name in _unasked(folder) if name not in counted]
    finished = {digest for digest, run in runs.items() if run.finished}
    missing = [one for one in missing if one.digest not in finished]
    told = tuple(dict.fromkeys(missing)), title, place, frozenset(alone), tuple(dict.fromkeys(unasked))
    return Material(tuple(runs.values()), *told)


def is_study(folder: Path) -> bool:
    """Whether this is what a study wrote, and no run."""
    known = any((folder / name).is_dir() for name in (STUDIES, *WITHIN))
    return known and not (folder / "run.json").exists()


def place_of(material: Material, out: Path | None) -> Path:
    """Folder for the report; ConfigError where nobody says which."""
    place = out or material.place
    if place is None:
        raise ConfigError("report", "no folder to write to", "--out, or one study", "name a folder with --out")
    return place


def header(run: Run) -> dict[str, Any]:
    """What the dataset of this run says of itself, as the run folder keeps it; empty where it does not."""
    raw = _json(run.folder / "data.json")
    return raw if isinstance(raw, dict) else {}


def _study(folder: Path) -> Iterator[Run | Missing]:
    """Runs of a study in order of name, then what is planned, or failed, and has no run folder."""
    unasked = set(_unasked(folder))
    failed = {path.stem: _error(path) for path in _records(folder) if path.stem not in unasked}
    places = [place for place in _places(folder) if place.name not in unasked]
    for place in places:
        yield from _one(place, failed)
    planned = {name: digest for facts in _facts(folder) for name, digest in _planned(facts)}
    for name in dict.fromkeys([*planned, *failed]):
        if name not in {place.name for place in places}:
            reason = failed.get(name, "no run folder yet")
            yield Missing(name, "failed" if name in failed else "not begun", reason, planned.get(name, ""))


def _unasked(folder: Path) -> list[str]:
    """Names of runs and failures in a study's folder that no study there asks for.

    None where no study is there, or where one cannot be read, which may ask for any of them.
    """
    facts = _facts(folder)
    readable = [one for one in facts if isinstance(one.get("entries"), list)]
    if not facts or len(readable) < len(list((folder / STUDIES).glob("*.json"))):
        return []
    asked = {name for one in facts for name, _ in _planned(one)}
    there = [place.name for place in _places(folder)] + [path.stem for path in _records(folder)]
    return [name for name in dict.fromkeys(there) if name not in asked]


def _places(folder: Path) -> list[Path]:
    """Run folders of a study, or what lies in their place."""
    found = [path for name in WITHIN if (folder / name).is_dir() for path in sorted((folder / name).iterdir())]
    return [path for path in found if path.is_dir() and not path.name.startswith(".")]


def _records(folder: Path) -> list[Path]:
    """Files that tell why runs of a study failed."""
    return sorted((folder / FAILED).glob("*.json"))


def _one(place: Path, failed: Mapping[str, str]) -> Iterator[Run | Missing]:
    """A run folder of a study, with why it failed where that is written down."""
    try:
        run = load_run(place)
    except CheckpointError as error:
        state = "damaged" if (place / "run.json").exists() else "not begun"
        yield Missing(place.name, state, failed.get(place.name) or f"{error.came}; {error.todo}")
        return
    yield from _told(run, failed)


def _told(run: Run, failed: Mapping[str, str]) -> Iterator[Run | Missing]:
    """A run, and after it what is to be said of it where it is not finished."""
    yield run
    if not run.finished:
        why = _diverged(run) or failed.get(run.folder.name, "")
        state = "failed" if run.state in {"running", "interrupted"} and why else run.state
        yield Missing(run.name, state, f"{run.epochs_run} epochs" + f"; {why}" * bool(why), run.digest)


def _planned(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and digests of the runs that a study asks for."""
    yield from _cells(facts.get("entries"))
    yield from _cells([{"runs": facts.get("orthogonal")}])


def _cells(entries: Any) -> Iterator[tuple[str, str]]:
    """Names and digests of the runs in these entries of a study."""
    asked = [entry.get("runs") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    for cell in (cell for some in asked if isinstance(some, list) for cell in some):
        if isinstance(cell, dict) and isinstance(cell.get("run"), str):
            yield cell["run"], str(cell.get("digest", ""))


def _error(path: Path) -> str:
    raw = _json(path)
    return str(raw["error"]) if isinstance(raw, dict) and "error" in raw else f"see {path.parent.name}/{path.name}"


def _facts(folder: Path) -> list[dict[str, Any]]:
    """What the studies say of themselves whose runs lie in this folder."""
    found = [_json(path) for path in sorted((folder / STUDIES).glob("*.json"))]
    return [facts for facts in found if isinstance(facts, dict)]


def _diverged(run: Run) -> str:
    """Where a run's loss was no number any more; nothing for a run that did not diverge."""
    raw = _json(run.folder / "run.json")
    told = raw.get("diverged") if isinstance(raw, dict) else None
    return f"epoch {told.get('epoch')}: {told.get('message')}" if isinstance(told, dict) else ""


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
