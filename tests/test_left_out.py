import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import NOISE, write_digits
from finished import quarantine, rows
from trees import listing

from at_data import manifest
from at_data.build import build, plan
from at_data.errors import CorpusError, ManifestError
from at_data.verify import verify


def test_bad_files_go_to_quarantine_with_their_reason_and_the_build_goes_on(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=6, takes=3)
    nan = np.full(16000, np.nan, np.float32)
    soundfile.write(corpus / "one/00000000_nohash_0.wav", nan, 16000, subtype="FLOAT")
    (corpus / "two/00000001_nohash_0.wav").write_bytes(b"")
    (corpus / "two/00000002_nohash_0.wav").write_text("no audio at all, but long enough to look like something")
    soundfile.write(corpus / "two/00000003_nohash_0.wav", np.zeros(0), 16000)
    whole = (corpus / "three/00000000_nohash_0.wav").read_bytes()
    (corpus / "three/00000000_nohash_0.wav").write_bytes(whole[: len(whole) // 2])
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.05)
    lost = {entry["id"]: entry["reason"] for entry in quarantine(built.folder)}
    assert set(lost) == {
        "one/00000000_nohash_0",
        "two/00000001_nohash_0",
        "two/00000002_nohash_0",
        "two/00000003_nohash_0",
        "three/00000000_nohash_0",
    }
    assert all(lost.values())
    assert sum(built.header.counts.values()) == 175
    assert built.header.left_out == {"bad": 5}
    assert not verify(built.folder)


def test_a_recording_of_which_resampling_leaves_nothing_is_bad(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=6, takes=3)
    soundfile.write(corpus / "one/00000000_nohash_0.wav", np.ones(1) / 2, 96000)
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.05)
    (lost,) = quarantine(built.folder)
    assert (lost["id"], lost["kind"]) == ("one/00000000_nohash_0", "bad")
    assert lost["reason"] == "1 samples at 96000 Hz, nothing once resampled to 16000 Hz; expected at least one sample"


def test_too_many_bad_files_end_the_build_and_mended_ones_are_read_again(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands")
    good = (corpus / "one/00000000_nohash_0.wav").read_bytes()
    for take in range(2):
        (corpus / f"one/00000000_nohash_{take}.wav").write_bytes(b"broken")
    made = manifest.parse(settings, "here")
    with pytest.raises(CorpusError, match=r"2 of 120 recordings are bad.*expected at most 1\.00%.*--max-bad"):
        build(made, corpus, tmp_path / "out")
    for take in range(2):
        (corpus / f"one/00000000_nohash_{take}.wav").write_bytes(good)
    assert sum(build(made, corpus, tmp_path / "out").header.counts.values()) == 120


def test_a_class_that_lost_every_usable_recording_of_a_split_ends_the_build(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = tmp_path / "gsc"
    shutil.copytree(digits, corpus)
    for row in rows(dataset):
        if row["split"] == "test" and row["attribute.word"] == "zero":
            (corpus / row["path"]).write_bytes(b"")
    with pytest.raises(CorpusError, match=r"of word zero nothing usable is left in test.*every class that was planned"):
        build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.5)
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.endswith(".partial")]


