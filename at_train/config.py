"""Training settings, frozen, with the paper's values as defaults."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from at_data import plain_yaml
from at_data.errors import ConfigError

Size = Annotated[PositiveFloat, Field(allow_inf_nan=False)]
Strategy = Literal["none", "init", "freeze", "anti", "dual", "dann"]
STRATEGIES: dict[str, str] = {
    "none": "Learn the task alone.",
    "init": "Begin with the convolution weights of an orthogonal run.",
    "freeze": "As init, and the layers up to one of them stay as they are.",
    "anti": "Differ from an orthogonal run at one or several layers.",
    "dual": "Begin with the convolution weights of a run trained with anti, and differ from a second orthogonal run.",
    "dann": "Unlearn a nuisance attribute at one layer, by a reversed gradient (Ganin et al. 2016).",
}
NETWORKS_NEEDED: dict[str, int] = {"none": 0, "init": 1, "freeze": 1, "anti": 1, "dual": 2, "dann": 0}
ONE_LAYER: dict[str, str] = {
    "freeze": "the last layer that stays frozen",
    "dann": "where the nuisance is unlearnt",
}
USED_BY: dict[str, frozenset[str]] = {
    "layers": frozenset({"freeze", "anti", "dual", "dann"}),
    "nuisance": frozenset({"dann"}),
    "beta": frozenset({"anti", "dual", "dann"}),
    **dict.fromkeys(("aggregation", "similarity", "variant", "input_scaling"), frozenset({"anti", "dual"})),
}
"""Strategies that look at a setting, where not all do."""


class Settings(BaseModel):
    """Everything that decides the weights that come out, and nothing else.

    Where and how fast a run goes (device, folders, progress) are arguments, never settings. Defaults are those of the
    paper (Guizzo, Weyde and Tarroni 2021, "Anti-transfer learning for task invariance in convolutional neural networks
    for speech processing", section 4.2) unless a comment says otherwise.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    target: str | None = Field(
        None, description="Attribute to learn; the one the dataset's manifest names if not given."
    )
    network: str = Field("vgg16", description="Architecture, one of those that `at-train list` shows.")
    width: Size = Field(1.0, description="Factor on every channel count; 1 is the published network.")
    strategy: Strategy = Field(
        "none", description="What another network is used for: nothing, its weights, or to differ from it."
    )
    orthogonal: tuple[str, ...] = Field(
        (),
        description="Run folder of the other network; for dual two: the one to start from, the one to differ from.",
    )
    layers: tuple[str, ...] = Field(
        (),
        description="Layer to compare at (anti, dual; one or several), up to which weights stay frozen (freeze), or "
        "at which the nuisance is unlearnt (dann).",
    )
    beta: Annotated[float, Field(allow_inf_nan=False)] = Field(
        1.0,
        description="Weight of the anti-transfer loss; negative rewards likeness. For dann of the reversed gradient, "
        "the same in every epoch.",
    )  # section 5.6: "a good default choice"
    aggregation: str = Field(
        "gram", description="What turns feature maps into vectors, see `at-train list`."
    )  # equation 1
    similarity: str = Field(
        "squared_cosine", description="How alike two vectors are, see `at-train list`."
    )  # equation 2
    variant: Literal["paper", "as_released"] = Field(
        "paper", description="The loss as the paper or as its authors' public code computes it."
    )
    input_scaling: Literal["target", "own"] = Field(
        "target",
        description="Scale in which the network to differ from (anti, dual) sees its inputs: that of the dataset "
        "trained on, or that of its own training.",
    )  # as the authors' code does; the paper does not say
    nuisance: str | None = Field(None, description="Attribute that dann unlearns.")
    labels: Literal["true", "shuffled"] = Field(
        "true", description="Labels learnt: those of the dataset, or the same dealt out anew to the training items."
    )
    epochs: NonNegativeInt = Field(
        50, description="Passes over the training split at most; 0 leaves the network as it was drawn."
    )
    batch_size: PositiveInt = Field(13, description="Items per training step.")
    shuffle_run: PositiveInt = Field(
        1,
        description="Consecutive items that are read in one run, for slow disks; 1 for an order in which all "
        "permutations are as likely.",
    )
    shuffle_buffer: PositiveInt | None = Field(
        None, description="Items among which runs are shuffled, those that memory holds; none where a run is one item."
    )
    learning_rate: Size = Field(5e-4, description="Step size of Adam.")
    patience: PositiveInt | None = Field(
        5,
        description="Epochs without a lower validation task loss after which training stops; none for a fixed length.",
    )  # the authors' code looked at a sliding window instead, which made 5 act as 3
    selection: Literal["best", "last"] = Field(
        "best", description="Weights that are scored: of the lowest validation task loss, or of the last epoch."
    )  # the authors' code selected by task loss + anti-transfer loss
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Of initial weights, order of items and dropout."
    )  # paper: not told
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Type of the arithmetic inside the networks."
    )

    @model_validator(mode="after")
    def _strategy_has_what_it_needs(self) -> "Settings":
        needed = NETWORKS_NEEDED[self.strategy]
        if len(self.orthogonal) != needed:
            raise ValueError(
                f"orthogonal: got {len(self.orthogonal)} run folders, strategy '{self.strategy}' needs {needed}"
            )
        if self.strategy in ONE_LAYER and len(self.layers) != 1:
            raise ValueError(
                f"layers: got {_listed(self.layers)}, strategy '{self.strategy}' needs one: {ONE_LAYER[self.strategy]}"
            )
        if self.strategy in {"anti", "dual"} and not self.layers:
            raise ValueError(f"layers: got none, strategy '{self.strategy}' needs one or several to compare")
        if self.strategy in {"none", "init"} and self.layers:
            raise ValueError(f"layers: got {_listed(self.layers)}, strategy '{self.strategy}' takes none")
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"layers: got {_listed(self.layers)}, expected each once")
        return self

    @model_validator(mode="after")
    def _nuisance_is_for_dann(self) -> "Settings":
        if self.strategy == "dann" and self.nuisance is None:
            raise ValueError("nuisance: got none, strategy 'dann' needs the attribute to unlearn")
        if self.strategy != "dann" and self.nuisance is not None:
            raise ValueError(f"nuisance: got {self.nuisance}, strategy '{self.strategy}' takes none")
        return self

    @model_validator(mode="after")
    def _runs_have_a_buffer(self) -> "Settings":
        run, buffer = self.shuffle_run, self.shuffle_buffer
        if run == 1 and buffer is not None:
            raise ValueError(f"shuffle_buffer: got {buffer}, a shuffle_run of 1 takes none")
        if run > 1 and (buffer is None or buffer < 2 * run):
            raise ValueError(f"shuffle_buffer: got {buffer}, a shuffle_run of {run} needs at least {2 * run}")
        return self

    @model_validator(mode="after")
    def _controls_do_not_listen_to_validation(self) -> "Settings":
        if not self.epochs and self.selection != "last":
            raise ValueError("epochs: got 0, which has no best epoch and needs selection last")
        if self.labels == "shuffled" and (self.patience is not None or self.selection != "last"):
            raise ValueError(
                "labels: got shuffled, which no validation item can judge: it needs patience none and selection last"
            )
        return self


