"""A dataset knows what its source files held: a changed one is seen, whatever its time and size say."""

import csv
import os
import shutil
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import xxhash
from conftest import NOISE, write_noises
from finished import rows, tree
from hypothesis import given
from hypothesis import strategies as st

from at_data import manifest
from at_data.build import build, plan, publish
from at_data.build.sources import ABSENT, Content, Files
from at_data.errors import CorpusError, ShardError
from at_data.recordings import Recording
from at_data.rolls import Roll
from at_data.verify import verify


@pytest.fixture
def corpus(digits: Path, tmp_path: Path) -> Path:
    """A copy of the digits, to change."""
    shutil.copy(digits.parent / "synthesised.json", tmp_path)
    return Path(shutil.copytree(digits, tmp_path / "speech_commands"))


def stopped(phase: str, after: int = 1) -> Callable[..., None]:
    """Progress that ends a build as Ctrl-C does, once something of a phase is done."""

    def progress(now: str, done: int, _total: int, _bad: int) -> None:
        if now == phase and done >= after:
            raise KeyboardInterrupt

    return progress


def begin(settings: dict[str, Any], corpus: Path, out: Path, phase: str, after: int = 1) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(manifest.parse(settings, "here"), corpus, out, progress=stopped(phase, after))


def change(path: Path) -> None:
    """Other samples in a file of the same size and time."""
    before = path.stat()
    samples, rate_hz = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], rate_hz)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def explained(settings: dict[str, Any], corpus: Path, out: Path) -> tuple[Path, dict[str, str]]:
    """Folder of the build, and why each shard was built or not."""
    lines: list[str] = []
    built = build(manifest.parse(settings, "here"), corpus, out, explain=lines.append)
    return built.folder, dict(line.split(": ", 1) for line in lines)


