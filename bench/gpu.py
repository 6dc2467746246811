"""What training costs on a GPU, in one short table: shares and ratios, each against something of the same run.

    python bench/gpu.py                            on a GPU, from the root of a checkout
    python bench/gpu.py --parts nbd                some parts alone, in this order
    python bench/gpu.py --device cpu --quick       that it runs at all; its figures mean nothing

Needs torch, numpy, scipy and pydantic, and no installation of the project; parts that read a dataset are left out, and
named, without h5py, those that train a whole run without tensorboard. A part that fails is named too, with its
traceback on stderr, the others are measured all the same, and the exit code is 1.

n: whether steps that are captured, kept or held give the numbers of plain ones. a: share of the card's matrix rate.
b: the paper's batch size. c: anti-transfer. d: waiting for items. e: what stops the device. f: accuracy in bfloat16.
p: which kernels a step spends its time in. Not among those measured unasked: x, torch.compile, which no run uses.
"""

import argparse
import datetime as dt
import importlib.util
import math
import statistics
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from scipy.special import stdtrit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
MISSING = [name for name in ("h5py", "tensorboard") if importlib.util.find_spec(name) is None]
if "h5py" in MISSING:
    sys.modules["h5py"] = types.ModuleType("h5py")  # modules that read shards can then be imported, and not used

import gpu_checks  # noqa: E402
import gpu_data  # noqa: E402
import gpu_runs  # noqa: E402
import gpu_steps  # noqa: E402
from gpu_steps import Work  # noqa: E402

from at_train.cost.memory import let_go  # noqa: E402

LAYERS = ("conv5", "conv13")
WANTED = {"conv5": 1.15, "conv13": 1.35}
CONFIDENCE = 0.95
LEARNT = 0.5  # least accuracy that says a network has learnt something
KERNELS = 12  # named by part p

Row = tuple[str, str, str]  # what, measured, wanted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks, few items: that it runs")
    parser.add_argument("--parts", default="nabdefpc", help="letters of the parts to measure, in this order")
    parser.add_argument("--seeds", type=int, default=5, help="of the accuracies, 2 to 10")
    parser.add_argument("--work", type=Path, help="folder for datasets and runs; a temporary one if not given")
    arguments = parser.parse_args()
    device, quick = torch.device(arguments.device), arguments.quick
    print(f"# {heading(device)}")
    print(f"# python {' '.join(sys.argv)}\n")
    large, small = works(device, quick=quick)
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "n": partial(same_numbers, small, Path(folder)),
            "a": partial(matrix_share, large, 256 if quick else 8192),
            "b": partial(small_batches, small),
            "c": partial(anti_transfer, *([small] if quick else [small, large])),
            "d": partial(input_stall, [small, large], Path(folder), quick=quick),
            "e": partial(epochs, large, Path(folder), quick=quick),
            "f": partial(accuracies, device, arguments.seeds, quick=quick),
            "p": partial(kernels, large),
            "x": partial(compiled, large),
        }
        unknown = set(arguments.parts) - parts.keys()
        if unknown:
            parser.error(f"no part {', '.join(sorted(unknown))}, there are {', '.join(parts)}")
        print("| part | what | measured | wanted |\n|---|---|---|---|")
        failed = [letter for letter in arguments.parts if not measured(letter, parts[letter])]
    if failed:
        sys.exit(f"parts that failed: {', '.join(failed)}")


