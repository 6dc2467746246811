"""One shard: a task in, a file and numbers out. Runs in any process, on any machine, with the same bytes."""

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from jaxtyping import Float, Float32, Int64

from at_data import seeds, shards
from at_data.build.plan import Task
from at_data.errors import AudioError, CorpusError
from at_data.recordings import Recording, Segment
from at_data.stages import audio, mixtures, noise, quiet, segments, spectra

BLOCK = 64  # items scaled and written at a time: 4 MB of float32 for one-second items
REDRAWS = 16  # placements tried before a noise is called silent
READ_BYTES = 1 << 22  # read at a time to check a part
NOISE_BYTES = 64 << 20  # noise waveforms a worker keeps


@dataclass(frozen=True, slots=True)
class Row:
    """What a shard's summary says of one item."""

    recording: int
    segment: int
    start_s: float
    sums: tuple[int, float, float]
    mixing: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of one task, without arrays: rows in the order of the part file, hashes and losses by recording."""

    rows: list[Row]
    waveforms: dict[str, str]
    left_out: list[dict[str, str]]
    part: str
    """Hash of the part file, which a build that carries on holds it to: a crash can leave it short or torn."""

    @property
    def bad(self) -> int:
        """Recordings that could not be used, in part or at all; those the manifest drops are not among them."""
        return len({entry["recording"] for entry in self.left_out if entry["kind"] == "bad"})


def part_path(work: Path, number: int) -> Path:
    """Unscaled float32 items of a task, in the work folder."""
    return work / "parts" / f"{number:05d}.f32"


def summary_path(work: Path, number: int) -> Path:
    """Summary of a task; written last, so its presence says the part is whole."""
    return work / "parts" / f"{number:05d}.json"


def build_part(task: Task, work: Path) -> int:
    """Number of recordings left out; the task's spectrograms stand in its part file, its numbers in its summary."""
    rows: list[Row] = []
    hashes: dict[str, str] = {}
    left_out: list[dict[str, str]] = []
    digest = xxhash.xxh3_128()
    with part_path(work, task.number).open("wb") as file:
        for number, recording in enumerate(task.recordings):
            try:
                for segment, values in items(task, recording, hashes, left_out):
                    file.write(values.data)
                    digest.update(values.data)
                    sums = spectra.measure(values)
                    start_s = segment.start / task.manifest.audio.sample_rate_hz
                    mixing = None if segment.mixing is None else _fields(segment.mixing)
                    rows.append(Row(number, segment.index, start_s, (sums.count, sums.total, sums.squares), mixing))
            except AudioError as error:
                left_out.append(_bad(recording.id, recording, error))
    summary = Summary(rows, hashes, left_out, digest.hexdigest())
    # field by field: asdict copies deeply, which costs a tenth of the whole road
    facts = {**_fields(summary), "rows": [_fields(row) for row in rows]}
    # renamed but not forced to disk: one that a crash tears is not read, and its part made again
    path = summary_path(work, task.number)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(facts), encoding="utf-8")
    partial.replace(path)
    return summary.bad


def part_is_whole(work: Path, number: int, summary: Summary) -> bool:
    """Whether the part file is there, to the last byte as it was written."""
    digest = xxhash.xxh3_128()
    try:
        with part_path(work, number).open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == summary.part


def read_summary(work: Path, number: int) -> Summary:
    """Summary a finished part left."""
    raw = json.loads(summary_path(work, number).read_text(encoding="utf-8"))
    rows = [Row(r["recording"], r["segment"], r["start_s"], tuple(r["sums"]), r["mixing"]) for r in raw["rows"]]
    return Summary(rows, raw["waveforms"], raw["left_out"], raw["part"])


@dataclass(frozen=True, slots=True)
class Finish:
    """What turns a part into its shard: rows to take in order, their columns and ids, and the scale of all."""

    number: int
    file: str
    rows: Int64[np.ndarray, "items"]
    columns: dict[str, Int64[np.ndarray, "items"]]
    ids: list[str]
    waveforms: list[str]
    scale: spectra.Scale
    digest: str
    target: str
    dtype: str
    compression: str
    shape: tuple[int, int]


def finish_shard(task: Finish, work: Path) -> str:
    """SHA-256 of the shard, scaled, forced to disk and renamed; its part file is removed."""
    final = work / task.file
    partial = final.with_suffix(".h5.partial")
    digest = shards.write_shard(
        partial,
        task.digest,
        _scaled(task, part_path(work, task.number)),
        (len(task.rows), *task.shape),
        task.columns,
        task.ids,
        task.waveforms,
        target=task.target,
        dtype=task.dtype,
        compression=task.compression,
    )
    partial.replace(final)
    part_path(work, task.number).unlink()
    return digest


