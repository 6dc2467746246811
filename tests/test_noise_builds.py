import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from conftest import NOISE, write_digits, write_noises
from finished import rows, tree
from trees import listing

from at_data import manifest
from at_data.build import build, plan
from at_data.errors import ManifestError
from at_data.verify import verify

TYPES = (
    "AirConditioner",
    "AirportAnnouncements",
    "Babble",
    "CopyMachine",
    "Munching",
    "NeighborSpeaking",
    "ShuttingDoor",
    "SqueakyChair",
    "Typing",
    "VacuumCleaner",
    "WasherDryer",
)


def write_sentences(folder: Path, voices: int = 10, sentences: int = 3) -> Path:
    """Clean speech in the layout of ms_snsd: two seconds each, of some voices, and one file of nobody known."""
    (folder / "clean_train").mkdir(parents=True)
    names = [f"p{voice}_{sentence}" for voice in range(voices) for sentence in range(sentences)]
    for number, name in enumerate([*names, "clnsp1"]):
        samples = np.random.default_rng(number).normal(0, 0.1, 32000)
        soundfile.write(folder / "clean_train" / f"{name}.wav", samples, 16000)
    return folder


def noise_task(hours: float) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(manifest.shipped()["ms_snsd_noise_type"].read_text())
    raw["noise"] |= {"hours": hours}
    return raw


def test_noise_has_the_level_asked_for_and_is_shared_by_no_two_splits(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    built = build(made, digits, tmp_path, noise_source=noises)
    where: dict[str, set[str]] = {}
    for row in rows(built.folder):
        assert row["noise.level_achieved_dbfs"] == pytest.approx(row["noise.level_requested_dbfs"], abs=0.01)
        assert -40 <= row["noise.level_requested_dbfs"] <= -20
        assert row["noise.speech_level_dbfs"] == pytest.approx(-25, abs=0.01)
        where.setdefault(row["noise.noise"], set()).add(row["split"])
    assert len(where) == 6
    assert all(len(splits) == 1 for splits in where.values())
    again = build(made, digits, tmp_path / "again", noise_source=noises, workers=2)
    assert tree(built.folder) == tree(again.folder)


def test_a_manifest_with_noise_asks_for_its_folder(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="--noise-source"):
        build(manifest.parse(settings | {"noise": NOISE}, "here"), digits, tmp_path)


def test_the_papers_noise_levels_share_one_partition_and_hold_their_levels(tmp_path: Path) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=20, takes=3)
    noises = write_noises(tmp_path / "MS-SNSD", TYPES)
    expected = {
        "gsc_words_clean": None,
        "gsc_words_low_noise": (20, 40),
        "gsc_words_high_noise": (0, 10),
        "gsc_words_low_noise_as_released": (10, 20),
        "gsc_words_high_noise_as_released": (0, 5),
    }
    partitions = []
    for name, snr_db in expected.items():
        built = build(manifest.load(name), corpus, tmp_path / "out", noise_source=noises)
        table = rows(built.folder)
        partitions.append({row["id"]: row["split"] for row in table})
        if snr_db:
            found = [row["noise.snr_achieved_db"] for row in table]
            assert snr_db[0] - 0.01 <= min(found) < max(found) <= snr_db[1] + 0.01
            assert {row["noise.noise"].rpartition("/")[2].partition("_")[0] for row in table} == set(TYPES)
    assert all(partition == partitions[0] for partition in partitions)
    assert Counter(partitions[0].values()) == {"train": 420, "valid": 120, "test": 60}


