"""Documents of settings: every key is in them, and what they show is understood."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from at_data import manifest
from at_data.corpora import table
from at_train.study import schema

DOCS = Path(__file__).parents[1] / "docs"
MANIFEST = (DOCS / "manifest.md").read_text(encoding="utf-8")
STUDY = (DOCS / "study.md").read_text(encoding="utf-8")
WHOLE: dict[str, Any] = yaml.safe_load(manifest.shipped()["arabic_digit_by_speaker"].read_text(encoding="utf-8"))


def shown(text: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("example", shown(MANIFEST))
def test_every_example_of_a_manifest_key_is_understood(example: str) -> None:
    changes = yaml.safe_load(example)
    assert len(changes) == 1
    manifest.parse({**WHOLE, "subset": "none", **changes}, "here")


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_key_of_a_manifest_is_told() -> None:
    parts = [manifest.Manifest, manifest.Store, manifest.Audio, manifest.Cut, manifest.Stft, manifest.Scaling]
    parts += [manifest.Duplicates, *manifest.BRANCHES.values()]
    keys = set().union(*(keys_of(part) for part in parts))
    # in an example, or as code
    assert {key for key in keys if not re.search(rf"(\b{key}: |`{key}`|\b{key}:\n)", MANIFEST)} == set()
    headings = re.findall(r"^## (.*)$", MANIFEST, flags=re.MULTILINE)
    blocks = {name for heading in headings for name in heading.split(", ")}
    blocks |= set(re.findall(r"^\| `(\w+)` ", MANIFEST, flags=re.MULTILINE))
    assert keys_of(manifest.Manifest) <= blocks


def test_every_column_of_ones_own_list_is_told() -> None:
    assert all(f"`{name}`" in MANIFEST for name in table.OWN)


def test_the_study_shown_is_understood_and_shows_every_key() -> None:
    (example,) = shown(STUDY)
    made = schema.parse(json.dumps(yaml.safe_load(example)), "here")
    assert [entry.name for entry in made.runs] == ["none", "anti", "both"]
    assert set(yaml.safe_load(example)) == set(schema.Study.model_fields)
    assert all(f"`{word}`" in STUDY for word in (schema.SAME, "seed_offset", "each"))
