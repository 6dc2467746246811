"""Memory of a build against the size of its corpus, who holds it, and short stretches of long files.

    python bench/bench_memory.py [--growth] [--full] [--where] [--long]

Growth: `at-prepare build --workers 2` of 10,000, 30,000 and 100,000 planned items (`--full`: a million as well, ten
minutes and 5 GB of disk). They are stretches of 0.06 s, none twice, of 100 files, named in a list; an item is small,
so that a million can be built at all, and what is planned and noted of it is what any item has. Of every process
the most memory of its own (which has to stay) and the most that was resident (pages of files among it, which the system
may take back); the slope is from the smallest to the largest.

Where: the same build of 30,000 items in one process with every allocation of Python traced, by phase and by file.

Long: a stretch of 0.3 s at the end of a file of 10 s and of one of an hour, of every container. Without flags, all.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import processes
import soundfile
import sounds
import yaml

from at_data import build, manifest
from at_data.recordings import Recording
from at_data.stages import audio

OUT = sounds.WORK / "datasets_memory"
FILES, STRETCH_S, RATE_HZ, SHARD = 100, 0.06, 8000, 4096
SIZES, MILLION, TRACED = (10_000, 30_000, 100_000), 1_000_000, 30_000
CONTAINERS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", None)}
ROLES = ("parent", "server", "worker")
SHORT_S, LONG_S, TRIES = 10, 3600, 5


def noise_file(path: Path, number: int, length_s: float) -> None:
    """A file of noise of its own, one byte a sample."""
    samples = np.random.default_rng([8, number]).normal(0, 0.2, round(length_s * RATE_HZ)).astype(np.float32)
    soundfile.write(path, samples.clip(-1, 1), RATE_HZ, subtype="PCM_U8")


def stretches(items: int) -> tuple[Path, Path]:
    """Folder of a corpus of so many stretches, and its manifest."""
    folder = sounds.WORK / "memory" / str(items)
    settings = folder / "manifest.yaml"
    if not settings.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        each = items // FILES
        wanted = [(folder / f"{number:03d}.wav", number, STRETCH_S * (each + 1)) for number in range(FILES)]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.starmap(noise_file, wanted)
        rows = [
            (f"{file:03d}.wav", f"{STRETCH_S * place:.2f}", f"{STRETCH_S}", file)
            for place in range(each)
            for file in range(FILES)
        ]
        sounds.write_list(folder / "recordings.csv", rows)
    # anew every time: what was made by an earlier version of this bench may lack a key
    settings.write_text(yaml.safe_dump(sounds.manifest(f"stretches_{items}", RATE_HZ, STRETCH_S, SHARD)))
    return folder, settings


def growth(sizes: tuple[int, ...]) -> None:
    """Print the peaks of builds of all sizes, and what an item adds."""
    print("# growth: at-prepare build --workers 2; highest memory in MB, of its own / resident")
    print("    items  seconds        parent        server       workers")
    found = []
    for items in sizes:
        folder, settings = stretches(items)
        shutil.rmtree(OUT, ignore_errors=True)
        tool = Path(sys.executable).parent / "at-prepare"
        spent = processes.run([tool, "build", settings, "--source", folder, "--out", OUT, "--workers", 2], memory=True)
        # the resource tracker of multiprocessing is a child as well, and a small one
        peaks = [_by_role(spent.own_mb), _by_role(spent.peaks_mb)]
        found.append((items, *peaks))
        cells = "".join(f"{peaks[0][role]:>7.0f} /{peaks[1][role]:>5.0f}" for role in ROLES)
        print(f"{items:>9}{spent.wall_s:>9.0f}{cells}", flush=True)
    shutil.rmtree(OUT, ignore_errors=True)
    (fewest, *first), (most, *last) = found[0], found[-1]
    for role in ("parent", "worker"):
        own, resident = ((b[role] - a[role]) * 2**20 / (most - fewest) for a, b in zip(first, last, strict=True))
        print(f"bytes an item, {role}: {own:.0f} of its own, {resident:.0f} resident  (wanted: flat)")


def _by_role(peaks_mb: dict[str, float]) -> dict[str, float]:
    """The highest of all workers, and so on."""
    return {
        role: max((peak for name, peak in peaks_mb.items() if name.startswith(role)), default=0.0) for role in ROLES
    }


def where() -> None:
    """Print what Python holds at the end of each phase, by file, in bytes an item."""
    folder, settings = stretches(TRACED)
    shutil.rmtree(OUT, ignore_errors=True)
    seen: list[str] = []
    print(f"# where: {TRACED} items, traced; bytes an item")

    def progress(phase: str, done: int, _total: int, _bad: int) -> None:
        if phase in seen or (seen and done):
            return
        if seen:
            _tell(f"after {seen[-1]}")
        seen.append(phase)
        tracemalloc.reset_peak()

    tracemalloc.start()
    build.build(manifest.load(settings), folder, OUT, workers=1, progress=progress)
    print(f"{'to the end':<18} peak {tracemalloc.get_traced_memory()[1] / TRACED:>6.0f}")
    shutil.rmtree(OUT, ignore_errors=True)


def _tell(phase: str) -> None:
    held, peak = tracemalloc.get_traced_memory()
    files: Counter[str] = Counter()
    for found in tracemalloc.take_snapshot().statistics("lineno"):
        frame = found.traceback[0]
        files[f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"] += found.size
    print(f"{phase:<18} peak {peak / TRACED:>6.0f}  held {held / TRACED:>6.0f}")
    for name, size in files.most_common(10):
        print(f"    {size / TRACED:>6.0f}  {name}", flush=True)


def long_files() -> None:
    """Print what a short stretch costs at the end of a short file and of a long one."""
    print("# long files: a stretch of 0.3 s at the end, by `audio.decode`")
    print("      file of     ms   MB read   MB of memory above what is held before")
    for suffix, (container, codec) in CONTAINERS.items():
        for length_s in (SHORT_S, LONG_S):
            path = sounds.WORK / "memory" / f"long_{length_s}.{suffix}"
            if not path.is_file():
                _write_long(path, container, codec, length_s)
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_decode_end, args=(path, length_s, theirs))
            process.start()
            ms, read_mb, memory_mb = ours.recv()
            process.join()
            print(f"{suffix:<5}{length_s:>6} s{ms:>8.2f}{read_mb:>10.2f}{memory_mb:>10.1f}", flush=True)


def _write_long(path: Path, container: str, codec: str | None, length_s: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    block = np.random.default_rng(9).normal(0, 0.1, 16000 * SHORT_S).astype(np.float32)
    partial = path.with_suffix(".partial")
    with soundfile.SoundFile(partial, "w", 16000, 1, subtype=codec, format=container) as sound:
        for _ in range(length_s // SHORT_S):
            sound.write(block)
    partial.rename(path)


def _decode_end(path: Path, length_s: int, told: "multiprocessing.connection.Connection") -> None:
    short = path.with_stem(f"long_{SHORT_S}")
    audio.decode(short, Recording("first", "table", short.name, {}, 0.0, 0.3))  # whatever is loaded once
    recording = Recording("end", "table", path.name, {}, length_s - 0.5, 0.3)
    before_kb, read_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _read_bytes()
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        audio.decode(path, recording)
        taken.append(time.perf_counter() - began)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    told.send((1e3 * statistics.median(taken), (_read_bytes() - read_before) / TRIES / 1e6, grown_kb / 1024))


def _read_bytes() -> int:
    """Bytes this process has asked the system for, the cache of the system included."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true", help="only growth")
    parser.add_argument("--full", action="store_true", help="growth up to a million items")
    parser.add_argument("--where", action="store_true", help="only who holds it")
    parser.add_argument("--long", action="store_true", help="only stretches of long files")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    some = arguments.where or arguments.long or arguments.growth
    if arguments.full or arguments.growth or not some:
        growth((*SIZES, MILLION) if arguments.full else SIZES)
    if arguments.where or not some:
        where()
    if arguments.long or not some:
        long_files()


if __name__ == "__main__":
    main()
