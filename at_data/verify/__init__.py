"""What is wrong with a dataset on disk, a line each."""

from at_data.verify.examined import Found
from at_data.verify.source import compare
from at_data.verify.whole import examine, verify

__all__ = ["Found", "compare", "examine", "verify"]
