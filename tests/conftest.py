"""Axes and types of both packages are checked while the tests run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import hypothesis
import jaxtyping
import pytest

jaxtyping.install_import_hook(["at_data", "at_train"], "beartype.beartype")
hypothesis.settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings beside the project, or a skip that says where to put them."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the project: put corpora there, in the folders they unpack to")
    return folder
