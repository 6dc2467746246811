"""Items made again from the audio, in a child process, and held against what is stored."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from at_data import headers, manifest, parquet
from at_data.build import Task, kinds
from at_data.build.hearing import Notes, hear
from at_data.build.work import items
from at_data.errors import AtError
from at_data.headers import Header
from at_data.recordings import Recording, Segment
from at_data.sound_files import Opened
from at_data.stages import noise, scaling
from at_data.verify import index as indexes
from at_data.verify import shard

# soxr promises 20 bits of its "HQ", so two versions of it are at most that far apart, and so are magnitudes, which are
# means over a window; gains applied to the sound apply to this too.
AGREEMENT = 2.0**-19
STEP = {"float16": 2.0**-10, "float32": 2.0**-22}  # one step between stored numbers, relative
MEASURED = 1e-3  # dB or seconds, of what was measured in a mixture by another version


@dataclass(frozen=True, slots=True)
class Job:
    """One recording, its task without the others, the rows of the index to compare, and whether to the last bit."""

    folder: str
    task: Task
    recording: Recording
    rows: tuple[int, ...]
    exact: bool


def labels(job: tuple[str, list[tuple[str, str, str, dict[str, str]]]]) -> dict[str, Any]:
    """How what the corpus says of recordings differs from the index; how many of them it holds, and of how many."""
    _, index = _opened(Path(job[0]))
    problems, held = [], 0
    for item, path, split, attributes in job[1]:
        if item not in index.recordings:
            continue
        held += 1
        found = index.recordings[item]
        if (found.path, index.splits[item]) != (path, split):
            problems.append(f"{item} is {found.path} in {index.splits[item]}, the source makes it {path} in {split}")
        elif found.attributes != attributes:
            pairs = {n: (found.attributes.get(n), attributes.get(n)) for n in {**found.attributes, **attributes}}
            said = ", ".join(f"{n} {have}, not {want}" for n, (have, want) in sorted(pairs.items()) if have != want)
            problems.append(f"{item} has {said}")
    return {"problems": problems, "held": held, "total": len(index.recordings)}


def drawn(job: tuple[str, list[int]]) -> dict[str, list[int]]:
    """Rows of the index by the recording they are of."""
    _, index = _opened(Path(job[0]))
    found: dict[str, list[int]] = {}
    for row in job[1]:
        found.setdefault(str(index.table["recording"][row]), []).append(row)
    return found


def rebuild(job: Job) -> dict[str, Any]:
    """What differs between items as stored and as they are made now, the files that were read, and how far apart."""
    folder = Path(job.folder)
    header, index = _opened(folder)
    wanted = {str(index.table["id"][row]): row for row in job.rows}
    notes, problems, apart = Notes(), [], [0.0]
    agreed = 0
    try:
        with Opened() as opened:
            heard = [found for group in hear(job.task, [(0, job.recording)], notes, opened) for found in group]
        for found in heard:
            for segment, first, values in items(job.task, found, notes):
                row = wanted.pop(segment.id, None)
                if row is None:
                    continue
                lines = list(_differences(segment, _whole(values, first, header), row, job, header, index, apart))
                lines += _of_recording(folder, job, notes, index)
                problems += [f"{segment.id}: {line}" for line in lines]
                agreed += not lines
        gone = [entry["reason"] for entry in notes.left_out if not heard and entry["kind"] == kinds.BAD]
    except AtError as error:
        gone = [error.came]
    if gone:
        problems += [f"{job.recording.path}: cannot be used any more, {reason}" for reason in gone]
        wanted.clear()
    problems += [f"{item}: no such item is made of its recording any more" for item in wanted]
    return {"problems": problems, "agreed": agreed, "furthest": max(apart), "sources": sorted(notes.sources)}


def _whole(values: Float[np.ndarray, "heard bins"], first: int, header: Header) -> Float[np.ndarray, "frames bins"]:
    """Magnitudes of an item that are zeros but for those from a frame on."""
    whole = np.zeros((header.frames, header.bins), np.float32)
    whole[first : first + len(values)] = values
    return whole


def tolerance(
    stored: Float[np.ndarray, "frames bins"], header: Header, gain_db: float
) -> Float[np.ndarray, "frames bins"]:
    """How far a value made by other versions of the libraries may lie from the stored one.

    One step of the stored type, and what two resamplers of 20 bits may differ by, at the largest gain applied.
    """
    magnitude = AGREEMENT * 10 ** (max(0.0, gain_db) / 20) / header.scaling.std
    return np.asarray(np.abs(stored.astype(np.float64)) * STEP[header.dtype] + magnitude + 2.0**-24)


def _differences(
    segment: Segment,
    values: Float[np.ndarray, "frames bins"],
    row: int,
    job: Job,
    header: Header,
    index: indexes.Index,
    apart: list[float],
) -> Iterator[str]:
    """Lines where an item as it is made now is not the item of that row."""
    said = index.table.slice(row, 1).to_pylist()[0]
    start_s = (job.recording.start_s or 0.0) + segment.start / job.task.manifest.audio.sample_rate_hz
    if said["start_s"] != start_s:
        yield f"begins at {start_s} s, the index says {said['start_s']} s"
    gain_db = 0.0
    if isinstance(segment.mixing, noise.Mixing):
        gain_db = max(segment.mixing.speech_gain_db, segment.mixing.noise_gain_db)
        yield from _mixing(segment.mixing, said, exact=job.exact)
    listed = {shard.file: shard for shard in header.shards}[said["shard"]]
    kept = shard.stored(Path(job.folder), listed, header, said["row"])
    scale = scaling.Scale(header.scaling.mean, header.scaling.std)
    now = scaling.scale(values, scale).astype(header.dtype)
    if now.tobytes() == kept.tobytes():
        return
    far = np.abs(now.astype(np.float64) - kept.astype(np.float64))
    apart.append(float(far.max()))
    if job.exact or not (far <= tolerance(kept, header, gain_db)).all():
        yield f"{int((now != kept).sum())} of {now.size} values differ from those stored, by up to {far.max():.3g}"


def _mixing(mixing: noise.Mixing, said: Mapping[str, Any], *, exact: bool) -> Iterator[str]:
    for field in fields(mixing):
        now, before = getattr(mixing, field.name), said[f"noise.{field.name}"]
        same = now == before or (isinstance(now, float) and math.isnan(now) and math.isnan(before))
        near = not exact and not isinstance(now, str) and abs(now - before) <= MEASURED
        if not same and not near and (exact or field.name != "clipped"):
            yield f"noise.{field.name} is {now}, the index says {before}"


def _of_recording(folder: Path, job: Job, notes: Notes, index: indexes.Index) -> Iterator[str]:
    """Lines where what is kept of the whole recording is another's; another decoder may give other samples."""
    item = job.recording.id
    if not job.exact:
        return
    if notes.waveforms[item] != index.waveforms[item]:
        yield f"its recording has the waveform {notes.waveforms[item][:8]}, the index says {index.waveforms[item][:8]}"
    heard = dict(zip(index.texts("noise.noise"), index.texts(indexes.HEARD), strict=True)) if notes.noises else {}
    if any(heard.get(name, waveform) != waveform for name, waveform in notes.noises.items()):
        yield "a noise of its recording has another waveform than the index says"
    if notes.fingerprints[item].astype("<u4").tobytes() != _words(folder).get(item):
        yield "its recording has another fingerprint than fingerprints.parquet says"


@lru_cache(maxsize=1)
def _opened(folder: Path) -> tuple[Header, indexes.Index]:
    header = headers.read(folder)
    return header, indexes.read(folder, header, manifest.parse(header.manifest, "dataset.json"))


@lru_cache(maxsize=1)
def _words(folder: Path) -> dict[str, bytes]:
    table = parquet.read(folder / "fingerprints.parquet")
    return dict(zip(table["recording"].to_pylist(), table["words"].to_pylist(), strict=True))
