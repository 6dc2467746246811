"""The tables of a dataset folder, beside its shards."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.recordings import Recording
from at_data.stages import leaks

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


def write_index(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`index.parquet`: one row per item, in shard order."""
    length_s = plan.manifest.segment.length_s
    items = [item for kept in sifted.items for item in kept]
    recordings = [item.recording for item in items]
    start_s = np.array([(item.recording.start_s or 0.0) + item.row.start_s for item in items], np.float64)
    counts = [len(kept) for kept in sifted.items]
    shards = [(task.split, task.file) for task, count in zip(plan.tasks, counts, strict=True) for _ in range(count)]
    columns: dict[str, Any] = {
        "id": [item.id for item in items],
        "recording": [recording.id for recording in recordings],
        "path": [recording.path for recording in recordings],
        "start_s": start_s,
        "stop_s": start_s + length_s,
        "split": [split for split, _ in shards],
        "shard": [file for _, file in shards],
        "row": [place for count in counts for place in range(count)],
        "waveform": [sifted.waveforms[recording.id] for recording in recordings],
    }
    attributes = {
        f"attribute.{name}": [recording.attributes.get(name) for recording in recordings] for name in plan.attributes
    }
    mixings = [item.row.mixing for item in items]
    table = pa.table(columns | attributes | _noise_columns(mixings, sifted.noises))
    pq.write_table(table, path, compression="zstd")


def _noise_columns(mixings: Sequence[Mapping[str, Any] | None], waveforms: Mapping[str, str]) -> dict[str, list[Any]]:
    first = next((mixing for mixing in mixings if mixing is not None), None)
    if first is None:
        return {}
    columns = {f"noise.{name}": [None if mixing is None else mixing[name] for mixing in mixings] for name in first}
    columns["noise.waveform"] = [None if mixing is None else waveforms[mixing["noise"]] for mixing in mixings]
    return columns


def write_splits(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`splits.csv`: recording id, split and group; shippable where the audio is not."""
    present = {item.recording.id for kept in sifted.items for item in kept}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "split", "group"))
        for recording in plan.recordings:
            if recording.id in present:
                writer.writerow((recording.id, plan.assigned[recording.id], plan.groups[recording.id]))


def write_leaks(path: Path, lines: Iterable[leaks.Line]) -> None:
    """`leaks.json`: the proof, a line for every pair of splits and key."""
    path.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")


def write_duplicates(path: Path, plan: Plan, sifted: Sifted) -> dict[str, int]:
    """`duplicates.csv`: every recording whose waveform another file of the source has too; counts of what is in it.

    Stretches that are the same by design (mixtures of one sentence) are no duplicates.
    """
    target = plan.manifest.target
    hashes = sifted.waveforms
    found = Counter(hashes[recording.id] for recording in plan.recordings if recording.id in hashes)
    groups: dict[str, list[Recording]] = {waveform: [] for waveform, files in found.items() if files > 1}
    for recording in plan.recordings if groups else ():
        if hashes.get(recording.id) in groups:
            groups[hashes[recording.id]].append(recording)
    held = {item.recording.id for kept in sifted.items for item in kept}
    counts = {"waveforms": 0, "recordings": 0, "with_several_labels": 0}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("waveform", "id", "path", target, "split"))
        for waveform, members in sorted(groups.items()):
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
    held = {item.recording.id for kept in sifted.items for item in kept}
    held.update(item for task in plan.watched for item in (r.id for r in task.recordings) if item in sifted.waveforms)
    names, places = sorted(held), plan.places
    columns = {
        "recording": pa.array(names, pa.string()),
        "split": pa.array([places[item] for item in names], pa.string()).dictionary_encode(),
        "waveform": pa.array([sifted.waveforms[item] for item in names], pa.string()),
        "words": pa.array(
            [sifted.fingerprints[item].astype("<u4", copy=False).tobytes() for item in names], pa.binary()
        ),
    }
    table = pa.table(columns)
    pq.write_table(table, path, compression="zstd")
