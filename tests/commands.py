"""Commands of `at-prepare`, run in this process."""

import sys
from pathlib import Path

import pytest

from at_data import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["at-prepare", *map(str, arguments)])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # or the command sets it, for all tests that come after
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code
