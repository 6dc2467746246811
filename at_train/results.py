"""One Result per evaluation, and the run folder that a report reads them from."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from at_data.errors import CheckpointError, ConfigError
from at_train import run_folder
from at_train.run_folder import Kinds

METRICS = "metrics.jsonl"
FACTS: Kinds = {  # what a report needs of `run.json`
    "digest": str,
    "name": str,
    "settings": dict,
    "dataset": dict,
    "orthogonal": list,
    "state": str,
    "best_epoch": (int, type(None)),
    "epochs_run": int,
    "stopped": (str, type(None)),
}
SETTINGS: Kinds = {"strategy": str, "seed": int}
DATASET: Kinds = {
    "name": str,
    "digest": str,
    "content": str,
    "target": str,
    "classes": list,
    "counts": dict,
    "nuisances": list,
}
ORTHOGONAL: Kinds = {"name": str, "digest": str, "target": str}
TRAINED: Kinds = {"settings": dict, "dataset": dict, "orthogonal": list}
SCORES: Kinds = {
    "run": str,
    "split": str,
    "items": int,
    "accuracy": (int, float),
    "macro_f1": (int, float),
    "classes": list,
    "confusion": list,
    "groups": dict,
    "worst_group": dict,
}


@dataclass(frozen=True)
class Result:
    """What one evaluation of a run's network gave: `values` by name, epochs from 1."""

    run: str
    epoch: int
    split: str
    values: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """How a network was trained: its settings, on what, beside which others."""

    digest: str
    name: str
    settings: dict[str, Any]
    dataset: dict[str, Any]
    orthogonal: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Run(Trained):
    """A run folder as reports see it: `run.json`, the scores of every split of its own dataset, all results."""

    folder: Path
    state: str
    best_epoch: int | None
    epochs_run: int
    stopped: str | None
    scores: dict[str, dict[str, Any]]
    results: tuple[Result, ...]

    @property
    def finished(self) -> bool:
        """Whether training has ended and every split was scored."""
        return self.state == run_folder.FINISHED


