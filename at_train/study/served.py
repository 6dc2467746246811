"""What every process that trains begins with, imported once by the one that they are copied from, and by no other."""

import gc

from at_data.unswept import unswept

with unswept():
    import torch._dynamo  # noqa: F401 - the first optimiser imports it

    import at_train.study.worker  # noqa: F401

gc.freeze()
