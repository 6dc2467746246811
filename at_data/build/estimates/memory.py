"""Peak memory of a build, from a model whose constants were measured."""

from dataclasses import dataclass

from at_data.build.estimates.lengths import Lengths
from at_data.build.finish import AT_ONCE
from at_data.build.hearing import WHOLE_S, heard_in, same_frames
from at_data.build.mixing import NOISE_BYTES
from at_data.build.plan import Plan
from at_data.recordings import samples_in
from at_data.stages import spectra

# Measured on Linux, Python 3.11, in builds of 50 to a million recordings, and in what the parent does for a million of
# one second (bench/bench_memory.py, bench/bench_growth.py): VmHWM, pages of files among it, which the system may take
# back. A fifth is put on top.
PARENT_BYTES = 175 << 20  # interpreter, libraries, a manifest
COMPARING_BYTES = 60 << 20  # words of fingerprints compared at a time, at most
COMPARED_BYTES = 6_000  # the same, of a recording of one second
LAID_BYTES = 300  # fingerprint of a recording as it lies in a file that workers map
WORKER_BYTES = 120 << 20  # interpreter, libraries
RECORDING_BYTES = 180 + LAID_BYTES  # a planned recording, its hash and fingerprint: all but some 40 are pages of files
ITEM_BYTES = 64  # an item: its row, in pages of files
MIXING_BYTES = 100  # what is noted of an item's noise, likewise
FRAMED = 4  # times as much as frames of samples: windowed, their spectrum, magnitudes
MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory in bytes of the parent, and of one worker."""

    parent_bytes: int
    worker_bytes: int


def memory(made: Plan, items: int, largest_items: int, lengths: Lengths) -> Memory:
    """Peak memory of a build of so many items, the fullest shard of so many.

    A worker holds one recording and its frames while it reads (or a few of seconds), with the noise read lately, and
    while it writes a shard a block of items and (as pages that the system can take back) the part they come from; while
    it looks for near-duplicates, a part of the words and (as such pages) all fingerprints.
    """
    settings = made.manifest
    item_bytes = 4 * made.shape[0] * made.shape[1]
    rate_hz = settings.audio.sample_rate_hz
    longest = min(max(lengths.samples.values(), default=0), round(WHOLE_S * rate_hz))
    stft = settings.stft if same_frames(settings.stft, rate_hz) else heard_in(rate_hz)
    frames = max(made.shape[0], spectra.shape(longest, stft, rate_hz)[0])
    framed_bytes = 4 * frames * 2 * (made.shape[1] - 1) * FRAMED
    noise_bytes = 0
    if settings.noise != "none":
        noise_bytes = NOISE_BYTES + 4 * samples_in(settings.segment.length_s, settings.audio.sample_rate_hz) * 4
    reading = lengths.decode_bytes + framed_bytes + item_bytes + noise_bytes
    writing = largest_items * item_bytes + 3 * max(item_bytes, 4 * AT_ONCE * made.shape[1])
    recordings = sum(len(task.recordings) for task in (*made.tasks, *made.watched))
    comparing = min(COMPARING_BYTES, COMPARED_BYTES * recordings) + LAID_BYTES * recordings
    mixing_bytes = 0 if settings.noise == "none" else MIXING_BYTES
    parent = PARENT_BYTES + recordings * RECORDING_BYTES + items * (ITEM_BYTES + mixing_bytes)
    return Memory(round(parent * MARGIN), round((WORKER_BYTES + max(reading, writing, comparing)) * MARGIN))
