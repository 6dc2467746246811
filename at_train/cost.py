"""What each strategy costs in time and memory beside training the task alone, and what the paper's equation 4 says.

Paper, section 5.7. Time is that of whole training steps, taken in turn with plain ones by one process. Memory is the
peak of a process of its own for every row, which does nothing else.
"""

import csv
import io
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from at_data.errors import ConfigError
from at_train import arithmetic, checkpoints, config, loop, networks
from at_train.adversaries import Adversary
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Batch, Data
from at_train.config import Settings
from at_train.kept_vectors import Comparison, KeptVectors
from at_train.losses import AntiTransfer
from at_train.memory_formula import MapShape, compared_bytes, encoder_bytes, map_shapes
from at_train.networks import Network
from at_train.scores import device_named
from at_train.steps import WARM_UP, Captured, Graphs, Recorder

SHAPE = (126, 129)  # a second of speech as the paper prepares it
CLASSES = 10
NUISANCE = "nuisance"
MB = 1e6
STEPS_FOR_MEMORY = WARM_UP + 2  # Adam has its moments after the first, a GPU its graph after the last but one
PRELOADED = [__name__, "torch._dynamo"]  # the latter is what the first optimiser imports: a second, and 100 MB
BATCHES_PER_TURN = {"cuda": 10}  # one alone would never fill a GPU's queue; elsewhere one

Penalty = Comparison | Adversary


@dataclass(frozen=True)
class Case:
    """What one row is about. `layer` is where a strategy compares, freezes up to, or unlearns."""

    strategy: str
    layer: str | None = None
    cached: bool = False


@dataclass(frozen=True)
class Row:
    """What a case costs. Ratios are to plain steps: the median over pairs of turns, the least and the greatest.

    `peak_bytes` is what training needs beyond Python and its libraries, `extra_bytes` how much more that is than plain
    training needs: None on a device that does not tell. `equation_4_bytes` is what the paper expects there, None for
    what it says nothing about.
    """

    strategy: str
    layer: str | None
    cached: bool
    step_s: float
    step_ratio: float
    step_ratio_least: float
    step_ratio_greatest: float
    peak_bytes: int | None
    peak_ratio: float | None
    extra_bytes: int | None
    equation_4_bytes: int | None


@dataclass(frozen=True)
class Work:
    """What is trained: settings, of which strategy and layers do not count, and the items' shape and classes."""

    settings: Settings
    frames: int
    bins: int
    classes: int
    device: str

    def network(self) -> Network:
        """A network on the device, as training lays it out."""
        return self.drawn().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def outline(self) -> Network:
        """A network without weights, of which only shapes are known."""
        with torch.device("meta"):
            return self.drawn()

    def drawn(self) -> Network:
        """A network wherever torch makes its tensors now."""
        settings = self.settings
        return networks.build(settings.network, self.classes, (self.frames, self.bins), settings.width)

    def batch(self) -> Batch:
        """Random items."""
        size = self.settings.batch_size
        values = torch.randn(size, 1, self.frames, self.bins, device=self.device)
        codes = torch.arange(size, device=self.device) % self.classes
        return Batch(values, codes, {NUISANCE: codes}, [str(item) for item in range(size)])


def cost(
    settings: Settings | None = None,
    layers: Sequence[str] | None = None,
    dataset: Path | None = None,
    *,
    steps: int = 7,
    device: str = "auto",
    say: Callable[[str], None] = lambda _text: None,
) -> list[Row]:
    """Rows for none, init, freeze, anti at each of `layers` (all, if none is named), anti cached, dual and dann.

    Those with a single row (freeze, anti cached, dual, dann) take the last of the layers. `steps` pairs of turns are
    timed after one that is not. Items are random, of the shape and classes of the dataset, or of the paper's shape and
    ten classes. Of the settings the network, its width, batch size, precision, and how networks are compared count.
    Nothing is learnt, nothing written. `none` and `init` do the same work as the plain steps they are compared with, as
    `dual` does that of anti: their distance from it shows how exact the measurement is.

    ConfigError for unknown names, or when a process for the memory of a row is killed.
    """
    settings = settings or Settings()
    if steps < 1:
        raise ConfigError("steps", f"got {steps}", "1 or more", "7 is a good default")
    config.check_known("network", settings.network, networks.names())
    work = _work(settings, dataset, str(device_named(device)))
    shapes = map_shapes(work.outline(), work.frames, work.bins)
    for layer in layers or ():
        config.check_known("layer", layer, shapes)
    chosen = cases(list(layers or shapes), keepable=_keepable(work))
    times = _times(work, chosen, steps, say)
    peaks = [_in_a_process_of_its_own(work, case, say) for case in chosen]
    predicted = [_predicted(work, case, shapes) for case in chosen]
    return [_row(*each, plain=peaks[0]) for each in zip(chosen, times, peaks, predicted, strict=True)]