def test_a_recording_that_cannot_be_used_is_nobodys_duplicate(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = tmp_path / "gsc"
    shutil.copytree(digits, corpus)
    for speaker in range(6):
        soundfile.write(corpus / f"one/{speaker:08x}_nohash_0.wav", np.zeros(16000), 16000)
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    built = build(made, corpus, tmp_path / "out", noise_source=noises, max_bad=0.1)
    assert built.header.left_out == {"bad": 6}


def test_the_same_waveform_in_two_splits_is_dropped_or_refused_as_the_manifest_says(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands")
    source = corpus / "one/00000000_nohash_0.wav"
    for speaker in range(1, 6):
        shutil.copy(source, corpus / f"one/{speaker:08x}_nohash_0.wav")
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    kinds = Counter(entry["kind"] for entry in quarantine(built.folder))
    assert kinds["duplicate"] >= 2
    left = {row["waveform"]: row["split"] for row in rows(built.folder)}
    assert all(left[row["waveform"]] == row["split"] for row in rows(built.folder))
    with pytest.raises(CorpusError, match="same waveform"):
        build(
            manifest.parse(settings | {"duplicates": {"exact": "fail", "near": "drop"}}, "here"),
            corpus,
            tmp_path / "out",
        )
    (warning,) = plan(
        manifest.parse(settings | {"duplicates": {"exact": "keep", "near": "drop"}}, "here"), corpus
    ).warnings[-1:]
    assert warning.startswith("duplicates.exact: keep keeps nothing beside near: drop")
    kept = build(
        manifest.parse(settings | {"duplicates": {"exact": "keep", "near": "keep"}}, "here"), corpus, tmp_path / "out"
    )
    assert sum(kept.header.counts.values()) == 120
    proof = json.loads((kept.folder / "leaks.json").read_text())
    assert {line["verdict"] for line in proof if line["key"] == "waveform"} == {"shared by design"}


def test_recordings_that_are_not_labelled_are_quarantined_with_what_they_lack(
    digits: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = tmp_path / "made" / "speech_commands"
    shutil.copytree(digits, corpus)
    shutil.copy(corpus / "one/00000000_nohash_0.wav", corpus / "one/whose.wav")
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    assert built.header.left_out == {"unlabelled": 1}
    (entry,) = quarantine(built.folder)
    assert (entry["id"], entry["reason"]) == ("one/whose", "no speaker")
    assert "label it" in entry["todo"]
    for take in range(3):
        shutil.copy(corpus / "one/whose.wav", corpus / f"one/whose{take}.wav")
    with pytest.raises(CorpusError, match=r"4 of 124 recordings are unlabelled \(one/whose: no speaker;"):
        build(manifest.parse(settings, "here"), corpus, tmp_path / "again")
    assert not (tmp_path / "again").is_dir()  # told before anything was read


def test_a_published_split_quarantines_what_no_list_names(tmp_path: Path, settings: dict[str, Any]) -> None:
    names = [f"{part}{n}" for part in ("train", "valid", "test", "") for n in range(2)]
    lines = [f"{name or 'none'}.wav,{name[:-1] if len(name) > 1 else ''},{'ab'[int(name[-1])]}" for name in names]
    for number, line in enumerate(lines):
        samples = np.random.default_rng(number).normal(0, 0.1, 16000)
        soundfile.write(tmp_path / line.partition(",")[0], samples, 16000)
    (tmp_path / "recordings.csv").write_text("\n".join(["path,split,word", *lines]))
    published = {"by": "published", "valid_from_train": 0.0, "missing_classes": "fail"}
    made = manifest.parse(settings | {"corpus": "table", "keep": {}, "split": published, "nuisances": []}, "here")
    built = build(made, tmp_path, tmp_path / "out", max_bad=0.5)
    assert built.header.counts == {"train": 2, "valid": 2, "test": 2}
    assert {entry["reason"] for entry in quarantine(built.folder)} == {"in no published part"}
    assert built.header.left_out == {"unlabelled": 2}


def test_waveforms_under_several_labels_are_listed_and_kept_on_one_side(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = tmp_path / "made" / "speech_commands"
    shutil.copytree(digits, corpus)
    taken = {split: next(row for row in rows(dataset) if row["split"] == split) for split in ("train", "test")}
    other = next(
        row
        for row in rows(dataset)
        if row["split"] == "train" and row["attribute.word"] != taken["test"]["attribute.word"]
    )
    shutil.copy(corpus / taken["test"]["path"], corpus / other["path"])
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    assert built.header.duplicates == {"waveforms": 1, "recordings": 2, "with_several_labels": 1}
    with (built.folder / "duplicates.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert {(row["id"], row["split"]) for row in listed} == {
        (taken["test"]["recording"], "test"),
        (other["recording"], "left out"),
    }
    assert len({row["waveform"] for row in listed}) == 1
    assert (
        "1 waveforms occur in 2 files, 1 of them under several values of word"
        in (built.folder / "README.md").read_text()
    )


def test_quiet_recordings_are_left_out_by_the_rule_of_the_manifest(
    digits: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = tmp_path / "made" / "speech_commands"
    shutil.copytree(digits, corpus)
    quiet = corpus / "one/00000000_nohash_0.wav"
    soundfile.write(quiet, soundfile.read(quiet)[0] * 0.01, 16000)
    settings["quiet"] = {"measure": "largest_sample", "drop_at_most": 0.05}
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    assert built.header.left_out == {"dropped": 1}
    assert quarantine(built.folder)[0]["reason"].startswith("largest sample 0.00")


def test_the_share_of_unlabelled_recordings_is_of_all_that_were_asked_for(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    lines = [
        "path,note,player",
        *(f"{n}.wav,{'ab'[n % 2]},{'pq'[n // 2 % 2]}" for n in range(98)),
        "x.wav,,p",
        "y.wav,,q",
    ]
    source = listing(tmp_path / "list", lines)
    random = {"by": "random", "method": "balanced", "train": 0.4, "valid": 0.3, "test": 0.3}
    drawn = {"split": random, "target": "note", "part": "train", "bias": "none"}
    raw = settings | {"corpus": "table", "keep": {}, "nuisances": [], "split": random, "target": "player"}
    made = manifest.parse(raw | {"subset": drawn}, "here")
    built = build(made, source, tmp_path / "out", max_bad=0.02)  # 2 of 100, though the part holds 39
    assert built.header.left_out == {"unlabelled": 2}


@pytest.mark.parametrize("padding", ["stored", "implicit"])
def test_what_no_half_can_hold_ends_the_build_with_the_item_and_float32_takes_it(
    digits: Path, settings: dict[str, Any], tmp_path: Path, padding: str
) -> None:
    corpus = tmp_path / "made" / "speech_commands"
    shutil.copytree(digits, corpus)
    settings["store"]["padding"] = padding
    loud = None
    for item, split in sorted(plan(manifest.parse(settings, "here"), corpus).assigned.items()):
        if split != "train" and loud is None:
            loud = item
            continue
        path = corpus / f"{item}.wav"
        samples, rate_hz = soundfile.read(path)
        soundfile.write(path, samples * 1e-6, rate_hz, subtype="FLOAT")
    with pytest.raises(ManifestError, match=rf"store\.dtype: float16, and {loud}#0 reaches .*at most 65504.*float32"):
        build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    settings["store"]["dtype"] = "float32"
    assert not verify(build(manifest.parse(settings, "here"), corpus, tmp_path / "out").folder)


def test_what_is_wrong_with_the_split_of_another_dataset_is_told_as_its_key(
    digits: Path, settings: dict[str, Any]
) -> None:
    inner = {"by": "speaker", "method": "balanced", "train": 0.98, "valid": 0.01, "test": 0.01}
    drawn = {"split": inner, "target": "speaker", "part": "train", "bias": "none"}
    settings |= {"target": "word", "subset": drawn}
    with pytest.raises(ManifestError, match=r"^subset\.split\.by: 'speaker' is both the target and kept whole"):
        plan(manifest.parse(settings, "here"), digits)