def append(folder: Path, result: Result) -> None:
    """Put one line at the end of `metrics.jsonl`, on disk when this returns.

    A line that a kill tore in two is dropped first. ConfigError, with the file untouched, for a value that is not
    finite.
    """
    for name, value in result.values.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"epoch {result.epoch}, {result.split} {name}",
                f"got {value}",
                "a finite number",
                "training has diverged: lower learning_rate or beta and train in a new folder",
            )
    line = json.dumps(asdict(result), ensure_ascii=False, allow_nan=False) + "\n"
    with (folder / METRICS).open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[Result]:
    """Results in the order of writing, none if nothing was evaluated yet.

    Only a line with its end is a result: what a kill left of the last one is passed over. CheckpointError for damage
    elsewhere.
    """
    path = folder / METRICS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error, "results of a run") from error
    return [_result(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def truncate(folder: Path, epoch: int) -> None:
    """Drop the results of later epochs, and a torn last line, so that a run can go on after this epoch."""
    kept = [result for result in read(folder) if result.epoch <= epoch]
    if (folder / METRICS).exists():
        lines = (json.dumps(asdict(result), ensure_ascii=False, allow_nan=False) + "\n" for result in kept)
        replace(folder / METRICS, "".join(lines).encode())


def load_run(folder: Path) -> Run:
    """The run in this folder, finished or not; CheckpointError when it is none or is damaged."""
    path = folder / "run.json"
    if not path.is_file():
        came = "no run.json in it" if folder.is_dir() else "no such folder"
        raise CheckpointError(folder, came, "a run folder", "name a folder that `at-train fit` wrote")
    facts = run_folder.checked(_json(path), FACTS, str(path))
    run_folder.checked(facts["settings"], SETTINGS, f"{path}, settings")
    run_folder.checked(facts["dataset"], DATASET, f"{path}, dataset")
    others = _others(facts["orthogonal"], f"{path}, orthogonal")
    scores, found = _scores(folder, facts["digest"]), tuple(read(folder))
    if facts["state"] == run_folder.FINISHED:
        _refuse_lost(folder, facts["dataset"]["counts"], scores)
    known = {name: facts[name] for name in FACTS}
    if facts["state"] == run_folder.RUNNING:  # as was written when it began
        known |= {
            "state": run_folder.state(folder, facts["state"]),
            "epochs_run": max((result.epoch for result in found), default=0),
        }
    return Run(**{**known, "folder": folder, "orthogonal": others, "scores": scores, "results": found})


def trained(entry: Mapping[str, Any]) -> Trained | None:
    """What a run remembers of a network that it used; None for one of before that kept its name alone."""
    told = entry.get("trained")
    return told and Trained(
        entry["digest"], entry["name"], told["settings"], told["dataset"], tuple(told["orthogonal"])
    )


def _others(raw: Iterable[Any], where: str) -> tuple[dict[str, Any], ...]:
    """Networks that a run used, and those that these used, as far as they are told."""
    entries = tuple(run_folder.checked(other, ORTHOGONAL, where) for other in raw)
    for told in (entry["trained"] for entry in entries if entry.get("trained") is not None):
        run_folder.checked(told, TRAINED, where)
        run_folder.checked(told["settings"], {"strategy": str}, where)
        run_folder.checked(told["dataset"], {"name": str, "target": str}, where)
        _others(told["orthogonal"], where)
    return entries


def _refuse_lost(folder: Path, counts: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """Nothing, or CheckpointError where a finished run has not the scores of every split that has items."""
    lost = [split for split, items in counts.items() if items and split not in scores]
    if lost:
        raise CheckpointError(
            folder / "scores",
            f"nothing of {' and '.join(lost)}",
            "the scores of every split",
            f"restore them, or score the run again: at-train score RUN --split {lost[0]}",
        )


def write_run(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `run.json`, whole or not at all."""
    replace(folder / "run.json", _dumped(facts))


def write_scores(folder: Path, split: str, scores: Mapping[str, Any], rows: Iterable[tuple[str, str, str]]) -> None:
    """Write `scores/<split>.csv` with rows of id, target and predicted, then `scores/<split>.json`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "target", "predicted"))
    writer.writerows(rows)
    replace(folder / "scores" / f"{split}.csv", text.getvalue().encode())
    replace(folder / "scores" / f"{split}.json", _dumped(scores))


def replace(path: Path, content: bytes) -> None:
    """Put a file with this content in place; a crash at any moment leaves the earlier one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def writing(out: Path, todo: str) -> Iterator[None]:
    """Within it a full or forbidden disk is told as CheckpointError, which ends in `todo`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            error.filename or out,
            f"cannot be used ({error.strerror or error})",
            "room on the disk and leave to write",
            todo,
        ) from error


def _dumped(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _result(line: bytes, where: str) -> Result:
    try:
        raw = json.loads(line, parse_constant=_refuse)
        values = {str(name): float(value) for name, value in raw["values"].items()}
        return Result(str(raw["run"]), int(raw["epoch"]), str(raw["split"]), values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(
            where, f"cannot be read ({error})", "one result as JSON", "restore the file or train again in a new folder"
        ) from error


def _scores(folder: Path, digest: str) -> dict[str, dict[str, Any]]:
    """Scores by split; those on other datasets lie in folders of their own in there and are not compared."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "scores").glob("*.json")):
        scores = run_folder.checked(_json(path), SCORES, str(path))
        if scores["run"] != digest:
            raise CheckpointError(
                path, f"scores of run {scores['run'][:8]}", f"of run {digest[:8]}", "score the run again"
            )
        size = len(scores["classes"])
        if [len(row) if isinstance(row, list) else None for row in scores["confusion"]] != [size] * size:
            came, expected = "a confusion of another size", f"{size} rows of {size} counts, one for each class"
            raise CheckpointError(path, came, expected, "score the run again")
        found[scores["split"]] = scores
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error, "JSON as `at-train fit` writes it") from error


def _unreadable(path: Path, error: Exception, expected: str) -> CheckpointError:
    return CheckpointError(
        path, f"cannot be read ({error})", expected, "restore the file or train again in a new folder"
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