def cases(layers: Sequence[str], *, keepable: bool = True) -> list[Case]:
    """What `cost` has rows for, the plain one first; anti cached where its vectors are `keepable`."""
    last = layers[-1]
    anti = [Case("anti", layer) for layer in layers]
    cached = [Case("anti", last, cached=True)] if keepable else []
    return [Case("none"), Case("init"), Case("freeze", last), *anti, *cached, Case("dual", last), Case("dann", last)]


def _work(settings: Settings, dataset: Path | None, device: str) -> Work:
    if dataset is None:
        return Work(settings, *SHAPE, CLASSES, device)
    data = Data.open(dataset, settings.target)
    return Work(settings, data.header.frames, data.header.bins, len(data.classes), device)


def _keepable(work: Work) -> bool:
    """Whether what the frozen network is compared by can be kept."""
    frozen = work.outline()
    layer = next(iter(frozen.layers.values()))
    penalty = _anti_transfer(work.settings, frozen, [layer])
    try:
        penalty.refuse_keeping()
    except ConfigError:
        return False
    return True


def _predicted(work: Work, case: Case, shapes: dict[str, MapShape]) -> int | None:
    """Equation 4 for this case, with the Gram matrix of the variant."""
    if case.strategy not in {"anti", "dual"} or case.cached or case.layer is None:
        return None
    settings, shape = work.settings, shapes[case.layer]
    mixed = settings.variant == "as_released" and settings.aggregation == "gram"
    one = torch.zeros(1, *shape)
    vector = AGGREGATIONS[settings.aggregation](one, one)[0].shape[1]
    return encoder_bytes(work.outline()) + compared_bytes(shape, settings.batch_size, vector, mixed=mixed)


def _times(
    work: Work, chosen: Sequence[Case], steps: int, say: Callable[[str], None]
) -> list[list[tuple[float, float]]]:
    """Seconds of a step and of the plain one before it, `steps` times for each case.

    The optimiser's step size is 0: it does its work and changes nothing, so that no loss can run away. One network
    serves all cases, so that their steps differ in nothing but what the strategy does. Turns go round the
    cases, beginning with another each time. On a GPU steps are captured, as those of a run are.
    """
    network, frozen, batch = work.network(), work.network(), work.batch()
    penalties = [_penalty(work, case, network, frozen, batch) for case in chosen]
    extra = [weight for penalty in penalties if penalty for weight in penalty.parameters()]
    device = torch.device(work.device)
    optimiser = arithmetic.adam([*network.parameters(), *extra], 0.0, device)
    recorder = _recorder(work)
    learns = [_learn(work, network, optimiser, penalty, recorder, say) for penalty in penalties]
    taken: list[list[tuple[float, float]]] = [[] for _ in chosen]
    for turn in range(steps + 1):
        say(f"steps in turn: {turn} of {steps}")
        for place in np.roll(range(len(chosen)), -turn).tolist():
            pair = []
            for number in (0, place):
                with _applied(chosen[number], network, penalties[number]):
                    pair.append(_timed(work, partial(_steps, network, optimiser, learns[number], batch)))
            if turn:  # the first ones warm up
                taken[place].append((pair[1], pair[0]))
    return taken


def _timed(work: Work, steps: Callable[[int], None]) -> float:
    """Seconds of a step; an epoch waits for the device at its end."""
    count = BATCHES_PER_TURN.get(torch.device(work.device).type, 1)
    began = time.perf_counter()
    steps(count)
    return (time.perf_counter() - began) / count


def _recorder(work: Work) -> Recorder | None:
    """What captures steps on the device, as a run has them captured; None where it does not."""
    device = torch.device(work.device)
    return Graphs(device) if device.type == "cuda" else None


def _learn(
    work: Work,
    network: Network,
    optimiser: torch.optim.Optimizer,
    penalty: Penalty | None,
    recorder: Recorder | None,
    say: Callable[[str], None] = lambda _text: None,
) -> loop.Learn:
    """A training step, as a run does it: with a recorder, captured."""
    learn = partial(loop.learn, network, optimiser, penalty, work.settings.precision)
    if recorder is None:
        return learn
    comparison = penalty if isinstance(penalty, Comparison) else None
    return Captured(learn, work.settings.batch_size, recorder, comparison, say)


def _steps(network: Network, optimiser: torch.optim.Optimizer, learn: loop.Learn, batch: Batch, count: int) -> None:
    loop.train_epoch(network, [batch] * count, optimiser, seed=0, epoch=1, step=learn)


def _penalty(work: Work, case: Case, network: Network, frozen: Network, batch: Batch) -> Penalty | None:
    """What the case adds to the loss, not yet watching."""
    settings = work.settings
    if case.layer is None or case.strategy == "freeze":
        return None
    if case.strategy == "dann":
        channels = map_shapes(work.outline(), work.frames, work.bins)[case.layer][0]
        known = np.arange(max(2, work.classes), dtype=np.int64)
        return Adversary(network.layers[case.layer], channels, NUISANCE, known, settings.beta).to(work.device)
    penalty = _anti_transfer(settings, frozen, [network.layers[case.layer]])
    comparison = Comparison(penalty)
    if case.cached:
        device = torch.device(work.device)
        with arithmetic.of(settings.precision, device):
            vectors = {name: each.float().cpu().numpy() for name, each in penalty.vectors(batch.values).items()}
        comparison.kept = KeptVectors(settings.batch_size, (({item: int(item) for item in batch.ids}, vectors),))
        comparison.kept.move(device)
    return comparison


