"""The whole road on real recordings, where they lie beside the project."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from at_data import manifest
from at_data.build import build
from at_data.verify import verify

pytestmark = pytest.mark.real


def proof(folder: Path) -> dict[tuple[str, str], str]:
    lines = json.loads((folder / "leaks.json").read_text())
    return {("/".join(line["splits"]), line["key"]): line["verdict"] for line in lines}


def test_spoken_digits_become_datasets_that_share_no_item(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "free-spoken-digit-dataset"
    digit, speaker = (
        build(manifest.load(name), source, tmp_path) for name in ("fsdd_digit_by_speaker", "fsdd_speaker")
    )
    assert verify(digit.folder) == verify(speaker.folder) == []
    assert set(proof(digit.folder).values()) == {"disjoint"}
    held_out = {
        row["recording"] for row in pq.read_table(digit.folder / "index.parquet").to_pylist() if row["split"] != "train"
    }
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    alike = speaker.header.left_out.pop("near-duplicate")  # one voice says one digit twice alike
    assert not speaker.header.left_out
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
