"""How a command begins: Python and numpy told that it lives for a second or two, and mostly imports."""

import atexit
import gc
import os

SELDOM = 50_000  # objects made and not let go from one search for cycles to the next; Python begins with 700


def lightly() -> None:
    """Before numpy is imported: nothing that takes time from the processes started meanwhile.

    What is imported stays, so it is seldom searched for cycles of objects that nobody holds, and not at the end. The
    threads of numpy's linear algebra, which wait for work at full speed, are not started unless the user asks for them.
    """
    gc.set_threshold(SELDOM)
    atexit.register(gc.freeze)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
