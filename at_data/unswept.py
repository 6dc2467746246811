"""Work on millions of objects, or imports, without the search for cycles among them."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """Within it Python looks for no cycles of objects that nobody holds: there are none among rows of a table.

    Each search goes through all that lives, and of 100,000 recordings it takes more time than what is done with them;
    of imports it takes a tenth of the time, of torch's a third. What is free of cycles is let go as always. Calls may
    stand inside each other.
    """
    swept = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if swept:
            gc.enable()


@contextmanager
def imports() -> Iterator[None]:
    """As `unswept`, for what a command imports: all that lives at the end of it will stay, and is never searched.

    Where all has been imported before, it is searched as ever. For processes of the commands alone: of what nobody
    holds by then, cycles are kept.
    """
    known = len(sys.modules)
    with unswept():
        yield
        if len(sys.modules) > known:
            gc.freeze()
