"""A YAML file -> a checked, frozen Manifest, and its digest."""

import difflib
import hashlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from at_data import plain_yaml
from at_data.errors import ManifestError
from at_data.files import write_whole
from at_data.stages.audio import Audio
from at_data.stages.bias import Bias
from at_data.stages.noise import EachOf, Mix, OneOf
from at_data.stages.noise import Task as NoiseTask
from at_data.stages.quiet import Faint, Quiet
from at_data.stages.scaling import Scaling
from at_data.stages.segments import Cut
from at_data.stages.selection import Balance, Cap, MostFrequent, Undersample, Wish, in_order
from at_data.stages.spectra import Stft
from at_data.stages.splits import Folds, Fractions, Imported, Published, Split, kept_whole

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def _none_or(tag: str, keys: str) -> Discriminator:
    """Choice between `none` and a mapping: only the one that was meant says what is wrong."""

    def branch(value: object) -> str | None:
        return tag if isinstance(value, (dict, BaseModel)) else "<none>" if value == "none" else None

    message = f"expected 'none' or a mapping of {keys}"
    return Discriminator(branch, custom_error_type="no_branch", custom_error_message=message)


_None = Annotated[Literal["none"], Tag("<none>")]
BiasOrNone = Annotated[_None | Annotated[Bias, Tag("<bias>")], _none_or("<bias>", "with, favoured, strength")]


class Subset(_Settings):
    """Only the recordings that another split of the same recordings, and its bias, give to `part`.

    A speaker dataset drawn from the training part of a word dataset's split holds no item that dataset tests on.
    """

    split: Split
    bias: BiasOrNone
    target: str
    part: Literal["train", "valid", "test"]


class Store(_Settings):
    """How items lie on disk: `implicit` padding keeps the real frames of each alone, and reads give the same."""

    dtype: Literal["float16", "float32"]
    recordings_per_shard: PositiveInt
    compression: Literal["none", "zstd", "lz4"]
    padding: Literal["stored", "implicit"]


Rule = Literal["drop", "fail", "keep"]


class Duplicates(_Settings):
    """What becomes of a recording that another split holds too: the same samples, or the same sound in other ones.

    Stretches of one file that share samples are nearly the same.
    """

    exact: Rule
    near: Rule


Noise = Annotated[
    _None | Annotated[Mix, Tag("<mix>")] | Annotated[NoiseTask, Tag("<task>")],
    Discriminator(
        lambda value: (
            "<task>"
            if isinstance(value, NoiseTask) or (isinstance(value, dict) and not {"label", "hours"}.isdisjoint(value))
            else "<mix>"
            if isinstance(value, (dict, Mix))
            else "<none>"
            if value == "none"
            else None
        ),
        custom_error_type="no_branch",
        custom_error_message="expected 'none' or a mapping of corpus, keep, a level, ...",
    ),
]


class Manifest(_Settings):
    """Everything that decides the bytes of a dataset, and nothing else. No key has a default."""

    name: Name
    corpus: str
    target: str
    keep: Annotated[dict[str, Wish], AfterValidator(in_order)]
    nuisances: tuple[str, ...]
    balance: Balance
    subset: Annotated[_None | Annotated[Subset, Tag("<subset>")], _none_or("<subset>", "split, bias, target, part")]
    seed: Annotated[int, Field(ge=0)]
    audio: Audio
    segment: Cut
    quiet: Quiet
    noise: Noise
    stft: Stft
    scaling: Scaling
    split: Split
    bias: BiasOrNone
    shared: tuple[str, ...]
    duplicates: Duplicates
    store: Store

    @model_validator(mode="after")
    def _target_is_no_nuisance(self) -> "Manifest":
        if self.target in self.nuisances:
            raise ValueError(f"nuisances: got the target '{self.target}', expected other attributes")
        return self

    @model_validator(mode="after")
    def _what_is_kept_whole_is_not_shared(self) -> "Manifest":
        for name in self.shared:
            if name in kept_whole(self.split):
                raise ValueError(f"shared: got '{name}', which split.by keeps whole; expected other group attributes")
        return self

    @model_validator(mode="after")
    def _noise_task_is_whole(self) -> "Manifest":
        if isinstance(self.noise, NoiseTask):
            if self.target != self.noise.label:
                raise ValueError(f"target: got '{self.target}', expected the noise's label '{self.noise.label}'")
            if self.segment.hop_s not in ("one_at_start", "one_at_random"):
                raise ValueError(
                    f"segment.hop_s: got {self.segment.hop_s}, expected one_at_start or one_at_random: a mixture is "
                    "one segment, or noise.hours could not be kept"
                )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the same settings have the same digest however the YAML was written.

        A file that lists a split counts by its hash, wherever it lies and whatever it is called.
        """
        settings = self.model_dump(mode="json", exclude={"split": {"file"}, "subset": {"split": {"file"}}})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the dataset's folder."""
        return f"{self.name}-{self.digest[:8]}"