def test_sources_lists_every_file_with_its_size_and_the_hash_of_its_content(dataset: Path, digits: Path) -> None:
    with (dataset / "sources.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert {row["path"] for row in listed} == {row["path"] for row in rows(dataset)}
    for row in listed:
        content = (digits / row["path"]).read_bytes()
        expected = ("corpus", str(len(content)), xxhash.xxh3_128_hexdigest(content))
        assert (row["source"], row["bytes"], row["xxh3_128"]) == expected


def test_noise_files_are_sources_too(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD")
    made = manifest.parse(settings | {"noise": NOISE}, "here")
    built = build(made, digits, tmp_path / "out", noise_source=noises)
    with (built.folder / "sources.csv").open(newline="") as file:
        listed = {row["path"] for row in csv.DictReader(file) if row["source"] == "noise"}
    assert {name.removesuffix(".wav") for name in listed} == {row["noise.noise"] for row in rows(built.folder)}
    change(noises / min(listed))
    with pytest.raises(ShardError, match=r"its source is no longer what it was built from: .*changed"):
        build(made, digits, tmp_path / "out", noise_source=noises)


def test_a_changed_file_invalidates_the_shard_that_holds_it_and_no_other(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    begin(settings, corpus, tmp_path / "out", "scale", 0)
    whole = build(manifest.parse(settings, "here"), corpus, tmp_path / "first").folder
    changed = rows(whole)[40]
    change(corpus / changed["path"])
    folder, reasons = explained(settings, corpus, tmp_path / "out")
    assert f"{changed['path']} changed" in reasons.pop(changed["shard"])
    assert set(reasons.values()) == {"its part is kept, its source files are as they were"}
    assert tree(folder) == tree(build(manifest.parse(settings, "here"), corpus, tmp_path / "second").folder)
    assert tree(folder) != tree(whole)


def test_a_file_that_changes_once_shards_are_written_changes_all_that_its_scale_reaches(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    begin(settings, corpus, tmp_path / "out", "scale", 20)
    whole = build(manifest.parse(settings, "here"), corpus, tmp_path / "first").folder
    change(corpus / next(row["path"] for row in rows(whole) if row["split"] == "train"))
    folder, reasons = explained(settings, corpus, tmp_path / "out")
    assert "made anew, the scale or its items are others than when it was made" in reasons.values()
    assert tree(folder) == tree(build(manifest.parse(settings, "here"), corpus, tmp_path / "second").folder)


def test_without_a_scale_a_late_change_reaches_its_own_shard_alone(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["scaling"] = {"kind": "none", "measured_on": "train"}
    whole = build(manifest.parse(settings, "here"), corpus, tmp_path / "first").folder
    begin(settings, corpus, tmp_path / "out", "scale", 119)
    changed = rows(whole)[40]
    change(corpus / changed["path"])
    folder, reasons = explained(settings, corpus, tmp_path / "out")
    assert [shard for shard, reason in reasons.items() if "made anew" in reason] == [changed["shard"]]
    assert tree(folder) == tree(build(manifest.parse(settings, "here"), corpus, tmp_path / "second").folder)


def test_times_and_folders_never_matter(corpus: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    begin(settings, corpus, tmp_path / "out", "scale", 0)
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "synthesised.json", tmp_path / "moved")
    moved = Path(shutil.move(corpus, tmp_path / "moved"))
    for path in moved.rglob("*.wav"):
        os.utime(path, (1, 1))
    _, reasons = explained(settings, moved, tmp_path / "out")
    assert set(reasons.values()) == {"its part is kept, its source files are as they were"}
    _, reasons = explained(settings, moved, tmp_path / "out")
    (said,) = reasons.values()
    assert said == "finished; 120 source files have the contents they had"


def test_a_finished_dataset_of_changed_files_is_refused_and_untouched(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    made = manifest.parse(settings, "here")
    built = build(made, corpus, tmp_path / "out")
    before = tree(built.folder)
    path = corpus / rows(built.folder)[0]["path"]
    change(path)
    assert not build(made, corpus, tmp_path / "out", quick=True).fresh
    with pytest.raises(ShardError, match=f"{path.name} changed .*; expected the files that sources.csv lists"):
        build(made, corpus, tmp_path / "out")
    path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(ShardError, match=f"{path.name} changed"):
        build(made, corpus, tmp_path / "out", quick=True)
    assert tree(built.folder) == before


def test_a_mended_file_is_taken_up_by_the_next_call(corpus: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    whole = build(manifest.parse(settings, "here"), corpus, tmp_path / "first").folder
    path = corpus / rows(whole)[0]["path"]
    content = path.read_bytes()
    path.write_bytes(content[:100])
    made = manifest.parse(settings, "here")
    with pytest.raises(KeyboardInterrupt):
        build(made, corpus, tmp_path / "out", max_bad=1.0, progress=stopped("scale", 0))
    path.write_bytes(content)
    assert tree(explained(settings, corpus, tmp_path / "out")[0]) == tree(whole)


def test_a_build_carried_on_with_other_versions_warns_and_names_them(
    digits: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings, digits, tmp_path / "out", "read", 20)
    now = publish.versions()
    monkeypatch.setattr(publish, "versions", lambda: now | {"soxr": "0.0.1"})
    warnings: list[str] = []
    build(manifest.parse(settings, "here"), digits, tmp_path / "out", warn=warnings.append)
    warning = warnings[-1]
    assert all(one.startswith("gsc: ") for one in warnings[:-1])
    assert "soxr 0.0.1" in warning
    assert f"soxr {now['soxr']}" in warning
    assert "numpy" not in warning


def test_a_file_two_tasks_saw_differently_ends_the_build(tmp_path: Path, settings: dict[str, Any]) -> None:
    """One long file cut in many: it is rewritten between two shards of it."""
    rate_hz = 16000
    long = np.random.default_rng(0).normal(0, 0.1, 40 * rate_hz)
    (tmp_path / "own").mkdir()
    soundfile.write(tmp_path / "own" / "long.wav", long, rate_hz)
    lines = [f"long.wav,{start},1,{'ab'[start % 2]}" for start in range(40)]
    (tmp_path / "own" / "recordings.csv").write_text("\n".join(["path,start_s,length_s,word", *lines]) + "\n")
    settings |= {
        "corpus": "table",
        "keep": {},
        "nuisances": [],
        "split": {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2},
    }
    made = manifest.parse(settings, "here")

    def rewrite(phase: str, done: int, _total: int, _bad: int) -> None:
        if phase == "read" and done:
            soundfile.write(tmp_path / "other.wav", long[::-1], rate_hz)
            (tmp_path / "other.wav").replace(tmp_path / "own" / "long.wav")

    with pytest.raises(Exception, match="changed while it was read"):
        build(made, tmp_path / "own", tmp_path / "out", progress=rewrite)
    built = build(made, tmp_path / "own", tmp_path / "out")
    assert tree(built.folder) == tree(build(made, tmp_path / "own", tmp_path / "fresh").folder)


def test_a_pipe_among_the_files_is_waited_for_by_nobody(corpus: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    made = manifest.parse(settings, "here")
    whole = build(made, corpus, tmp_path / "whole")
    path = corpus / rows(whole.folder)[0]["path"]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ShardError, match=f"{path.name} changed .*; now absent"):
        build(made, corpus, tmp_path / "whole")
    built = build(made, corpus, tmp_path / "out", max_bad=0.5)
    assert built.header.left_out == {"bad": 1}
    path.unlink()
    path.symlink_to("/dev/zero")
    assert build(made, corpus, tmp_path / "again", max_bad=0.5).header.left_out == {"bad": 1}


def test_pipes_among_the_noise_are_waited_for_by_nobody(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD")
    for name in ("Typing_2.wav", "Typing_3.wav"):
        (noises / "noise_train" / name).unlink()
        os.mkfifo(noises / "noise_train" / name)
    made = plan(manifest.parse(settings | {"noise": NOISE}, "here"), digits, noises)
    assert made.noise is not None
    assert not made.noise.same


def test_a_finished_shard_that_was_damaged_since_is_made_again(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    whole = build(manifest.parse(settings, "here"), corpus, tmp_path / "whole").folder
    begin(settings, corpus, tmp_path / "out", "scale", 119)
    damaged = max((tmp_path / "out").rglob("test-*.h5"))
    content = bytearray(damaged.read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(content)
    folder, reasons = explained(settings, corpus, tmp_path / "out")
    assert reasons[f"shards/{damaged.name}"] == "made anew, it is not what it was when it was made"
    assert tree(folder) == tree(whole)


def test_what_is_held_out_and_cannot_be_compared_is_told(
    corpus: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    held_out = rows(build(manifest.parse(settings, "here"), corpus, tmp_path / "words").folder)
    path = next(row["path"] for row in held_out if row["split"] == "test")
    (corpus / path).write_bytes(b"no audio")
    inner = {"split": settings["split"], "target": "word", "part": "train", "bias": "none"}
    settings |= {
        "name": "voices",
        "target": "speaker",
        "nuisances": ["word"],
        "subset": inner,
        "split": {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2},
        "shared": ["speaker"],
    }
    made = manifest.parse(settings, "here")
    with pytest.raises(CorpusError, match="1 of 40 recordings are held out"):
        build(made, corpus, tmp_path / "out")
    built = build(made, corpus, tmp_path / "out", max_bad=0.1)
    assert built.header.left_out == {"held out": 1}
    assert "held out" not in built.header.recordings
    assert verify(built.folder) == []


def told(held: Sequence[Content]) -> Files:
    """Files of these contents, in order of path."""
    names = [f"{number:06d}.wav" for number in range(len(held))]
    roll = Roll.of(Recording(name, "made", name) for name in names)
    files = Files(roll.columns.paths)
    files.add({("corpus", name): content for name, content in zip(names, held, strict=True)}, roll)
    files.merge()
    return files


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=30))
def test_copies_of_a_file_are_told_by_the_first_of_them(kinds: list[int]) -> None:
    hashes = [xxhash.xxh3_128_hexdigest(bytes([kind // 2])) if kind >= 0 else "" for kind in kinds]
    files = told([Content(1 if kind >= 0 else ABSENT, text) for kind, text in zip(kinds, hashes, strict=True)])
    expected = [hashes.index(text) if text else place for place, text in enumerate(hashes)]
    assert files.copies().tolist() == expected


def test_looking_for_copies_takes_little_of_each_file() -> None:
    count = 20_000
    files = told([Content(1, xxhash.xxh3_128_hexdigest(number.to_bytes(4))) for number in range(count)])
    files.copies()  # what is made once and kept
    tracemalloc.start()
    files.copies()
    taken_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken_bytes < 60 * count
