"""What all tasks told of what they read, on disk, so that any number of recordings fits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from at_data import scratch
from at_data.build import parts
from at_data.build.compact import Hashes, Words
from at_data.build.plan import Plan, Task
from at_data.build.rows import Noting, Rows
from at_data.build.sources import Files
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


def told(folder: Path, made: Plan) -> Told:
    """What the summaries of all tasks say."""
    count = len(made.recordings.columns.ids)
    waveforms, files, noting = Hashes(count), Files(made.recordings.columns.paths), Noting()
    words, starts, sizes = scratch.Growing(), scratch.zeros(count, np.int64), scratch.zeros(count, np.int32)
    hashes_of_parts: list[str] = []
    left_out: list[list[dict[str, str]]] = []
    noises: dict[str, str] = {}
    for task in (*made.tasks, *made.watched):
        summary = parts.read_summary(folder, task.number)
        noting.add(summary.rows)
        hashes_of_parts.append(summary.part)
        left_out.append(summary.left_out)
        noises.update(summary.noises)
        roll = Roll.of(task.recordings)
        files.add(summary.sources, roll)
        number = dict(zip(roll.ids, roll.rows.tolist(), strict=True))
        heard = np.array([number[item] for item in summary.fingerprints], np.int64)
        lengths = np.fromiter(summary.fingerprints.values(), np.int64, heard.size)
        starts[heard], sizes[heard] = words.size_bytes // 4 + np.cumsum(lengths) - lengths, lengths
        words.add(parts.words_path(folder, task.number).read_bytes())
        hashed = np.array([number[item] for item in summary.waveforms], np.int64)
        waveforms.note(hashed, "".join(summary.waveforms.values()))
        waveforms.there[_used(task, summary, roll, hashed)] = True
    held = words.array("<u4").astype(np.uint32, copy=False)
    return Told(
        noting.rows(),
        hashes_of_parts,
        left_out,
        noises,
        waveforms,
        Words(held, starts, sizes, waveforms.there),
        files,
    )


def _used(task: Task, summary: parts.Summary, roll: Roll, hashed: Shaped[np.ndarray, "n"]) -> Shaped[np.ndarray, "m"]:
    """Numbers of the recordings of which an item came; of those held out, of all that were heard."""
    if not task.file:
        return hashed
    return np.asarray(roll.rows[np.unique(np.array([row.recording for row in summary.rows], np.int64))])
