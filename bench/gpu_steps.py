"""Training steps to be timed: as torch comes, as a run does them, captured, compiled, with anti-transfer."""

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from at_train import arithmetic, loop, networks
from at_train.batches import Batch, maps
from at_train.cost.memory import let_go
from at_train.kept_vectors import Comparison, KeptVectors
from at_train.losses import AntiTransfer
from at_train.memory_formula import compared_bytes, encoder_bytes, map_shapes
from at_train.steps import WARM_UP, Captured, Graphs

CLASSES = 10
TURNS = 3
FEWEST, LONGEST_TURN_S = 2, 1.5  # steps of a turn, where they are slow: device time is lent by the minute
PRODUCTS = 100  # timed together

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
        return self.laid_out(torch.channels_last)

    def laid_out(self, layout: torch.memory_format) -> networks.Network:
        """The same, its weights in this layout; drawn where it will be, as 134 million numbers take a CPU seconds."""
        torch.manual_seed(1)
        with torch.device(self.device):
            built = networks.build("vgg16", CLASSES, self.shape, self.width)
        return built.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]

    def batch(self) -> Batch:
        """Random items, the same each time."""
        dice = torch.Generator(self.device).manual_seed(4)
        values = maps(torch.randn(self.batch_size, *self.shape, device=self.device, generator=dice))
        codes = torch.arange(self.batch_size, device=self.device) % CLASSES
        return Batch(values, codes, {}, [str(item) for item in range(self.batch_size)])


def as_torch_comes(work: Work) -> Step:
    """A plain float32 step with torch's own defaults: TF32 convolutions, an unfused Adam, weights as they are drawn."""
    network = work.laid_out(torch.contiguous_format)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-5)

    def step(batch: Batch) -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(usual(batch).values), batch.target)
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
    layout: torch.memory_format = torch.channels_last,
) -> Step:
    """A step as a run does it: captured on a GPU, plain or with anti-transfer at a layer."""
    network = work.laid_out(layout)
    comparison = _comparison(work, network, precision, layer, cached=cached) if layer else None
    optimiser = arithmetic.adam(network.parameters(), 1e-5, work.device)
    trained = torch.compile(network, dynamic=False) if compiled else network
    learn = functools.partial(loop.learn, trained, optimiser, comparison, precision)
    step: Step = learn
    if work.device.type == "cuda" and captured:
        step = Captured(learn, work.batch_size, Graphs(work.device), comparison, say=refuse)
    return step if layout == torch.channels_last else lambda batch: step(usual(batch))


def usual(batch: Batch) -> Batch:
    """The batch with maps that torch takes for its usual layout, as torch goes by the stride of their one channel."""
    return replace(batch, values=batch.values.squeeze(1).unsqueeze(1))


def refuse(text: str) -> None:
    """RuntimeError: figures of steps that are not captured would be taken for those of captured ones."""
    raise RuntimeError(text)


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
    slowest_s = max(turn(work, step, batch, 1) for step in steps)
    count = max(FEWEST, min(work.steps, int(LONGEST_TURN_S / slowest_s)))
    for _ in range(TURNS):
        for found, step in zip(taken, steps, strict=True):
            found.append(turn(work, step, batch, count))
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


def peak_bytes(work: Work, make: Callable[[], Step]) -> tuple[int, int] | None:
    """Most memory that a few steps, captured ones among them, had allocated at once, and what was set aside for them.

    None on a device that does not tell.
    """
    if work.device.type != "cuda":
        return None
    let_go()
    before = torch.cuda.memory_allocated(work.device), torch.cuda.memory_reserved(work.device)
    step, batch = make(), work.batch()
    let_go()  # of what making it took
    torch.cuda.reset_peak_memory_stats(work.device)
    for _ in range(WARM_UP + 2):
        step(batch)
    wait(work.device)
    allocated, reserved = torch.cuda.max_memory_allocated(work.device), torch.cuda.max_memory_reserved(work.device)
    return allocated - before[0], reserved - before[1]


def kernels(work: Work) -> list[tuple[str, float]]:
    """Kernels of one step that is not captured, and their shares of its time on the device, largest first."""
    step, batch = as_run(work, "bfloat16", captured=False), work.batch()
    for _ in range(WARM_UP):
        step(batch)
    wait(work.device)
    cuda = work.device.type == "cuda"
    kind = torch.profiler.ProfilerActivity.CUDA if cuda else torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[kind]) as found:
        step(batch)
        wait(work.device)
    taken = {
        event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in found.key_averages()
    }
    whole = sum(taken.values())
    return sorted(((name, each / whole) for name, each in taken.items()), key=lambda pair: -pair[1])


def equation_4(work: Work, layer: str) -> int:
    """Bytes that the paper expects anti-transfer at a layer to take."""
    outline = networks.outline("vgg16", CLASSES, work.shape, work.width)
    return encoder_bytes(outline) + compared_bytes(map_shapes(outline, *work.shape)[layer], work.batch_size)


def flops(work: Work) -> int:
    """Floating point operations of the products and convolutions of one plain step, forwards and backwards."""
    step, batch = as_run(work, "float32", captured=False), work.batch()
    with FlopCounterMode(display=False) as counter:
        step(batch)
    return counter.get_total_flops()


def matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second of a large square product in bfloat16: the median of lots that take as long as some steps."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    count = PRODUCTS if device.type == "cuda" else 3
    taken = []
    for _ in range(1 + TURNS):  # the first to warm up
        wait(device)
        began = time.perf_counter()
        for _ in range(count):
            a @ b
        wait(device)
        taken.append(time.perf_counter() - began)
    return count * 2 * size**3 / statistics.median(taken[1:])
