"""The floor of preparation: bare loops over the libraries that do the work, in processes that do nothing else.

No listing, no split, no hashes, no fingerprints, no index, nothing forced to disk. The floor does not scale either;
the scaled floor does, by the mean and deviation of all items, which is known when the last one is transformed: items
are written in single precision first, and read again.
"""

import csv
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile
import soxr
from sounds import RATE_HZ, WORK, Corpus

WINDOW, HOP = 256, 128

Stretch = tuple[str, float, float]  # path, start and length in seconds; a length of 0 is the whole file
Loop = Callable[[list[Stretch], float, Path], None]


def stretches(listed: Path) -> list[Stretch]:
    """Every entry of a list, in its order."""
    with listed.open(newline="") as file:
        return [
            (str(listed.parent / row["path"]), float(row["start_s"] or 0), float(row["length_s"] or 0))
            for row in csv.DictReader(file)
        ]


def prepare(wanted: list[Stretch], item_s: float, out: Path) -> None:
    """Decode, resample, pad or cut, transform, write, item after item."""
    with out.open("wb") as file:
        for magnitudes in spectra(wanted, item_s):
            file.write(magnitudes.astype(np.float16).data)


def prepare_scaled(wanted: list[Stretch], item_s: float, out: Path) -> None:
    """The same, scaled by the mean and the deviation of all items."""
    unscaled = out.with_suffix(".f32")
    shape, count, total, squares = (0, 0), 0, 0.0, 0.0
    with unscaled.open("wb") as file:
        for magnitudes in spectra(wanted, item_s):
            file.write(magnitudes.data)
            wide = magnitudes.astype(np.float64)
            shape, count, total = magnitudes.shape, count + wide.size, total + wide.sum()
            wide *= wide
            squares += wide.sum()
    mean = total / count
    deviation = (squares / count - mean * mean) ** 0.5
    item = np.empty(shape, np.float32)
    with unscaled.open("rb", buffering=0) as source, out.open("wb") as file:
        while source.readinto(item.data):
            item -= np.float32(mean)
            item /= np.float32(deviation)
            file.write(item.astype(np.float16).data)
    unscaled.unlink()


def spectra(wanted: list[Stretch], item_s: float) -> Iterator[np.ndarray]:
    """Magnitudes of every item."""
    window = (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32) / np.float32(138.24)
    length = round(item_s * RATE_HZ)
    frames = -(-length // HOP) + 1
    for path, start_s, length_s in wanted:
        samples, rate_hz = read(path, start_s, length_s)
        if rate_hz != RATE_HZ:
            samples = soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ")
        padded = np.zeros((frames - 1) * HOP + WINDOW, np.float32)
        stretch = samples[:length]
        padded[WINDOW // 2 : WINDOW // 2 + stretch.size] = stretch
        framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
        yield np.abs(scipy.fft.rfft(framed * window))


def read(path: str, start_s: float, length_s: float) -> tuple[np.ndarray, int]:
    """Samples of a stretch, sought and not read up to, and their rate."""
    if not length_s:
        return soundfile.read(path, dtype="float32")
    with soundfile.SoundFile(path) as sound:
        sound.seek(round(start_s * sound.samplerate))
        return sound.read(round(length_s * sound.samplerate), dtype="float32"), sound.samplerate


def write_us(kib: int = 64, times: int = 1000) -> float:
    """Microseconds that so many KiB of a new file take to be written, not forced to disk."""
    path, block = WORK / "written.bin", bytes(kib << 10)
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(block)
    took_s = time.perf_counter() - began
    path.unlink()
    return 1e6 * took_s / times


def warm(corpus: Corpus) -> None:
    """Read every file of a corpus, so that who reads it next finds it in memory."""
    for path in sorted({path for path, *_ in stretches(corpus.full)}):
        Path(path).read_bytes()


def seconds(corpus: Corpus, processes: int, loop: Loop = prepare) -> tuple[float, float]:
    """Seconds of a loop over a corpus's full list, shared among processes that have imported everything.

    By the clock, and of all processors.
    """
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes + 1)
    cpu_s = context.Value("d", 0.0)
    wanted = stretches(corpus.full)
    outs = [WORK / f"floor{number}.bin" for number in range(processes)]
    started = [
        context.Process(target=_run, args=(loop, wanted[number::processes], corpus.length_s, out, gate, cpu_s))
        for number, out in enumerate(outs)
    ]
    for process in started:
        process.start()
    gate.wait()
    began = time.perf_counter()
    gate.wait()
    took_s = time.perf_counter() - began
    for process, out in zip(started, outs, strict=True):
        process.join()
        out.unlink()
    return took_s, cpu_s.value


def _run(
    loop: Loop, wanted: list[Stretch], item_s: float, out: Path, gate: Barrier, cpu_s: "Synchronized[float]"
) -> None:
    loop(wanted[:8], item_s, out)  # plans of the transform, windows of the decoder
    gate.wait()
    began = time.process_time()
    loop(wanted, item_s, out)
    with cpu_s.get_lock():
        cpu_s.value += time.process_time() - began
    gate.wait()
