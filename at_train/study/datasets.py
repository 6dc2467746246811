"""Dataset folders by the names a study gives them, and what a run on one of them must fit."""

import re
from functools import cache
from pathlib import Path

from at_data import manifest
from at_data.errors import ConfigError
from at_train.batches import Data
from at_train.config import near

DIGEST = re.compile(r"-[0-9a-f]{8}$")  # at the end of a dataset folder's name


def find(name: str, folder: Path) -> Path:
    """Dataset folder of this name in `folder`.

    A shipped manifest's dataset is `<name>-<digest>`, with the digest of the manifest as it is now; any other name is
    that of a folder, whole or without its digest. ConfigError names what is there and how to get what is not.
    """
    known = manifest.shipped()
    if not folder.is_dir():
        raise ConfigError(folder, "no such folder", "the folder that holds the datasets", "correct --datasets")
    if _is_dataset(folder):
        raise ConfigError(folder, "a dataset", "the folder that holds the datasets", "name the folder around it")
    if _is_dataset(folder / name):
        return folder / name
    built = sorted(
        path for path in folder.glob(f"{name}-*") if _is_dataset(path) and path.name.rpartition("-")[0] == name
    )
    if name in known:
        wanted = manifest.load(name).folder
        built = [path for path in built if path.name == wanted]
    else:
        wanted = f"{name}-<digest>"
    if len(built) == 1:
        return built[0]
    if built:
        came = f"holds {len(built)} datasets '{name}': {', '.join(path.name for path in built)}"
        raise ConfigError(folder, came, "one", "name the whole folder in the study, or move the others away")
    there = sorted(path.name for path in folder.iterdir() if _is_dataset(path))
    if name in known:
        todo = f"build it with `at-prepare build {name} --source CORPUS --out {folder}`"
    else:
        likely = dict.fromkeys([*known, *map(_bare, there)])
        todo = f"build it with `at-prepare build`, or correct the name{near(_bare(name), likely)}"
    came = f"no dataset '{name}' in it (there: {', '.join(there) or 'none'})"
    raise ConfigError(folder, came, f"a folder {wanted}", todo)


@cache
def opened(folder: Path, target: str | None) -> Data:
    """Dataset as one task sees it; its values stay on disk until they are read."""
    return Data.open(folder, target)


def _bare(name: str) -> str:
    """Name of a dataset folder less its digest, which would be most of the likeness of two names."""
    return DIGEST.sub("", name)


def _is_dataset(path: Path) -> bool:
    return (path / "dataset.json").is_file()
