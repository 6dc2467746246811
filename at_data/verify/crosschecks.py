"""The tables beside the index, each held against it and against the header."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import numpy as np

from at_data.build import kinds, sources
from at_data.headers import Header
from at_data.manifest import Manifest
from at_data.stages import leaks, mixtures, noise
from at_data.stages.splits import Imported, kept_whole
from at_data.verify.index import Index
from at_data.verify.tables import Entry, Tables

TWINS = (kinds.DUPLICATE, kinds.NEAR_DUPLICATE)
REASONS = ("keep", "balance", "subset", "bias", "noise")  # keys of the manifest that pass recordings over
HASH_DIGITS = 32
MOST_WORDS = 512  # of one fingerprint


def contradictions(tables: Tables, index: Index, header: Header, made: Manifest) -> Iterator[str]:
    """Lines where a table and the index, or the header, cannot both be right."""
    for name, lines in {
        "splits.csv": _splits(tables, index, made),
        "quarantine.jsonl": _quarantine(tables, index, header),
        "passed_over.parquet": _passed_over(tables, index, made),
        "dataset.json": _accounts(tables, index, header, made),
        "duplicates.csv": _duplicates(tables, index, header, made),
        "fingerprints.parquet": _fingerprints(tables, index, made),
        "sources.csv": _sources(tables, index, made),
    }.items():
        yield from (f"{name}: {line}" for line in lines)


def origins(index: Index, made: Manifest) -> set[str]:
    """Recordings of the corpus that items came of: of a mixture, its speech."""
    if isinstance(made.noise, noise.Task):
        return {recording.attributes.get(mixtures.SPEECH, "") for recording in index.recordings.values()}
    return set(index.recordings)


def _splits(tables: Tables, index: Index, made: Manifest) -> Iterator[str]:
    listed = {row.id for row in tables.splits}
    if listed != index.recordings.keys() or len(listed) < len(tables.splits):
        yield f"lists {len(tables.splits)} recordings, not each of the {len(index.recordings)} of the index once"
        return
    names = kept_whole(made.split)
    for row in tables.splits:
        if row.split != index.splits[row.id]:
            yield f"{row.id} is in {row.split}, the index has it in {index.splits[row.id]}"
            return
        attributes = index.recordings[row.id].attributes
        group = "/".join(attributes.get(name, "") for name in names)
        if row.group != group and not isinstance(made.split, Imported):
            yield f"{row.id} is of group {row.group!r}, its attributes make it {group!r}"
            return


def _quarantine(tables: Tables, index: Index, header: Header) -> Iterator[str]:
    strange = {entry["kind"] for entry in tables.quarantine} - {*kinds.PLANNED, *kinds.UNPLANNED, *kinds.BESIDE}
    if strange:
        yield f"{', '.join(sorted(strange))}: no kind of loss"
    counted = Counter(kind for kind, _ in {(entry["kind"], entry["recording"]) for entry in tables.quarantine})
    if dict(counted) != header.left_out:
        yield f"holds {json.dumps(dict(sorted(counted.items())))}, the header says {json.dumps(header.left_out)}"
    for entry in tables.quarantine:
        # one mixture of several may be lost, and a noise may have the name of a recording
        if entry["kind"] not in (kinds.BAD, *kinds.BESIDE) and entry["recording"] in index.recordings:
            yield f"{entry['recording']} is {entry['kind']}, and in the index"
            return


def _passed_over(tables: Tables, index: Index, made: Manifest) -> Iterator[str]:
    ids = [item for item, _ in tables.passed_over]
    if ids != sorted(set(ids)):
        yield "its recordings are not sorted, or stand twice"
    strange = {reason for _, reason in tables.passed_over} - set(REASONS)
    if strange:
        yield f"{', '.join(map(str, sorted(strange)))}: no key of a manifest that passes recordings over"
    elsewhere = origins(index, made) | {e["recording"] for e in tables.quarantine if e["kind"] not in kinds.BESIDE}
    both = sorted(elsewhere.intersection(ids))
    if both:
        yield f"{both[0]} is in the index or in the quarantine too"


def _accounts(tables: Tables, index: Index, header: Header, made: Manifest) -> Iterator[str]:
    """Where every recording went: held, passed over, or in the quarantine by its first kind."""
    held = origins(index, made)
    found = Counter(reason for _, reason in tables.passed_over) + Counter({"held": len(held)})
    said = {key: count for key, count in header.recordings.items() if key != "listed"}
    if isinstance(made.noise, noise.Task):  # of which speech a lost mixture was made, no table says
        said = {key: count for key, count in said.items() if key not in kinds.PLANNED}
        away = {(entry["kind"], entry["recording"]) for entry in tables.quarantine if entry["kind"] in kinds.UNPLANNED}
        found += Counter(kind for kind, _ in away)
    else:
        fates: dict[str, str] = {}
        for entry in tables.quarantine:
            if entry["recording"] not in held and entry["kind"] not in kinds.BESIDE:
                fates.setdefault(entry["recording"], entry["kind"])
        found += Counter(fates.values())
    if said != dict(found):
        yield f"recordings: says {json.dumps(said)}, the tables have {json.dumps(dict(sorted(found.items())))}"
    unused = sum(header.bias.unused.values()) if header.bias is not None else 0
    if unused != found["bias"]:
        yield f"bias: says {unused} recordings are unused, passed_over.parquet has {found['bias']}"


def _duplicates(tables: Tables, index: Index, header: Header, made: Manifest) -> Iterator[str]:
    groups: defaultdict[str, list[Entry]] = defaultdict(list)
    twins = {entry["recording"] for entry in tables.quarantine if entry["kind"] in TWINS}
    for row in tables.duplicates:
        groups[row["waveform"]].append(row)
        wrong = _unlike(row, index, twins, header.target)
        if wrong:
            yield f"{row['id']}: {wrong}"
            return
    several = sum(len({row[header.target] for row in rows}) > 1 for rows in groups.values())
    found = {"waveforms": len(groups), "recordings": len(tables.duplicates), "with_several_labels": several}
    if found != header.duplicates:
        yield f"holds {json.dumps(found)}, the header says {json.dumps(header.duplicates)}"
    listed = {row["id"] for row in tables.duplicates}
    if len(listed) != len(tables.duplicates) or any(len(rows) == 1 for rows in groups.values()):
        yield "a recording stands twice, or alone"
    missing = sorted(_twins(index) - listed)
    if missing:
        yield f"{missing[0]} is not in it, though another file has its waveform"
    exact = {entry["recording"] for entry in tables.quarantine if entry["kind"] == kinds.DUPLICATE}
    # a mixture has the waveform of its speech, and what a subset gave up may have its twin in what is held out
    if not isinstance(made.noise, noise.Task) and made.subset == "none" and not exact <= listed:
        yield f"{min(exact - listed)} is not in it, though it was left out as a duplicate"


def _unlike(row: Mapping[str, str], index: Index, twins: set[str], target: str) -> str | None:
    """What is wrong with one row of the duplicates."""
    recording = index.recordings.get(row["id"])
    if recording is None:
        ok = row["split"] == "left out" and row["id"] in twins
        return None if ok else f"is in {row['split']}, and neither in the index nor left out as a duplicate"
    expected = (index.waveforms[row["id"]], recording.path, recording.attributes.get(target), index.splits[row["id"]])
    return None if (row["waveform"], row["path"], row[target], row["split"]) == expected else "is not as in the index"


def _twins(index: Index) -> set[str]:
    """Recordings whose waveform another file has too."""
    paths: defaultdict[str, set[str]] = defaultdict(set)
    for item, waveform in index.waveforms.items():
        paths[waveform].add(index.recordings[item].path)
    return {item for item, waveform in index.waveforms.items() if len(paths[waveform]) > 1}


def _fingerprints(tables: Tables, index: Index, made: Manifest) -> Iterator[str]:
    """Lines where it does not hold every recording of the index, and besides what was held out of a subset alone."""
    heard = tables.heard
    held_out = {i for i, split in zip(heard.recordings, heard.splits, strict=True) if split == leaks.HELD_OUT}
    if heard.recordings != sorted(held_out.union(index.recordings)):
        yield "its recordings are not those of the index and those held out, sorted"
        return
    outside = {item for item, reason in tables.passed_over if reason == "subset"}
    strange = held_out - outside
    if strange:
        yield f"{min(strange)} is held out, and passed_over.parquet does not say so"
    unheard = {entry["recording"] for entry in tables.quarantine if entry["kind"] == kinds.HELD_OUT}
    # what a bias of the subset leaves unused is outside and not held out, and no table tells it apart
    lacking = outside - held_out - unheard if made.subset == "none" or made.subset.bias == "none" else set()
    if lacking:
        yield f"{min(lacking)} is held out, and neither in it nor in the quarantine"
    sizes = heard.sizes
    torn = set(np.flatnonzero((sizes % 4 != 0) | (sizes > 4 * MOST_WORDS)).tolist())
    for row, (item, *said) in enumerate(zip(heard.recordings, heard.splits, heard.waveforms, strict=True)):
        if item not in held_out and said != [index.splits[item], index.waveforms[item]]:
            yield f"{item} is in {said[0]} or has a waveform other than the index says"
            return
        if row in torn:
            yield f"{item} has {sizes[row]} bytes, expected words of four and at most {MOST_WORDS} of them"
            return


def _sources(tables: Tables, index: Index, made: Manifest) -> Iterator[str]:
    listed = {path for which, path in tables.contents if which == "corpus"}
    used = {recording.path for recording in index.recordings.values()}
    if used - listed:
        yield f"{min(used - listed)} is not in it, though items came of it"
    over, read = listed - used, len(tables.lost(index)) + sum(reason == "subset" for _, reason in tables.passed_over)
    if len(over) > read:
        yield f"lists {len(over)} files of which no item came, {min(over)} among them; {read} can have been read"
    if any(which == "noise" for which, _ in tables.contents) != (made.noise != "none"):
        yield f"noise files are {'missing' if made.noise != 'none' else 'listed'}, and the manifest mixes " + (
            "some in" if made.noise != "none" else "none in"
        )
    for (_, path), held in sorted(tables.contents.items()):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            yield f"{path} lies outside the corpus"
            return
        whole = held.size_bytes >= 0 and len(held.xxh3_128) == HASH_DIGITS
        if not whole and (path in used or held != sources.Content(sources.ABSENT, "")):
            yield f"{path} has {held.size_bytes} bytes and the hash {held.xxh3_128!r}, which no file that was read has"
            return
