"""A YAML file -> a checked, frozen Manifest, and its digest."""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from at_data.errors import ManifestError
from at_data.stages.audio import Audio
from at_data.stages.noise import Mix
from at_data.stages.segments import Cut
from at_data.stages.selection import Cap, Undersample
from at_data.stages.spectra import Scaling, Stft
from at_data.stages.splits import Fractions, Published, Split

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Subset(_Settings):
    """Only the recordings that another split of the same recordings gives to `part`.

    A speaker dataset drawn from the training part of a word dataset's split holds no item that dataset tests on.
    """

    split: Fractions | Published
    target: str
    part: Literal["train", "valid", "test"]


class Store(_Settings):
    """How items lie on disk."""

    dtype: Literal["float16", "float32"]
    recordings_per_shard: PositiveInt
    compression: Literal["none", "zstd", "lz4"]


class Manifest(_Settings):
    """Everything that decides the bytes of a dataset, and nothing else. No key has a default."""

    name: Name
    corpus: str
    target: str
    keep: dict[str, tuple[str, ...]]
    nuisances: tuple[str, ...]
    balance: Literal["none"] | Cap | Undersample
    subset: Literal["none"] | Subset
    seed: Annotated[int, Field(ge=0)]
    audio: Audio
    segment: Cut
    noise: Literal["none"] | Mix
    stft: Stft
    scaling: Scaling
    split: Fractions | Published
    duplicates: Literal["drop", "fail", "keep"]
    store: Store

    @model_validator(mode="after")
    def _target_is_no_nuisance(self) -> "Manifest":
        if self.target in self.nuisances:
            raise ValueError(f"nuisances: got the target '{self.target}', expected other attributes")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the same settings have the same digest however the YAML was written."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

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
            raise ManifestError(
                name,
                "no such file and no shipped manifest of that name",
                f"a YAML file or one of: {', '.join(known)}",
                "see `at-prepare list`",
            )
        path = known[str(name)]
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(path, f"cannot be read ({error})", "a YAML file", "correct the file") from error
    if not isinstance(raw, dict):
        raise ManifestError(path, f"holds {type(raw).__name__}", "a mapping of keys", "start from a shipped manifest")
    return parse(raw, str(path))


def parse(raw: dict[str, Any], where: str) -> Manifest:
    """Manifest from plain values; ManifestError names every wrong key, what came and what was expected."""
    try:
        # by way of JSON: strict about types, yet lists become tuples
        return Manifest.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        problems = _problems(error)
        raise ManifestError(
            where,
            "; ".join(problems),
            "every key, known and in range (no key has a default)",
            "correct the manifest; shipped ones are examples",
        ) from error


def _problems(error: ValidationError) -> list[str]:
    """One clause per wrong key; of a union's branches only the one the user meant."""
    found: dict[str, str] = {}
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        keys = _real_keys(path)
        where = ".".join(keys) or "manifest"
        if problem["type"] == "missing":
            text = "key is missing"
        elif problem["type"] == "extra_forbidden":
            text = f"unknown key (known here: {', '.join(_known(keys[:-1]))})"
        else:
            text = f"got {problem['input']!r}, {problem['msg'].removeprefix('Value error, ')}"
        if problem["type"] == "literal_error" and problem["input"] != "none" and isinstance(problem["input"], dict):
            continue  # `none` was not meant: the other branch says what is wrong
        found.setdefault(where, text)
    return [f"{where}: {text}" for where, text in found.items()]


def _real_keys(path: Sequence[str]) -> list[str]:
    """Path without the names pydantic gives to a union's branches."""
    keys = []
    branches = {
        "Cap",
        "Undersample",
        "Subset",
        "Fractions",
        "Published",
        "Mix",
        "literal['none']",
        "str",
        "json-or-python",
    }
    for part in path:
        if part in branches or part.startswith(("literal[", "tuple[", "function-", "constrained-", "nullable[")):
            continue
        keys.append(part)
    return keys


def _known(keys: Sequence[str]) -> list[str]:
    """Keys a place in the manifest may have."""
    schema = Manifest.model_json_schema()
    places: list[dict[str, Any]] = [schema]
    for key in keys:
        places = [_resolve(schema, place.get("properties", {}).get(key, {})) for place in places]
        places = [_resolve(schema, option) for place in places for option in place.get("anyOf", [place])]
    return sorted({name for place in places for name in place.get("properties", {})})


def _resolve(schema: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    reference = place.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else place


__all__ = ["Manifest", "Split", "Store", "Subset", "load", "parse", "shipped"]
