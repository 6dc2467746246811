"""The tables of a dataset folder, beside its shards."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from heapq import merge
from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from at_data import parquet, scratch
from at_data.build.compact import WORD_BYTES, Words
from at_data.build.item_index import GROUP
from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.recordings import Recording
from at_data.stages import leaks, mixtures, noise, splits

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
    kept = plan.recordings.take(sifted.held[plan.recordings.rows])
    origin = mixtures.SPEECH if isinstance(plan.manifest.noise, noise.Task) else None
    groups = splits.group_names(kept, plan.manifest.split, origin)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "split", "group"))
        writer.writerows(zip(kept.ids, plan.assigned.each(kept), groups, strict=True))


def write_leaks(path: Path, lines: Iterable[leaks.Line]) -> None:
    """`leaks.json`: the proof, a line for every pair of splits and key."""
    told = [asdict(line) for line in lines]
    for line in told:
        if not line["unknown"]:
            del line["unknown"]
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def write_duplicates(path: Path, plan: Plan, sifted: Sifted) -> dict[str, int]:
    """`duplicates.csv`: every recording whose waveform another file of the source has too; counts of what is in it.

    Stretches that are the same by design (mixtures of one sentence) are no duplicates.
    """
    target = plan.manifest.target
    several = sifted.several
    among = np.isin(plan.recordings.rows, several) if several.size else np.zeros(len(plan.recordings), bool)
    doubles = plan.recordings.take(among)
    groups: defaultdict[str, list[tuple[int, Recording]]] = defaultdict(list)
    for waveform, number, recording in zip(
        sifted.waveforms.hexed(doubles.rows), doubles.rows.tolist(), doubles, strict=True
    ):
        groups[waveform].append((number, recording))
    held = sifted.held
    counts = {"waveforms": 0, "recordings": 0, "with_several_labels": 0}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("waveform", "id", "path", target, "split"))
        for waveform, members in sorted(groups.items()):
            # one alone has its twin in what is held out
            if len({(recording.path, recording.start_s) for _, recording in members}) == 1:
                continue
            counts["waveforms"] += 1
            counts["recordings"] += len(members)
            counts["with_several_labels"] += len({recording.attributes[target] for _, recording in members}) > 1
            for number, r in members:
                split = plan.assigned.names[plan.assigned.codes[number]] if held[number] else "left out"
                writer.writerow((waveform, r.id, r.path, r.attributes[target], split))
    return counts


def write_quarantine(path: Path, left_out: Iterable[Mapping[str, str]]) -> None:
    """`quarantine.jsonl`: everything left out, and why."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in left_out)


def write_passed_over(path: Path, plan: Plan) -> None:
    """`passed_over.parquet`: every recording that the manifest does not ask for, and which key says so."""
    schema = pa.schema([("recording", pa.string()), ("reason", pa.dictionary(pa.int32(), pa.string()))])
    rows = merge(*(zip(items.sorted(), repeat(reason)) for reason, items in plan.passed_over.items()))
    with parquet.writer(path, schema) as writer:
        for _ in range(0, max(1, sum(map(len, plan.passed_over.values()))), GROUP):
            some = list(islice(rows, GROUP))
            reasons = pa.array([reason for _, reason in some], pa.string()).dictionary_encode()
            writer.write_table(pa.table([pa.array([item for item, _ in some], pa.string()), reasons], schema))


def write_fingerprints(path: Path, plan: Plan, sifted: Sifted) -> None:
    """`fingerprints.parquet`: hash and spectral fingerprint of every recording that is held, or held out.

    The words of a fingerprint are little-endian.
    """
    listing = plan.recordings.columns
    wanted = sifted.held
    wanted[plan.held_out.rows] |= sifted.waveforms.there[plan.held_out.rows]
    places = plan.places
    kinds = {
        "recording": pa.string(),
        "split": pa.dictionary(pa.int32(), pa.string()),
        "waveform": pa.string(),
        "words": pa.binary(),
    }
    numbers = listing.ids.order
    numbers = scratch.filled(numbers[wanted[numbers]], np.int32)
    with parquet.writer(path, pa.schema(list(kinds.items()))) as writer:
        for start in range(0, max(1, numbers.size), GROUP):
            some = numbers[start : start + GROUP]
            columns = {
                "recording": pa.array(listing.ids.at(some), pa.string()),
                "split": pa.array(places.some(some).values(), pa.string(), size=some.size).dictionary_encode(),
                "waveform": pa.array(sifted.waveforms.hexed(some), pa.string()),
                "words": _words(some, sifted.fingerprints),
            }
            writer.write_table(pa.table(columns), row_group_size=GROUP)


def _words(numbers: Int32[np.ndarray, "some"], fingerprints: Words) -> pa.Array:
    """Fingerprints of some recordings, as bytes."""
    found = [fingerprints.of(number) for number in numbers.tolist()]
    offsets = np.cumsum([0, *(WORD_BYTES * words.size for words in found)]).astype(np.int32)
    joined = np.concatenate([np.zeros(0, np.uint32), *found]).astype("<u4", copy=False)
    return pa.Array.from_buffers(pa.binary(), len(found), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
