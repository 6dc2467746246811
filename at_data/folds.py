"""The folds of a manifest: a manifest for each, under the name of all and a number."""

import re

from at_data.errors import ManifestError
from at_data.manifest import Manifest
from at_data.stages.splits import Folds

ENDING = re.compile(r"_fold\d+of(\d+)$")


def folded(manifest: Manifest) -> Folds:
    """The split of a manifest that has folds: its own, or that of the dataset it is a subset of.

    ManifestError where neither has, and where both have: of which all folds were meant nobody can say.
    """
    outer = None if manifest.subset == "none" else manifest.subset.split
    found = [split for split in (manifest.split, outer) if isinstance(split, Folds)]
    if len(found) != 1:
        raise ManifestError(
            manifest.name,
            "split and subset.split both have a fold" if found else "neither split nor subset.split has a fold",
            "one split with fold: i/k or i/groups",
            "write one of the manifests by hand, for instance split: {by: speaker, fold: 1/5, method: balanced, "
            "valid: next_fold, missing_classes: fail}",
        )
    return found[0]


def all_folds(manifest: Manifest, count: int) -> list[Manifest]:
    """One manifest for each of so many folds, that differ in the fold and in the name alone."""
    split = folded(manifest)
    of = split.fold.partition("/")[2]
    stem = ENDING.sub("", manifest.name)
    return [
        _with(manifest, split.model_copy(update={"fold": f"{number}/{of}"}), f"{stem}_fold{number}of{count}")
        for number in range(1, count + 1)
    ]


def of_all(name: str) -> str:
    """One name for all the folds of a dataset, given that of any; of what is no fold its own."""
    return ENDING.sub(r"_\1folds", name)


def _with(manifest: Manifest, split: Folds, name: str) -> Manifest:
    if isinstance(manifest.split, Folds):
        return manifest.model_copy(update={"name": name, "split": split})
    assert manifest.subset != "none", "one of the two has folds"
    return manifest.model_copy(update={"name": name, "subset": manifest.subset.model_copy(update={"split": split})})
