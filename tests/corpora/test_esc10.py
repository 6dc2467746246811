"""ESC-10: folders, names, and folds that stay whole; the clips themselves, where they lie beside the project."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.corpora import esc10
from at_data.errors import CorpusError
from at_data.verify import verify


def write_corpus(folder: Path) -> Path:
    """One clip of every category in every fold."""
    for place, category in enumerate(esc10.CATEGORIES):
        (folder / category).mkdir(parents=True)
        for fold in range(1, 6):
            source = 100 * fold + place
            samples = np.random.default_rng(source).normal(0, 0.1, 4410)
            soundfile.write(folder / category / f"{fold}-{source}-A.ogg", samples, 44100)
    return folder


def test_categories_are_named_as_in_esc50() -> None:
    assert sorted(esc10.CATEGORIES.values()) == [
        *("chainsaw", "clock_tick", "crackling_fire", "crying_baby", "dog", "helicopter", "rain", "rooster"),
        *("sea_waves", "sneezing"),
    ]


def test_takes_of_one_source_are_told_apart(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("003 - Sea waves/1-28135-A.ogg", "003 - Sea waves/1-28135-B.ogg"))
    found = [r.attributes for r in esc10.recordings(tmp_path)]
    assert [a["take"] for a in found] == ["A", "B"]
    assert {a["source"] for a in found} == {"28135"}


def test_folders_of_other_categories_are_yielded_without_one(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("001 - Dog bark/1-5-A.ogg", "Dog bark/1-6-A.ogg", "1-7-A.ogg"))
    assert [r.attributes.get("category") for r in esc10.recordings(tmp_path)] == ["dog", None, None]


@pytest.mark.parametrize(
    "name", ["101 - Dog/1-100032-A.ogg", "001 - Dog bark/dog.ogg", "001 - Dog bark/1-100032-A.wav"]
)
def test_another_layout_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"ogg files, none of ESC-10.*001 - Dog bark"):
        list(esc10.recordings(lay_out(tmp_path, audio(name))))


def test_ten_categories_become_a_dataset_whose_folds_stay_whole(tmp_path: Path) -> None:
    built = build(manifest.load("esc10_class"), write_corpus(tmp_path / "ESC-10"), tmp_path / "out")
    assert verify(built.folder) == []
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert Counter(row["split"] for row in rows) == {"train": 30, "valid": 10, "test": 10}
    assert len({(row["attribute.fold"], row["split"]) for row in rows}) == 5


@pytest.mark.real
def test_real_clips_last_about_five_seconds(real_data: Path) -> None:
    folder = real_data / "ESC-10"
    found = list(esc10.recordings(folder))
    assert [r.path for r in found] == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.ogg"))
    assert {len(r.attributes) for r in found} == {4}
    assert Counter(r.attributes["category"] for r in found) == dict.fromkeys(esc10.CATEGORIES.values(), 2)
    lengths = [soundfile.info(folder / r.path).duration for r in found]
    assert min(lengths) == pytest.approx(4.994, abs=0.001)
    assert max(lengths) == pytest.approx(5.014, abs=0.001)
    assert sum(abs(length - 5.001) < 0.001 for length in lengths) == 18


@pytest.mark.real
def test_real_clips_become_a_dataset(real_data: Path, tmp_path: Path) -> None:
    # the twenty clips are of one fold, two of each category: those of two sources fill training and test
    raw = yaml.safe_load(manifest.shipped()["esc10_class"].read_text())
    raw["keep"] = {
        "category": ["chainsaw", "clock_tick", "crackling_fire", "crying_baby", "dog", "rain", "rooster", "sneezing"]
    }
    raw["shared"] = ["fold"]
    raw["split"] = {"by": "source", "method": "balanced", "train": 0.5, "valid": 0, "test": 0.5}
    built = build(manifest.parse(raw, "here"), real_data / "ESC-10", tmp_path)
    assert verify(built.folder) == []
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert Counter(row["split"] for row in rows) == {"train": 8, "test": 8}
    leaks = json.loads((built.folder / "leaks.json").read_text())
    assert {leak["verdict"] for leak in leaks if leak["key"] == "source"} == {"disjoint"}
