"""What every process that trains begins with, imported once by the one that they are copied from."""

from at_data.unswept import imports

with imports():
    import torch._dynamo  # noqa: F401 - the first optimiser imports it

    import at_train.study.worker  # noqa: F401
