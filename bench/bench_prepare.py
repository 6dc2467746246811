"""Preparation against the floor of bare library loops over the same files, and the memory of its workers.

    python bench/bench_prepare.py [--clips 20000] [--rounds 3]

The floor decodes, resamples, transforms and writes every clip in two processes that do nothing else: no listing, no
split, no scaling, no hashes, no index. Its clock starts once both have imported their libraries; that of `at-prepare`
starts before Python does and stops after it left. The second ratio gives the floor its own start-up too.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile
import soxr

from at_data import manifest

WORK = Path(__file__).parent / "work"
PROCESSES = 2
RATE_HZ = 8000


def make_clips(folder: Path, clips: int) -> None:
    """One-second clips at 8 kHz in the layout of fsdd: noise with a tone, all different."""
    if folder.is_dir() and len(list((folder / "recordings").glob("*.wav"))) == clips:
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "recordings").mkdir(parents=True)
    dice = np.random.default_rng(1)
    for number in range(clips):
        digit, speaker, take = number % 10, number // 10 % 20, number // 200
        tone = 0.3 * np.sin(np.arange(RATE_HZ) * (0.05 + 0.01 * digit))
        # a noise of its own: clips that share one are near-duplicates, and left out
        samples = dice.normal(0, 0.1, RATE_HZ) * dice.uniform(0.2, 1) + tone
        soundfile.write(folder / "recordings" / f"{digit}_speaker{speaker:02d}_{take}.wav", samples, RATE_HZ)


def floor_loop(paths: list[str], out: str, gate: "multiprocessing.synchronize.Barrier") -> None:
    """Bare loop: decode, resample, transform, write."""
    window = (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(256) / 256)).astype(np.float32) / np.float32(138.24)
    gate.wait()
    with Path(out).open("wb") as file:
        for path in paths:
            samples, rate_hz = soundfile.read(path, dtype="float32")
            samples = soxr.resample(samples, rate_hz, 16000, quality="HQ")
            padded = np.pad(samples, 128)
            frames = np.lib.stride_tricks.sliding_window_view(padded, 256)[::128]
            file.write(np.abs(scipy.fft.rfft(frames * window)).astype(np.float16).data)
    gate.wait()


def floor(paths: list[str]) -> tuple[float, float]:
    """Seconds of the loops alone, and with the start of their processes."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES + 1)
    began = time.perf_counter()
    started = [
        context.Process(target=floor_loop, args=(paths[n::PROCESSES], str(WORK / f"floor{n}.bin"), gate))
        for n in range(PROCESSES)
    ]
    for process in started:
        process.start()
    gate.wait()
    ready = time.perf_counter()
    gate.wait()
    loops_s = time.perf_counter() - ready
    for process in started:
        process.join()
    whole_s = time.perf_counter() - began
    for n in range(PROCESSES):
        (WORK / f"floor{n}.bin").unlink()
    return loops_s, whole_s


def prepare(source: Path, out: Path) -> tuple[float, float]:
    """Seconds of the whole command, and the highest resident memory of any worker in MB."""
    shutil.rmtree(out, ignore_errors=True)
    tool = Path(sys.executable).parent / "at-prepare"
    command = [
        str(tool),
        "build",
        "fsdd_digit_by_speaker",
        "--source",
        str(source),
        "--out",
        str(out),
        "--workers",
        "2",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    peak = [0.0]
    watcher = threading.Thread(target=watch, args=(process, peak))
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - began
    watcher.join()
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}")
    return seconds, peak[0]


def watch(process: "subprocess.Popen[bytes]", peak: list[float]) -> None:
    """Highest resident memory of the process's descendants, asked for twenty times a second."""
    while process.poll() is None:
        parents: dict[int, int] = {}
        high: dict[int, float] = {}
        for entry in Path("/proc").glob("[0-9]*/status"):
            try:
                facts = dict(line.split(":", 1) for line in entry.read_text().splitlines() if ":" in line)
            except OSError:
                continue
            pid = int(entry.parent.name)
            parents[pid] = int(facts["PPid"])
            high[pid] = int(facts.get("VmHWM", "0 kB").split()[0]) / 1024
        below = {process.pid}
        for _ in range(3):
            below |= {pid for pid, parent in parents.items() if parent in below}
        peak[0] = max([peak[0], *(high[pid] for pid in below - {process.pid})])
        time.sleep(0.05)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"# bench_prepare: {arguments.clips} one-second clips at 8 kHz, {PROCESSES} processes")
    source = WORK / f"clips{arguments.clips}"
    make_clips(source, arguments.clips)
    paths = sorted(str(path) for path in (source / "recordings").glob("*.wav"))
    against_loops, against_whole, memory = [], [], []
    floor(paths)  # both read warm files
    for _ in range(arguments.rounds):
        loops_s, whole_s = floor(paths)
        seconds, peak_mb = prepare(source, WORK / "datasets")
        against_loops.append(loops_s / seconds)
        against_whole.append(whole_s / seconds)
        memory.append(peak_mb)
        print(f"  floor {arguments.clips / loops_s:.0f} clips/s, at-prepare {arguments.clips / seconds:.0f} clips/s")
    shutil.rmtree(WORK / "datasets")
    print(f"ratio to the floor's loops alone:      {statistics.median(against_loops):.2f}  (wanted: 0.70)")
    print(f"ratio to the floor with its start-up:  {statistics.median(against_whole):.2f}")
    print(f"peak memory of a worker:               {max(memory):.0f} MB  (wanted: under 300)")
    print(f"manifest digest: {manifest.load('fsdd_digit_by_speaker').digest[:8]}")


if __name__ == "__main__":
    main()
