"""Cost of every step against the number of items, and of the whole against workers, shard size, batch size and layer.

    OMP_NUM_THREADS=1 python bench/bench_growth.py [--full] [--figure FILE.png] [--only items workers shard batch layer]

`items`: microseconds for an item of each step at three sizes, the exponent p of time ~ items^p between the last two,
and memory. The steps of the one process whom the workers wait for run on what is made up for 10,000, 30,000 and 100,000
recordings (with `--full` 1,000,000 as well); builds are of items of 50 ms, 1,000, 3,000 and 10,000 of them (`--full`:
100,000); reports are on 10, 30 and 100 made-up runs. 1 is linear. What fits no cache takes longer the more there is:
the floors, bare Python and numpy over as many names, say how much. Marked is what grows faster than 1.15 and than every
floor. Every size has a process of its own.
"""

import argparse
import functools
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from bench_step import CLOCKS, show, timed, with_penalty

from at_train.batches import Data, epoch_batches

HERE = Path(__file__).parent
WORK = HERE / "work" / "growth"
SIZES = {"parent": (10_000, 30_000, 100_000), "built": (1_000, 3_000, 10_000), "reported": (10, 30, 100)}
MORE = {"parent": (1_000_000,), "built": (100_000,), "reported": ()}
OF = {"parent": "recording", "built": "item", "reported": "run"}
STEEP, FLOOR = 1.15, "floor:"
CURVES = ("items", "workers", "shard", "batch", "layer")
LAYERS = ("conv1", "conv5", "conv9", "conv13")
Curve = dict[str, dict[float, float]]
"""By the name of a line: what it costs at each place."""


