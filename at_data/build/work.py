"""The spectrograms of one shard, not yet scaled: a task in, a part file and numbers out, the same bytes everywhere."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import xxhash
from jaxtyping import Float

from at_data.build import journal, kinds, stopwatch
from at_data.build.compact import Fingerprint
from at_data.build.hearing import Notes, hear
from at_data.build.mixing import noisy
from at_data.build.parts import Row, Summary, part_path, record, words_path, write_summary
from at_data.build.plan import Task
from at_data.errors import AudioError
from at_data.files import WRITTEN_BYTES, write_pieces
from at_data.manifest import Manifest
from at_data.recordings import Recording, Segment
from at_data.sound_files import Opened
from at_data.stages import quiet, scaling, segments, spectra


class _Part:
    """A part file while it is written, its hash so far, and the rows of its items."""

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self.file, self.manifest = file, manifest
        self.digest = xxhash.xxh3_128()
        self.rows: list[Row] = []
        self.place = 0

    def add(self, number: int, segment: Segment, first: int, values: Float[np.ndarray, "heard bins"]) -> None:
        """Write the real frames of an item of a recording, and note it."""
        rate_hz = self.manifest.audio.sample_rate_hz
        kept = spectra.trimmed(values)
        real = values[kept.start : kept.stop]
        write_pieces(self.file, self.place * real.shape[1] * real.itemsize, real.data)
        self.digest.update(real.data)
        stopwatch.lap("write the part")
        size = math.prod(spectra.shape(segment.samples.size, self.manifest.stft, rate_hz))
        sums = scaling.measure(real, size - real.size)
        row = Row(
            recording=number,
            segment=segment.index,
            start_s=segment.start / rate_hz,
            place=self.place,
            real=(first + kept.start if kept else 0, len(kept)),
            sums=(sums.count, sums.total, sums.squares),
            mixing=None if segment.mixing is None else record(segment.mixing),
        )
        self.rows.append(row)
        self.place += len(kept)
        stopwatch.lap("measure")


def build_part(task: Task, folder: Path, skip: Mapping[int, str] = MappingProxyType({})) -> int:
    """Number of recordings left out; the task's spectrograms stand in its part file, its numbers in its summary.

    Recordings at the places in `skip` are left out unread, as what they did to an earlier worker says.
    """
    notes = Notes()
    with part_path(folder, task.number).open("wb", WRITTEN_BYTES) as file, Opened() as opened:
        part = _Part(file, task.manifest)
        for number, recording in enumerate(task.recordings):
            journal.note(number)
            try:
                if not task.file:
                    hear(task, recording, notes, opened, skip.get(number))
                    continue
                for segment, first, values in items(task, recording, notes, opened, skip.get(number)):
                    part.add(number, segment, first, values)
            except AudioError as error:
                notes.lose(recording.id, recording, error)
    summary = Summary(
        rows=part.rows,
        waveforms=notes.waveforms,
        left_out=notes.left_out,
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


def items(
    task: Task, recording: Recording, notes: Notes, opened: Opened, death: str | None = None
) -> Iterator[tuple[Segment, int, Float[np.ndarray, "heard bins"]]]:
    """Segments of one recording and their magnitudes, from which frame on: the others are zeros. Losses are noted.

    AudioError where it cannot be used, or is known to have been the `death` of a worker.
    """
    settings = task.manifest
    rate = settings.audio.sample_rate_hz
    heard = hear(task, recording, notes, opened, death)
    samples = heard.samples
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
