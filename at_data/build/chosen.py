"""Which recordings of a corpus a manifest asks for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal
from unicodedata import category

from at_data.errors import CorpusError, ManifestError
from at_data.manifest import Manifest, Subset
from at_data.recordings import Recording
from at_data.stages import bias, noise, selection, splits

ADVICE = "label it as the corpus labels the others, or take it away"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Recordings a manifest asks for, those of which nobody can say, and how many were asked for with those."""

    recordings: list[Recording]
    unlabelled: list[dict[str, str]]
    asked: int


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
    kept = selection.keep(everything, manifest.keep, tuple(dict.fromkeys(first)))
    recordings, reasons = kept.recordings, {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    _refuse_twins(recordings, source)
    asked = len(recordings) + len(reasons)
    recordings = _published(recordings, manifest.split if part == "none" else part.split, reasons)
    if manifest.balance != "none":
        recordings = selection.balance(recordings, manifest.balance, manifest.seed)
    if part != "none":
        recordings = _part(recordings, part, manifest.seed)
        second = _needs(manifest, manifest.target, manifest.split, manifest.bias)
        kept = selection.keep(recordings, {}, tuple(dict.fromkeys(second)))
        reasons |= {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
        recordings = _published(kept.recordings, manifest.split, reasons)
    if not recordings:
        raise ManifestError(manifest.name, "keep leaves no recording", "at least one per split", "widen keep")
    return Chosen(recordings, unlabelled(reasons, "unlabelled"), asked)


def unlabelled(reasons: dict[str, str], kind: str) -> list[dict[str, str]]:
    """Quarantine entries: recording ids and why nobody can say whether they belong."""
    return [
        {"id": item, "recording": item, "kind": kind, "reason": reason, "todo": ADVICE}
        for item, reason in sorted(reasons.items())
    ]


def _needs(manifest: Manifest, target: str, split: splits.Split, rule: bias.Bias | Literal["none"]) -> list[str]:
    """Attributes without which a recording cannot be given its class and its split."""
    needed = [] if isinstance(manifest.noise, noise.Task) else [target]
    needed += splits.kept_whole(split)
    return needed if rule == "none" else [*needed, rule.attribute]


def _published(recordings: list[Recording], split: splits.Split, reasons: dict[str, str]) -> list[Recording]:
    """Recordings that the published split knows, where that is the split; the others go among the reasons."""
    if not isinstance(split, splits.Published):
        return recordings
    outside = {recording.id: "in no published part" for recording in recordings if not recording.published_split}
    if len(outside) == len(recordings):
        return recordings  # nobody published one: the split says so
    reasons |= outside
    return [recording for recording in recordings if recording.id not in outside]


def _refuse_twins(recordings: Sequence[Recording], source: Path) -> None:
    seen: set[str] = set()
    for recording in recordings:
        if recording.id in seen:
            raise CorpusError(
                source, f"two recordings with the id {recording.id}", "ids that differ", "rename one of the files"
            )
        seen.add(recording.id)


def _part(recordings: list[Recording], subset: Subset, seed: int) -> list[Recording]:
    """Recordings that another dataset of the same ones has in one of its splits."""
    outer = splits.assign(recordings, subset.split, seed, subset.target)
    if subset.bias != "none":
        outer = bias.draw(recordings, outer, subset.bias, seed, subset.target, "subset.bias").assigned
    return [recording for recording in recordings if outer.get(recording.id) == subset.part]
