"""Training steps to be timed: as torch comes, as a run does them, captured, compiled, with anti-transfer."""

import functools
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from at_train import arithmetic, loop, networks
from at_train.batches import Batch
from at_train.kept_vectors import Comparison, KeptVectors
from at_train.losses import AntiTransfer
from at_train.memory_formula import compared_bytes, encoder_bytes, map_shapes
from at_train.steps import Captured, Graphs

CLASSES = 10
TURNS = 3

Step = Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class Work:
    """What is trained: a network's width, the shape and number of items, where."""

    width: float
    shape: tuple[int, int]
    batch_size: int
    device: torch.device
    steps: int  # of one turn

    def network(self) -> networks.Network:
        """The paper's network, as training lays it out."""
        torch.manual_seed(1)
        built = networks.build("vgg16", CLASSES, self.shape, self.width)
        return built.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batch(self) -> Batch:
        """Random items."""
        values = torch.randn(self.batch_size, 1, *self.shape, device=self.device)
        codes = torch.arange(self.batch_size, device=self.device) % CLASSES
        return Batch(values, codes, {}, [str(item) for item in range(self.batch_size)])


def as_torch_comes(work: Work) -> Step:
    """A plain float32 step with torch's own defaults, TF32 convolutions and an unfused Adam among them."""
    network = work.network()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-5)

    def step(batch: Batch) -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(batch.values), batch.target)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def as_run(
    work: Work,
    precision: str,
    layer: str | None = None,
    *,
    cached: bool = False,
    captured: bool = True,
    compiled: bool = False,
) -> Step:
    """A step as a run does it: captured on a GPU, plain or with anti-transfer at a layer."""
    network = work.network()
    comparison = _comparison(work, network, precision, layer, cached=cached) if layer else None
    optimiser = arithmetic.adam(network.parameters(), 1e-5, work.device)
    trained = torch.compile(network, dynamic=False) if compiled else network
    learn = functools.partial(loop.learn, trained, optimiser, comparison, precision)
    if work.device.type != "cuda" or not captured:
        return learn
    return Captured(learn, work.batch_size, Graphs(work.device), comparison, say=print)


def _comparison(work: Work, network: networks.Network, precision: str, layer: str, *, cached: bool) -> Comparison:
    frozen = work.network().until([layer])
    penalty = AntiTransfer(frozen, [network.layers[layer]]).watch(network)
    comparison = Comparison(penalty)
    if cached:
        batch = work.batch()
        with arithmetic.of(precision, work.device):
            (rows,) = penalty.vectors(batch.values).values()
        arrays = {network.layers[layer]: rows.float().cpu().numpy()}
        comparison.kept = KeptVectors(work.batch_size, (({item: int(item) for item in batch.ids}, arrays),))
        comparison.kept.move(work.device)
    return comparison


def seconds(work: Work, *steps: Step) -> list[float]:
    """Seconds of each step: medians over turns, which the steps take one after the other."""
    batch, taken = work.batch(), [[] for _ in steps]
    for step in steps:
        turn(work, step, batch, 5 if work.device.type == "cuda" else 1)  # captures, tries algorithms, compiles
    for _ in range(TURNS):
        for found, step in zip(taken, steps, strict=True):
            found.append(turn(work, step, batch, work.steps))
    return [statistics.median(found) for found in taken]


def turn(work: Work, step: Step, batch: Batch, count: int) -> float:
    """Seconds of one step among so many, the device's work included."""
    wait(work.device)
    began = time.perf_counter()
    for _ in range(count):
        step(batch)
    wait(work.device)
    return (time.perf_counter() - began) / count


def wait(device: torch.device) -> None:
    """Nothing, when the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(work: Work, make: Callable[[], Step]) -> int | None:
    """Most memory that a few steps had allocated at once; None on a device that does not tell."""
    if work.device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(work.device)
    torch.cuda.reset_peak_memory_stats(work.device)
    step, batch = make(), work.batch()
    for _ in range(3):
        step(batch)
    wait(work.device)
    return torch.cuda.max_memory_allocated(work.device) - before


def equation_4(work: Work, layer: str) -> int:
    """Bytes that the paper expects anti-transfer at a layer to take."""
    with torch.device("meta"):
        outline = networks.build("vgg16", CLASSES, work.shape, work.width)
    return encoder_bytes(outline) + compared_bytes(map_shapes(outline, *work.shape)[layer], work.batch_size)


def flops(work: Work) -> int:
    """Floating point operations of the products and convolutions of one plain step, forwards and backwards."""
    step, batch = as_run(work, "float32", captured=False), work.batch()
    with FlopCounterMode(display=False) as counter:
        step(batch)
    return counter.get_total_flops()


def matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second of a large square product in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    wait(device)
    began = time.perf_counter()
    for _ in range(10):
        a @ b
    wait(device)
    return 10 * 2 * size**3 / (time.perf_counter() - began)
