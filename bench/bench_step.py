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
    for width in arguments.widths:
        for layer in arguments.layers:
            ratio, low, high = measure(width, layer, arguments.steps, torch.device(arguments.device))
            wanted = "  (wanted: at most 1.40)" if layer == "conv13" else ""
            print(
                f"width {width:g}, {layer}: step with anti {ratio:.2f} x plain (from {low:.2f} to {high:.2f}){wanted}"
            )


def measure(width: float, layer: str, steps: int, device: torch.device) -> tuple[float, float, float]:
    """Median, least and greatest ratio of paired steps."""
    torch.manual_seed(1)
    plain, anti, frozen = (
        networks.build("vgg16", classes=10, shape=(126, 129), width=width).to(device, memory_format=torch.channels_last)
        for _ in range(3)
    )
    penalty = AntiTransfer(frozen, layers=[anti.layers[layer]]).watch(anti)
    values = torch.randn(BATCH, 1, 126, 129, device=device)
    target = torch.randint(10, (BATCH,), device=device)
    steppers = [stepper(plain, values, target, None), stepper(anti, values, target, penalty)]
    ratios = []
    for turn in range(steps + 2):
        seconds = [timed(step, device) for step in steppers]
        if turn >= 2:  # the first ones warm up
            ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios), min(ratios), max(ratios)


def stepper(
    network: torch.nn.Module, values: torch.Tensor, target: torch.Tensor, penalty: AntiTransfer | None
) -> Callable[[], None]:
    """One training step."""
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(values), target)
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