def shipped() -> dict[str, Path]:
    """Manifests that come with the project, by name: beside the package in a checkout, inside it when installed."""
    package = Path(str(files("at_data")))
    for folder in (package / "manifests", package.parent / "manifests"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def load(name: str | Path) -> Manifest:
    """Manifest from a file, or the shipped one of that name."""
    path = Path(name)
    if not path.is_file():
        known = shipped()
        if str(name) not in known:
            near = difflib.get_close_matches(str(name), known, n=NEAR)
            raise ManifestError(
                name,
                "no such file and no shipped manifest of that name",
                f"a YAML file, or a name of `at-prepare list`{', as' if near else ''} {', '.join(near)}".rstrip(),
                "correct the path or the name",
            )
        path = known[str(name)]
    try:
        raw = plain_yaml.read(path)
    except (OSError, ValueError) as error:
        raise ManifestError(path, f"cannot be read ({error})", "a YAML file", "correct the file") from error
    if not isinstance(raw, dict):
        raise ManifestError(path, f"holds {type(raw).__name__}", "a mapping of keys", "start from a shipped manifest")
    return parse(raw, str(path), path.parent)


def write(made: Manifest, path: Path, comment: str) -> None:
    """YAML file of a manifest, every key in its place, the comment above it; files it names are found from there.

    ManifestError where it cannot be written, whole.
    """
    raw = made.model_dump(mode="json")
    for holder, settings in ((raw, made), (raw["subset"], made.subset)):
        if settings != "none" and isinstance(settings.split, Imported):
            holder["split"]["file"] = os.path.relpath(settings.split.file, path.parent)
    text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    try:
        write_whole(path, f"# {comment}\n{text}")
    except OSError as error:
        came = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ManifestError(path, came, "a folder that can be written to, with room", "mend that") from error


def parse(raw: dict[str, Any], where: str, folder: Path | None = None) -> Manifest:
    """Manifest from plain values; ManifestError names every wrong key, what came and what was expected.

    `folder` is where files that the values name are looked for.
    """
    try:
        # by way of JSON: strict about types, yet lists become tuples
        text = json.dumps(raw)
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(
            where,
            f"holds what is no setting ({error})",
            "strings, numbers, lists and mappings, none inside itself",
            "put quotes around dates, write out aliases",
        ) from error
    try:
        return Manifest.model_validate_json(text, context={"folder": folder} if folder else None)
    except ValidationError as error:
        problems = _problems(error)
        raise ManifestError(
            where,
            "; ".join(problems),
            "every key, known and in range (no key has a default)",
            "correct the manifest; shipped ones are examples",
        ) from error


NEAR = 5  # names that may have been meant
EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")

# mappings that a choice may fall on, by the tag that errors name them with
BRANCHES: dict[str, type[BaseModel]] = {
    "<cap>": Cap,
    "<faint>": Faint,
    "<most_frequent>": MostFrequent,
    "<undersample>": Undersample,
    "<subset>": Subset,
    "<mix>": Mix,
    "<task>": NoiseTask,
    "<one_of>": OneOf,
    "<each_of>": EachOf,
    "<published>": Published,
    "<file>": Imported,
    "<fold>": Folds,
    "<fractions>": Fractions,
    "<bias>": Bias,
}


def _problems(error: ValidationError) -> list[str]:
    """One clause per wrong key."""
    clauses = []
    for problem in error.errors():
        place, came = problem["loc"], problem["input"]
        if came and problem.get("ctx", {}).get("actual_length") == 0:
            continue  # nothing is left of what came: what is wrong with each part is said already
        keys = [str(part) for part in place if not str(part).startswith("<")]
        key = problem.get("ctx", {}).get("key")
        missing = problem["type"] == "missing"
        if problem["type"] == "no_branch" and key and isinstance(came, dict):
            # the one key by which the choice is made is to blame, not the whole mapping
            keys, missing, came = [*keys, key], key not in came, came.get(key)
        if missing:
            text = "key is missing"
        elif not keys:  # of all keys together: what came is the whole manifest
            text = problem["msg"].removeprefix("Value error, ")
        elif problem["type"] == "extra_forbidden":
            text = f"unknown key (known here: {', '.join(_known(place[:-1]))})"
        else:
            text = f"got {came!r}, {problem['msg'].removeprefix('Value error, ')}{_hint(came, problem['type'])}"
        clauses.append(f"{'.'.join(keys)}: {text}" if keys else text)
    return clauses


def _hint(came: object, kind: str) -> str:
    """What YAML may have made of what somebody wrote."""
    if isinstance(came, bool) and kind == "string_type":
        return " (YAML takes yes, no, on and off for truth: put quotes around them)"
    if isinstance(came, int | float) and kind == "string_type":
        return " (YAML takes that for a number: put quotes around it)"
    if isinstance(came, str) and kind in {"float_type", "int_type"} and EXPONENT.fullmatch(came):
        return " (YAML takes that for text: write it with a point and a sign, as 1.0e-9)"
    return ""


def _known(place: tuple[int | str, ...]) -> list[str]:
    """Keys a place in the manifest may have."""
    model: type[BaseModel] = Manifest
    for part in place:
        model = BRANCHES.get(str(part)) or _model(model, str(part))
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _model(model: type[BaseModel], key: str) -> type[BaseModel]:
    """Settings under a key; where there is a choice, the tag that follows says which."""
    annotation = model.model_fields[key].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model


__all__ = ["Manifest", "Split", "Store", "Subset", "load", "parse", "shipped", "write"]
