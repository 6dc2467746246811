"""Which recordings of a corpus a manifest asks for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal
from unicodedata import category

import numpy as np

from at_data import corpora
from at_data.build import kinds
from at_data.errors import CorpusError, ManifestError
from at_data.manifest import Manifest, Subset
from at_data.recordings import Recording
from at_data.rolls import ABSENT, Ids, Roll
from at_data.rolls.assignment import Assignment
from at_data.stages import bias, noise, selection, splits

UNWRITABLE = ("Cc", "Cs")  # controls, and bytes that are no UTF-8; joiners within a word are neither
ADVICE = "label it as the corpus labels the others, or take it away"
LIST_IT = "add it to the file that lists the split, and the new hash to the manifest"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Recordings a manifest asks for, and what became of all others.

    `unlabelled` are those of which nobody can say, `asked` counts what is asked for with those, `listed` everything.
    `passed_over` holds the ids that the manifest does not ask for, by the key that says so. `held_out` are recordings
    of the other parts of the split that a `subset` takes one part of: nothing like them may be in the dataset.
    """

    recordings: Roll
    unlabelled: list[dict[str, str]]
    asked: int
    listed: int
    passed_over: dict[str, Ids]
    held_out: Roll


def listed(module: ModuleType, source: Path) -> Iterator[Recording]:
    """All recordings of a corpus folder, one after the other; CorpusError for names that cannot be written down."""
    for recording in module.recordings(source):
        if not recording.path.isprintable() and any(category(letter) in UNWRITABLE for letter in recording.path):
            raise CorpusError(
                source,
                f"a file is called {recording.path!a}",
                "names in UTF-8 and without control characters",
                "rename it",
            )
        yield recording


def chosen(everything: Iterable[Recording], manifest: Manifest, source: Path) -> Chosen:
    """What a manifest asks for of all recordings.

    A part of another dataset's split (`subset`) is drawn exactly as that dataset draws it: by what that one needs to
    know of a recording, whatever this one needs besides.
    """
    part = manifest.subset
    # a mixture gets its class from the noise
    own = _needs(None if isinstance(manifest.noise, noise.Task) else manifest.target, manifest.split, manifest.bias)
    first = list(own) if part == "none" else _needs(part.target, part.split, part.bias)
    if manifest.balance != "none":
        first.append(manifest.balance.by)
    kept = selection.keep(everything, manifest.keep, tuple(dict.fromkeys(first)))
    recordings, reasons = kept.recordings, {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    _refuse_twins(recordings, source)
    asked = len(recordings) + len(reasons)
    passed_over = {"keep": kept.unasked}
    not_listed: dict[str, str] = {}
    recordings = _inside(recordings, manifest.split if part == "none" else part.split, reasons, not_listed)
    if manifest.balance != "none":
        balanced = selection.balance(recordings, manifest.balance, manifest.seed)
        passed_over["balance"] = recordings.without(balanced).ids
        recordings = balanced
    held_out = recordings[:0]
    if part != "none":
        inside, held_out = _part(recordings, part, manifest.seed)
        passed_over["subset"] = recordings.without(inside).ids
        recordings, without = selection.labelled(inside, tuple(dict.fromkeys(own)))
        reasons |= {item: f"no {lacking}" for item, lacking in without.items()}
        recordings = _inside(recordings, manifest.split, reasons, not_listed)
    if not recordings:
        raise ManifestError(manifest.name, "keep leaves no recording", "at least one per split", "widen keep")
    found = unlabelled(reasons, kinds.UNLABELLED) + unlabelled(not_listed, kinds.NOT_LISTED, LIST_IT)
    return Chosen(recordings, found, asked, kept.listed, passed_over, held_out)


def fold_count(manifest: Manifest, split: splits.Folds, source: Path) -> int:
    """How many folds a manifest's split, or its subset's, has of a corpus folder."""
    if manifest.subset != "none" and split == manifest.subset.split:
        outer = {"split": split, "target": manifest.subset.target, "bias": manifest.subset.bias, "subset": "none"}
        manifest = manifest.model_copy(update=outer)
    return splits.fold_count(chosen(listed(corpora.load(manifest.corpus), source), manifest, source).recordings, split)


def unlabelled(reasons: dict[str, str], kind: str, todo: str = ADVICE) -> list[dict[str, str]]:
    """Quarantine entries: recording ids and why nobody can say whether they belong."""
    return [
        {"id": item, "recording": item, "kind": kind, "reason": reason, "todo": todo}
        for item, reason in sorted(reasons.items())
    ]


def _needs(target: str | None, split: splits.Split, rule: bias.Bias | Literal["none"]) -> list[str]:
    """Attributes without which a recording cannot be given its class, if it has one, and its split."""
    needed = [*([] if target is None else [target]), *splits.kept_whole(split)]
    return needed if rule == "none" else [*needed, rule.attribute]


def _inside(recordings: Roll, split: splits.Split, reasons: dict[str, str], not_listed: dict[str, str]) -> Roll:
    """Recordings that a split made by somebody else knows; the others go among the reasons, or the not listed."""
    outside = splits.outside(recordings, split)
    if not outside:
        return recordings
    # what a file leaves out is left out on purpose: the manifest says so
    (not_listed if isinstance(split, splits.Imported) else reasons).update(outside)
    return recordings.take(np.fromiter((item not in outside for item in recordings.ids), bool, len(recordings)))


def _refuse_twins(recordings: Roll, source: Path) -> None:
    """CorpusError where two recordings have one id."""
    kept = np.zeros(len(recordings.columns.ids), bool)
    kept[recordings.rows] = True
    ids = recordings.columns.ids
    again = min((number for number in ids.repeated(kept)), default=None)
    if again is not None:
        item = ids.at(np.array([again]))[0]
        raise CorpusError(source, f"two recordings with the id {item}", "ids that differ", "rename one of the files")


def _part(recordings: Roll, subset: Subset, seed: int) -> tuple[Roll, Roll]:
    """Recordings that another dataset of the same ones has in one of its splits, and those in its others."""
    try:
        outer: Mapping[str, str] = splits.assign(recordings, subset.split, seed, subset.target)
    except ManifestError as error:
        if error.where.startswith("split"):  # and no file
            raise error.within("subset") from error
        raise
    if subset.bias != "none":
        outer = bias.draw(recordings, outer, subset.bias, seed, subset.target, "subset.bias").assigned
    placed = Assignment.over(recordings, outer)
    inside = placed.part(recordings, subset.part)
    return inside, recordings.take(placed.parts(recordings) != ABSENT).without(inside)
