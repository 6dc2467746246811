"""A dataset held against the audio it says it was made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from at_data import guard, headers, manifest, seeds
from at_data.build import Plan, plan, publish, sources
from at_data.errors import AtError, ManifestError
from at_data.headers import Header
from at_data.manifest import Manifest
from at_data.recordings import Recording
from at_data.rolls import Roll
from at_data.stages import splits
from at_data.stages.splits import listing
from at_data.verify import rebuild
from at_data.verify.examined import Found

SAMPLE = 32  # items
LABELS = 1000  # recordings compared at a time
EXAMPLES = 20  # lines of a kind
LIMITS = guard.Limits(call_s=600.0, memory_bytes=4 << 30)  # for one recording


def compare(
    folder: Path,
    source: Path,
    *,
    noise_source: Path | None = None,
    split_file: Path | None = None,
    sample: int = SAMPLE,
    every_file: bool = False,
    seed: int = 0,
) -> Found:
    """What differs between a dataset and the source it says it was made of, and what was compared.

    The source is listed and divided anew, and every label of the index compared. A sample of items, drawn from `seed`,
    is decoded, cut, mixed, transformed and scaled by the code that builds, and compared with what is stored: equal to
    the last bit where the header's versions are the installed ones, else within `rebuild.tolerance`. The files of
    those items, or every file, are compared with `sources.csv`.

    Parameters
    ----------
    folder, source, noise_source
        The dataset, and the folders of its corpora.
    split_file
        The file that an imported split was read from: a header keeps its name and hash alone.
    sample, seed
        How many items, and which.
    every_file
        Look at the content of all files in `sources.csv`.

    Raises
    ------
    ShardError
        There is no dataset, or its header or `sources.csv` cannot be read: `verify` says what is wrong.

    """
    header, found = headers.read(folder), Found()
    contents = sources.read(folder / "sources.csv")
    try:
        described = manifest.parse(_with_split(header.manifest, split_file), "dataset.json")
        _find_lists(described)
        made = plan(described, source, noise_source)
    except AtError as error:
        found.tell([str(error)], "source")
        return found
    if made.listing != header.listing:
        other = f"listing {made.listing[:8]}, not {header.listing[:8]}"
        found.tell([f"lists other recordings than the dataset was made of ({other})"], "source")
    roots: dict[sources.Which, Path] = {"corpus": made.root}
    if made.noise is not None:
        roots["noise"] = made.noise.root
    _labels(folder, made, found)
    met = _sample(folder, header, made, sample, seed, found)
    keys = sorted(contents) if every_file else sorted(met)
    found.tell(_some(_changed(keys, contents, roots)))
    found.checked |= {"sources": len(keys), "of": len(contents)}
    return found


def _with_split(raw: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """Manifest whose imported split is read from that file."""
    given = dict(raw)
    if file is not None:
        for key, holder in (("split", given), ("subset", given)):
            settings = holder[key] if key == "split" else holder[key]["split"] if holder[key] != "none" else {}
            if settings.get("by") == "file":
                changed = {**settings, "file": str(file.resolve())}
                given[key] = changed if key == "split" else {**given[key], "split": changed}
    return given


def _find_lists(made: Manifest) -> None:
    """ManifestError where a file that a split was imported from is not there, or is another."""
    for split in (made.split, "none" if made.subset == "none" else made.subset.split):
        if isinstance(split, splits.Imported) and (sha256 := listing.found(Path(split.file))) != split.sha256:
            raise ManifestError(
                split.file,
                "no such file, or one too large for a list" if sha256 is None else f"has SHA-256 {sha256}",
                f"the file that the split was imported from, of SHA-256 {split.sha256}",
                "give it with --split-file",
            )


def _labels(folder: Path, made: Plan, found: Found) -> None:
    """Lines where the index says other things of a recording than the corpus does."""
    splits = made.assigned.each(made.recordings)
    listed = [_plain(recording, split) for recording, split in zip(made.recordings, splits, strict=True)]
    jobs = [(str(folder), listed[at : at + LABELS]) for at in range(0, len(listed), LABELS)]
    held = 0
    for answer in guard.each(rebuild.labels, jobs, LIMITS):
        if isinstance(answer, guard.Ended):
            found.tell([f"the process that read it {answer.text}"], "index.parquet")
            return
        found.tell(_some(answer["problems"]), "index.parquet")
        held, total = held + answer["held"], answer["total"]
    if held != total:
        found.tell([f"has {total} recordings, {held} of them are in the source"], "index.parquet")
    found.checked["labels"] = held


def _plain(recording: Recording, split: str) -> tuple[str, str, str, dict[str, str]]:
    return recording.id, recording.path, split, dict(recording.attributes)


def _sample(folder: Path, header: Header, made: Plan, sample: int, seed: int, found: Found) -> set[sources.Key]:
    """Files of the items drawn; every item was rebuilt and compared."""
    total = sum(header.counts.values())
    dice = seeds.generator(seed, "verify", header.content)
    rows = sorted(dice.choice(total, min(sample, total), replace=False).tolist())
    drawn = guard.call(rebuild.drawn, (str(folder), rows), LIMITS)
    if isinstance(drawn, guard.Ended):
        found.tell([f"the process that read it {drawn.text}"], "index.parquet")
        return set()
    exact = header.versions == publish.versions()
    jobs, met = [], set[sources.Key]()
    tasks = {item: task for task in made.tasks for item in Roll.of(task.recordings).ids if item in drawn}
    planned = {recording.id: recording for recording in made.recordings if recording.id in drawn}
    for item, places in drawn.items():
        if item not in planned:
            found.tell(["is not among the recordings of the source"], item)
            continue
        task = replace(tasks[item], recordings=())
        jobs.append(rebuild.Job(str(folder), task, planned[item], tuple(places), exact))
    agreed, furthest = 0, 0.0
    for job, answer in zip(jobs, guard.each(rebuild.rebuild, jobs, LIMITS), strict=True):
        if isinstance(answer, guard.Ended):
            found.tell([f"cannot be read any more, its decoder {answer.text}"], job.recording.path)
            continue
        found.tell(answer["problems"])
        met |= {(which, path) for which, path in answer["sources"]}
        agreed, furthest = agreed + answer["agreed"], max(furthest, answer["furthest"])
    found.checked |= {"rebuilt": agreed, "sample": len(rows), "exact": float(exact), "furthest": furthest}
    return met


def _changed(
    keys: Sequence[sources.Key], contents: sources.Contents, roots: Mapping[sources.Which, Path]
) -> Iterator[str]:
    for key in keys:
        if key not in contents:
            yield f"{key[1]}: is not in sources.csv"
        elif key[0] not in roots:
            yield f"{key[1]}: is of a noise corpus, and no noise is mixed in"
        else:
            changed = sources.difference({key: contents[key]}, roots)
            if changed:
                yield changed.replace(" changed", ": changed", 1)


def _some(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """The first lines, and how many there were."""
    more = 0
    for number, line in enumerate(lines):
        if number < EXAMPLES:
            yield line
        else:
            more += 1
    if more:
        yield f"and {more} more of this kind"
