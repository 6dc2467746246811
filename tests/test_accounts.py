"""Every recording of a corpus is in the index, in the quarantine, or passed over: nothing is lost in silence."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import write_digits, write_noises
from finished import quarantine, rows

from at_data import corpora, headers, manifest
from at_data.build import build
from at_data.build.chosen import chosen

RANDOM = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}


def passed_over(folder: Path) -> dict[str, str]:
    table = pq.read_table(folder / "passed_over.parquet").to_pylist()
    return {row["recording"]: row["reason"] for row in table}


def balances(folder: Path, listed: set[str]) -> dict[str, int]:
    """Accounts of a dataset, after it was seen that they add up and that the tables hold every recording once."""
    held = {row["recording"] for row in rows(folder)}
    away = {entry["recording"] for entry in quarantine(folder)} - held
    over = passed_over(folder)
    assert held | away | over.keys() == listed
    assert len(held) + len(away) + len(over) == len(listed)
    accounts = headers.read(folder).recordings
    assert accounts.pop("listed") == len(listed) == sum(accounts.values())
    assert accounts.pop("held") == len(held)
    return accounts


def ids(corpus: Path) -> set[str]:
    return {recording.id for recording in corpora.load("gsc").recordings(corpus)}


def test_words_that_nobody_asked_for_are_passed_over(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["keep"] = {"word": ["zero", "one", "two"]}
    folder = build(manifest.parse(settings, "here"), digits, tmp_path).folder
    assert balances(folder, ids(digits)) == {"keep": 84}
    assert {item.split("/")[0] for item in passed_over(folder)} == {
        "three", "four", "five", "six", "seven", "eight", "nine"
    }  # fmt: skip


def test_balance_subset_and_every_kind_of_loss_add_up(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = write_digits(tmp_path / "speech_commands")
    (corpus / "zero" / "00000000_nohash_0.wav").write_bytes(b"no audio")
    speaker = corpus / "one" / "00000000_nohash_0.wav"
    (corpus / "one" / "00000005_nohash_0.wav").write_bytes(speaker.read_bytes())
    (corpus / "two" / "nobody.wav").write_bytes(speaker.read_bytes())
    settings |= {
        "balance": {"by": "word", "method": "cap", "at": 11},
        "keep": {"word": ["zero", "one", "two", "three", "four"]},
    }
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.5)
    accounts = balances(built.folder, ids(corpus))
    assert accounts == {"balance": 5, "keep": 60, "bad": 1, "duplicate": 1, "unlabelled": 1}
    inner = {"split": settings["split"], "target": "word", "part": "train", "bias": "none"}
    settings |= {
        "name": "speaker", "target": "speaker", "nuisances": ["word"], "subset": inner, "split": RANDOM,
        "shared": ["speaker"],
    }  # fmt: skip
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.5)
    accounts = balances(built.folder, ids(corpus))
    assert accounts["subset"] > 0
    assert accounts["balance"] == 5


def test_what_a_bias_leaves_over_is_passed_over(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["bias"] = {"with": "speaker", "favoured": 3, "strength": 0.9}
    folder = build(manifest.parse(settings, "here"), digits, tmp_path).folder
    accounts = balances(folder, ids(digits))
    bias = headers.read(folder).bias
    assert bias is not None
    assert accounts == {"bias": sum(bias.unused.values())}


@pytest.mark.parametrize("hours", [0.01, 0.2])
def test_a_noise_task_counts_its_speech(digits: Path, settings: dict[str, Any], tmp_path: Path, hours: float) -> None:
    noises = write_noises(tmp_path / "MS-SNSD")
    settings |= {
        "target": "noise_type",
        "nuisances": [],
        "segment": settings["segment"] | {"hop_s": "one_at_start"},
        "noise": {
            "corpus": "ms_snsd", "keep": {"kind": ["noise"]}, "label": "noise_type", "hours": hours,
            "speech_level_dbfs": -25, "level_dbfs": [-40, -20], "offset": "random", "crossfade_s": 0.01,
            "clipping": "none", "split": {"train": 0.4, "valid": 0.3, "test": 0.3},
        },
    }  # fmt: skip
    folder = build(manifest.parse(settings, "here"), digits, tmp_path / "out", noise_source=noises).folder
    accounts = headers.read(folder).recordings
    said = {row["attribute.speech"] for row in rows(folder)}
    assert accounts["held"] == len(said)
    assert accounts["listed"] == 120 == sum(accounts.values()) - 120
    assert said.isdisjoint(passed_over(folder))


@pytest.mark.parametrize("name", corpora.names())
def test_of_every_corpus_what_is_not_asked_for_is_named(name: str, settings: dict[str, Any]) -> None:
    recordings = corpora.load(name).EXAMPLE["recordings"]
    asked = [(key, value) for recording in recordings for key, value in sorted(recording.attributes.items())]
    for attribute, value in dict.fromkeys(asked):
        wish = {"keep": {attribute: [value]}, "target": attribute, "nuisances": [], "split": RANDOM, "shared": []}
        made = manifest.parse(settings | wish | {"corpus": name}, "here")
        found = chosen(recordings, made, Path())
        parts = [{r.id for r in found.recordings}, {entry["id"] for entry in found.unlabelled}]
        parts += [set(items) for items in found.passed_over.values()]
        assert set().union(*parts) == {recording.id for recording in recordings}
        assert sum(map(len, parts)) == found.listed == len(recordings)
