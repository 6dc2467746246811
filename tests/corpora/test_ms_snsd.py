"""The Microsoft Scalable Noisy Speech Dataset as it unpacks, and its odd cases."""

import csv
import json
from collections import Counter, defaultdict

import pyarrow.parquet as pq
import pytest
import yaml
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.corpora import ms_snsd
from at_data.verify import verify


@pytest.mark.parametrize("folder", ms_snsd.FOLDERS)
def test_ms_snsd_does_with_any_of_its_folders(tmp_path, folder):
    lay_out(tmp_path, audio(f"{folder}/Babble_1.wav"))
    (only,) = ms_snsd.recordings(tmp_path)
    assert only.id == f"{folder}/Babble_1"
    assert f"{only.attributes['kind']}_{only.published_split}" == only.attributes["folder"] == folder


def test_ms_snsd_names_that_begin_with_a_bar_say_neither_type_nor_speaker(tmp_path):
    lay_out(tmp_path, audio("clean_train/_1.wav", "noise_train/_1.wav"))
    clean, noise = ms_snsd.recordings(tmp_path)
    assert clean.attributes == {"kind": "clean", "folder": "clean_train", "voice": "_1"}
    assert noise.attributes == {"kind": "noise", "folder": "noise_train"}


def wav_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


@pytest.mark.real
def test_real_ms_snsd_leaves_out_what_the_synthesizer_made(real_data):
    folder = real_data / "MS-SNSD"
    found = list(ms_snsd.recordings(folder))
    assert [r.path for r in found] == [name for name in wav_files(folder) if name.partition("/")[0] in ms_snsd.FOLDERS]
    assert {r.attributes.get("speaker") for r in found if r.attributes["folder"] == "clean_train"} == {"p287"}


LEVELS = [-20.0, -25.0, -30.0, -35.0, -40.0]


def list_as(types, folder):
    """Folder with a listing of noise files, each with its type."""
    folder.mkdir()
    with (folder / "recordings.csv").open("w", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(("path", "noise_type"))
        for file, noise_type in types.items():
            (folder / file.name).symlink_to(file)
            rows.writerow((file.name, noise_type))
    return folder


@pytest.mark.real
def test_real_noise_becomes_a_task_of_five_levels_that_shares_no_noise_file(real_data, tmp_path):
    """The shipped noise task on real sentences and real noise.

    As they lie, the noise files at hand make no task: their own types are lost, all are named `seg`, in one folder,
    and a file by itself is no type, since a type of one file could only train. So half of them are listed as one
    made-up type and half as another. All sentences are one voice's: they are divided at random in place of by voice.
    """
    source = real_data / "MS-SNSD"
    files = sorted((source / "noise_train").glob("*.wav"))
    types = {file: ("one", "other")[place % 2] for place, file in enumerate(files)}
    raw = yaml.safe_load(manifest.shipped()["ms_snsd_noise_type"].read_text())
    raw["noise"] |= {"corpus": "table", "keep": {}, "hours": 0.05}
    raw["shared"] = ["voice"]
    raw["split"] = {"by": "random", "method": "balanced", "train": 0.5, "valid": 0.25, "test": 0.25}
    built = build(
        manifest.parse(raw, "here"), source, tmp_path / "out", noise_source=list_as(types, tmp_path / "noise")
    )
    assert verify(built.folder) == []
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert len(rows) == 180  # of a second each
    type_of = {file.stem: noise_type for file, noise_type in types.items()}
    mixed = defaultdict(list)
    for row in rows:
        mixed[row["recording"]].append(row["noise.level_requested_dbfs"])
        assert row["noise.level_achieved_dbfs"] == pytest.approx(row["noise.level_requested_dbfs"], abs=0.01)
        assert row["noise.speech_level_dbfs"] == pytest.approx(0, abs=0.01)
        assert row["attribute.noise_type"] == type_of[row["noise.noise"]]
    assert all(sorted(levels, reverse=True) == LEVELS for levels in mixed.values())
    made = Counter((row["split"], row["attribute.noise_type"]) for row in rows)
    assert all(made[split, "one"] == made[split, "other"] > 0 for split in ("train", "valid", "test"))
    proof = defaultdict(set)
    for line in json.loads((built.folder / "leaks.json").read_text()):
        proof[line["key"]].add(line["verdict"])
    assert proof["noise file"] == proof["noise_file"] == proof["speech"] == proof["waveform"] == {"disjoint"}
    assert "disjoint" not in proof["voice"]
