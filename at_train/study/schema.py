"""A YAML file -> a checked, frozen Study; nothing is known yet of the datasets."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from at_data import plain_yaml
from at_data.errors import ConfigError
from at_train.config import Settings, near

EACH = "each"  # the one key of a mapping that spans a grid
SAME = "same"  # the value that the run has which an orthogonal network is trained for
ALL = "all"  # every layer of the network, where layers are asked for
SETTINGS = tuple(name for name in Settings.model_fields if name not in {"orthogonal", "seed"})

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]  # entries come as Python, where it is a list


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Wanted(_Block):
    """What an entry says of a network to train: dataset, other networks, and in `settings` all that is a setting."""

    dataset: Any
    orthogonal: Any = ()
    settings: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("settings", {}), dict):
            return raw
        own = {name: value for name, value in raw.items() if name in cls.model_fields}
        beside = {name: value for name, value in raw.items() if name not in own}
        return {**own, "settings": {**raw.get("settings", {}), **beside}}

    @property
    def values(self) -> dict[str, Any]:
        """Everything that may span a grid, in the order it is spanned."""
        return {"dataset": self.dataset, "orthogonal": self.orthogonal, **self.settings}


class Orthogonal(Wanted):
    """A network that runs are compared with: one for all seeds of a study (`shared`, the first), or one for each.

    `seed_offset` is added to the seed. Networks of one seed, shape and number of classes begin with the same
    convolution weights, so that without it a run may begin where the network began that it must differ from.
    """

    seeds: Literal["shared", "each"]
    seed_offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Entry(Wanted):
    """A row of the study: one run for every point of its grid and every seed."""

    name: Name
    seeds: Seeds | None = None

    @property
    def axes(self) -> dict[str, Any]:
        """The points of the grid by the key that spans it: a list, or the word for all layers."""
        return {key: value[EACH] for key, value in self.values.items() if _spans(value)}


class Select(_Block):
    """How one layer of several is picked, written down for readers.

    The runner trains them all. Reports pick one by this rule in every row that has several, named here or not.
    """

    rule: Literal["best_validation_accuracy"]
    over: Literal["layers"]
    entries: tuple[str, ...] = ()


class Study(_Block):
    """A grid of runs. `baseline` names the entry gains are measured from, `controls` those that must show none.

    Reports measure gains from runs of strategy none, and tell controls by what their orthogonal networks learnt.
    """

    name: Name
    about: str = ""
    datasets: Annotated[dict[Name, str], Field(min_length=1)]
    settings: dict[str, Any] = {}
    seeds: Seeds
    orthogonal: dict[Name, Orthogonal] = {}
    runs: Annotated[tuple[Entry, ...], Field(min_length=1)]
    baseline: str | None = None
    controls: tuple[str, ...] = ()
    select: Select | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        names = [entry.name for entry in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"runs: '{name}' stands twice, expected each entry under a name of its own")
        named = [*self.controls, *(self.select.entries if self.select else ()), *filter(None, [self.baseline])]
        for name in named:
            _refuse_unknown("entry", name, names)
        if any(len(set(seeds)) < len(seeds) for seeds in (self.seeds, *(entry.seeds or () for entry in self.runs))):
            raise ValueError("seeds: one stands twice, expected each once")
        for entry in self.runs:
            strategy = entry.settings.get("strategy", self.settings.get("strategy", "none"))
            if entry.name == self.baseline and strategy != "none":
                raise ValueError(f"baseline: entry '{entry.name}' is of strategy {strategy}, expected one of none")
        return self

    @model_validator(mode="after")
    def _parts_are_known(self) -> "Study":
        _check_settings("settings", self.settings, self, may_span=False, may_be_same=False)
        for name, other in self.orthogonal.items():
            _check_settings(f"orthogonal {name}", other.values, self, may_span=False, may_be_same=True)
        for entry in self.runs:
            _check_settings(f"runs {entry.name}", entry.values, self, may_span=True, may_be_same=False)
        if self.select and not any(self.select.over in entry.axes for entry in self.runs):
            expected = f"an entry with {self.select.over}: {{each: [...]}}, or no select"
            raise ValueError(f"select: no entry has several {self.select.over} to choose from; expected {expected}")
        _refuse_circles(self)
        return self


def _check_settings(where: str, values: Mapping[str, Any], study: Study, *, may_span: bool, may_be_same: bool) -> None:
    for key, value in values.items():
        if key == "seed":
            raise ValueError(f"{where}: got seed, expected `seeds`, which the study and its entries have")
        if key not in {*SETTINGS, "dataset", "orthogonal"} or (where == "settings" and key == "orthogonal"):
            raise ValueError(f"{where}: unknown setting '{key}'{near(key, SETTINGS)} (known: {', '.join(SETTINGS)})")
        if isinstance(value, dict) and not (may_span and _spans(value)):
            expected = "{each: [...]}, of one value or more, each once" if may_span else "one value"
            raise ValueError(f"{where}: {key}: got {value}, expected {expected}")
        if value == SAME and not may_be_same:
            raise ValueError(f"{where}: {key}: got '{SAME}', which only an orthogonal network can have")
        for one in points(key, value):
            if key == "dataset" and one != SAME:
                _refuse_unknown("dataset", one, study.datasets)
            if key == "orthogonal":
                for name in listed(one):
                    _refuse_unknown("orthogonal network", name, study.orthogonal)


def _refuse_unknown(what: str, came: Any, known: Mapping[str, Any] | list[str]) -> None:
    if came not in list(known):  # a list would not do as the key of a mapping
        hint = near(came, known) if isinstance(came, str) else ""
        raise ValueError(f"unknown {what} {came!r}{hint} (known: {', '.join(known) or 'none'})")


def _refuse_circles(study: Study) -> None:
    def walk(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"orthogonal: {' -> '.join((*above, name))} is a circle")
        for other in listed(study.orthogonal[name].orthogonal):
            walk(other, (*above, name))

    for name in study.orthogonal:
        walk(name, ())


def _spans(value: Any) -> bool:
    """Whether a value spans a grid: all layers, or a list in which nothing stands twice."""
    if not isinstance(value, dict) or set(value) != {EACH}:
        return False
    several = value[EACH]
    return several == ALL or (isinstance(several, list) and bool(several) and _all_differ(several))


def _all_differ(values: list[Any]) -> bool:
    return len({json.dumps(value) for value in values}) == len(values)


def points(key: str, value: Any) -> Iterator[Any]:
    """Values that a key takes one after the other."""
    several = value[EACH] if _spans(value) else [value]
    if several == ALL:
        if key != "layers":
            raise ValueError(f"{key}: got each: {ALL}, which is for layers; expected each: [...]")
        return
    yield from several


def listed(value: Any) -> tuple[Any, ...]:
    """Several names from several, or from one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def shipped() -> dict[str, Path]:
    """Studies that come with the project, by name: beside the package in a checkout, inside it when installed."""
    package = Path(str(files("at_data")))
    for folder in (package / "manifests" / "studies", package.parent / "manifests" / "studies"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def load(name: str | Path) -> Study:
    """Study from a file, or the shipped one of that name; ConfigError says what is wrong with it."""
    path = Path(name)
    if not path.is_file():
        known = shipped()
        if str(name) not in known:
            raise ConfigError(
                name,
                f"no such file and no shipped study of that name{near(str(name), known)}",
                f"a YAML file or one of: {', '.join(known)}",
                "name a file or a shipped study",
            )
        path = known[str(name)]
    try:
        text = json.dumps(plain_yaml.read(path))
    except (OSError, ValueError, TypeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(path, f"cannot be read ({problem})", "a YAML file of a study", "correct the file") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Study:
    """Study from JSON; ConfigError names every wrong key, what came and what is known."""
    try:
        return Study.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(
            where,
            "; ".join(dict.fromkeys(_problem(dict(problem)) for problem in error.errors())),
            "a study of datasets, seeds and runs, of known names that fit each other",
            "correct the study; shipped ones are examples",
        ) from error


def _problem(problem: dict[str, Any]) -> str:
    place = " ".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{place}'{near(place, Study.model_fields)} (known: {', '.join(Study.model_fields)})"
    if problem["type"] in {"value_error", "missing"}:
        return f"{place}: {message}" if place else message
    return f"{place}: got {problem['input']!r}, {message}"
