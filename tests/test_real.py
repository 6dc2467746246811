"""The whole road on real recordings, where they lie beside the project."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from test_estimate import folder_bytes
from test_verify import sound

from at_data import manifest
from at_data.build import Built, build, estimate, plan
from at_data.verify import verify

pytestmark = pytest.mark.real


def proof(folder: Path) -> dict[tuple[str, str], str]:
    lines = json.loads((folder / "leaks.json").read_text())
    return {("/".join(line["splits"]), line["key"]): line["verdict"] for line in lines}


REAL = {
    "fsdd_digit_by_speaker": "free-spoken-digit-dataset",
    "fsdd_speaker": "free-spoken-digit-dataset",
    "arabic_digit_by_speaker": "arabic-speech-commands-dataset",
    "ravdess_emotion_by_speaker": "RAVDESS_16k",
}


@pytest.fixture(scope="module")
def built(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Datasets of real recordings, each built when it is first asked for."""
    out = tmp_path_factory.mktemp("real")
    return cache(lambda name: build(manifest.load(name), real_data / REAL[name], out, max_bad=0.02))


@pytest.mark.parametrize("name", REAL)
def test_real_datasets_weigh_what_was_said(name: str, real_data: Path, built: Callable[[str], Built]) -> None:
    found, made = estimate(plan(manifest.load(name), real_data / REAL[name])), built(name)
    items, dropped = sum(made.header.counts.values()), sum(made.header.left_out.values())
    assert items <= found.items <= items + 2 * dropped  # duplicates are known only once all is read
    assert found.data_bytes == pytest.approx(folder_bytes(made.folder), rel=0.02)
    on_disk = sum(path.stat().st_blocks * 512 for path in made.folder.rglob("*"))
    assert found.data_bytes == pytest.approx(on_disk, rel=0.02)


@pytest.mark.parametrize("name", ["fsdd_digit_by_speaker", "ravdess_emotion_by_speaker"])
def test_real_recordings_are_sound(name: str, real_data: Path, built: Callable[[str], Built]) -> None:
    sound(built(name).folder, real_data / REAL[name])


def test_spoken_digits_become_datasets_that_share_no_item(built: Callable[[str], Built]) -> None:
    digit, speaker = (built(name) for name in ("fsdd_digit_by_speaker", "fsdd_speaker"))
    assert verify(digit.folder) == verify(speaker.folder) == []
    assert set(proof(digit.folder).values()) == {"disjoint"}
    held_out = {
        row["recording"] for row in pq.read_table(digit.folder / "index.parquet").to_pylist() if row["split"] != "train"
    }
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    alike = speaker.header.left_out["near-duplicate"]  # one voice says one digit twice alike
    assert set(speaker.header.left_out) == {"near-duplicate"}
    assert len(taught) == 1500 - alike
    assert alike < 30
    assert not held_out & taught


def test_speech_commands_are_mixed_with_real_noise_at_the_snr_asked_for(real_data: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load(manifest.shipped()["gsc_words_low_noise"].read_text())
    raw["noise"] |= {"keep": {"kind": ["noise"]}, "speech_level_dbfs": -25, "snr_db": [0, 20]}
    del raw["noise"]["level_dbfs"]
    source, noise_source = real_data / "speech_commands", real_data / "MS-SNSD"
    built = build(manifest.parse(raw, "here"), source, tmp_path, noise_source=noise_source, max_bad=0.02)
    table = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert sum(built.header.counts.values()) == len(table) > 500
    for row in table:
        assert row["noise.snr_achieved_db"] == pytest.approx(row["noise.snr_requested_db"], abs=0.01)
        assert row["noise.speech_level_dbfs"] == pytest.approx(-25, abs=0.01)
    noise = {key: verdict for key, verdict in proof(built.folder).items() if key[1] == "noise file"}
    assert len(noise) == 3
    assert set(noise.values()) == {"disjoint"}
    assert proof(built.folder)["train/test", "speaker"] == "shared by design"
