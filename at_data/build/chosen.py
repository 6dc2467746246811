"""Which recordings of a corpus a manifest asks for."""

from pathlib import Path
from types import ModuleType

from at_data.errors import CorpusError, ManifestError
from at_data.manifest import Manifest, Subset
from at_data.recordings import Recording
from at_data.stages import bias, noise, selection, splits


def listed(module: ModuleType, source: Path) -> list[Recording]:
    """All recordings of a corpus folder; CorpusError for names that cannot be written down and ids that stand twice."""
    recordings = list(module.recordings(source))
    seen: set[str] = set()
    for recording in recordings:
        if not recording.path.isprintable():
            raise CorpusError(
                source,
                f"a file is called {recording.path!a}",
                "names in UTF-8 and without control characters",
                "rename it",
            )
        if recording.id in seen:
            raise CorpusError(
                source, f"two recordings with the id {recording.id}", "ids that differ", "rename one of the files"
            )
        seen.add(recording.id)
    return recordings


def selected(listed: list[Recording], manifest: Manifest) -> tuple[list[Recording], list[dict[str, str]]]:
    """Recordings the manifest asks for; and those of which nobody can say, with what they lack."""
    rules = [manifest.split] if manifest.subset == "none" else [manifest.split, manifest.subset.split]
    needed = [] if isinstance(manifest.noise, noise.Task) else [manifest.target]
    needed += [attribute for split in rules for attribute in splits.kept_whole(split)]
    if manifest.subset != "none":
        needed += [manifest.subset.target]
        needed += [manifest.subset.bias.attribute] if manifest.subset.bias != "none" else []
    needed += [manifest.balance.by] if manifest.balance != "none" else []
    needed += [manifest.bias.attribute] if manifest.bias != "none" else []
    kept = selection.keep(listed, manifest.keep, tuple(dict.fromkeys(needed)))
    recordings, reasons = kept.recordings, {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    if any(isinstance(split, splits.Published) for split in rules):
        outside = {recording.id: "in no published part" for recording in recordings if not recording.published_split}
        if len(outside) < len(recordings):
            reasons |= outside
            recordings = [recording for recording in recordings if recording.id not in outside]
    if manifest.balance != "none":
        recordings = selection.balance(recordings, manifest.balance, manifest.seed)
    if manifest.subset != "none":
        recordings = _part(recordings, manifest.subset, manifest.seed)
    if not recordings:
        raise ManifestError(manifest.name, "keep leaves no recording", "at least one per split", "widen keep")
    todo = "label it as the corpus labels the others, or take it away"
    return recordings, [
        {"id": item, "recording": item, "kind": "unlabelled", "reason": reason, "todo": todo}
        for item, reason in sorted(reasons.items())
    ]


def _part(recordings: list[Recording], subset: Subset, seed: int) -> list[Recording]:
    """Recordings that another dataset of the same ones has in one of its splits."""
    outer = splits.assign(recordings, subset.split, seed, subset.target)
    if subset.bias != "none":
        outer = bias.draw(recordings, outer, subset.bias, seed, subset.target, "subset.bias").assigned
    return [recording for recording in recordings if outer.get(recording.id) == subset.part]
