"""What every worker begins with, imported once by the process that they are copied from, and by no other.

Python's search for cycles leaves it alone from then on: it would write into memory that they all share.
"""

import gc

gc.disable()

import scipy.fft  # noqa: E402, F401 - needed at the first recording

import at_data.build.work  # noqa: E402, F401

gc.freeze()
gc.enable()
