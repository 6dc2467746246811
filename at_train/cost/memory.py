"""Peak of the memory that training needs, in a process of its own that does nothing else."""

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch
from torch import nn

from at_data import forks
from at_data.errors import ConfigError
from at_train import arithmetic
from at_train.cost.work import Case, Work, applied, penalty_of, recorder_of, step_of, take
from at_train.steps import WARM_UP

STEPS = WARM_UP + 2  # Adam has its moments after the first, a GPU its graph after the last but one


def peak_alone(work: Work, case: Case, say: Callable[[str], None]) -> int | None:
    """Peak of the memory that training needs, from a fresh process that has imported what it needs and no more."""
    say(f"memory of {case.strategy}{' cached' if case.cached else ''} {case.layer or ''}".rstrip())
    try:
        with ProcessPoolExecutor(1, forks.computing(["at_train.cost.served"])) as process:
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
    penalty = penalty_of(work, case, network, frozen, batch)
    del frozen  # of which a strategy keeps only what it compares
    let_go()  # of what making these took: steps have a stream of their own
    with applied(case, network, penalty):
        weights = [*network.parameters(), *(penalty.parameters() if penalty else ())]
        optimiser = arithmetic.adam(weights, 0.0, torch.device(work.device))
        learn = step_of(work, network, optimiser, penalty, recorder=recorder_of(work))
        take(network, optimiser, learn, batch, STEPS)
    kind = torch.device(work.device).type
    if kind == "cuda":
        return torch.cuda.max_memory_allocated()
    after = _resident()
    return after - before if kind == "cpu" and after is not None and before is not None else None


def let_go() -> None:
    """Nothing, when memory of a GPU that nobody holds any more is free, what cuBLAS keeps for each stream included."""
    if torch.cuda.is_available():
        gc.collect()
        torch._C._cuda_clearCublasWorkspaces()  # noqa: SLF001 - as torch's notes on CUDA have it
        torch.cuda.empty_cache()


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
