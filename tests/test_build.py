import csv
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.signal
import soundfile
import yaml
from conftest import write_digits, write_noises

from at_data import manifest, shards
from at_data.build import build, locks, plan, pool
from at_data.errors import CorpusError, ManifestError, ShardError
from at_data.verify import verify

# float16 keeps 11 bits: scaled values reach about 30, so half a step there
HALF_PRECISION = 30 * 2.0**-11
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


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "index.parquet").to_pylist()


def quarantine(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]


def test_every_item_is_the_scaled_spectrogram_of_its_recording(dataset: Path, digits: Path) -> None:
    opened = shards.open_dataset(dataset)
    scaling = opened.header.scaling
    for split in opened.splits:
        reader = opened.split(split)
        values = reader.read(np.arange(len(reader)))
        index = {row["id"]: row for row in rows(dataset)}
        for item, found in zip(reader.ids, values, strict=True):
            samples, rate_hz = soundfile.read(digits / index[item]["path"])
            padded = np.pad(samples, (0, rate_hz - len(samples)))
            expected = np.abs(scipy.signal.stft(padded, window="hamming", nperseg=256, noverlap=128)[2]).T
            np.testing.assert_allclose(found, (expected - scaling.mean) / scaling.std, atol=HALF_PRECISION)


def test_the_training_split_has_zero_mean_and_unit_deviation(dataset: Path) -> None:
    reader = shards.open_dataset(dataset).split("train")
    values = reader.read(np.arange(len(reader))).astype(np.float64)
    assert abs(values.mean()) < 1e-3
    assert abs(values.std() - 1) < 1e-3


def test_columns_index_and_ids_tell_the_same_story(dataset: Path) -> None:
    opened = shards.open_dataset(dataset)
    table = rows(dataset)
    assert len(table) == sum(opened.header.counts.values()) == 120
    for split in opened.splits:
        reader = opened.split(split)
        here = [row for row in table if row["split"] == split]
        assert [row["id"] for row in here] == reader.ids
        for name, vocabulary in opened.header.attributes.items():
            codes = reader.codes(name)
            assert [vocabulary[code] for code in codes] == [row[f"attribute.{name}"] for row in here]


