"""A training step with anti-transfer against a plain one: with the frozen network's pass, and with its vectors kept.

    python bench/bench_step.py [--widths 0.125 1] [--layers conv1 conv5 conv9 conv13] [--device cpu] [--clock wall]

On a machine that is busy with other things: OMP_NUM_THREADS=1 and --clock process, which counts only what this process
computes.

Same network, batch of 13 one-second items, optimiser and data; the kinds of step take turns. Equation: one more forward
pass under no_grad, a third of a plain step, makes 1.33; with kept vectors (`--cache-orthogonal`) 1. Those are read
from a mapped file, at random places among those of 130 items, so from memory and not from a disk.
"""

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from at_train import arithmetic, networks
from at_train.losses import AntiTransfer

BATCH = 13
SHAPE = (126, 129)
WANTED = {"conv5": 1.15, "conv13": 1.35}  # of the published width, no cache; 1.05 with one
KEPT = 10 * BATCH  # items in the file of kept vectors

Step = Callable[[], None]
Timer = Callable[[Step], float]
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--layers", nargs="+", default=["conv1", "conv5", "conv9", "conv13"])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    machine = (
        f"{arguments.device}, {torch.get_num_threads()} threads, {arguments.clock} clock, torch {torch.__version__}"
    )
    print(f"# bench_step: vgg16, batch {BATCH}, {machine}")
    device = torch.device(arguments.device)
    timer = functools.partial(timed, device=device, clock=CLOCKS[arguments.clock])
    for width in arguments.widths:
        for layer in arguments.layers:
            with tempfile.TemporaryDirectory() as folder:
                base, anti, cached, size = with_penalty(width, layer, device, Path(folder))
                live, kept = show(base, [anti, cached], arguments.steps, timer)
            wanted = f"  (wanted: at most {WANTED[layer]})" if layer in WANTED and width == 1 else ""
            print(f"width {width:g}, {layer}: step with anti {live} x plain{wanted}")
            print(f"width {width:g}, {layer}: step with anti cached {kept} x plain; {size / 1e6:.3f} MB an item")
        base, other = layouts(width, device)
        (ratio,) = show(base, [other], arguments.steps, timer)
        print(f"width {width:g}: channels-last step {ratio} x contiguous")


def with_penalty(width: float, layer: str, device: torch.device, folder: Path) -> tuple[Step, Step, Step, int]:
    """A plain step, one with anti-transfer at a layer, one with kept vectors; bytes of those of an item."""
    plain, anti, cached, frozen, other = (network(width, device, torch.channels_last) for _ in range(5))
    penalty = AntiTransfer(frozen.until([layer]), layers=[anti.layers[layer]]).watch(anti)
    keeping = AntiTransfer(other.until([layer]), layers=[cached.layers[layer]]).watch(cached)
    (vectors,) = keeping.vectors(torch.randn(BATCH, 1, *SHAPE, device=device)).values()
    np.save(folder / "kept.npy", np.tile(vectors.cpu().numpy(), (KEPT // BATCH, 1)))
    array = np.asarray(np.load(folder / "kept.npy", mmap_mode="r"))
    dice = np.random.default_rng(1)

    def from_file(_values: torch.Tensor) -> torch.Tensor:
        rows = torch.from_numpy(array[dice.integers(KEPT, size=BATCH)]).to(device)
        return keeping.against({cached.layers[layer]: rows})

    steps = (stepper(plain, device, None), stepper(anti, device, penalty), stepper(cached, device, from_file))
    return (*steps, vectors[0].nbytes)


def layouts(width: float, device: torch.device) -> tuple[Step, Step]:
    """A step with contiguous weights, and one with channels last."""
    one, other = (network(width, device, layout) for layout in (torch.contiguous_format, torch.channels_last))
    return stepper(one, device, None), stepper(other, device, None)


def network(width: float, device: torch.device, layout: torch.memory_format) -> networks.Network:
    """The paper's network at a width."""
    torch.manual_seed(1)
    built = networks.build("vgg16", classes=10, shape=SHAPE, width=width)
    return built.to(device, memory_format=layout)  # type: ignore[call-overload, no-any-return]


def show(base: Step, others: list[Step], steps: int, timer: Timer) -> list[str]:
    """Median, least and greatest ratio to the base, for each of the others; all steps are taken in turn."""
    ratios: list[list[float]] = [[] for _ in others]
    for turn in range(steps + 2):
        base_s = timer(base)
        for found, step in zip(ratios, others, strict=True):
            ratio = timer(step) / base_s
            if turn >= 2:  # the first ones warm up
                found.append(ratio)
    return [f"{statistics.median(some):.2f} (from {min(some):.2f} to {max(some):.2f})" for some in ratios]


def stepper(
    trained: torch.nn.Module, device: torch.device, penalty: Callable[[torch.Tensor], torch.Tensor] | None
) -> Step:
    """One training step."""
    values = torch.randn(BATCH, 1, *SHAPE, device=device)
    target = torch.randint(10, (BATCH,), device=device)
    optimiser = arithmetic.adam(trained.parameters(), 5e-4, device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(trained(values), target)
        if penalty is not None:
            loss = loss + penalty(values)
        loss.backward()
        optimiser.step()

    return step


def timed(step: Step, device: torch.device, clock: Callable[[], float]) -> float:
    """Seconds of a step, the device's work included."""
    began = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


if __name__ == "__main__":
    main()
