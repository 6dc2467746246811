"""A training step with anti-transfer against a plain one, no cache.

    python bench/bench_step.py [--widths 0.125 1] [--layers conv1 conv5 conv9 conv13] [--device cpu]

Same network, batch of 13 one-second items, optimiser and data; the two kinds of step take turns. Equation: one more
forward pass under no_grad, a third of a plain step, makes 1.33.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from at_train import networks
from at_train.losses import AntiTransfer

BATCH = 13
SHAPE = (126, 129)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--layers", nargs="+", default=["conv1", "conv5", "conv9", "conv13"])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    machine = f"{arguments.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"# bench_step: vgg16, batch {BATCH}, {machine}")
    device = torch.device(arguments.device)
    for width in arguments.widths:
        for layer in arguments.layers:
            ratio = show(*with_penalty(width, layer, device), arguments.steps, device)
            wanted = "  (wanted: at most 1.40)" if layer == "conv13" else ""
            print(f"width {width:g}, {layer}: step with anti {ratio} x plain{wanted}")
        print(
            f"width {width:g}: channels-last step {show(*layouts(width, device), arguments.steps, device)} x contiguous"
        )


def with_penalty(width: float, layer: str, device: torch.device) -> tuple[Callable[[], None], Callable[[], None]]:
    """A plain step, and one with anti-transfer at a layer."""
    plain, anti, frozen = (network(width, device, torch.channels_last) for _ in range(3))
    penalty = AntiTransfer(frozen, layers=[anti.layers[layer]]).watch(anti)
    return stepper(plain, device, None), stepper(anti, device, penalty)


def layouts(width: float, device: torch.device) -> tuple[Callable[[], None], Callable[[], None]]:
    """A step with contiguous weights, and one with channels last."""
    one, other = (network(width, device, layout) for layout in (torch.contiguous_format, torch.channels_last))
    return stepper(one, device, None), stepper(other, device, None)


def network(width: float, device: torch.device, layout: torch.memory_format) -> networks.Network:
    """The paper's network at a width."""
    torch.manual_seed(1)
    built = networks.build("vgg16", classes=10, shape=SHAPE, width=width)
    return built.to(device, memory_format=layout)  # type: ignore[call-overload, no-any-return]


def show(base: Callable[[], None], step: Callable[[], None], steps: int, device: torch.device) -> str:
    """Median, least and greatest ratio of steps taken in turn."""
    ratios = []
    for turn in range(steps + 2):
        base_s, step_s = timed(base, device), timed(step, device)
        if turn >= 2:  # the first ones warm up
            ratios.append(step_s / base_s)
    return f"{statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"


def stepper(trained: torch.nn.Module, device: torch.device, penalty: AntiTransfer | None) -> Callable[[], None]:
    """One training step."""
    values = torch.randn(BATCH, 1, *SHAPE, device=device)
    target = torch.randint(10, (BATCH,), device=device)
    optimiser = torch.optim.Adam(trained.parameters(), lr=5e-4)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(trained(values), target)
        if penalty is not None:
            loss = loss + penalty(values)
        loss.backward()
        optimiser.step()

    return step


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of a step, the device's work included."""
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
