"""What every worker begins with, imported once by the process that they are copied from.

Python's search for cycles leaves it alone from then on: it would write into memory that they all share.
"""

from at_data.unswept import imports

with imports():
    import scipy.fft  # noqa: F401 - needed at the first recording

    import at_data.build.work  # noqa: F401
