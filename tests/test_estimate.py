"""What `plan` says before a build, held against the build."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import yaml
from conftest import by_speaker
from hypothesis import given
from hypothesis import strategies as st

from at_data import manifest
from at_data.build import PARTIAL, build, estimate, journal, plan
from at_data.build.estimates import lengths, space, trial
from at_data.errors import ManifestError, ShardError

Change = Callable[[dict[str, Any]], None]


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; one that is renamed meanwhile may be missed."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size if path.is_file() else 0)
    return sum(sizes)


def cut_up(raw: dict[str, Any]) -> None:
    raw["segment"] = {"length_s": 0.2, "hop_s": 0.15, "shorter": "drop", "tail": "overlap"}


def resampled(raw: dict[str, Any]) -> None:
    raw["audio"] = {"sample_rate_hz": 11025, "resampler": "soxr_hq"}
    raw["stft"] |= {"window_s": 0.08, "hop_s": 0.04}
    raw["segment"] = {"length_s": 0.3, "hop_s": 0.3, "shorter": "pad_end", "tail": "pad"}


def wide(raw: dict[str, Any]) -> None:
    raw["store"] |= {"dtype": "float32", "recordings_per_shard": 1000}


def noisy(raw: dict[str, Any]) -> None:
    raw["noise"] = {
        "corpus": "ms_snsd",
        "keep": {},
        "speech_level_dbfs": -25,
        "snr_db": {"each_of": [0, 10, 20]},
        "offset": "random",
        "crossfade_s": 0.01,
        "clipping": "none",
        "split": {"train": 0.34, "valid": 0.33, "test": 0.33},
    }


@pytest.mark.parametrize("change", [lambda _: None, cut_up, resampled, wide, noisy])
def test_items_and_bytes_are_those_of_the_folder(change: Change, digits: Path, noises: Path, tmp_path: Path) -> None:
    raw = by_speaker()
    change(raw)
    settings = manifest.parse(raw, "here")
    made = plan(settings, digits, noises)
    found = estimate(made)
    built = build(settings, digits, tmp_path, noise_source=noises)
    assert found.items_by_split == built.header.counts
    assert found.items == sum(built.header.counts.values())
    assert found.hours_by_split == pytest.approx(built.header.hours)
    assert found.items_are == "exact"
    assert found.recordings_decoded == 0
    assert found.data_bytes == pytest.approx(folder_bytes(built.folder), rel=0.02)
    # a new file beside the shards has to be reckoned with
    assert set(found.data_bytes_by_file) == {path.name for path in built.folder.iterdir()}


def test_compressed_bytes_are_told_from_a_sample(settings: dict[str, Any], digits: Path, tmp_path: Path) -> None:
    settings["store"] |= {"compression": "zstd"}
    settings["stft"] |= {"window_s": 0.032}
    parsed = manifest.parse(settings, "here")
    found = estimate(plan(parsed, digits))
    assert found.recordings_decoded > 0
    built = build(parsed, digits, tmp_path)
    plain = found.items * built.header.frames * built.header.bins * 2
    assert folder_bytes(built.folder) < plain
    assert found.data_bytes == pytest.approx(folder_bytes(built.folder), rel=0.1)


def test_quiet_recordings_come_off_by_a_sample_and_the_bound_is_said(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = shutil.copytree(digits_of(tmp_path), tmp_path / "copy" / "speech_commands")
    for number, path in enumerate(sorted(corpus.glob("*/*.wav"))):
        if number % 3 == 0:
            soundfile.write(path, np.zeros(8000), 16000)
    settings["quiet"] = {"measure": "peak", "drop_at_most": 0.01}
    found = estimate(plan(manifest.parse(settings, "here"), corpus))
    assert found.items_are == "estimated"
    assert found.items_at_most == 120
    assert found.items == pytest.approx(80, abs=12)


def digits_of(folder: Path) -> Path:
    from conftest import write_digits  # noqa: PLC0415 - a corpus of its own, to spoil

    return write_digits(folder / "own" / "speech_commands")


def test_files_that_will_be_refused_are_counted_and_give_no_item(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = digits_of(tmp_path)
    files = sorted(corpus.glob("*/*.wav"))
    files[0].write_bytes(b"no audio")
    files[20].write_bytes(b"")
    files[40].write_bytes(files[40].read_bytes()[:-100])  # promises more than it holds
    header = bytearray(files[60].read_bytes())
    header[24:32] = (500).to_bytes(4, "little") + (1000).to_bytes(4, "little")  # an impossible rate
    files[60].write_bytes(header)
    parsed = manifest.parse(settings, "here")
    found = estimate(plan(parsed, corpus))
    assert found.unreadable_recordings == 4
    built = build(parsed, corpus, tmp_path / "out", max_bad=0.5)
    assert built.header.left_out["bad"] == 4
    assert found.items_by_split == built.header.counts
    assert found.data_bytes == pytest.approx(folder_bytes(built.folder), rel=0.02)


def test_no_audio_is_decoded_unless_there_is_need_and_then_by_a_worker(
    settings: dict[str, Any], digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("at_data.stages.audio.decode", decoded)
    assert estimate(plan(manifest.parse(settings, "here"), digits), timed=True).recordings_decoded > 0
    monkeypatch.setattr(trial, "trial", decoded)
    found = estimate(plan(manifest.parse(settings, "here"), digits))
    assert found.core_s is None
    assert found.recordings_decoded == 0
    with pytest.raises(AssertionError, match="decoded"):
        estimate(plan(manifest.parse(settings, "here"), digits), timed=True)


def test_a_time_that_cannot_be_taken_for_want_of_shared_memory_is_told_in_a_line(
    digits: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/dev/shm")  # noqa: S108 - what Linux says

    monkeypatch.setattr(journal, "RawArray", absent)
    with pytest.raises(ShardError, match="no such file or directory; expected a folder that can be written"):
        estimate(plan(manifest.parse(settings, "here"), digits), timed=True)


def test_time_is_told_from_a_sample_and_shared_by_the_workers(settings: dict[str, Any], digits: Path) -> None:
    settings["store"]["recordings_per_shard"] = 4
    found = estimate(plan(manifest.parse(settings, "here"), digits), 1, timed=True)
    assert 0 < found.recordings_decoded <= trial.SAMPLE
    assert found.core_s is not None
    assert found.wall_s == pytest.approx(trial.START_S + found.core_s)


@given(
    samples=st.integers(1, 30_000),
    from_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 12345]),
    to_hz=st.sampled_from([8000, 16000, 22050, 44100]),
    quality=st.sampled_from(["QQ", "MQ", "VHQ"]),
)
def test_resampled_lengths_are_those_of_soxr(samples: int, from_hz: int, to_hz: int, quality: str) -> None:
    found = soxr.resample(np.zeros(samples, np.float32), from_hz, to_hz, quality)
    assert lengths.resampled(samples, from_hz, to_hz) == found.size


def disk_with(free_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=free_bytes)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage)


def test_a_build_that_does_not_fit_is_refused_before_anything_is_written(
    settings: dict[str, Any], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = manifest.parse(settings, "here")
    needed = estimate(plan(parsed, digits)).needed_disk_bytes
    disk_with(needed - 1, monkeypatch)
    with pytest.raises(ShardError, match=f"{needed - 1:,} bytes free; expected {needed:,} bytes"):
        build(parsed, digits, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    disk_with(needed, monkeypatch)
    built = build(parsed, digits, tmp_path / "out")
    disk_with(0, monkeypatch)
    assert not build(parsed, digits, tmp_path / "out").fresh  # what is finished needs nothing
    assert build(parsed, digits, tmp_path / "other", ignore_free_space=True).header == built.header


def test_headers_are_not_read_where_there_is_plenty_of_room(
    settings: dict[str, Any], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read")

    made = plan(manifest.parse(settings, "here"), digits)
    monkeypatch.setattr(lengths, "lengths", read)
    disk_with(10**12, monkeypatch)
    space.refuse_too_small(made, tmp_path / "out" / "x.partial", 2)
    disk_with(10**3, monkeypatch)
    with pytest.raises(AssertionError, match="read"):
        space.refuse_too_small(made, tmp_path / "out" / "x.partial", 2)


def test_what_an_interrupted_build_holds_is_needed_no_more(
    settings: dict[str, Any], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = manifest.parse(settings, "here")
    made = plan(parsed, digits)
    folder = tmp_path / (parsed.folder + PARTIAL)
    before = estimate(made, folder=folder)

    def stop(phase: str, done: int, *_: int) -> None:
        if phase == "scale" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(parsed, digits, tmp_path, progress=stop)
    held = folder_bytes(folder / "parts") + folder_bytes(folder / "shards")
    after = estimate(made, folder=folder)
    assert 0 < after.needed_disk_bytes < before.needed_disk_bytes - held / 2
    disk_with(after.needed_disk_bytes, monkeypatch)
    assert build(parsed, digits, tmp_path).fresh


def test_the_disk_never_holds_more_than_was_said(settings: dict[str, Any], digits: Path, tmp_path: Path) -> None:
    parsed = manifest.parse(settings, "here")
    found = estimate(plan(parsed, digits))
    seen = []

    def look(*_: object) -> None:
        seen.append(folder_bytes(tmp_path))

    build(parsed, digits, tmp_path, progress=look)
    assert found.data_bytes < max(seen) <= found.needed_disk_bytes < 1.5 * max(seen)


WATCHED = """
import json, sys, threading, time
from pathlib import Path
from at_data import manifest
from at_data.build import build

