"""Which recordings of a corpus a manifest asks for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal
from unicodedata import category

from at_data import corpora
from at_data.build import kinds
from at_data.errors import CorpusError, ManifestError
from at_data.manifest import Manifest, Subset
from at_data.recordings import Recording
from at_data.stages import bias, noise, selection, splits

ADVICE = "label it as the corpus labels the others, or take it away"
LIST_IT = "add it to the file that lists the split, and the new hash to the manifest"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Recordings a manifest asks for, and what became of all others.

    `unlabelled` are those of which nobody can say, `asked` counts what is asked for with those, `listed` everything.
    `passed_over` holds the ids that the manifest does not ask for, by the key that says so. `held_out` are recordings
    of the other parts of the split that a `subset` takes one part of: nothing like them may be in the dataset.
    """

    recordings: list[Recording]
    unlabelled: list[dict[str, str]]
    asked: int
    listed: int
    passed_over: dict[str, list[str]]
    held_out: list[Recording]


def listed(module: ModuleType, source: Path) -> Iterator[Recording]:
    """All recordings of a corpus folder, one after the other; CorpusError for names that cannot be written down."""
    for recording in module.recordings(source):
        if not recording.path.isprintable() and any(category(letter)[0] == "C" for letter in recording.path):
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
    first = _needs(manifest, manifest.target, manifest.split, manifest.bias)
    if part != "none":
        first = _needs(manifest, part.target, part.split, part.bias)
    if manifest.balance != "none":
        first.append(manifest.balance.by)
    roll: list[str] = []
    kept = selection.keep(_enrolled(everything, roll), manifest.keep, tuple(dict.fromkeys(first)))
    recordings, reasons = kept.recordings, {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    _refuse_twins(recordings, source)
    asked = len(recordings) + len(reasons)
    passed_over = {"keep": left_over(roll, recordings, reasons)}
    not_listed: dict[str, str] = {}
    recordings = _inside(recordings, manifest.split if part == "none" else part.split, reasons, not_listed)
    if manifest.balance != "none":
        balanced = selection.balance(recordings, manifest.balance, manifest.seed)
        passed_over["balance"] = left_over([r.id for r in recordings], balanced)
        recordings = balanced
    held_out: list[Recording] = []
    if part != "none":
        inside, held_out = _part(recordings, part, manifest.seed)
        passed_over["subset"] = left_over([r.id for r in recordings], inside)
        recordings = inside
        second = _needs(manifest, manifest.target, manifest.split, manifest.bias)
        kept = selection.keep(recordings, {}, tuple(dict.fromkeys(second)))
        reasons |= {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
        recordings = _inside(kept.recordings, manifest.split, reasons, not_listed)
    if not recordings:
        raise ManifestError(manifest.name, "keep leaves no recording", "at least one per split", "widen keep")
    found = unlabelled(reasons, kinds.UNLABELLED) + unlabelled(not_listed, kinds.NOT_LISTED, LIST_IT)
    passed_over = {key: items for key, items in passed_over.items() if items}
    return Chosen(recordings, found, asked, len(roll), passed_over, held_out)


def left_over(ids: Iterable[str], taken: Iterable[Recording], besides: Iterable[str] = ()) -> list[str]:
    """Ids that are neither taken nor among those besides."""
    rest = {recording.id for recording in taken}.union(besides)
    return [item for item in ids if item not in rest]


def _enrolled(recordings: Iterable[Recording], roll: list[str]) -> Iterator[Recording]:
    """The same recordings; their ids are noted as they pass."""
    for recording in recordings:
        roll.append(recording.id)
        yield recording


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


def _needs(manifest: Manifest, target: str, split: splits.Split, rule: bias.Bias | Literal["none"]) -> list[str]:
    """Attributes without which a recording cannot be given its class and its split."""
    needed = [] if isinstance(manifest.noise, noise.Task) else [target]
    needed += splits.kept_whole(split)
    return needed if rule == "none" else [*needed, rule.attribute]


def _inside(
    recordings: list[Recording], split: splits.Split, reasons: dict[str, str], not_listed: dict[str, str]
) -> list[Recording]:
    """Recordings that a split made by somebody else knows; the others go among the reasons, or the not listed."""
    outside = splits.outside(recordings, split)
    # what a file leaves out is left out on purpose: the manifest says so
    (not_listed if isinstance(split, splits.Imported) else reasons).update(outside)
    return [recording for recording in recordings if recording.id not in outside]


def _refuse_twins(recordings: Sequence[Recording], source: Path) -> None:
    seen: set[str] = set()
    for recording in recordings:
        if recording.id in seen:
            raise CorpusError(
                source, f"two recordings with the id {recording.id}", "ids that differ", "rename one of the files"
            )
        seen.add(recording.id)


def _part(recordings: list[Recording], subset: Subset, seed: int) -> tuple[list[Recording], list[Recording]]:
    """Recordings that another dataset of the same ones has in one of its splits, and those in its others."""
    outer = splits.assign(recordings, subset.split, seed, subset.target)
    if subset.bias != "none":
        outer = bias.draw(recordings, outer, subset.bias, seed, subset.target, "subset.bias").assigned
    inside = [recording for recording in recordings if outer.get(recording.id) == subset.part]
    return inside, [recording for recording in recordings if outer.get(recording.id, subset.part) != subset.part]