def row_order(seed: int, file: str, rows: int) -> Int64[np.ndarray, "rows"]:
    """Seeded order of a shard's rows, so that segments of one recording do not stand in a row."""
    return seeds.generator(seed, "rows", file).permutation(rows).astype(np.int64)


def items(
    task: Task, recording: Recording, hashes: dict[str, str], left_out: list[dict[str, str]]
) -> Iterator[tuple[Segment, Float[np.ndarray, "frames bins"]]]:
    """Segments of one recording and their magnitudes; what is left out is noted."""
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    samples, from_hz = audio.decode(task.root / recording.path, recording)
    hashes[recording.id] = audio.waveform_hash(samples, from_hz)
    resampled = audio.resample(samples, from_hz, settings.audio)
    faint = None if settings.quiet == "keep" or not resampled.size else quiet.reason(resampled, settings.quiet)
    cut = [] if faint else segments.cut(recording, resampled, settings.segment, rate, settings.seed)
    if not cut:
        reason = faint or f"shorter than {settings.segment.length_s:g} s"
        left_out.append({"id": recording.id, "recording": recording.id, "kind": "dropped", "reason": reason})
    for piece in cut:
        for segment in _noisy(task, settings.noise, piece, left_out) if settings.noise != "none" else (piece,):
            yield segment, spectra.magnitude(segment.samples, settings.stft, rate)


def _noisy(task: Task, mix: noise.Mix, segment: Segment, left_out: list[dict[str, str]]) -> Iterator[Segment]:
    """The segment with noise, at every level asked for: drawn for its id alone, and again while it is silent."""
    assert task.noise_root is not None, "a plan that mixes noise has a folder of it"
    audio_settings = task.manifest.audio
    dice = seeds.generator(task.manifest.seed, "noise", segment.id)
    noises = _own_noise(task, segment.recording) if isinstance(mix, noise.Task) else task.noises
    for _ in range(REDRAWS):
        placement = noise.draw(dice, mix, noises)
        waveform = _noise_waveform(task.noise_root, placement.noise, audio_settings)
        excerpt = noise.excerpt(waveform, placement, mix, segment.samples.size, audio_settings.sample_rate_hz)
        if not noise.silent(excerpt):
            break
    placements = noise.at_levels(placement, mix)
    for number, placed in enumerate(placements):
        item = replace(segment, index=segment.index * len(placements) + number)
        try:
            yield noise.mix(item, excerpt, placed, mix)
        except AudioError as error:
            left_out.append(_bad(item.id, segment.recording, error))


def _own_noise(task: Task, recording: Recording) -> list[Recording]:
    return [found for found in task.noises if found.id == recording.attributes[mixtures.NOISE]]


class _Waveforms:
    """Noise waveforms read lately, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held: OrderedDict[tuple[Path, str, audio.Audio], Float32[np.ndarray, "time"]] = OrderedDict()

    def get(self, root: Path, recording: Recording, settings: audio.Audio) -> Float32[np.ndarray, "time"]:
        key = (root, recording.id, settings)
        if key not in self.held:
            self.held[key] = audio.load(root, recording, settings)
            while len(self.held) > 1 and sum(samples.nbytes for samples in self.held.values()) > self.limit_bytes:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        return self.held[key]


_WAVEFORMS = _Waveforms(NOISE_BYTES)  # one per worker process


def _noise_waveform(root: Path, recording: Recording, settings: audio.Audio) -> Float32[np.ndarray, "time"]:
    """Waveform of a noise; a noise that cannot be read ends the build, for its absence would change every draw."""
    try:
        return _WAVEFORMS.get(root, recording, settings)
    except AudioError as error:
        raise CorpusError(
            root / recording.path, error.came, error.expected, "mend or remove this noise file"
        ) from error


def _scaled(task: Finish, part: Path) -> Iterator[Float[np.ndarray, "block frames bins"]]:
    if not len(task.rows):
        return
    raw = np.memmap(part, np.float32, "r").reshape(-1, *task.shape)
    for start in range(0, len(task.rows), BLOCK):
        block = np.asarray(raw[task.rows[start : start + BLOCK]])
        yield spectra.scale(block, task.scale, out=block).astype(task.dtype, copy=False)


def _fields(record: Any) -> dict[str, Any]:
    """Fields of a dataclass by name, as they are."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _bad(item: str, recording: Recording, error: AudioError) -> dict[str, str]:
    reason = f"{error.came}; expected {error.expected}"
    return {"id": item, "recording": recording.id, "kind": "bad", "reason": reason, "todo": error.todo}