def test_every_level_of_a_segment_can_be_an_item(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["noise"] = NOISE | {"level_dbfs": {"each_of": [-50, -30]}}
    built = build(manifest.parse(settings, "here"), digits, tmp_path, noise_source=noises)
    table = rows(built.folder)
    assert len(table) == 240
    assert Counter(row["noise.level_requested_dbfs"] for row in table) == {-50: 120, -30: 120}
    assert len({(row["recording"], row["noise.noise"], row["noise.noise_offset_s"]) for row in table}) == 120


def test_every_level_is_asked_for_once() -> None:
    raw = noise_task(1.0)
    raw["noise"]["level_dbfs"] = {"each_of": [-20, -20]}
    with pytest.raises(ManifestError, match="a level stands twice"):
        manifest.parse(raw, "here")


def test_copies_of_one_noise_file_stand_in_one_split(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    copied = tmp_path / "MS-SNSD"
    shutil.copytree(noises, copied)
    for number in range(4, 10):
        shutil.copy(copied / "noise_train" / "Babble_1.wav", copied / "noise_train" / f"Babble_{number}.wav")
    made = plan(manifest.parse(settings | {"noise": NOISE}, "here"), digits, copied)
    assert made.noise is not None
    same = {"noise_train/Babble_1.wav", *(f"noise_train/Babble_{number}.wav" for number in range(4, 10))}
    holders = {split for split, files in made.noise.by_split.items() if same & {noise.path for noise in files}}
    assert len(holders) == 1


def test_one_noise_under_two_names_and_codes_is_a_leak(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD", ("Typing",), files=2)
    samples, rate_hz = soundfile.read(noises / "noise_train" / "Typing_1.wav", dtype="int16")
    # the same samples in other bytes: only who decodes both can tell
    soundfile.write(noises / "noise_train" / "Typing_2.wav", samples, rate_hz, subtype="PCM_24")
    soundfile.write(noises / "noise_train" / "Typing_3.wav", samples, rate_hz, subtype="PCM_32")
    with pytest.raises(ManifestError, match="splits that leak: 1 values of noise waveform in both train and valid"):
        build(manifest.parse(settings | {"noise": NOISE}, "here"), digits, tmp_path / "out", noise_source=noises)


def test_a_recording_of_one_split_is_no_noise_of_another(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    built = build(made, digits, tmp_path / "before", noise_source=noises)
    test = [row["path"] for row in rows(built.folder) if row["split"] == "test"]
    shutil.copytree(noises, tmp_path / "noises")
    for path, file in zip(test, sorted((tmp_path / "noises" / "noise_train").iterdir()), strict=False):
        shutil.copy(digits / path, file)  # most of which are noise of train and valid
    with pytest.raises(ManifestError, match=r"\d+ recordings that are noise of another split \(.* of test is noise of"):
        build(made, digits, tmp_path / "after", noise_source=tmp_path / "noises")
    assert not [path for path in (tmp_path / "after").glob("*") if not path.name.endswith(".partial")]


def test_a_recording_that_is_held_out_of_a_subset_is_no_noise(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    inner = {"split": settings["split"], "target": "word", "part": "train", "bias": "none"}
    by_chance = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    settings |= {"target": "speaker", "nuisances": ["word"], "subset": inner, "split": by_chance, "shared": ["speaker"]}
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    shutil.copytree(noises, tmp_path / "noises")
    noisy = sorted((tmp_path / "noises" / "noise_train").iterdir())
    held_out = plan(made, digits, tmp_path / "noises").held_out
    for recording, file in zip(held_out, noisy, strict=False):
        shutil.copy(digits / recording.path, file)
    with pytest.raises(ManifestError, match=r"6 recordings that are noise of another split .* of held out is noise of"):
        build(made, digits, tmp_path / "out", noise_source=tmp_path / "noises")


def test_a_recording_that_was_dropped_is_nobodys_noise(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    corpus, noisy = tmp_path / digits.parent.name / digits.name, tmp_path / "noises"
    shutil.copytree(digits.parent, corpus.parent)
    shutil.copytree(noises, noisy)
    planned = plan(made, corpus, noisy)
    assert planned.noise is not None
    (train, test) = (planned.assigned.part(planned.recordings, split)[0] for split in ("train", "test"))
    noise = planned.noise.by_split["test"][0].path
    for copy in (corpus / train.path, noisy / noise):
        shutil.copy(corpus / test.path, copy)
    again = plan(made, corpus, noisy)
    assert again.noise is not None
    assert noise in {file.path for file in again.noise.by_split["test"]}
    held = {row["recording"] for row in rows(build(made, corpus, tmp_path / "out", noise_source=noisy).folder)}
    assert test.id in held
    assert train.id not in held


def test_a_noise_task_divides_voices_and_noise_files_and_keeps_the_levels_of_a_mixture_together(tmp_path: Path) -> None:
    source = write_noises(write_sentences(tmp_path / "MS-SNSD"), TYPES[:10], files=5)
    write_noises(source, TYPES[10:], files=2)
    built = build(manifest.parse(noise_task(1.0), "here"), source, tmp_path / "out", noise_source=source, workers=2)
    table = rows(built.folder)
    assert len(table) == sum(built.header.counts.values()) == 3600
    by_mixture = defaultdict(list)
    for row in table:
        by_mixture[row["recording"]].append(row)
        assert row["noise.noise"] == row["attribute.noise_file"]
        assert row["noise.noise"].startswith(f"noise_train/{row['attribute.noise_type']}_")
        assert row["noise.level_achieved_dbfs"] == pytest.approx(row["noise.level_requested_dbfs"], abs=0.01)
    for levels in by_mixture.values():
        assert sorted(row["noise.level_requested_dbfs"] for row in levels) == [-40, -35, -30, -25, -20]
        assert len({(row["split"], row["start_s"], row["noise.noise_offset_s"], row["path"]) for row in levels}) == 1
    assert len({row["start_s"] for row in table}) > 100
    proof = {line["key"]: set() for line in json.loads((built.folder / "leaks.json").read_text())}
    for line in json.loads((built.folder / "leaks.json").read_text()):
        proof[line["key"]].add(line["verdict"])
    keys = ("voice", "speech", "noise_file", "waveform", "near-duplicate", "noise file", "noise waveform")
    assert proof == {key: {"disjoint"} for key in keys}
    # two files of a type train and test; a third would validate
    assert "WasherDryer" in built.header.class_counts["train"]
    assert "WasherDryer" in built.header.class_counts["test"]
    assert "WasherDryer" not in built.header.class_counts["valid"]
    assert not verify(built.folder)


def test_a_noise_task_may_take_its_labels_from_any_attribute_and_quarantines_noise_without(
    tmp_path: Path,
) -> None:
    lines = ["path,category", *(f"{kind}{n}.wav,{kind}" for kind in "abcd" for n in range(3)), "what.wav,"]
    noise_source = listing(tmp_path / "noises", lines)
    speech = write_sentences(tmp_path / "MS-SNSD")
    raw = noise_task(0.2)
    raw["target"] = raw["noise"]["label"] = "category"
    raw["noise"] |= {"corpus": "table", "keep": {}}
    made = plan(manifest.parse(raw, "here"), speech, noise_source)
    classes = {
        split: {r.attributes["category"] for t in made.tasks if t.split == split for r in t.recordings}
        for split in made.splits
    }
    assert classes == {split: set("abcd") for split in ("train", "valid", "test")}
    assert [(entry["id"], entry["kind"], entry["reason"]) for entry in made.unlabelled] == [
        ("what", "unlabelled noise", "no category")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "voice"}, "target: got 'voice', expected the noise's label 'noise_type'"),
        (
            {"segment": {"length_s": 1.0, "hop_s": 1.0, "shorter": "drop", "tail": "drop"}},
            r"segment\.hop_s: got 1\.0, expected one_at_start or one_at_random",
        ),
    ],
)
def test_a_noise_task_that_could_not_be_kept_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        manifest.parse(noise_task(1.0) | change, "here")


def test_speech_without_the_class_of_the_dataset_it_is_a_part_of_is_quarantined(tmp_path: Path) -> None:
    # two sentences nobody knows the mood of: no split by mood can place them, whatever the mixtures are labelled by
    lines = ["path,mood,voice"]
    lines += [f"{n}.wav,{'' if n in (3, 40) else 'ab'[n % 2]},p{n // 4}" for n in range(80)]
    speech = listing(tmp_path / "speech", lines)
    noise_source = write_noises(tmp_path / "MS-SNSD", TYPES[:3], files=5)
    by_voice = {"by": "voice", "method": "balanced", "train": 0.5, "valid": 0.25, "test": 0.25}
    drawn = {"split": by_voice, "target": "mood", "part": "train", "bias": "none"}
    raw = noise_task(0.1) | {"corpus": "table", "keep": {}, "nuisances": [], "subset": drawn}
    raw["noise"]["keep"] = {"kind": ["noise"]}
    made = plan(manifest.parse(raw, "here"), speech, noise_source)
    assert [(entry["id"], entry["kind"], entry["reason"]) for entry in made.unlabelled] == [
        ("3", "unlabelled", "no mood"),
        ("40", "unlabelled", "no mood"),
    ]
    assert not {"3", "40"} & {recording.attributes["speech"] for recording in made.recordings}


def test_what_is_wrong_with_the_noise_is_told_as_a_key_of_it(
    digits: Path, noises: Path, settings: dict[str, Any]
) -> None:
    settings["noise"] = NOISE | {"keep": {"noise_type": ["Sirens"]}}
    with pytest.raises(ManifestError, match=r"^noise\.keep\.noise_type: no recording has Sirens"):
        plan(manifest.parse(settings, "here"), digits, noises)
