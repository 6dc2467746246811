"""The process from which workers are copied: started early, it imports what they need while others do so too."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Final

from at_data.errors import ShardError

METHOD: Final = "forkserver"
SINGLE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def start() -> None:
    """Begin to import what workers need, in a process of its own; nothing if that has begun.

    Raises ShardError where no process can be started.
    """
    context = multiprocessing.get_context(METHOD)
    context.set_forkserver_preload(["at_data.build.work"])
    try:
        with _single_threaded():
            forkserver.ensure_running()
    except OSError as error:
        raise ShardError(
            "workers",
            f"worker processes cannot be started ({error.strerror or error})",
            "a folder for temporary files that can be written, with a path shorter than about 80 characters",
            "set TMPDIR to such a folder",
        ) from error


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Environment in which workers start: one BLAS thread each, or the cores are fought over."""
    before = {name: os.environ.get(name) for name in SINGLE_THREAD}
    os.environ.update(dict.fromkeys(SINGLE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