def _anti_transfer(settings: Settings, frozen: Network, layers: Sequence[str]) -> AntiTransfer:
    names = [name for name, path in frozen.layers.items() if path in layers]
    cut = frozen.until(names)
    return AntiTransfer(cut, layers, settings.beta, settings.aggregation, settings.similarity, settings.variant)


@contextmanager
def _applied(case: Case, network: Network, penalty: Penalty | None) -> Iterator[None]:
    """Within it the network is trained as the case has it."""
    if case.strategy == "freeze" and case.layer is not None:
        checkpoints.freeze(network, case.layer)
    watching = penalty.penalty if isinstance(penalty, Comparison) else penalty
    if watching is not None:
        watching.watch(network)
    try:
        yield
    finally:
        if watching is not None:
            watching.unwatch()
        network.requires_grad_(True)


def _in_a_process_of_its_own(work: Work, case: Case, say: Callable[[str], None]) -> int | None:
    """Peak of the memory that training needs, from a fresh process that has imported what it needs and no more."""
    say(f"memory of {case.strategy}{' cached' if case.cached else ''} {case.layer or ''}".rstrip())
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    try:
        with ProcessPoolExecutor(1, context) as process:
            return process.submit(peak, work, case).result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"memory of {case.strategy} {case.layer or ''}".rstrip(),
            "the process that trained was killed",
            "room in memory",
            "choose a smaller width or batch size, or other layers",
        ) from error


def peak(work: Work, case: Case) -> int | None:
    """Largest memory, in bytes, of a few training steps in this process, which should have done nothing before.

    On a GPU what torch had allocated at once. On a CPU how far the resident memory of the process rose above what
    Python and the libraries take: that includes what the allocator keeps for later, and varies by a few percent. None
    where neither is told.
    """
    _warm_up(work.device)
    before = _resident()
    network = work.network()
    batch = work.batch()
    frozen = work.network() if case.strategy in {"anti", "dual"} else network
    penalty = _penalty(work, case, network, frozen, batch)
    del frozen  # of which a strategy keeps only what it compares
    with _applied(case, network, penalty):
        weights = [*network.parameters(), *(penalty.parameters() if penalty else ())]
        optimiser = arithmetic.adam(weights, 0.0, torch.device(work.device))
        learn = _learn(work, network, optimiser, penalty, recorder=_recorder(work))
        _steps(network, optimiser, learn, batch, STEPS_FOR_MEMORY)
    kind = torch.device(work.device).type
    if kind == "cuda":
        return torch.cuda.max_memory_allocated()
    after = _resident()
    return after - before if kind == "cpu" and after is not None and before is not None else None


def _warm_up(device: str) -> None:
    """Have torch load what its first step needs."""
    small = nn.Conv2d(1, 1, 3, device=device)
    small(torch.zeros(1, 1, 3, 3, device=device)).sum().backward()
    torch.optim.Adam(small.parameters()).step()


def _resident() -> int | None:
    """Most memory that this process has ever had resident, in bytes; None where the system does not tell.

    Linux keeps in `getrusage` what the process that started this one had, so it is asked elsewhere.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _row(
    case: Case, pairs: Sequence[tuple[float, float]], peaked: int | None, predicted: int | None, *, plain: int | None
) -> Row:
    ratios = [step / base for step, base in pairs]
    both = None if peaked is None or plain is None else (peaked, plain)
    return Row(
        **asdict(case),
        step_s=statistics.median(step for step, _ in pairs),
        step_ratio=statistics.median(ratios),
        step_ratio_least=min(ratios),
        step_ratio_greatest=max(ratios),
        peak_bytes=peaked,
        peak_ratio=both and both[0] / both[1],
        extra_bytes=both and both[0] - both[1],
        equation_4_bytes=predicted,
    )


def shown(rows: Sequence[Row]) -> list[list[str]]:
    """Titles, then the rows as a person reads them."""
    titles = ["strategy", "layer", "step (ms)", "to plain", "from", "to"]
    titles += ["peak (MB)", "to plain", "more (MB)", "equation 4 (MB)"]
    return [titles, *(_cells(row) for row in rows)]


def _cells(row: Row) -> list[str]:
    ratios = [row.step_ratio, row.step_ratio_least, row.step_ratio_greatest]
    return [
        f"{row.strategy} cached" if row.cached else row.strategy,
        row.layer or "",
        f"{1000 * row.step_s:.1f}",
        *(f"{ratio:.2f}" for ratio in ratios),
        _megabytes(row.peak_bytes),
        "" if row.peak_ratio is None else f"{row.peak_ratio:.2f}",
        _megabytes(row.extra_bytes),
        _megabytes(row.equation_4_bytes),
    ]


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / MB:.1f}"


def as_csv(rows: Sequence[Row]) -> str:
    """The rows with every figure as it was measured, a line each, under the names of their fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()
