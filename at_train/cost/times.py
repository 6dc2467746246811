"""Seconds of training steps, taken in turn with plain ones by one process."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from at_train import arithmetic
from at_train.cost.work import Case, Work, applied, penalty_of, recorder_of, step_of, take

BATCHES_PER_TURN = {"cuda": 10}  # one alone would never fill a GPU's queue; elsewhere one


def seconds(
    work: Work, chosen: Sequence[Case], steps: int, say: Callable[[str], None]
) -> list[list[tuple[float, float]]]:
    """Seconds of a step and of the plain one before it, `steps` times for each case.

    The optimiser's step size is 0: it does its work and changes nothing, so that no loss can run away. One network
    serves all cases, so that their steps differ in nothing but what the strategy does. Turns go round the
    cases, beginning with another each time. On a GPU steps are captured, as those of a run are.
    """
    network, frozen, batch = work.network(), work.network(), work.batch()
    penalties = [penalty_of(work, case, network, frozen, batch) for case in chosen]
    extra = [weight for penalty in penalties if penalty for weight in penalty.parameters()]
    device = torch.device(work.device)
    optimiser = arithmetic.adam([*network.parameters(), *extra], 0.0, device)
    recorder = recorder_of(work)
    learns = [step_of(work, network, optimiser, penalty, recorder, say) for penalty in penalties]
    taken: list[list[tuple[float, float]]] = [[] for _ in chosen]
    for turn in range(steps + 1):
        say(f"steps in turn: {turn} of {steps}")
        for place in np.roll(range(len(chosen)), -turn).tolist():
            pair = []
            for number in (0, place):
                with applied(chosen[number], network, penalties[number]):
                    pair.append(_timed(work, partial(take, network, optimiser, learns[number], batch)))
            if turn:  # the first ones warm up
                taken[place].append((pair[1], pair[0]))
    return taken


def _timed(work: Work, steps: Callable[[int], None]) -> float:
    """Seconds of a step; an epoch waits for the device at its end."""
    count = BATCHES_PER_TURN.get(torch.device(work.device).type, 1)
    began = time.perf_counter()
    steps(count)
    return (time.perf_counter() - began) / count
