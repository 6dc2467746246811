"""Manifests, studies and settings of runs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import toy

from at_data import manifest
from at_train import config, study
from at_train.study import schema
from fuzz import mutators
from fuzz.campaigns import Act, Campaign


def _manifests(_: Path) -> list[bytes]:
    return [path.read_bytes() for path in manifest.shipped().values()]


def _studies(_: Path) -> list[bytes]:
    return [path.read_bytes() for path in schema.shipped().values()]


def _settings(_: Path) -> list[bytes]:
    given = {"strategy": "anti", "orthogonal": ["runs/other"], "layers": ["conv3", "conv5"]}
    return [config.dump(toy.settings()).encode(), config.dump(toy.settings(**given)).encode()]


def _lay(load: Callable[[Path], object], seeds: list[bytes], dice: Random, folder: Path) -> Act:
    path = folder / "settings.yaml"
    path.write_bytes(mutators.yaml(seeds, dice))
    return partial(load, path)


def _load_manifest(path: Path) -> None:
    made = manifest.load(path)
    assert made.digest
    assert "/" not in made.folder


CAMPAIGNS = (
    Campaign("yamls/manifest", 500, _manifests, partial(_lay, _load_manifest)),
    Campaign("yamls/study", 300, _studies, partial(_lay, study.load)),
    Campaign("yamls/settings", 200, _settings, partial(_lay, config.load)),
)