SEVERAL = frozenset(name for name, field in Settings.model_fields.items() if isinstance(field.default, tuple))
"""Settings of which several may be given."""


def parse(raw: dict[str, Any], where: str) -> Settings:
    """Settings from plain values; ConfigError names every wrong one, what came and what was expected.

    One word where several may stand is a list of one.
    """
    given = {name: [value] if name in SEVERAL and isinstance(value, str) else value for name, value in raw.items()}
    try:
        # by way of JSON: strict about types, yet lists become tuples
        return Settings.model_validate_json(json.dumps(given, default=str))
    except ValidationError as error:
        raise ConfigError(
            where,
            "; ".join(dict.fromkeys(_problem(dict(problem)) for problem in error.errors())),
            "known settings in range that fit each other",
            "correct them; `at-train fit --help` explains each",
        ) from error


def _problem(problem: dict[str, Any]) -> str:
    key = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        return f"unknown setting '{key}'{near(key, Settings.model_fields)} (known: {', '.join(Settings.model_fields)})"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: got {problem['input']!r}, {message}" if key else message


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> Settings:
    """Settings from a YAML file, with `overrides` in place of what it says; what both leave out keeps its default."""
    raw = _read(path) if path else {}
    return parse({**raw, **(overrides or {})}, str(path or "settings"))


def refuse_idle(settings: Settings, asked: Iterable[str]) -> None:
    """Nothing, or ConfigError where somebody asked for a setting that the strategy does not look at.

    Files of settings may hold them: `config.yaml` of a run holds every setting.
    """
    strategy = settings.strategy
    for name in asked:
        users = USED_BY.get(name, STRATEGIES.keys())
        if strategy not in users:
            raise ConfigError(
                name,
                f"got {getattr(settings, name)}, which strategy '{strategy}' does not look at",
                f"strategy {' or '.join(word for word in STRATEGIES if word in users)}",
                "name the strategy, or leave this out",
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = plain_yaml.read(path)
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(path, f"cannot be read ({problem})", "a YAML file of settings", "correct the file") from error
    if not isinstance(raw, dict | None):
        raise ConfigError(path, f"holds {type(raw).__name__}", "a mapping of settings", "write `setting: value` lines")
    return {str(name): value for name, value in (raw or {}).items()}


def dump(settings: Settings) -> str:
    """YAML that `load` reads back as the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def digest(settings: Settings, dataset: str, orthogonal: Sequence[str]) -> str:
    """SHA-256 that names a run: settings, the dataset's content, digests of the orthogonal runs, wherever those lie.

    How items are shuffled counts where it is not a permutation of all: runs from before the choice keep their names.
    """
    usual = {"shuffle_run", "shuffle_buffer"} if settings.shuffle_run == 1 else set()
    facts = {
        **settings.model_dump(mode="json", exclude={"orthogonal", *usual}),
        "dataset": dataset,
        "orthogonal": list(orthogonal),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def check_known(what: str, came: str, known: Iterable[str]) -> None:
    """Nothing, or ConfigError that lists the known names and the nearest."""
    names = list(known)
    if came not in names:
        raise ConfigError(
            what, f"unknown {what} '{came}'{near(came, names)}", f"one of: {', '.join(names)}", "choose one of those"
        )


def near(came: str, known: Iterable[str]) -> str:
    """Hint at the nearest known name, or nothing."""
    found = difflib.get_close_matches(came, list(known), n=1)
    return f", did you mean '{found[0]}'?" if found else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
