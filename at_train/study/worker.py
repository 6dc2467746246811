"""A process that trains one run: takes its lock, trains it, says what came of it, and dies with whoever started it."""

import json
import os
import platform
import shutil
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any

import torch

from at_data.errors import CheckpointError
from at_train import config, results, run_folder, strategies
from at_train.run import fit
from at_train.study import datasets, locks
from at_train.study.plans import Plan, Run
from at_train.study.timings import Timer

LOST = 75  # exit of a worker whose lock another process took, taking it for dead
ORPHANED = 76  # exit of a worker whose runner is gone
MEND = "mend that and give the same command again, with --retry-failed where runs have failed of it"


@dataclass(frozen=True)
class Order:
    """What a worker is to do. `device` is as `run.fit` takes it, `card` the one graphics card it may see, if any."""

    plan: Plan
    run: Run
    device: str
    card: str | None
    threads: int
    retry: bool
    cache_orthogonal: bool


def work(order: Order, pipe: Connection) -> None:
    """Train a run; sends pairs of `said` and a text, at last one of `ended` and done, failed or busy.

    Where nothing can be written into the study's folder the last is `stopped` and a CheckpointError: then the run has
    not failed, and whoever trains it next carries it on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner gets it too, and ends us
    if order.card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = order.card
    torch.set_num_threads(order.threads)
    try:
        with results.writing(order.plan.out, MEND):
            state = _alone(order, pipe)
    except CheckpointError as error:
        _tell(pipe, "stopped", error)
    else:
        _tell(pipe, "ended", state)


def _alone(order: Order, pipe: Connection) -> str:
    """What came of a run, `busy` where another process is at it."""
    hold = locks.take(order.plan.lock(order.run))
    if hold is None:
        return "busy"
    threading.Thread(target=_watch, args=(hold,), daemon=True).start()
    try:
        return _train(order, pipe)
    finally:
        hold.release()


def _tell(pipe: Connection, kind: str, said: str | CheckpointError) -> None:
    """Send this to the runner; where that is gone the run has not failed, and is not to be recorded so."""
    try:
        pipe.send((kind, said))
    except OSError:
        os._exit(ORPHANED)


def _watch(hold: locks.Hold) -> None:
    """Keep the lock alive; end this process when it is lost, or when the runner is gone."""
    runner = parent_process()
    assert runner is not None
    while True:
        if wait([runner.sentinel], locks.BEAT_S):
            os._exit(ORPHANED)
        if not hold.beat():
            os._exit(LOST)


def _train(order: Order, pipe: Connection) -> str:
    """`done` or `failed`; a failure leaves a record. Looks again first, for only now nobody else can be at it."""
    plan, run = order.plan, order.run
    known = plan.settled(run)
    if known == "done" or (known == "failed" and not (order.retry and _as_planned(plan, run))):
        return known
    folder, record = plan.folder(run), plan.record(run)
    timer = Timer(lambda text: _tell(pipe, "said", text))
    try:
        _refuse_other_data(plan, run)
        _clear(record, folder)
        others = tuple(str(plan.folder(plan.runs[other])) for other in run.others)
        settings = run.settings.model_copy(update={"orthogonal": others})
        keep = order.cache_orthogonal and strategies.keeps(settings)
        facts = fit(run.dataset, folder, settings, order.device, timer, cache_orthogonal=keep)
        assert facts["digest"] == run.digest, "the plan names runs otherwise than training does"
    except Exception as error:  # noqa: BLE001 - whatever ends a run must not end the study
        write_failure(record, run, _kind(error), _sentence(error), traceback.format_exc())
        return "failed"
    if facts["state"] == run_folder.DIVERGED:
        told = facts["diverged"]
        write_failure(record, run, "diverged", f"diverged in epoch {told['epoch']}: {told['message']}", "")
        return "failed"
    timer.write(plan.out, run.name, run.like, facts["epochs_run"])
    return "done"


def _refuse_other_data(plan: Plan, run: Run) -> None:
    """Nothing, or CheckpointError where a dataset was built anew since the plan: a run of that has another name."""
    content = datasets.opened(run.dataset, run.settings.target).header.content
    if config.digest(run.settings, content, [plan.runs[other].digest for other in run.others]) != run.digest:
        raise CheckpointError(
            run.dataset,
            f"content {content[:8]}, another than when the study was begun",
            "a dataset that stays as it is",
            "give the same command again, which asks for runs on the new one",
        )


def _as_planned(plan: Plan, run: Run) -> bool:
    """Whether the record of failure is the one that was there when the plan was made: nobody has retried it since."""
    return plan.failed_before.get(run.name) == plan.record(run).read_text(encoding="utf-8")


def _clear(record: Path, folder: Path) -> None:
    """Take away the record of an earlier failure, and a run that diverged, which would be left as it is."""
    if record.is_file():
        if (folder / "run.json").is_file() and run_folder.read(folder)["state"] == run_folder.DIVERGED:
            shutil.rmtree(folder)
        record.unlink()


def write_failure(path: Path, run: Run, kind: str, error: str, trace: str) -> None:
    """Record of a run that failed; CheckpointError where it cannot be written."""
    facts: dict[str, Any] = {
        "run": run.name,
        "digest": run.digest,
        "kind": kind,
        "error": error,
        "traceback": trace,
        "host": platform.node(),
        "time": time.time(),
    }
    with results.writing(path, MEND):
        results.replace(path, (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())


def _kind(error: Exception) -> str:
    return "out of memory" if isinstance(error, (MemoryError, torch.OutOfMemoryError)) else "error"


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if type(error).__module__.startswith("at_data") else f"{type(error).__name__}: {text}"