def steps(kind: str, items: int, *flags: object) -> dict[str, tuple[float, float]]:
    """Seconds and MB of every step, measured in another process."""
    folder = WORK / f"{kind}{items}"
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, tuple[float, float]] = {}
    for part in ("floors", kind, "checked") if kind == "parent" else (kind,):
        command = [sys.executable, str(HERE / "growth_steps.py"), part, str(items), str(folder), *map(str, flags)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        found |= json.loads(done.stdout)
    return found


def slope(taken: dict[float, float]) -> float:
    """Exponent of growth between the two largest sizes."""
    (few, before), (many, after) = sorted(taken.items())[-2:]
    return math.log(after / before) / math.log(many / few)


def by_items(*, full: bool) -> dict[str, Curve]:
    """Microseconds for a recording, an item or a run of each step; prints the tables."""
    curves: dict[str, Curve] = {}
    for kind, usual in SIZES.items():
        sizes = (*usual, *MORE[kind]) if full else usual
        found = {items: steps(kind, items) for items in sizes}
        title = f"us a {OF[kind]}"
        print(f"\n{title:<28}" + "".join(f"{items:>12,}" for items in sizes) + "   exponent   peak MB")
        grown = {name: slope({float(items): found[items][name][0] for items in sizes}) for name in found[sizes[0]]}
        steep = max([STEEP, *(power for name, power in grown.items() if name.startswith(FLOOR))])
        for name, power in grown.items():
            taken = {float(items): found[items][name][0] for items in sizes}
            memory = " ".join(f"{found[items][name][1]:.0f}" for items in sizes)
            cells = "".join(f"{1e6 * taken[items] / items:>12.2f}" for items in sizes)
            told = "  <- steeper than any floor" if power > steep and taken[sizes[-1]] > 0.1 else ""
            print(f"{name:<28}{cells}   {power:>8.2f}   {memory}{told}", flush=True)
            line = {items: 1e6 * taken[items] / items for items in sizes}
            curves.setdefault(f"{OF[kind]}s", {})[name] = line
        highest = [max(memory for _, memory in found[items].values()) for items in sizes]
        each = (highest[-1] - highest[-2]) * 2**20 / (sizes[-1] - sizes[-2])
        print(f"bytes a {OF[kind]} between the last two, of the highest peaks: {each:,.0f}")
    return curves


def of_a_build(flag: str, values: tuple[int, ...], items: int) -> dict[str, Curve]:
    """Microseconds for an item of a build, its checking and its opening, against one of the settings."""
    curve: Curve = {}
    for value in values:
        for name, (took_s, _) in steps("built", items, flag, value).items():
            curve.setdefault(name, {})[value] = 1e6 * took_s / items
    return {flag.strip("-"): tell(f"{items:,} items, us an item by {flag.strip('-')}", curve)}


def by_batch() -> dict[str, Curve]:
    """Microseconds for an item that is read in random order, by the size of a batch."""
    items = SIZES["built"][-1]
    steps("built", items)
    data = Data.open(next((WORK / f"built{items}" / "out").iterdir()))
    train, device = data.splits["train"], torch.device("cpu")
    curve: Curve = {"read in batches": {}}
    for size in (1, 4, 16, 64, 256, 1024):
        taken = []
        for turn in range(3):
            began = time.process_time()
            count = sum(len(batch.ids) for batch in epoch_batches(train, size, 1, turn + 1, device))
            taken.append(1e6 * (time.process_time() - began) / count)
        curve["read in batches"][size] = statistics.median(taken)
    return {"batch size": tell("us an item by batch size", curve)}


def by_layer() -> dict[str, Curve]:
    """Steps with anti-transfer to plain steps, by the layer compared."""
    device = torch.device("cpu")
    timer = functools.partial(timed, device=device, clock=CLOCKS["process"])
    curve: Curve = {"anti": {}, "anti with kept vectors": {}}
    for layer in LAYERS:
        WORK.mkdir(parents=True, exist_ok=True)
        base, anti, cached, _ = with_penalty(0.125, layer, device, WORK)
        for line, text in zip(curve.values(), show(base, [anti, cached], 5, timer), strict=True):
            line[int(layer.removeprefix("conv"))] = float(text.split()[0])
    return {"layer": tell("step to a plain step, by layer (width 1/8)", curve)}


def tell(title: str, curve: Curve) -> Curve:
    """The curve, printed."""
    places = list(next(iter(curve.values())))
    print(f"\n{title:<42}" + "".join(f"{place:>10,}" for place in places))
    for name, line in curve.items():
        print(f"{name:<42}" + "".join(f"{line[place]:>10.2f}" for place in places))
    return curve


def draw(curves: dict[str, Curve], path: Path) -> None:
    """All curves in one picture."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - needed here only

    columns = min(4, len(curves))
    figure = Figure(figsize=(4.2 * columns, 6 * -(-len(curves) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(curves) // columns), columns, squeeze=False).ravel()
    for axis, (title, curve) in zip(axes, curves.items(), strict=False):
        for number, (name, line) in enumerate(curve.items()):
            style = ("-", "--", ":")[number // 10]  # colours begin anew after ten
            axis.plot(list(line), list(line.values()), linestyle=style, marker="o", markersize=3, label=name)
        of = title if title.rstrip("s") in OF.values() else "items"
        axis.set(xlabel=title, ylabel="step / plain step" if title == "layer" else f"microseconds, one of the {of}")
        if title != "layer":
            axis.set(xscale="log", yscale="log")
        axis.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="a million planned items, and 100,000 built ones")
    parser.add_argument("--figure", type=Path, help="picture of all curves")
    parser.add_argument("--only", nargs="+", choices=CURVES, default=CURVES)
    arguments = parser.parse_args()
    print("# bench_growth: processor time of one core; builds by the clock, two workers", flush=True)
    ways = {
        "items": functools.partial(by_items, full=arguments.full),
        "workers": functools.partial(of_a_build, "--workers", (1, 2), SIZES["built"][1]),
        "shard": functools.partial(of_a_build, "--per-shard", (16, 64, 256, 1024), SIZES["built"][1]),
        "batch": by_batch,
        "layer": by_layer,
    }
    curves = {title: curve for name, way in ways.items() if name in arguments.only for title, curve in way().items()}
    if arguments.figure:
        draw(curves, arguments.figure)
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
