"""The tables of a dataset folder, beside its shards."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from at_data.build.compact import Words
from at_data.build.item_index import GROUP
from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.recordings import Recording
from at_data.stages import leaks

PIECE = 1 << 14  # rows made at a time; whole pages of 1024, so that it changes no byte
NAMES = (
    "duplicates.csv",
    "fingerprints.parquet",
    "index.parquet",
    "leaks.json",
    "passed_over.parquet",
    "quarantine.jsonl",
    "sources.csv",
    "splits.csv",
)


def write_splits(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`splits.csv`: recording id, split and group; shippable where the audio is not."""
    held = sifted.held
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "split", "group"))
        names = (recording.id for recording in plan.recordings)
        writer.writerows((name, plan.assigned[name], plan.groups[name]) for name in names if name in held)


def write_leaks(path: Path, lines: Iterable[leaks.Line]) -> None:
    """`leaks.json`: the proof, a line for every pair of splits and key."""
    path.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")


def write_duplicates(path: Path, plan: Plan, sifted: Sifted) -> dict[str, int]:
    """`duplicates.csv`: every recording whose waveform another file of the source has too; counts of what is in it.

    Stretches that are the same by design (mixtures of one sentence) are no duplicates.
    """
    target = plan.manifest.target
    hashes = sifted.waveforms
    several = set(hashes.several())
    groups: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in plan.recordings if several else ():
        if recording.id in several:
            groups[hashes[recording.id]].append(recording)
    held = sifted.held
    counts = {"waveforms": 0, "recordings": 0, "with_several_labels": 0}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("waveform", "id", "path", target, "split"))
        for waveform, members in sorted(groups.items()):
            # one alone has its twin in what is held out
            if len({(recording.path, recording.start_s) for recording in members}) == 1:
                continue
            counts["waveforms"] += 1
            counts["recordings"] += len(members)
            counts["with_several_labels"] += len({recording.attributes[target] for recording in members}) > 1
            for r in members:
                split = plan.assigned[r.id] if r.id in held else "left out"
                writer.writerow((waveform, r.id, r.path, r.attributes[target], split))
    return counts


def write_quarantine(path: Path, left_out: Iterable[Mapping[str, str]]) -> None:
    """`quarantine.jsonl`: everything left out, and why."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in left_out)


def write_passed_over(path: Path, plan: Plan) -> None:
    """`passed_over.parquet`: every recording that the manifest does not ask for, and which key says so."""
    rows = sorted((item, reason) for reason, items in plan.passed_over.items() for item in items)
    reasons = pa.array([reason for _, reason in rows], pa.string()).dictionary_encode()
    table = pa.table({"recording": pa.array([item for item, _ in rows], pa.string()), "reason": reasons})
    pq.write_table(table, path, compression="zstd")


def write_fingerprints(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`fingerprints.parquet`: hash and spectral fingerprint of every recording that is held, or held out.

    The words of a fingerprint are little-endian.
    """
    held = sifted.held
    numbers = held.numbers
    of_held_out = [numbers[recording.id] for task in plan.watched for recording in task.recordings]
    held.there[of_held_out] |= sifted.waveforms.there[of_held_out]
    names, places = sorted(held), plan.places
    splits = pa.array((places[item] for item in names), pa.string(), size=len(names)).dictionary_encode()
    kinds = {"recording": pa.string(), "split": splits.type, "waveform": pa.string(), "words": pa.binary()}
    with pq.ParquetWriter(path, pa.schema(list(kinds.items())), compression="zstd") as writer:
        for start in range(0, max(1, len(names)), GROUP):
            some = names[start : start + GROUP]
            pieces = [some[at : at + PIECE] for at in range(0, len(some), PIECE)] or [[]]
            columns = {
                "recording": pa.array(some, pa.string()),
                "split": splits.slice(start, GROUP),
                "waveform": pa.chunked_array([pa.array(sifted.waveforms.hexed(p), pa.string()) for p in pieces]),
                "words": pa.chunked_array([_words(piece, sifted.fingerprints) for piece in pieces]),
            }
            writer.write_table(pa.table(columns), row_group_size=GROUP)


def _words(names: Sequence[str], fingerprints: Words) -> pa.Array:
    """Fingerprints of some recordings, as bytes."""
    found = [fingerprints[item] for item in names]
    offsets = np.cumsum([0, *(4 * words.size for words in found)]).astype(np.int32)
    joined = np.concatenate([np.zeros(0, np.uint32), *found]).astype("<u4", copy=False)
    return pa.Array.from_buffers(pa.binary(), len(found), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
