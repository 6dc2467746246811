"""Padding that is not stored: whoever reads gets what he gets where it is."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
import torch
from conftest import write_noises
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_verify import reseal

from at_data import headers, manifest, shards, verify
from at_data.build import build, estimate, plan
from at_data.errors import ShardError
from at_data.stages import spectra
from at_train.batches import Data, Runs, devices, epoch_batches

CPU = torch.device("cpu")
RATE_HZ = 16000
NOISE = {
    "corpus": "ms_snsd", "keep": {}, "speech_level_dbfs": "leave", "snr_db": [0, 20], "offset": "random",
    "crossfade_s": 0.01, "clipping": "none", "split": {"train": 0.4, "valid": 0.3, "test": 0.3},
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "at the end": {"segment": {"length_s": 1.0, "hop_s": 1.0, "shorter": "pad_end", "tail": "drop"}},
    "around": {"segment": {"length_s": 1.0, "hop_s": 1.0, "shorter": "pad_center", "tail": "drop"}},
    "single precision": {"store": {"dtype": "float32"}},
    "unscaled": {"scaling": {"kind": "none", "measured_on": "train"}},
    "noise": {"noise": NOISE},
    "zstd": {"store": {"compression": "zstd"}},
    "lz4": {"store": {"compression": "lz4"}},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 0.1 to 1 s: noise, silence before it, after it and within it; one of silence alone in each part."""
    folder = tmp_path_factory.mktemp("table")
    dice = np.random.default_rng(3)
    lines = ["path,split,word,speaker"]
    for number in range(45):
        samples = dice.normal(0, 0.2, int(RATE_HZ * (0.1 + 0.9 * (number % 9) / 8))).astype(np.float32)
        samples[: len(samples) // 4 * (number % 3 == 1)] = 0
        samples[len(samples) // 2 : len(samples) * 3 // 4] = 0
        samples[:: 1 if number % 15 == 7 else samples.size] = 0
        soundfile.write(folder / f"{number:02d}.wav", samples, RATE_HZ, subtype="FLOAT")
        part = ("train", "valid", "test")[number // 15]
        lines.append(f"{number:02d}.wav,{part},{('no', 'yes')[number % 2]},{part}{number % 3}")
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def sound_of_noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noises(tmp_path_factory.mktemp("noise") / "MS-SNSD")


def made(settings: dict[str, Any], padding: str, changes: dict[str, Any]) -> manifest.Manifest:
    raw = {**settings, "corpus": "table", "keep": {}, **changes}
    raw["split"] = {"by": "published", "valid_from_train": 0.0, "missing_classes": "fail"}
    raw["duplicates"] = {"exact": "keep", "near": "keep"}  # silence is the same everywhere
    raw["store"] = {**settings["store"], "recordings_per_shard": 4, **changes.get("store", {}), "padding": padding}
    return manifest.parse(raw, "here")


@pytest.fixture(scope="module")
def pair(source: Path, tmp_path_factory: pytest.TempPathFactory, plain_settings: dict[str, Any]) -> list[Path]:
    """A dataset in both forms."""
    out = tmp_path_factory.mktemp("pair")
    return [build(made(plain_settings, padding, {}), source, out).folder for padding in ("stored", "implicit")]


@pytest.fixture(scope="module")
def plain_settings() -> dict[str, Any]:
    from conftest import by_speaker  # noqa: PLC0415 - tests are no package

    return by_speaker()


@pytest.fixture
def copy(pair: list[Path], tmp_path: Path) -> Path:
    return shutil.copytree(pair[1], tmp_path / "copy")


@pytest.mark.parametrize("name", CASES)
def test_both_forms_read_the_same(
    name: str, settings: dict[str, Any], source: Path, sound_of_noise: Path, tmp_path: Path
) -> None:
    if name in {"zstd", "lz4"}:
        pytest.importorskip("hdf5plugin")
    noise_source = sound_of_noise if name == "noise" else None
    found = [
        build(made(settings, padding, CASES[name]), source, tmp_path, noise_source=noise_source, max_bad=0.2).folder
        for padding in ("stored", "implicit")
    ]
    stored, implicit = (shards.open_dataset(folder) for folder in found)
    assert stored.header.scaling == implicit.header.scaling
    for split in stored.splits:
        one, other = stored.split(split), implicit.split(split)
        assert one.ids == other.ids
        rows = np.random.default_rng(1).integers(0, len(one), 3 * len(one))
        whole = one.read(rows)
        assert whole.tobytes() == other.read(rows).tobytes()
        for reader in (one, other):  # all frames are real where padding is stored
            where = zip(whole, reader.real.starts[rows], reader.real.lengths[rows], strict=True)
            cut = np.concatenate([item[start : start + length] for item, start, length in where])
            assert reader.read_real(rows).tobytes() == cut.tobytes()
            wider = reader.read_real(rows, np.empty(cut.shape, np.float32))
            assert wider.tobytes() == cut.astype(np.float32).tobytes()
        wide = [reader.read(rows, np.empty((len(rows), *one.shape), np.float32)) for reader in (one, other)]
        assert wide[0].tobytes() == wide[1].tobytes()
    for folder in found:
        assert verify.verify(folder) == []


def test_what_is_not_stored_is_what_the_audio_says_is_silent(pair: list[Path]) -> None:
    header = headers.read(pair[1])
    nothing = np.float16((np.float32(0) - np.float32(header.scaling.mean)) / np.float32(header.scaling.std))
    for name in ("train", "valid", "test"):
        reader = shards.open_dataset(pair[1]).split(name)
        whole = reader.read(np.arange(len(reader)))
        for item, start, length in zip(whole, reader.real.starts, reader.real.lengths, strict=True):
            assert (item[:start] == nothing).all()
            assert (item[start + length :] == nothing).all()
        assert 0 in reader.real.lengths  # the silent one
        assert reader.real.lengths.max() > 100
        assert reader.real.starts.max() > 10
    kept = [sum(path.stat().st_size for path in (folder / "shards").iterdir()) for folder in pair]
    assert kept[1] < 0.75 * kept[0]


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 3)), elements=st.integers(0, 1)))
def test_trimmed_frames_are_those_of_a_slow_search(item: np.ndarray) -> None:
    heard = [frame for frame in range(len(item)) if item[frame].any()]
    assert spectra.trimmed(item) == (range(heard[0], heard[-1] + 1) if heard else range(0))


