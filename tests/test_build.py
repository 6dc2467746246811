import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
from conftest import write_digits
from finished import rows, tree
from trees import listing

from at_data import manifest, shards
from at_data.build import build, locks, plan, pool
from at_data.build.estimates import space
from at_data.errors import CorpusError, ManifestError, ShardError

# float16 keeps 11 bits: scaled values reach about 30, so half a step there
HALF_PRECISION = 30 * 2.0**-11


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


def test_an_orthogonal_dataset_holds_training_items_of_its_target_alone(digits: Path, tmp_path: Path) -> None:
    names = ("synth_speaker", "synth_word_by_speaker")
    speaker, word = (build(manifest.load(name), digits.parent, tmp_path) for name in names)
    trained_on = {row["recording"] for row in rows(word.folder) if row["split"] == "train"}
    held = {row["recording"] for row in rows(speaker.folder)}
    assert held == trained_on


def test_a_finished_dataset_is_left_alone(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    made = manifest.parse(settings, "here")
    first = build(made, digits, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = build(made, str(digits), str(tmp_path))
    assert (first.fresh, again.fresh) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


@pytest.mark.parametrize("what", [{"workers": 0}, {"workers": -1}, {"max_bad": 1.01}, {"max_bad": float("nan")}])
def test_an_argument_out_of_range_is_named_before_anything_is_done(
    digits: Path, settings: dict[str, Any], tmp_path: Path, what: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"workers=.*max_bad=.*: expected 1 or more, and a share from 0 to 1"):
        build(manifest.parse(settings, "here"), digits, tmp_path, **what)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way_is_named_and_untouched(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    made = manifest.parse(settings, "here")
    built = build(made, digits, tmp_path / "other")
    header = json.loads((built.folder / "dataset.json").read_text())
    (built.folder / "dataset.json").write_text(json.dumps(header | {"digest": "0" * 64}))
    with pytest.raises(ShardError, match=r"another manifest.*digest 00000000"):
        build(made, digits, tmp_path / "other")


@pytest.mark.parametrize(
    ("lay", "there"),
    [
        (lambda name: (name.mkdir(), (name / "precious").write_text("mine")), r"a folder with no dataset\.json in it"),
        (lambda name: (name.mkdir(), (name / "dataset.json").write_text("{}")), r"a folder whose dataset\.json cannot"),
        (lambda name: name.write_text("mine"), "a file"),
        (lambda name: name.symlink_to("nowhere"), "a link that leads nowhere"),
    ],
)
def test_what_has_the_name_of_a_dataset_and_is_none_is_told_apart_and_untouched(
    digits: Path, settings: dict[str, Any], tmp_path: Path, lay: Callable[[Path], object], there: str
) -> None:
    made = manifest.parse(settings, "here")
    final = tmp_path / made.folder
    lay(final)
    before = tree(tmp_path)
    with pytest.raises(ShardError, match=f"taken by {there}.*, which is no finished dataset; .*another --out") as told:
        build(made, digits, tmp_path)
    assert told.value.where == str(final)
    assert "at-prepare build" not in str(told.value)
    assert tree(tmp_path) == before
    assert list(tmp_path.iterdir()) == [final]


def test_a_name_that_is_taken_meanwhile_costs_nothing_of_what_was_built(
    digits: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = manifest.parse(settings, "here")
    work = tmp_path / f"{made.folder}.partial"
    work.mkdir()
    (work / "plan.json").write_text("hours of work")
    monkeypatch.setattr(space, "refuse_too_small", lambda *_: (tmp_path / made.folder).mkdir())
    with pytest.raises(ShardError, match="this name is taken by a folder"):
        build(made, digits, tmp_path)
    assert (work / "plan.json").read_text() == "hours of work"


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


def test_a_dataset_that_another_call_published_meanwhile_is_found(
    digits: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, first = manifest.parse(settings, "here"), []

    def meanwhile(*_: object) -> None:
        monkeypatch.undo()
        first.append(build(made, digits, tmp_path))

    monkeypatch.setattr(space, "refuse_too_small", meanwhile)
    built = build(made, digits, tmp_path)
    assert (first[0].fresh, built.fresh) == (True, False)
    assert built.header == first[0].header
    assert [path.name for path in tmp_path.iterdir()] == [made.folder]