highest = 0

def descendants(pid):
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield child
            yield from descendants(child)

def watch():
    global highest
    while True:
        try:
            for pid in descendants("self"):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        highest = max(highest, int(line.split()[1]) * 1024)
        except OSError:
            pass
        time.sleep(0.005)

if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    build(manifest.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), workers=2)
    # not ru_maxrss, which begins with what the process had that started this one
    own = next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
    print(json.dumps([own, highest]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory of other processes is read from /proc: run on Linux")
@pytest.mark.parametrize("long_s", [0, 600])
def test_memory_stays_below_what_was_said_and_above_a_third(
    long_s: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = digits_of(tmp_path)
    if long_s:
        for path in sorted(corpus.glob("*/*.wav"))[:2]:
            soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16000 * long_s), 16000)
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "watched.py").write_text(WATCHED)
    found = estimate(plan(manifest.load(tmp_path / "m.yaml"), corpus), 2)
    command = [sys.executable, "watched.py", "m.yaml", str(corpus), "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parent, worker = json.loads(done.stdout)
    assert found.parent_memory_bytes / 3 < parent < found.parent_memory_bytes
    assert found.worker_memory_bytes / 3 < worker < found.worker_memory_bytes


def test_a_plan_of_no_item_is_refused_before_anything_is_built(settings: dict[str, Any], digits: Path) -> None:
    settings["segment"] = {"length_s": 100.0, "hop_s": 100.0, "shorter": "drop", "tail": "drop"}
    made = plan(manifest.parse(settings, "here"), digits)
    with pytest.raises(ManifestError, match=r"no recording of train gives an item of .*segment\.length_s"):
        estimate(made)


def test_items_too_large_for_any_memory_are_refused_with_the_key(settings: dict[str, Any], digits: Path) -> None:
    settings["segment"] |= {"length_s": 20000.0, "hop_s": 20000.0}
    with pytest.raises(ManifestError, match=r"segment\.length_s: items of 20000 s.*it counts seconds"):
        plan(manifest.parse(settings, "here"), digits)
    settings["audio"]["sample_rate_hz"] = 10**9
    with pytest.raises(ManifestError, match=r"sample_rate_hz: got 1000000000.*768000"):
        manifest.parse(settings, "here")


def test_a_stretch_that_was_rounded_up_counts_as_it_is_decoded(settings: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.mkdir()
    lines = ["path,start_s,length_s,word"]
    for number in range(30):
        samples = np.random.default_rng(number).normal(0, 0.1, 12000)  # 0.75 s, of which lists say 0.5 to 0.754
        soundfile.write(source / f"{number}.wav", samples, 16000)
        lines.append(f"{number}.wav,0.5,0.254,{'ab'[number % 2]}")
    (source / "recordings.csv").write_text("\n".join(lines))
    settings |= {"corpus": "table", "keep": {}, "nuisances": []}
    settings["split"] = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    settings["segment"] = {"length_s": 0.25, "hop_s": 0.25, "shorter": "drop", "tail": "drop"}
    made = manifest.parse(settings, "here")
    assert estimate(plan(made, source)).items == 30
    assert sum(build(made, source, tmp_path / "out").header.counts.values()) == 30
