"""What the process that measures memory begins with, imported by the one that it is copied from."""

from at_data.unswept import imports

with imports():
    import torch._dynamo  # noqa: F401 - the first optimiser imports it: a second, and 100 MB

    import at_train.cost.memory  # noqa: F401
