"""The numbers of a small dataset are those that were written down: to the bit where they were made, else closely.

`python tests/test_golden.py --renew` writes them down anew, after a change that is meant to change them.
"""

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from conftest import write_noises

from at_data import manifest, shards
from at_data.build import build, publish

GOLDEN = Path(__file__).with_name("golden.json")
RENEW = "python tests/test_golden.py --renew"
LIBRARIES = ("numpy", "scipy", "soxr", "libsndfile", "h5py")
FEATURES = ("AVX2", "AVX512F", "AVX512_SKX", "NEON", "ASIMD", "VSX")  # by which numpy chooses how it calculates
EVERY = 97  # of a split's values, one in so many is written down
# Magnitudes are stored scaled, as float16: half a step of the largest (about 20) is 2**-7, and another way to resample
# or to sum moves values by far less.
TOLERANCE = 2.0**-6
MANIFESTS: dict[str, dict[str, Any]] = {
    "clean": {},
    "noisy": {
        "noise": {
            "corpus": "ms_snsd",
            "keep": {},
            "speech_level_dbfs": -25,
            "snr_db": [0, 20],
            "offset": "random",
            "crossfade_s": 0.01,
            "clipping": "none",
            "split": {"train": 0.4, "valid": 0.3, "test": 0.3},
        }
    },
    "compressed": {
        "store": {"dtype": "float32", "recordings_per_shard": 8, "compression": "zstd", "padding": "stored"}
    },
}


def corpus(folder: Path) -> Path:
    """A listed corpus: wav at 16 kHz, and flac of two channels at 44.1 kHz, of integers that any machine makes."""
    lines = ["path,split,word,speaker"]
    dice = np.random.Generator(np.random.PCG64(44))
    folder.mkdir(parents=True)
    for place in range(24):
        rate_hz, channels, suffix = ((16000, 1, "wav"), (44100, 2, "flac"))[place % 2]
        period = 40 + 7 * (place // 2 % 3) + 3 * place  # in samples, of a sawtooth: no sine differs by a last bit
        wave = (np.arange(int(rate_hz * 0.8))[:, None] * (24000 // period)) % 24000 - 12000
        samples = (wave + dice.integers(-2000, 2000, (wave.size, channels))).astype(np.int16)
        soundfile.write(folder / f"{place:02d}.{suffix}", samples, rate_hz, subtype="PCM_16")
        split = ("train", "train", "valid", "test")[place // 6]
        lines.append(f"{place:02d}.{suffix},{split},{('no', 'yes', 'stop')[place // 2 % 3]},{place // 6}")
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    return folder


def platform_facts() -> dict[str, Any]:
    """What the last bits may depend on: versions, the machine, what its processor can do."""
    umath = pytest.importorskip("numpy._core._multiarray_umath", reason="numpy 2")  # private, and known here alone
    versions = publish.versions()
    facts = {name: versions[name] for name in LIBRARIES}
    able = [name for name in FEATURES if umath.__cpu_features__.get(name)]
    return facts | {"machine": platform.machine(), "processor": able}


def built(folder: Path) -> dict[str, Any]:
    """Digests of everything in the shards of each dataset, and some of their values."""
    source = corpus(folder / "corpus")
    noises = write_noises(folder / "MS-SNSD")
    raw = yaml.safe_load(manifest.shipped()["synth_word_by_speaker"].read_text())
    raw |= {"corpus": "table", "keep": {"word": ["no", "stop", "yes"]}}
    raw["store"] = {"dtype": "float16", "recordings_per_shard": 8, "compression": "none", "padding": "stored"}
    found = {}
    for name, changes in MANIFESTS.items():
        made = manifest.parse(raw | changes | {"name": name}, "golden")
        finished = build(made, source, folder / "out", noise_source=noises if made.noise != "none" else None)
        found[name] = described(finished.folder)
    return found


def described(folder: Path) -> dict[str, Any]:
    """Digests and some values of every split, and the scale."""
    dataset = shards.open_dataset(folder)
    scaling = dataset.header.scaling
    facts: dict[str, Any] = {"scale": [scaling.mean, scaling.std], "splits": {}}
    for name in dataset.splits:
        reader = dataset.split(name)
        x = reader.read(np.arange(len(reader)))
        columns = {column: reader.codes(column) for column in sorted(dataset.header.attributes)}
        facts["splits"][name] = {
            "x": hashlib.sha256(x.tobytes()).hexdigest(),
            "ids": hashlib.sha256("\n".join(reader.ids).encode()).hexdigest(),
            "columns": hashlib.sha256(b"".join(codes.tobytes() for codes in columns.values())).hexdigest(),
            "shape": list(x.shape),
            "values": [round(float(value), 5) for value in x.reshape(-1)[:: EVERY * len(x)]],
        }
    return facts


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("hdf5plugin")
    return built(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(GOLDEN.read_text())
    return known


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_numbers_are_those_that_were_written_down(found: dict[str, Any], golden: dict[str, Any], name: str) -> None:
    here, there = platform_facts(), golden["platform"]
    meant = f"if this change of numbers is meant, say so in CHANGELOG.md and run: {RENEW}"
    if here == there:
        assert found[name] == golden["datasets"][name], meant
        return
    why = f"made with {there}, here {here}; {meant}"
    np.testing.assert_allclose(found[name]["scale"], golden["datasets"][name]["scale"], rtol=1e-4, err_msg=why)
    for split, facts in golden["datasets"][name]["splits"].items():
        now = found[name]["splits"][split]
        # which recordings, in which order, under which labels: nothing of that is a matter of rounding
        assert [now[key] for key in ("ids", "columns", "shape")] == [facts[key] for key in ("ids", "columns", "shape")]
        np.testing.assert_allclose(now["values"], facts["values"], atol=TOLERANCE, err_msg=why)


def test_the_values_written_down_are_many_and_would_tell(golden: dict[str, Any]) -> None:
    values = [v for made in golden["datasets"].values() for facts in made["splits"].values() for v in facts["values"]]
    assert len(values) > 300
    assert np.ptp(values) > 100 * TOLERANCE


def renew() -> None:
    """Write the numbers of this machine down."""
    with tempfile.TemporaryDirectory() as folder:
        facts = {"platform": platform_facts(), "datasets": built(Path(folder))}
    GOLDEN.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__" and "--renew" in sys.argv:
    renew()
