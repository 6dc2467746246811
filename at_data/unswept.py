"""Work on millions of objects, or imports, without the search for cycles among them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """Within it Python looks for no cycles of objects that nobody holds: there are none among rows of a table.

    Each search goes through all that lives, and of 100,000 recordings it takes more time than what is done with them;
    of imports, which are there to stay, a tenth of it, a third for torch's compiler. What is free of cycles is let go
    as always. Calls may stand inside each other.
    """
    swept = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if swept:
            gc.enable()
