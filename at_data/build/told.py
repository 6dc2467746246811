"""What all tasks told of what they read, on disk, so that any number of recordings fits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from at_data import scratch
from at_data.build import parts
from at_data.build.compact import WORD_BYTES, Hashes, Words
from at_data.build.plan import Plan, Task
from at_data.build.rows import Noting, Rows
from at_data.build.sources import Files
from at_data.errors import ShardError
from at_data.rolls import Roll


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


class Telling:
    """What tasks tell, as they come, in any order."""

    def __init__(self, folder: Path, made: Plan) -> None:
        count = len(made.recordings.columns.ids)
        self._folder, self._tasks = folder, len(made.tasks) + len(made.watched)
        self._noting = Noting(self._tasks)
        self._parts: dict[int, str] = {}
        self._left_out: dict[int, list[dict[str, str]]] = {}
        self._noises: dict[str, str] = {}
        self._waveforms, self._files = Hashes(count), Files(made.recordings.columns.paths)
        self._words, self._starts = scratch.Growing(), scratch.zeros(count, np.int64)
        self._sizes = scratch.zeros(count, np.int32)

    def add(self, task: Task) -> None:
        """Note what the summary of a task says."""
        summary, roll = parts.read_summary(self._folder, task.number), Roll.of(task.recordings)
        self._noting.add(task.number, summary.rows)
        self._parts[task.number] = summary.part
        self._left_out[task.number] = summary.left_out
        self._noises.update(summary.noises)
        self._files.add(summary.sources, roll)
        number = dict(zip(roll.ids, roll.rows.tolist(), strict=True))
        heard = np.array([number[item] for item in summary.fingerprints], np.int64)
        lengths = np.fromiter(summary.fingerprints.values(), np.int64, heard.size)
        self._starts[heard] = self._words.size_bytes // WORD_BYTES + np.cumsum(lengths) - lengths
        self._sizes[heard] = lengths
        words = parts.words_path(self._folder, task.number).read_bytes()
        if len(words) != WORD_BYTES * int(lengths.sum()):
            raise ShardError(
                parts.words_path(self._folder, task.number),
                f"{len(words)} bytes",
                f"{WORD_BYTES * int(lengths.sum())}, as its summary says",
                "run the same command again to carry on",
            )
        self._words.add(words)
        hashed = np.array([number[item] for item in summary.waveforms], np.int64)
        self._waveforms.note(hashed, "".join(summary.waveforms.values()))
        # of those held out all that were heard, of the others those of which an item came
        used = roll.rows[np.unique(np.array(summary.rows["recording"], np.int64))] if task.file else hashed
        self._waveforms.there[used] = True

    def told(self) -> Told:
        """What all of them told."""
        held = self._words.array("<u4").astype(np.uint32, copy=False)
        return Told(
            self._noting.rows(),
            [self._parts[number] for number in range(self._tasks)],
            [self._left_out[number] for number in range(self._tasks)],
            self._noises,
            self._waveforms,
            Words(held, self._starts, self._sizes, self._waveforms.there),
            self._files,
        )


def told(folder: Path, made: Plan) -> Told:
    """What the summaries of all tasks say."""
    telling = Telling(folder, made)
    for task in (*made.tasks, *made.watched):
        telling.add(task)
    return telling.told()
