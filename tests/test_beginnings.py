"""A command leaves the processors to the processes it starts, unless it is told otherwise."""

import os
import subprocess
import sys

import pytest

BEGIN = """
import os
from at_data import beginnings
beginnings.lightly()
import numpy
print(os.environ["OPENBLAS_NUM_THREADS"], len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("asked", [None, "2"])
def test_threads_of_linear_algebra_wait_for_work_only_where_somebody_asked_for_them(asked: str | None) -> None:
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in threads}
    if asked is not None:
        environment["OPENBLAS_NUM_THREADS"] = asked
    said = subprocess.run(
        [sys.executable, "-c", BEGIN], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert said[0] == (asked or "1")
    if asked is None:
        assert said[1] == "1"
