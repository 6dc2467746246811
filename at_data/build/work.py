"""The spectrograms of one shard, not yet scaled: a task in, a part file and numbers out, the same bytes everywhere."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import xxhash
from jaxtyping import Float

from at_data.build import journal, kinds, stopwatch
from at_data.build.compact import Fingerprint
from at_data.build.hearing import TOGETHER, TOGETHER_S, Heard, Notes, hear, short
from at_data.build.mixing import noisy
from at_data.build.parts import Row, Summary, by_column, part_path, record, words_path, write_summary
from at_data.build.plan import Task
from at_data.files import WRITTEN_BYTES, write_pieces
from at_data.manifest import Manifest
from at_data.recordings import Segment, samples_in
from at_data.sound_files import Opened
from at_data.stages import quiet, scaling, segments, spectra
from at_data.unswept import unswept

Item = tuple[int, Segment, int, Float[np.ndarray, "heard bins"]]
"""Number of its recording, what it was cut from, and its magnitudes from which frame on: the others are zeros."""


class _Part:
    """A part file while it is written, its hash so far, and the rows of its items."""

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self.file = file
        self.digest = xxhash.xxh3_128()
        self.rows: list[Row] = []
        self.place = 0
        self.rate_hz = manifest.audio.sample_rate_hz
        length = samples_in(manifest.segment.length_s, self.rate_hz)
        self.values = math.prod(spectra.shape(length, manifest.stft, self.rate_hz))
        """Of an item, those that are not in the part among them."""

    def add(self, items: Sequence[Item]) -> None:
        """Write the real frames of items, and note them."""
        kept = [spectra.trimmed(values) for *_, values in items]
        real = [values[frames.start : frames.stop] for (*_, values), frames in zip(items, kept, strict=True)]
        place = self.place
        for values in real:
            write_pieces(self.file, place * values.shape[1] * values.itemsize, values.data)
            self.digest.update(values.data)
            place += len(values)
        stopwatch.lap("write the part")
        for item, frames, values in zip(items, kept, real, strict=True):
            self._note(item, frames, values)
        stopwatch.lap("measure")

    def _note(self, item: Item, kept: range, values: Float[np.ndarray, "real bins"]) -> None:
        """Note an item by its real frames, and which of its heard ones those are."""
        number, segment, first, _ = item
        sums = scaling.measure(values, self.values - values.size)
        row = Row(
            recording=number,
            segment=segment.index,
            start_s=segment.start / self.rate_hz,
            place=self.place,
            real=(first + kept.start if kept else 0, len(kept)),
            sums=(sums.count, sums.total, sums.squares),
            mixing=None if segment.mixing is None else record(segment.mixing),
        )
        self.rows.append(row)
        self.place += len(kept)


@unswept()
def build_part(task: Task, folder: Path, skip: Mapping[int, str] = MappingProxyType({})) -> int:
    """Number of recordings left out; the task's spectrograms stand in its part file, its numbers in its summary.

    Recordings at the places in `skip` are left out, and not decoded, as what they did to an earlier worker says.
    """
    notes = Notes()
    with part_path(folder, task.number).open("wb", WRITTEN_BYTES) as file, Opened() as opened:
        part = _Part(file, task.manifest)
        for group in hear(task, enumerate(task.recordings), notes, opened, skip):
            _add(part, task, group, notes)
            del group  # or it is held until the next ones are decoded
    order = {recording.id: number for number, recording in enumerate(task.recordings)}
    summary = Summary(
        rows=by_column(part.rows),
        waveforms=notes.waveforms,
        left_out=sorted(notes.left_out, key=lambda entry: order[entry["recording"]]),
        sources=notes.sources,
        noises=notes.noises,
        fingerprints={item: len(words) for item, words in notes.fingerprints.items()},
        part=part.digest.hexdigest(),
        words=_write_words(words_path(folder, task.number), notes.fingerprints.values()),
    )
    write_summary(folder, task.number, summary)
    stopwatch.lap("write the part")
    return summary.bad


def _write_words(path: Path, fingerprints: Iterable[Fingerprint]) -> str:
    """Hash of the file that holds the fingerprints one after the other."""
    data = b"".join(words.astype("<u4", copy=False).tobytes() for words in fingerprints)
    path.write_bytes(data)
    return xxhash.xxh3_128_hexdigest(data)


def _add(part: _Part, task: Task, heard: Sequence[Heard], notes: Notes) -> None:
    """Write and note the items of recordings, a few at a time where all is short; none where the task has no shard."""
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    few = TOGETHER if short(heard, rate) and settings.segment.length_s <= TOGETHER_S else 1
    made = _made(task, heard, notes) if task.file else iter(())
    while some := list(islice(made, few)):
        part.add(some)


def _made(task: Task, heard: Iterable[Heard], notes: Notes) -> Iterator[Item]:
    for found in heard:
        journal.note(found.number)
        for item in items(task, found, notes):
            yield found.number, *item


def items(task: Task, heard: Heard, notes: Notes) -> Iterator[tuple[Segment, int, Float[np.ndarray, "heard bins"]]]:
    """Segments of one recording and their magnitudes, from which frame on: the others are zeros. Losses are noted."""
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    recording, samples = heard.recording, heard.samples
    faint = None if settings.quiet == "keep" or not samples.size else quiet.reason(samples, settings.quiet)
    cut = [] if faint else segments.cut(recording, samples, settings.segment, rate, settings.seed)
    if not cut:
        reason = faint or f"shorter than {settings.segment.length_s:g} s"
        notes.left_out.append({"id": recording.id, "recording": recording.id, "kind": kinds.DROPPED, "reason": reason})
    stopwatch.lap("cut")
    for piece in cut:
        if settings.noise == "none":
            first, values = heard.magnitude(piece, settings.stft, rate)
            stopwatch.lap("transform")
            yield piece, first, values
            continue
        for segment in noisy(task, settings.noise, piece, notes):
            stopwatch.lap("mix noise")
            values = spectra.magnitude(segment.samples, settings.stft, rate)
            stopwatch.lap("transform")
            yield segment, 0, values