@pytest.mark.parametrize("silent", [range(17), range(1, 19), range(20)])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_shards_whose_first_items_are_silent_hold_the_sound_of_the_others(
    silent: range, compression: str, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Of what is silent there is nothing to write, wherever it stands."""
    dice = np.random.default_rng(4)
    lines = ["path,split,word,speaker"]
    for number in range(60):
        samples = dice.normal(0, 0.2, RATE_HZ // 4).astype(np.float32) * (number % 20 not in silent)
        soundfile.write(tmp_path / f"{number:02d}.wav", samples, RATE_HZ, subtype="FLOAT")
        part = ("train", "valid", "test")[number // 20]
        lines.append(f"{number:02d}.wav,{part},{('no', 'yes')[number % 2]},{part}{number % 3}")
    (tmp_path / "recordings.csv").write_text("\n".join(lines) + "\n")
    changes: dict[str, Any] = {"store": {"compression": compression, "recordings_per_shard": 7}}
    if silent == range(20):
        changes["scaling"] = {"kind": "none", "measured_on": "train"}
    stored, implicit = (
        shards.open_dataset(build(made(settings, padding, changes), tmp_path, tmp_path / "out").folder)
        for padding in ("stored", "implicit")
    )
    for split in stored.splits:
        one, other = (dataset.split(split) for dataset in (stored, implicit))
        assert one.read(np.arange(len(one))).tobytes() == other.read(np.arange(len(one))).tobytes()
    assert verify.verify(implicit.folder) == []


def equal(ours: Any, theirs: Any) -> bool:
    return all(a.ids == b.ids and torch.equal(a.values, b.values) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("runs", [None, Runs(3, 7)], ids=["permutation", "runs"])
@pytest.mark.parametrize("resident", [False, True], ids=["from disk", "held on the device"])
def test_both_forms_give_the_same_batches(
    pair: list[Path], resident: bool, runs: Runs | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, implicit = (Data.open(folder).splits["train"] for folder in pair)
    expected = list(epoch_batches(stored, 4, 1, 2, CPU, runs))
    if resident:
        monkeypatch.setattr(devices, "stays_on_disk", lambda *_: False)
    for _ in range(2):
        assert equal(epoch_batches(implicit, 4, 1, 2, CPU, runs), expected)
    assert bool(implicit.held) == resident
    if resident:
        assert len(implicit.held["cpu"]) == implicit.reader.real.lengths.sum() + 1  # one frame of padding for all


def test_only_real_frames_are_uploaded_and_padding_is_filled_in_there(pair: list[Path]) -> None:
    split = Data.open(pair[1]).splits["train"]
    rows = split.rows[::-1].copy()
    found = devices._put_real(split, rows, CPU)
    assert found.numpy().tobytes() == split.reader.read(rows).tobytes()


def shift(name: str, by: int) -> Any:
    def change(file: h5py.File) -> None:
        file[name][1] += by

    return change


def wide(file: h5py.File) -> None:
    values = file["length"][:]
    del file["length"]
    file["length"] = values.astype(np.int32)


@pytest.mark.parametrize(
    "change",
    [shift("start", -999), shift("start", 999), shift("first", 1), shift("length", 1), shift("length", -999), wide],
    ids=["start below", "start above", "first", "length", "length below", "type"],
)
def test_places_outside_an_item_are_refused(copy: Path, change: Any) -> None:
    shard = next(s.file for s in headers.read(copy).shards if s.split == "train")
    with h5py.File(copy / shard, "r+") as file:
        change(file)
    reseal(copy)
    reader = shards.open_dataset(copy).split("train")
    with pytest.raises(ShardError):
        reader.read(np.arange(len(reader)))
    assert any(shard in line for line in verify.verify(copy))


def test_the_plan_knows_that_padding_takes_no_room(source: Path, settings: dict[str, Any], pair: list[Path]) -> None:
    sizes = []
    for padding, folder in zip(("stored", "implicit"), pair, strict=True):
        said = estimate(plan(made(settings, padding, {}), source)).data_bytes_by_file["shards"]
        have = sum(path.stat().st_size for path in (folder / "shards").iterdir())
        assert said == pytest.approx(have, rel=0.1)
        sizes.append(said)
    assert sizes[1] < 0.75 * sizes[0]