def test_no_speaker_stands_in_two_splits_and_the_proof_says_so(dataset: Path) -> None:
    where: dict[str, set[str]] = {}
    for row in rows(dataset):
        where.setdefault(row["attribute.speaker"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in where.values())
    proof = json.loads((dataset / "leaks.json").read_text())
    keys = ("near-duplicate", "speaker", "waveform")
    assert {(line["key"], line["verdict"]) for line in proof} == {(key, "disjoint") for key in keys}
    assert len(proof) == 9


def test_splits_csv_names_every_recording_its_split_and_group(dataset: Path) -> None:
    with (dataset / "splits.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {(row["recording"], row["split"], row["attribute.speaker"]) for row in rows(dataset)} == {
        (row["id"], row["split"], row["group"]) for row in table
    }


def test_workers_and_place_change_no_byte(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "gsc"
    shutil.copytree(digits, moved)
    built = build(manifest.parse(settings, "here"), moved, tmp_path / "out", workers=2)
    assert tree(built.folder) == tree(dataset)


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


def test_an_orthogonal_dataset_holds_training_items_of_its_target_alone(digits: Path, tmp_path: Path) -> None:
    names = ("synth_speaker", "synth_word_by_speaker")
    speaker, word = (build(manifest.load(name), digits.parent, tmp_path) for name in names)
    trained_on = {row["recording"] for row in rows(word.folder) if row["split"] == "train"}
    held = {row["recording"] for row in rows(speaker.folder)}
    assert held == trained_on


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
    kept = build(
        manifest.parse(settings | {"duplicates": {"exact": "keep", "near": "keep"}}, "here"), corpus, tmp_path / "out"
    )
    assert sum(kept.header.counts.values()) == 120
    proof = json.loads((kept.folder / "leaks.json").read_text())
    assert {line["verdict"] for line in proof if line["key"] == "waveform"} == {"shared by design"}


def test_a_finished_dataset_is_left_alone(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    made = manifest.parse(settings, "here")
    first = build(made, digits, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = build(made, digits, tmp_path)
    assert (first.fresh, again.fresh) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


def test_a_folder_in_the_way_is_named_and_untouched(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    made = manifest.parse(settings, "here")
    (tmp_path / made.folder).mkdir()
    (tmp_path / made.folder / "precious").write_text("mine")
    with pytest.raises(ShardError, match=r"no dataset\.json"):
        build(made, digits, tmp_path)
    built = build(made, digits, tmp_path / "other")
    header = json.loads((built.folder / "dataset.json").read_text())
    (built.folder / "dataset.json").write_text(json.dumps(header | {"digest": "0" * 64}))
    with pytest.raises(ShardError, match=r"another manifest.*digest 00000000"):
        build(made, digits, tmp_path / "other")
    assert (tmp_path / made.folder / "precious").read_text() == "mine"


def test_other_recordings_under_the_same_manifest_are_not_taken_for_the_same(
    digits: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings, "here")
    build(made, digits, tmp_path / "out")
    more = write_digits(tmp_path / "made" / "speech_commands", speakers=7)
    with pytest.raises(ShardError, match="other recordings"):
        build(made, more, tmp_path / "out")


@pytest.mark.parametrize(("phase", "after"), [("read", 0), ("read", 3), ("scale", 0), ("scale", 5)])
def test_an_interrupted_build_carries_on_with_what_is_missing(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path, phase: str, after: int
) -> None:
    made = manifest.parse(settings, "here")
    told: list[int] = []
    first: dict[str, tuple[int, int]] = {}

    def interrupted(name: str, done: int, _all: int, _bad: int) -> None:
        if name == phase:
            told.append(done)
        if len(told) > after:
            raise KeyboardInterrupt

    def noted(name: str, done: int, whole: int, _bad: int) -> None:
        first.setdefault(name, (done, whole))

    with pytest.raises(KeyboardInterrupt):
        build(made, digits, tmp_path, progress=interrupted)
    built = build(made, digits, tmp_path, progress=noted)
    assert tree(built.folder) == tree(dataset)
    assert first[phase][0] >= told[-1]  # nothing twice; one more may have been finished than was told
    if phase == "scale":
        assert first["read"][0] == first["read"][1]


@pytest.mark.slow
def test_a_killed_build_carries_on_to_the_same_bytes(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "m.yaml").write_text(json.dumps(settings))
    command = [
        sys.executable,
        "-m",
        "at_data",
        "build",
        str(tmp_path / "m.yaml"),
        "--source",
        str(digits),
        "--out",
        str(tmp_path / "out"),
    ]
    for phase, after_s in (("read", 0.0), ("read", 0.2), ("scale", 0.0), ("scale", 0.1)):
        process = subprocess.Popen(
            [*command, "--workers", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stderr is not None
        for line in process.stderr:
            if f" {phase}:" in line:
                break
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)  # the parent alone: its workers must leave by themselves
        process.wait()
        process.stderr.close()
    subprocess.run([*command, "--workers", "2"], check=True, capture_output=True)
    (built,) = (tmp_path / "out").iterdir()
    assert tree(built) == tree(dataset)


def _die(task: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def _full(task: int) -> int:
    raise OSError(28, "No space left on device", f"shards/{task}.h5")


def test_a_worker_that_dies_is_one_clear_error() -> None:
    with pool.Pool(2) as workers, pytest.raises(ShardError, match="worker process died"):
        list(workers.run(_die, [1, 2]))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("count", [1, 2])
def test_a_full_disk_is_one_clear_error(count: int) -> None:
    with pool.Pool(count) as workers, pytest.raises(ShardError, match=r"shards/1\.h5: no space left.*kept"):
        list(workers.run(_full, [1]))


def test_two_builds_never_write_into_one_folder(tmp_path: Path) -> None:
    told = "another build is writing here"
    with locks.locked(tmp_path), pytest.raises(ShardError, match=told), locks.locked(tmp_path):
        pass


def test_a_missing_or_empty_source_is_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    made = manifest.parse(settings, "here")
    with pytest.raises(CorpusError, match="nowhere"):
        plan(made, tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=tmp_path.name):
        plan(made, tmp_path)


def test_an_unknown_nuisance_and_a_target_of_one_class_are_refused(digits: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"no recording has 'mood'"):
        plan(manifest.parse(settings | {"nuisances": ["mood"]}, "here"), digits)
    with pytest.raises(ManifestError, match="one value only"):
        plan(manifest.parse(settings | {"keep": {"word": ["one"]}}, "here"), digits)


def test_long_recordings_are_cut_and_each_item_says_where_it_lay(tmp_path: Path, settings: dict[str, Any]) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=6, takes=1)
    for number, path in enumerate(sorted(corpus.rglob("*.wav"))):
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 40000), 16000)
    settings["segment"] = {"length_s": 1.0, "hop_s": 1.0, "shorter": "drop", "tail": "overlap"}
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out")
    table = rows(built.folder)
    assert len(table) == 180
    assert {row["start_s"] for row in table} == {0.0, 1.0, 1.5}
    assert all(row["stop_s"] - row["start_s"] == 1.0 for row in table)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_shards_hold_the_same_items(
    digits: Path, dataset: Path, settings: dict[str, Any], tmp_path: Path, compression: str
) -> None:
    settings["store"]["compression"] = compression
    built = build(manifest.parse(settings, "here"), digits, tmp_path)
    for split in ("train", "valid", "test"):
        plain, packed = (shards.open_dataset(folder).split(split) for folder in (dataset, built.folder))
        order = np.random.default_rng(1).permutation(len(plain))
        assert plain.ids == packed.ids
        np.testing.assert_array_equal(plain.read(order), packed.read(order))


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


def test_every_level_of_a_segment_can_be_an_item(
    digits: Path, noises: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["noise"] = NOISE | {"level_dbfs": {"each_of": [-50, -30]}}
    built = build(manifest.parse(settings, "here"), digits, tmp_path, noise_source=noises)
    table = rows(built.folder)
    assert len(table) == 240
    assert Counter(row["noise.level_requested_dbfs"] for row in table) == {-50: 120, -30: 120}
    assert len({(row["recording"], row["noise.noise"], row["noise.noise_offset_s"]) for row in table}) == 120


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


def listing(folder: Path, lines: list[str]) -> Path:
    """Folder with a list of recordings, a file of noise for every path in it."""
    folder.mkdir()
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    for number, line in enumerate(lines[1:]):
        samples = np.random.default_rng([number, 7]).normal(0, 0.1, 16000)
        soundfile.write(folder / line.partition(",")[0], samples, 16000)
    return folder


def test_what_only_the_orthogonal_task_needs_to_know_moves_no_item_of_its_target(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    # two recordings nobody knows the player of: the target takes them, the orthogonal dataset cannot
    lines = ["path,note,player"]
    lines += [f"{n}.wav,{'ab'[n % 2]},{'' if n in (3, 40) else 'pq'[n // 2 % 2]}" for n in range(80)]
    source = listing(tmp_path / "list", lines)
    random = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    shared = settings | {"corpus": "table", "keep": {}, "nuisances": [], "split": random}
    target = plan(manifest.parse(shared | {"target": "note"}, "target"), source)
    drawn = {"split": random, "target": "note", "part": "train", "bias": "none"}
    orthogonal = plan(manifest.parse(shared | {"target": "player", "subset": drawn}, "orthogonal"), source)
    held_out = {item for item, split in target.assigned.items() if split != "train"}
    taught = set(orthogonal.assigned)
    assert not held_out & taught
    assert taught | {"3", "40"} >= {item for item, split in target.assigned.items() if split == "train"}
    assert {entry["id"] for entry in orthogonal.unlabelled} <= {"3", "40"}


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


def test_every_level_is_asked_for_once() -> None:
    raw = noise_task(1.0)
    raw["noise"]["level_dbfs"] = {"each_of": [-20, -20]}
    with pytest.raises(ManifestError, match="a level stands twice"):
        manifest.parse(raw, "here")


def test_one_noise_under_two_names_and_codes_is_a_leak(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD", ("Typing",), files=2)
    samples, rate_hz = soundfile.read(noises / "noise_train" / "Typing_1.wav", dtype="int16")
    # the same samples in other bytes: only who decodes both can tell
    soundfile.write(noises / "noise_train" / "Typing_2.wav", samples, rate_hz, subtype="PCM_24")
    soundfile.write(noises / "noise_train" / "Typing_3.wav", samples, rate_hz, subtype="PCM_32")
    with pytest.raises(ManifestError, match="splits that leak: 1 values of noise waveform in both train and valid"):
        build(manifest.parse(settings | {"noise": NOISE}, "here"), digits, tmp_path / "out", noise_source=noises)