def measured(letter: str, part: Callable[[], Iterator[Row]]) -> bool:
    """Whether a part could be measured; its rows are printed as they come."""
    began = time.perf_counter()
    try:
        for what, found, wanted in part():
            print(f"| {letter} | {what} | {found} | {wanted} |", flush=True)
    except Exception as error:  # noqa: BLE001 - one part's failure is no reason to waste the machine
        traceback.print_exc()
        print(f"| {letter} | failed | {type(error).__name__}, see stderr | |", flush=True)
        return False
    finally:
        with suppress(RuntimeError):  # what has broken the device has been told
            let_go()
        print(f"{letter}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return True


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


def same_numbers(work: Work, folder: Path) -> Iterator[Row]:
    """How far ways that should give the same numbers are apart."""
    for precision in ("float32", "bfloat16"):
        for layer in (None, "conv5"):
            what = f"task losses of captured steps, {precision}, {layer or 'plain'}: furthest from eager ones"
            yield what, gpu_checks.captured_from_plain(work, precision, layer), f"<= {gpu_checks.MOST[precision]:g}"
    what = "anti-transfer losses from kept vectors, float32: furthest from live ones"
    yield what, gpu_checks.kept_from_live(work, "conv5"), f"<= {gpu_checks.MOST['float32']:g}"
    if "h5py" in MISSING:
        yield "batches held by the device and read from disk", "left out: no h5py", "equal"
        return
    data = gpu_data.on_disk(folder / "numbers", work.shape, {"train": 3 * work.batch_size + 1})
    yield "batches held by the device and read from disk", gpu_checks.batches_by_every_way(work, data), "equal"


def matrix_share(work: Work, size: int) -> Iterator[Row]:
    """Share of the matrix rate of a large product that a training step reaches, by kinds of step."""
    operations = gpu_steps.flops(work)
    before = gpu_steps.matrix_rate(work.device, size)
    taken = gpu_steps.seconds(
        work, gpu_steps.as_run(work, "bfloat16"), gpu_steps.as_run(work, "bfloat16", captured=False)
    )
    after = gpu_steps.matrix_rate(work.device, size)
    rate = statistics.mean((before, after))
    rates = f"{before / 1e12:.1f} TFLOP/s, after the steps {after / 1e12:.1f}"
    yield f"bfloat16 product {size} x {size}, before the steps", rates, ""
    yield "products and convolutions of a step", f"{operations / 1e12:.3f} TFLOP at batch {work.batch_size}", ""
    for kind, each, wanted in zip(("as a run does it", "not captured"), taken, (">= 50 %", ""), strict=True):
        share = operations / each / rate
        yield f"bfloat16 step, {kind}", f"{share:.1%} of their mean ({1000 * each:.2f} ms)", wanted


def compiled(work: Work) -> Iterator[Row]:
    """A step of a network that torch has compiled, beside that of a run."""
    plain, ours = gpu_steps.seconds(
        work, gpu_steps.as_run(work, "bfloat16"), gpu_steps.as_run(work, "bfloat16", compiled=True)
    )
    yield "bfloat16 step, captured and torch.compile, to that of a run", f"{ours / plain:.2f}", ""


def kernels(work: Work) -> Iterator[Row]:
    """Kernels that a step spends its time in, by their share of it."""
    found = gpu_steps.kernels(work)[:KERNELS]
    if not found:
        yield "kernels", "not told here: the profiler sees none, stderr says why", ""
    for name, share in found:
        yield f"kernel {name.replace('|', '/')[:90]}", f"{share:.1%} of a bfloat16 step", ""


def small_batches(work: Work) -> Iterator[Row]:
    """Speed of steps against eager float32 at the paper's batch size."""
    kinds = {
        "float32, eager, exact": gpu_steps.as_run(work, "float32", captured=False),
        "float32, as a run does it": gpu_steps.as_run(work, "float32"),
        "bfloat16, eager": gpu_steps.as_run(work, "bfloat16", captured=False),
        "bfloat16, as a run does it": gpu_steps.as_run(work, "bfloat16"),
        "float32, as a run does it but for weights as torch lays them out": gpu_steps.as_run(
            work, "float32", layout=torch.contiguous_format
        ),
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
    """Peaks of plain, live and kept, what equation 4 gives, and what torch had set aside, graphs among it."""
    found = [gpu_steps.peak_bytes(work, make) for make in kinds]
    peaks = [peak and peak[0] for peak in found]
    reserved = "set aside " + ", ".join(f"{peak[1] / 1e6:.0f}" for peak in found if peak)
    predicted = f"equation 4 {gpu_steps.equation_4(work, layer) / 1e6:.0f}"
    if None in peaks:
        return f"not told here; {predicted}"
    plain, live, kept = (peak or 0 for peak in peaks)
    more = f"anti {(live - plain) / 1e6:+.0f}, kept {(kept - plain) / 1e6:+.0f}"
    return f"plain {plain / 1e6:.0f}, {more}; {predicted}; {live / plain:.2f} and {kept / plain:.2f} times; {reserved}"


def input_stall(works: list[Work], folder: Path, *, quick: bool) -> Iterator[Row]:
    """Share of an epoch in which the device waits for items, which the system has in memory."""
    if "h5py" in MISSING:
        yield "input stall", "left out: no h5py", "< 2 %"
        return
    for work in works:
        steps = 5 if quick else max(100, 6500 // work.batch_size)  # an epoch begins with some milliseconds
        data = gpu_data.on_disk(folder / f"stall {work.batch_size}", work.shape, {"train": work.batch_size * steps})
        for way, shares in gpu_runs.stalls(work, data):
            single = ", ".join(f"{share:.1%}" for share in shares)
            what = f"input stall, batch {work.batch_size}, bfloat16, {way}, median of epochs"
            yield what, f"{statistics.median(shares):.1%} ({single})", "< 2 %"


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
    yield "of it both", f"{found.valid_s / found.epoch_s + found.share:.1%}", "< 3 %"
    yield "a checkpoint written and forced to this disk, by itself", f"{found.written_bytes_s / 1e6:.0f} MB/s", ""


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
    nothing = "" if quick or statistics.mean(exact) >= LEARNT else "; says nothing, as nothing was learnt"
    yield "difference, points (95 % interval)", f"{100 * mean:+.2f} +- {100 * half:.2f}{nothing}", "0 within it"


if __name__ == "__main__":
    main()
