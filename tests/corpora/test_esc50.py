"""ESC-50: names, the table, and folds that stay whole."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.corpora import esc50
from at_data.errors import CorpusError
from at_data.verify import verify

HEADER = "filename,fold,target,category,esc10,src_file,take\n"
DOG = "1-100032-A-0.wav"
ROW = f"{DOG},1,0,dog,True,100032,A\n"


def with_table(folder: Path, text: str | None, *names: str) -> Path:
    files = audio(*(f"audio/{name}" for name in names or (DOG,)))
    return lay_out(folder, files | ({} if text is None else {"meta/esc50.csv": text}))


def write_corpus(folder: Path, categories: int = 50) -> Path:
    """One clip of every category in every fold."""
    (folder / "audio").mkdir(parents=True)
    text = HEADER
    for fold in range(1, 6):
        for target in range(categories):
            source = 1000 * fold + target
            name = f"{fold}-{source}-A-{target}.wav"
            samples = np.random.default_rng(source).normal(0, 0.1, 2205)
            soundfile.write(folder / "audio" / name, samples, 44100)
            text += f"{name},{fold},{target},sound_{target},{target < 10},{source},A\n"
    return lay_out(folder, {"meta/esc50.csv": text})


@pytest.mark.parametrize(
    ("target", "major"),
    [
        *((0, "animals"), (9, "animals"), (10, "natural"), (20, "human"), (30, "interior"), (39, "interior")),
        *((40, "exterior"), (49, "exterior")),
    ],
)
def test_ten_targets_are_a_major_category(tmp_path: Path, target: int, major: str) -> None:
    name = f"2-5-A-{target}.wav"
    (only,) = esc50.recordings(with_table(tmp_path, f"{HEADER}{name},2,{target},some_sound,False,5,A\n", name))
    assert only.attributes["major_category"] == major


def test_a_row_without_its_file_is_told_of(tmp_path: Path) -> None:
    found = list(esc50.recordings(with_table(tmp_path, f"{HEADER}{ROW}2-5-A-9.wav,2,9,crow,False,5,A\n")))
    assert [(r.id, r.attributes["category"]) for r in found] == [
        ("audio/1-100032-A-0", "dog"),
        ("audio/2-5-A-9", "crow"),
    ]


def test_a_file_without_a_row_has_no_category(tmp_path: Path) -> None:
    found = list(esc50.recordings(with_table(tmp_path, HEADER + ROW, DOG, "3-7-B-4.wav")))
    assert found[1].attributes == {"fold": "3", "source": "7", "take": "B"}


def test_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    (only,) = esc50.recordings(with_table(tmp_path, f"{HEADER}{DOG},1,0,dog,,100032,A\n"))
    assert "esc10" not in only.attributes


def test_the_table_may_have_been_saved_on_windows(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_bytes(b"\xef\xbb\xbf" + (HEADER + ROW).replace("\n", "\r\n").encode())
    (only,) = esc50.recordings(with_table(tmp_path, None))
    assert only.attributes["category"] == "dog"


@pytest.mark.parametrize("suffix", ["WAV", "Wav"])
def test_a_clip_finds_its_row_however_its_suffix_is_written(tmp_path: Path, suffix: str) -> None:
    name = DOG.replace("wav", suffix)
    (only,) = esc50.recordings(with_table(tmp_path / "file", HEADER + ROW, name))
    assert (only.id, only.path) == ("audio/1-100032-A-0", f"audio/{name}")
    assert only.attributes["category"] == "dog"
    (only,) = esc50.recordings(with_table(tmp_path / "row", HEADER + ROW.replace("wav", suffix)))
    assert (only.path, only.attributes["category"]) == (f"audio/{DOG}", "dog")


def test_clips_without_their_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"meta/esc50\.csv: no such file.*whole corpus"):
        list(esc50.recordings(with_table(tmp_path, None)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column category, esc10, filename"),
        ("filename,fold,category,category_name,esc10,src_file,take\n", "line 1: no column target"),
        (HEADER + ROW + "2-5-A-9.wav,2,9,crow\n", "line 3: got '2-5-A-9.wav,2,9,crow'"),
        (HEADER + f"{DOG},1,0,dog,True,100032,A,B\n", "line 2: got"),
        (HEADER + f"{DOG},1,fifty,dog,True,100032,A\n", "line 2: got"),
        (HEADER + f"{DOG},1,50,dog,True,100032,A\n", "a target from 0 to 49"),
        (HEADER + "dog,1,0,dog,True,100032,A\n", "line 2: got"),
        (HEADER + '"1-100032\n', "line 2: cannot be read"),
        (HEADER, "esc50.csv: it lists no clip"),
        (HEADER + ROW + ROW, "line 3: 1-100032-A-0 a second time"),
        (HEADER + ROW + ROW.replace("wav", "WAV"), "line 3: 1-100032-A-0 a second time"),
        (HEADER + f"{DOG},1,36,dog,True,100032,A\n", "line 2: target 36, but the name ends in 0"),
        (
            HEADER + ROW + "2-5-A-0.wav,2,0,crow,False,5,A\n",
            "line 3: target 0 is category crow, but category dog in a row above",
        ),
        (
            HEADER + ROW + "2-5-A-9.wav,2,9,dog,False,5,A\n",
            "line 3: category dog is target 9, but target 0 in a row above",
        ),
    ],
)
def test_the_table_says_where_it_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        list(esc50.recordings(with_table(tmp_path, text)))
    assert "esc50.csv" in str(caught.value)
    assert message in str(caught.value)


def test_the_first_release_with_a_folder_for_each_category_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("101 - Dog/1-100032-A.ogg", "102 - Rooster/1-26806-A.ogg"))
    with pytest.raises(CorpusError, match="none of ESC-50"):
        list(esc50.recordings(tmp_path))


def test_fifty_categories_become_a_dataset_whose_folds_stay_whole(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "ESC-50")
    built = build(manifest.load("esc50_class"), corpus, tmp_path / "out")
    assert verify(built.folder) == []
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert len({row["attribute.category"] for row in rows if row["split"] == "test"}) == 50
    assert sorted(split for _, split in {(row["attribute.fold"], row["split"]) for row in rows}) == [
        "test",
        "train",
        "train",
        "train",
        "valid",
    ]
