"""Axes and types of both packages are checked while the tests run."""

import multiprocessing.forkserver
import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
# commands that tests start find the modules compiled, as users do
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that runs the tests in the background has Ctrl-C ignored, by the commands they start as well
    signal.signal(signal.SIGINT, signal.default_int_handler)

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import checked
import hypothesis
import numpy as np
import pytest
import soundfile
import yaml

checked.check_calls()
hypothesis.settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("suite")

from at_data import manifest
from at_data.build import build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, then those with many: processes that share the files end with short ones."""
    count = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -count[item.path]))


@pytest.fixture(scope="module")
def own_server() -> Iterator[None]:
    """The process that others are copied from begins anew: it has imported what those of this module need."""
    multiprocessing.forkserver._forkserver._stop()
    yield
    multiprocessing.forkserver._forkserver._stop()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings beside the project, or a skip that says where to put them."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the project: put corpora there, in the folders they unpack to")
    return folder


WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def write_digits(folder: Path, speakers: int = 6, takes: int = 2, sample_rate_hz: int = 16000) -> Path:
    """Folder in the layout of gsc: every speaker says every digit, as a tone of its own in a noise of its own.

    The folder around it is one of synth_digits.
    """
    folder.mkdir(parents=True)
    (folder.parent / "synthesised.json").write_text("{}")
    for number, word in enumerate(WORDS):
        (folder / word).mkdir(parents=True, exist_ok=True)
        for speaker in range(speakers):
            for take in range(takes):
                dice = np.random.default_rng([number, speaker, take])
                time_s = np.arange(int(sample_rate_hz * dice.uniform(0.5, 1.0))) / sample_rate_hz
                tone = np.sin(2 * np.pi * (300 + 150 * number) * time_s) * 0.3
                samples = tone + dice.normal(0, 0.01 * (1 + speaker), time_s.size)
                soundfile.write(folder / word / f"{speaker:08x}_nohash_{take}.wav", samples, sample_rate_hz)
    for name, speaker in (("validation_list.txt", speakers - 2), ("testing_list.txt", speakers - 1)):
        clips = [f"{word}/{speaker:08x}_nohash_{take}.wav\n" for word in WORDS for take in range(takes)]
        (folder / name).write_text("".join(clips))
    return folder


def write_noises(folder: Path, types: tuple[str, ...] = ("Babble", "Typing"), files: int = 3) -> Path:
    """Folder in the layout of ms_snsd: noise_train with some files of every type."""
    (folder / "noise_train").mkdir(parents=True, exist_ok=True)
    for kind in types:
        for number in range(files):
            samples = np.random.default_rng([*kind.encode(), number]).normal(0, 0.1, 24000)
            soundfile.write(folder / "noise_train" / f"{kind}_{number + 1}.wav", samples, 16000)
    return folder


# settings that mix what `write_noises` writes
NOISE = {
    "corpus": "ms_snsd",
    "keep": {"kind": ["noise"]},
    "speech_level_dbfs": -25,
    "level_dbfs": [-40, -20],
    "offset": "random",
    "crossfade_s": 0.01,
    "clipping": "none",
    "split": {"train": 0.4, "valid": 0.3, "test": 0.3},
}


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 clips in the layout of gsc."""
    return write_digits(tmp_path_factory.mktemp("corpus") / "speech_commands")


@pytest.fixture(scope="session")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six noises in the layout of ms_snsd."""
    return write_noises(tmp_path_factory.mktemp("noise") / "MS-SNSD")


def by_speaker() -> dict[str, Any]:
    """The shipped manifest of synthetic words, split by speaker and in small shards."""
    raw: dict[str, Any] = yaml.safe_load(manifest.shipped()["synth_word_by_speaker"].read_text())
    raw["corpus"] = "gsc"
    raw["split"] = {"by": "speaker", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    raw["store"]["recordings_per_shard"] = 16
    return raw


@pytest.fixture
def settings() -> dict[str, Any]:
    """Manifest of the digits by speaker, as plain values to change; small shards."""
    return by_speaker()


@pytest.fixture(scope="session")
def dataset(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits built, split by speaker."""
    return build(manifest.parse(by_speaker(), "fixture"), digits, tmp_path_factory.mktemp("out")).folder
