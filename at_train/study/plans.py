"""Every run of a study: checked, named, and looked for among those that are there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from at_data.errors import AtError, CheckpointError, ConfigError
from at_train import checkpoints, config, networks, results, run_folder, strategies
from at_train.batches import Data
from at_train.checkpoints import Facts
from at_train.config import Settings
from at_train.networks import Network
from at_train.study import datasets, locks
from at_train.study.grid import Point, points_of
from at_train.study.schema import Study
from at_train.study.timings import Clock, like
from at_train.training import check

FORMAT = 1  # of the file that tells a report what a study is
ROLES = ("runs", "orthogonal")  # folders that runs lie in
NAMED_LAYERS = 3  # as many stand in the name of a run; of more, the number

State = Literal["done", "failed", "blocked", "running", "missing"]


@dataclass(frozen=True)
class Run:
    """A run to train: its name and digest are those of settings, data and orthogonal runs, and nothing else.

    `settings` have no folders of other runs; those are named in `others`, in order. `seconds` is an estimate, if any.
    """

    name: str
    digest: str
    role: Literal["runs", "orthogonal"]
    dataset: Path
    settings: Settings
    others: tuple[str, ...]
    like: str
    seconds: float | None


@dataclass(frozen=True)
class Cell:
    """What one point of an entry's grid became."""

    run: str
    seed: int
    dataset: str
    orthogonal: tuple[str, ...]
    values: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that a study will train, orthogonal networks before the runs that need them, by name."""

    study: Study
    out: Path
    datasets: dict[str, Path]
    runs: dict[str, Run]
    entries: dict[str, tuple[Cell, ...]]
    failed_before: dict[str, str] = field(default_factory=dict)  # what the records of failure said, by run

    def folder(self, run: Run) -> Path:
        """Folder that a run lies in, or will: that of another study where it has another role there."""
        for role in ROLES:
            if (self.out / role / run.name / "run.json").is_file():
                return self.out / role / run.name
        return self.out / run.role / run.name

    def lock(self, run: Run) -> Path:
        """Folder of the lock that whoever trains this run must own."""
        return self.out / "locks" / run.name

    def record(self, run: Run) -> Path:
        """File that tells why this run failed, where it did."""
        return self.out / "failed" / f"{run.name}.json"

    def settled(self, run: Run) -> Literal["done", "failed", "missing"]:
        """Whether this run was trained, or failed, whoever did it."""
        if _finished(self.folder(run)):
            return "done"
        return "failed" if self.record(run).is_file() else "missing"

    def failure(self, run: Run) -> str:
        """Why this run failed, in a sentence."""
        try:
            return str(json.loads(self.record(run).read_text(encoding="utf-8"))["error"])
        except (OSError, ValueError, LookupError, TypeError):
            return f"see {self.record(run)}"

    def states(self) -> dict[str, State]:
        """How far every run is, at this moment."""
        found: dict[str, State] = {}
        for name, run in self.runs.items():
            found[name] = self.settled(run)
            if found[name] == "missing" and any(found[other] in {"failed", "blocked"} for other in run.others):
                found[name] = "blocked"
            elif found[name] == "missing" and locks.owner(self.lock(run)):
                found[name] = "running"
        return found

    def seconds(self, jobs: int = 1) -> tuple[float, int]:
        """Estimate for what is left to do, so many at a time, and of how many runs nothing is known."""
        left = [self.runs[name] for name, state in self.states().items() if state in {"missing", "running"}]
        known = [run.seconds for run in left if run.seconds is not None]
        return sum(known) / jobs, len(left) - len(known)


def plan(study: Study, folder: Path, out: Path, trial: str | None = None) -> Plan:
    """Every run of a study on the datasets in `folder`, with its state in `out`; nothing is trained or written.

    Everything that can be known before training is checked here: ConfigError, CheckpointError or ShardError say what
    is wrong, and in which part of the study. `trial` names a device to time one step on where no like run was timed.
    """
    found = {alias: datasets.find(name, folder) for alias, name in study.datasets.items()}
    maker = _Maker(found, Clock(out, trial), {})
    entries = {
        name: tuple(_cell(maker.add(point, "runs"), point) for point in several)
        for name, several in points_of(study).items()
    }
    runs = dict(sorted(maker.runs.items(), key=lambda item: item[1].role != "orthogonal"))  # stable
    made = Plan(study, out, found, runs, entries)
    records = {name: made.record(run) for name, run in runs.items()}
    before = {name: path.read_text(encoding="utf-8") for name, path in records.items() if path.is_file()}
    return Plan(study, out, found, runs, entries, before)


def write(plan: Plan) -> Path:
    """File that tells a report what this study is: entries, their runs, baseline, controls, rule of selection."""
    facts = {
        "format": FORMAT,
        "name": plan.study.name,
        "about": plan.study.about,
        "baseline": plan.study.baseline,
        "controls": list(plan.study.controls),
        "select": plan.study.select.model_dump(mode="json") if plan.study.select else None,
        "datasets": {alias: _dataset(path) for alias, path in plan.datasets.items()},
        "entries": [
            {"name": name, "runs": [_entry(plan, cell) for cell in cells]} for name, cells in plan.entries.items()
        ],
        "orthogonal": [
            {"run": run.name, "digest": run.digest, "folder": _relative(plan, run), "orthogonal": list(run.others)}
            for run in plan.runs.values()
            if run.role == "orthogonal"
        ],
        "study": plan.study.model_dump(mode="json"),
    }
    run_folder.refuse_within_dataset(plan.out)
    path = plan.out / "studies" / f"{plan.study.name}.json"
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")  # two runners may write at once
    with results.writing(plan.out, "mend that, and give the same command again"):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    return path


def _finished(folder: Path) -> bool:
    try:
        return (folder / "run.json").is_file() and run_folder.read(folder)["state"] == "finished"
    except CheckpointError:  # damaged: whoever trains it next will say so, and it fails
        return False


def _entry(plan: Plan, cell: Cell) -> dict[str, Any]:
    run = plan.runs[cell.run]
    return {
        "run": run.name,
        "digest": run.digest,
        "folder": _relative(plan, run),
        "seed": cell.seed,
        "dataset": cell.dataset,
        "orthogonal": [{"name": name, "run": other} for name, other in zip(cell.orthogonal, run.others, strict=True)],
        "cell": cell.values,
    }


def _relative(plan: Plan, run: Run) -> str:
    return plan.folder(run).relative_to(plan.out).as_posix()


def _dataset(folder: Path) -> dict[str, str]:
    header = datasets.opened(folder, None).header
    return {"name": header.name, "digest": header.digest, "content": header.content}


def _cell(run: Run, point: Point) -> Cell:
    names = tuple(other.where.removeprefix("orthogonal ") for other in point.others)
    return Cell(run.name, point.raw["seed"], point.dataset, names, point.cell)


@dataclass
class _Maker:
    """Points become runs; what was made once is not made again."""

    datasets: dict[str, Path]
    clock: Clock
    runs: dict[str, Run]

    def add(self, point: Point, role: Literal["runs", "orthogonal"]) -> Run:
        """Run of a point, after those it needs. A run that others need is an orthogonal one, whatever else it is."""
        others = [self.add(other, "orthogonal") for other in point.others]
        try:
            run = self._run(point, others, role)
        except AtError as error:
            raise type(error)(f"{point.where}: {error.where}", error.came, error.expected, error.todo) from error
        earlier = self.runs.get(run.name)
        if earlier is None or role == "orthogonal":
            self.runs[run.name] = run
        return self.runs[run.name]

    def _run(self, point: Point, others: list[Run], role: Literal["runs", "orthogonal"]) -> Run:
        folder = self.datasets[point.dataset]
        raw = {**point.raw, "orthogonal": [other.name for other in others]}
        settings = config.parse(raw, "settings")
        data = datasets.opened(folder, settings.target)
        settings = settings.model_copy(update={"target": data.target, "orthogonal": ()})
        check(settings, data)
        outlines = [self._outline_that_fits(other, settings, data) for other in others]
        strategies.refuse_misfits(settings, _outline(settings, data), outlines)
        _check_first_of_dual(settings, others)
        digest = config.digest(settings, data.header.content, [other.digest for other in others])
        name = f"{_label(settings, data)}-{digest[:8]}"
        seconds = self.clock.seconds(settings, data)
        names = tuple(other.name for other in others)
        return Run(name, digest, role, folder, settings, names, like(settings, data), seconds)

    def _outline_that_fits(self, other: Run, settings: Settings, data: Data) -> Network:
        """Network of another run, without weights; an error where it knows other inputs or lacks a layer."""
        theirs = datasets.opened(other.dataset, other.settings.target)
        checkpoints.refuse_unlike(Path(other.name), Facts(**theirs.facts()), Facts(**data.facts()))
        outline = _outline(other.settings, theirs)
        for layer in settings.layers:
            config.check_known(f"layer of {other.name}", layer, outline.layers)
        return outline


def _outline(settings: Settings, data: Data) -> Network:
    """Network of a run, without weights."""
    shape = (data.header.frames, data.header.bins)
    return networks.outline(settings.network, len(data.classes), shape, settings.width)


def _check_first_of_dual(settings: Settings, others: list[Run]) -> None:
    if settings.strategy == "dual" and others[0].settings.strategy != "anti":
        raise ConfigError(
            "orthogonal",
            f"the first network has strategy '{others[0].settings.strategy}'",
            "one trained with 'anti' as the first of dual's two",
            "give the network to start from first, the one to differ from second",
        )


def _label(settings: Settings, data: Data) -> str:
    """What of a run a reader of folder names wants to know."""
    return "-".join(_words(settings, data))


def _words(settings: Settings, data: Data) -> Iterator[str]:
    yield data.header.name
    if data.target != data.header.target:
        yield data.target
    yield settings.strategy
    if settings.layers:
        few = len(settings.layers) <= NAMED_LAYERS
        yield "+".join(settings.layers) if few else f"{len(settings.layers)}layers"
    yield f"s{settings.seed}"
