"""Recordings heard a few at a time: what is made of each is the same, and no more of them are held than has to be."""

import errno
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from at_data import build as building
from at_data import manifest
from at_data.build import build, hearing, parts, plan, told, work
from at_data.build.hearing import Notes, hear
from at_data.errors import ShardError
from at_data.sound_files import Opened

RATE_HZ = 16000
LENGTHS_S = (1.0, 0.5, 0.02, 20.0, 0.7, 1.0, 1.0, 17.0, 18.0, 0.3)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short and long recordings, some in one file, some too short, some that cannot be decoded."""
    folder = tmp_path_factory.mktemp("table")
    dice = np.random.default_rng(7)
    lines = ["path,start_s,length_s,word,speaker"]
    for number in range(60):
        samples = dice.normal(0, 0.2, int(RATE_HZ * LENGTHS_S[number % 10])).astype(np.float32)
        name = f"{number:02d}." + ("flac" if number % 4 else "wav")
        soundfile.write(folder / name, samples, RATE_HZ if number % 3 else 22050)
        if number % 7 == 5:
            (folder / name).write_bytes((folder / name).read_bytes()[: 40 + number])
        where = ["0.0,0.1", "0.1,0.2"] if number % 10 == 0 else [","]
        lines += [f"{name},{each},{('no', 'yes')[number % 2]},s{number % 5}" for each in where]
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    return folder


def settings(per_shard: int = 16) -> manifest.Manifest:
    raw = yaml.safe_load(manifest.shipped()["fsdd_digit_by_speaker"].read_text())
    raw |= {"name": "heard", "corpus": "table", "target": "word", "nuisances": ["speaker"], "keep": {}, "shared": []}
    raw |= {"split": {"by": "speaker", "method": "balanced", "train": 0.5, "valid": 0.25, "test": 0.25}}
    raw["audio"]["sample_rate_hz"] = RATE_HZ
    raw["segment"] |= {"length_s": 0.2, "hop_s": 0.2, "shorter": "drop"}
    raw["store"]["recordings_per_shard"] = per_shard
    return manifest.parse(raw, "test")


def left(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("parts/*")}


@pytest.mark.parametrize(("most", "most_bytes", "most_s"), [(1, 1 << 18, 8.0), (3, 1 << 18, 8.0), (64, 1 << 30, 1e9)])
def test_how_many_are_heard_together_changes_no_byte(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int, most_s: float
) -> None:
    made = plan(settings(), source)
    for name in ("usual", "other"):
        (tmp_path / name / "parts").mkdir(parents=True)
    death = {4: "crashed (signal 11: segmentation fault)"}
    lost = sum(work.build_part(task, tmp_path / "usual", death) for task in made.tasks)
    for module in (hearing, work):
        monkeypatch.setattr(module, "TOGETHER", most)
        monkeypatch.setattr(module, "TOGETHER_S", most_s)
    monkeypatch.setattr(hearing, "TOGETHER_BYTES", most_bytes)
    for task in made.tasks:
        work.build_part(task, tmp_path / "other", death)
    assert left(tmp_path / "usual") == left(tmp_path / "other")
    assert lost > len(made.tasks)  # the deadly ones, and those that cannot be decoded


def test_losses_stand_in_the_order_of_the_recordings(source: Path, tmp_path: Path) -> None:
    made = plan(settings(), source)
    (tmp_path / "parts").mkdir()
    mixed = 0
    for task in made.tasks:
        work.build_part(task, tmp_path)
        places = {recording.id: place for place, recording in enumerate(task.recordings)}
        lost = parts.read_summary(tmp_path, task.number).left_out
        assert [places[entry["recording"]] for entry in lost] == sorted(places[entry["recording"]] for entry in lost)
        mixed += len({entry["kind"] for entry in lost}) == 2
    assert mixed


def test_a_long_recording_is_let_go_before_the_next_is_decoded(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(settings(), source)
    decode, alive = hearing.audio.decode, []

    def watching(*given: Any) -> Any:
        assert sum(seconds for held, seconds in alive if held() is not None) <= hearing.TOGETHER_S
        samples, rate_hz = decode(*given)
        alive.append((weakref.ref(samples), samples.size / rate_hz))
        return samples, rate_hz

    monkeypatch.setattr(hearing.audio, "decode", watching)
    long = 0
    for task in made.tasks:
        with Opened() as opened:
            for group in hear(task, enumerate(task.recordings), Notes(), opened):
                seconds = [found.samples.size / RATE_HZ for found in group]
                assert sum(seconds[:-1]) <= hearing.TOGETHER_S
                long += max(seconds) > hearing.TOGETHER_S
                del group
    assert long > 5


@pytest.mark.parametrize("where", ["_write_tables", "give_name"])
def test_what_fails_beside_the_workers_ends_the_build_at_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(building, where, full)
    scaled: list[tuple[int, int]] = []
    with pytest.raises(ShardError, match="somewhere: no space left on the device"):
        build(
            settings(per_shard=1),
            source,
            tmp_path,
            max_bad=0.5,
            progress=lambda phase, done, total, _: scaled.append((done, total)) if phase == "scale" else None,
        )
    done, total = scaled[-1]
    assert done < total / 2
    monkeypatch.undo()
    assert build(settings(per_shard=1), source, tmp_path, max_bad=0.5).fresh


def test_words_that_a_crash_cut_short_are_not_taken_for_whole(source: Path, tmp_path: Path) -> None:
    made = plan(settings(), source)
    (tmp_path / "parts").mkdir()
    for task in made.tasks:
        work.build_part(task, tmp_path)
    words = parts.words_path(tmp_path, made.tasks[0].number)
    words.write_bytes(words.read_bytes()[:-4])
    with pytest.raises(ShardError, match="as its summary says"):
        told.told(tmp_path, made)
