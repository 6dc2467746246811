"""What all tasks told of what they read, packed so that a million recordings fit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from at_data.build import parts
from at_data.build.compact import HASH_BYTES, Hashes, Words, packed
from at_data.build.plan import Plan, Task
from at_data.build.rows import Rows
from at_data.build.sources import Files

WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Told:
    """Rows, hashes of parts and losses of every task, those of recordings held out last; hashes of noise waveforms.

    `waveforms` are of the recordings of which an item came, or that are held out: what was left out is nobody's
    duplicate. `words` are fingerprints of the same, `files` what the files held that were opened.
    """

    rows: list[Rows]
    parts: list[str]
    left_out: list[list[dict[str, str]]]
    noises: dict[str, str]
    waveforms: Hashes
    words: Words
    files: Files


def told(folder: Path, made: Plan) -> Told:
    """What the summaries of all tasks say."""
    tasks = (*made.tasks, *made.watched)
    numbers = {recording.id: number for number, recording in enumerate(r for task in tasks for r in task.recordings)}
    total = sum(parts.words_path(folder, task.number).stat().st_size for task in tasks) // WORD_BYTES
    there = np.zeros(len(numbers), bool)
    waveforms = Hashes(numbers, there, np.zeros((len(numbers), HASH_BYTES), np.uint8))
    starts, sizes = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int32)
    words = Words(numbers, there, np.empty(total, np.uint32), starts, sizes)
    found = Told([], [], [], {}, waveforms, words, Files())
    place = 0
    for task in tasks:
        place += _note(found, folder, task, place)
    return found


def _note(found: Told, folder: Path, task: Task, place: int) -> int:
    """How many words a task has; what its summary says is noted, its words from this place on."""
    summary = parts.read_summary(folder, task.number)
    rows = Rows.of(summary.rows)
    found.rows.append(rows)
    found.parts.append(summary.part)
    found.left_out.append(summary.left_out)
    found.noises.update(summary.noises)
    found.files.add(summary.sources, [recording.path for recording in task.recordings])
    numbers, words = found.words.numbers, found.words
    heard = np.array([numbers[item] for item in summary.fingerprints], np.int64)
    lengths = np.fromiter(summary.fingerprints.values(), np.int64, heard.size)
    words.starts[heard], words.sizes[heard] = place + np.cumsum(lengths) - lengths, lengths
    total = int(lengths.sum())
    words.held[place : place + total] = np.fromfile(parts.words_path(folder, task.number), "<u4")
    hashed = np.array([numbers[item] for item in summary.waveforms], np.int64)
    found.waveforms.held[hashed] = packed("".join(summary.waveforms.values()))
    if task.file:  # recordings of a task have numbers in a row
        hashed = numbers[task.recordings[0].id] + np.unique(rows.columns["recording"])
    found.waveforms.there[hashed] = True
    return total
