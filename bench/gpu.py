"""What training costs on a GPU, in one short table: shares and ratios, each against something of the same run.

    python bench/gpu.py                            on a GPU, from the root of a checkout; nothing need be installed
    python bench/gpu.py --device cpu --quick       that it runs at all; its figures mean nothing

Parts are left out, and named, where a library is missing that they need: h5py for those that read a dataset,
tensorboard for those that train a whole run.
"""

import argparse
import datetime as dt
import importlib.util
import math
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
MISSING = [name for name in ("h5py", "tensorboard") if importlib.util.find_spec(name) is None]
if "h5py" in MISSING:
    sys.modules["h5py"] = types.ModuleType("h5py")  # modules that read shards can then be imported, and not used

import gpu_data  # noqa: E402
import gpu_runs  # noqa: E402
import gpu_steps  # noqa: E402
from gpu_steps import Work  # noqa: E402

LAYERS = ("conv5", "conv13")
WANTED = {"conv5": 1.15, "conv13": 1.35}
CONFIDENCE = 0.95

Row = tuple[str, str, str]  # what, measured, wanted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks, few items: that it runs")
    parser.add_argument("--parts", default="abcdef", help="letters of the parts to measure")
    parser.add_argument("--seeds", type=int, default=5, help="of the accuracies, 2 to 10")
    parser.add_argument("--work", type=Path, help="folder for datasets and runs; a temporary one if not given")
    arguments = parser.parse_args()
    device, quick = torch.device(arguments.device), arguments.quick
    print(f"# {heading(device)}")
    print(f"# python {' '.join(sys.argv)}\n")
    large, small = works(device, quick=quick)
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "a": partial(matrix_share, large, 256 if quick else 8192),
            "b": partial(small_batches, small),
            "c": partial(anti_transfer, *([small] if quick else [small, large])),
            "d": partial(input_stall, large, Path(folder), quick=quick),
            "e": partial(epochs, large, Path(folder), quick=quick),
            "f": partial(accuracies, device, arguments.seeds, quick=quick),
        }
        print("| part | what | measured | wanted |\n|---|---|---|---|")
        for letter in arguments.parts:
            began = time.perf_counter()
            for what, measured, wanted in parts[letter]():
                print(f"| {letter} | {what} | {measured} | {wanted} |", flush=True)
            print(f"{letter}: {time.perf_counter() - began:.0f} s", file=sys.stderr)


def heading(device: torch.device) -> str:
    """Card, date and version."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"{card}, {today}, torch {torch.__version__}, CUDA {torch.version.cuda}"


def works(device: torch.device, *, quick: bool) -> tuple[Work, Work]:
    """What is trained: in large batches, and in the paper's."""
    if quick:
        return Work(1 / 32, (40, 33), 8, device, 2), Work(1 / 32, (40, 33), 4, device, 2)
    return Work(1.0, (126, 129), 256, device, 20), Work(1.0, (126, 129), 13, device, 50)


def matrix_share(work: Work, size: int) -> Iterator[Row]:
    """Share of the matrix rate of a large product that a training step reaches, by kinds of step."""
    operations = gpu_steps.flops(work)
    rate = gpu_steps.matrix_rate(work.device, size)
    yield f"bfloat16 product {size} x {size}", f"{rate / 1e12:.1f} TFLOP/s", ""
    yield "products and convolutions of a step", f"{operations / 1e12:.3f} TFLOP at batch {work.batch_size}", ""
    kinds = {
        "as a run does it": partial(gpu_steps.as_run, work, "bfloat16"),
        "not captured": partial(gpu_steps.as_run, work, "bfloat16", captured=False),
    }
    if work.device.type == "cuda":  # minutes on a CPU
        kinds["captured and torch.compile, which no run does"] = partial(
            gpu_steps.as_run, work, "bfloat16", compiled=True
        )
    for kind, make in kinds.items():
        (taken,) = gpu_steps.seconds(work, make())
        share = operations / taken / rate
        wanted = ">= 50 %" if kind == "as a run does it" else ""
        yield f"bfloat16 step, {kind}", f"{share:.1%} of that rate ({1000 * taken:.2f} ms)", wanted


def small_batches(work: Work) -> Iterator[Row]:
    """Speed of steps against eager float32 at the paper's batch size."""
    kinds = {
        "float32, eager, exact": gpu_steps.as_run(work, "float32", captured=False),
        "float32, as a run does it": gpu_steps.as_run(work, "float32"),
        "bfloat16, eager": gpu_steps.as_run(work, "bfloat16", captured=False),
        "bfloat16, as a run does it": gpu_steps.as_run(work, "bfloat16"),
    }
    base, exact, *others = gpu_steps.seconds(work, gpu_steps.as_torch_comes(work), *kinds.values())
    yield f"batch {work.batch_size}, eager float32 as torch comes (TF32)", f"{1000 * base:.2f} ms a step", ""
    for kind, taken in zip(kinds, [exact, *others], strict=True):
        wanted = ">= 3 times" if kind == "bfloat16, as a run does it" else ""
        measured = f"{base / taken:.2f} times that, {exact / taken:.2f} times exact float32 ({1000 * taken:.2f} ms)"
        yield f"batch {work.batch_size}, {kind}", measured, wanted


def anti_transfer(*works: Work) -> Iterator[Row]:
    """Steps with anti-transfer against plain ones, live and from kept vectors; memory beside equation 4."""
    for work in works:
        for precision in ("float32", "bfloat16"):
            for layer in LAYERS:
                kinds = [partial(gpu_steps.as_run, work, precision)]
                kinds += [partial(kinds[0], layer, cached=cached) for cached in (False, True)]
                base, live, kept = gpu_steps.seconds(work, *(make() for make in kinds))
                where = f"batch {work.batch_size}, {precision}, {layer}"
                yield f"{where}: anti to plain", f"{live / base:.3f}", f"<= {WANTED[layer]}"
                yield f"{where}: anti from kept vectors to plain", f"{kept / base:.3f}", "<= 1.05"
                if precision == "float32":
                    yield f"{where}: peak memory, MB", memory(work, kinds, layer), "beside equation 4"


def memory(work: Work, kinds: list[Callable[[], gpu_steps.Step]], layer: str) -> str:
    """Peaks of plain, live and kept, and what equation 4 gives."""
    peaks = [gpu_steps.peak_bytes(work, make) for make in kinds]
    predicted = f"equation 4 {gpu_steps.equation_4(work, layer) / 1e6:.0f}"
    if None in peaks:
        return f"not told here; {predicted}"
    plain, live, kept = (peak or 0 for peak in peaks)
    more = f"anti {(live - plain) / 1e6:+.0f}, kept {(kept - plain) / 1e6:+.0f}"
    return f"plain {plain / 1e6:.0f}, {more}; {predicted}; {live / plain:.2f} and {kept / plain:.2f} times"


def input_stall(work: Work, folder: Path, *, quick: bool) -> Iterator[Row]:
    """Share of an epoch in which the device waits for items."""
    if "h5py" in MISSING:
        yield "input stall", "left out: no h5py", "< 2 %"
        return
    data = gpu_data.on_disk(folder / "stall", work.shape, {"train": work.batch_size * (5 if quick else 100)})
    for way, share in gpu_runs.stalls(work, data):
        yield f"input stall, batch {work.batch_size}, bfloat16, {way}", f"{share:.1%}", "< 2 %"


def epochs(work: Work, folder: Path, *, quick: bool) -> Iterator[Row]:
    """What of an epoch of a whole run is neither training nor validation."""
    if MISSING:
        yield "what stops the device", f"left out: no {' and no '.join(MISSING)}", "< 3 %"
        return
    steps = 3 if quick else 200
    counts = {"train": work.batch_size * steps, "valid": max(work.batch_size, work.batch_size * steps // 10)}
    counts["test"] = work.batch_size
    found = gpu_runs.overhead(work, gpu_data.on_disk(folder / "epochs", work.shape, counts), folder / "run")
    yield (
        f"an epoch of {steps} steps at batch {work.batch_size}, as `at-train fit` does it",
        f"{found.epoch_s:.2f} s",
        "",
    )
    yield "of it the validation pass, one item in ten", f"{found.valid_s / found.epoch_s:.1%}", ""
    yield "of it what neither trains nor validates: checkpoint, log, waiting", f"{found.share:.1%}", "< 3 %"


def accuracies(device: torch.device, seeds: int, *, quick: bool) -> Iterator[Row]:
    """Accuracy with bfloat16 less that with float32, paired by seed, and its interval."""
    pairs = gpu_runs.accuracies(device, 2 if quick else seeds, quick=quick)
    exact, rough = zip(*pairs, strict=True)
    differences = [b - a for a, b in pairs]
    mean, spread = statistics.mean(differences), statistics.stdev(differences)
    half = float(stdtrit(len(pairs) - 1, (1 + CONFIDENCE) / 2)) * spread / math.sqrt(len(pairs))
    yield (
        f"accuracy, {len(pairs)} seeds: float32",
        f"{statistics.mean(exact):.1%} (sd {statistics.stdev(exact):.1%})",
        "",
    )
    yield "bfloat16", f"{statistics.mean(rough):.1%} (sd {statistics.stdev(rough):.1%})", ""
    yield "difference, points (95 % interval)", f"{100 * mean:+.2f} +- {100 * half:.2f}", "0 within it"


if __name__ == "__main__":
    main()
