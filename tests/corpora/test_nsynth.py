"""NSynth: notes, their table read as it streams by, and the dataset made of them."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from trees import audio, lay_out

from at_data import corpora, manifest
from at_data.build import build
from at_data.corpora import nsynth
from at_data.errors import CorpusError
from at_data.verify import verify

FAMILIES = ("bass", "organ", "vocal")


def note(name, **changes):
    instrument, pitch, velocity = name.split("-")
    family, source, _ = instrument.rsplit("_", 2)
    return {
        "instrument_family_str": family,
        "instrument_source_str": source,
        "instrument_str": instrument,
        "pitch": int(pitch),
        "velocity": int(velocity),
        "qualities": [0] * 10,
        **changes,
    }


def table(*names):
    return json.dumps({name: note(name) for name in names}, indent=2)


TABLES = {f"{part}/examples.json": table("organ_electronic_001-060-025") for part in nsynth.SUBSETS}


def listed(tmp_path, text, *files):
    lay_out(tmp_path, {"nsynth-test/examples.json": text, **audio(*(f"nsynth-test/audio/{name}" for name in files))})
    return list(nsynth.recordings(tmp_path))


# listing


def test_a_part_may_be_named_itself_and_brings_those_beside_it(tmp_path):
    lay_out(tmp_path / "nsynth", nsynth.EXAMPLE["files"])
    whole = list(nsynth.recordings(tmp_path / "nsynth"))
    part = tmp_path / "nsynth" / "nsynth-test"
    assert list(nsynth.recordings(part)) == whole
    assert corpora.root(nsynth, part) == tmp_path / "nsynth"
    assert corpora.root(nsynth, tmp_path / "nsynth") == tmp_path / "nsynth"


def test_a_part_may_be_the_working_directory(tmp_path, monkeypatch):
    lay_out(tmp_path, nsynth.EXAMPLE["files"])
    monkeypatch.chdir(tmp_path / "nsynth-test")
    assert tuple(nsynth.recordings(nsynth.Path())) == nsynth.EXAMPLE["recordings"]


def test_a_folder_named_like_a_part_may_hold_the_parts(tmp_path):
    lay_out(tmp_path / "nsynth-train", nsynth.EXAMPLE["files"])
    assert tuple(nsynth.recordings(tmp_path / "nsynth-train")) == nsynth.EXAMPLE["recordings"]


@pytest.mark.parametrize("part", nsynth.SUBSETS)
def test_one_part_is_found_among_sources_and_will_do(tmp_path, part):
    lay_out(tmp_path, {f"{part}/examples.json": table("organ_electronic_001-060-025")})
    found = corpora.find("nsynth", tmp_path)
    assert found == tmp_path / part
    (only,) = nsynth.recordings(found)
    assert only.published_split == only.attributes["subset"] == nsynth.SUBSETS[part]


def test_a_row_without_a_wav_file_is_listed_in_its_place(tmp_path):
    names = [f"organ_electronic_001-060-{velocity:03d}" for velocity in (25, 50, 75)]
    found = listed(tmp_path, table(*reversed(names)), f"{names[0]}.wav", f"{names[2]}.wav")
    assert [r.path for r in found] == [f"nsynth-test/audio/{name}.wav" for name in names]
    assert [r.attributes["velocity"] for r in found] == ["25", "50", "75"]


def test_a_wav_file_finds_its_row_however_its_suffix_is_written(tmp_path):
    (only,) = listed(tmp_path, table("organ_electronic_001-060-025"), "organ_electronic_001-060-025.WAV")
    assert only.path.endswith(".WAV")
    assert only.attributes["quality_dark"] == "0"


@pytest.mark.parametrize("name", ["mine", "organ_wooden_001-060-025", "organ_electronic_001-060", "a/b-1-2"])
def test_a_wav_file_of_another_name_has_its_subset_alone(tmp_path, name):
    only, _ = listed(tmp_path, table("zither_electronic_001-060-025"), f"{name}.wav")
    assert only.attributes == {"subset": "test"}
    assert only.published_split == "test"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"pitch": None}, {"pitch"}),
        ({"instrument_family_str": ""}, {"family"}),
        ({"qualities": []}, {f"quality_{name}" for name in nsynth.QUALITIES}),
    ],
)
def test_a_row_that_says_less_gives_what_it_says(tmp_path, changes, missing):
    name = "organ_electronic_001-060-025"
    (only,) = listed(tmp_path, json.dumps({name: note(name, **changes)}))
    whole = {"subset", "family", "source", "instrument", "pitch", "velocity"}
    assert set(only.attributes) == (whole | {f"quality_{name}" for name in nsynth.QUALITIES}) - missing


# wrong folders and tables


def test_a_part_without_its_table_is_named(tmp_path):
    lay_out(tmp_path, {**TABLES, **audio("nsynth-valid/audio/organ_electronic_001-060-025.wav")})
    (tmp_path / "nsynth-valid" / "examples.json").unlink()
    with pytest.raises(CorpusError, match=r"nsynth-valid.examples\.json: no such file"):
        list(nsynth.recordings(tmp_path))


def test_a_folder_without_parts_says_what_they_are_called(tmp_path):
    lay_out(tmp_path, audio("audio/organ_electronic_001-060-025.wav"))
    with pytest.raises(CorpusError, match="no part of NSynth; expected nsynth-test or nsynth-train or nsynth-valid"):
        list(nsynth.recordings(tmp_path))


WHOLE = table("organ_electronic_001-060-025", "organ_electronic_001-060-050")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: cannot be read \(no \{, at character 0\)"),
        ("[]", r"line 1: cannot be read \(no \{"),
        ("{\n\n3: 4}", r"line 3: cannot be read \(a name that is no string"),
        ('{\n"a" {}}', r"line 2: cannot be read \(no :, at character 5\)"),
        (WHOLE[: len(WHOLE) // 2], r"line 20: cannot be read"),
        (WHOLE[:-1], r"cannot be read \(no , or }"),
        (WHOLE.replace("},", "}"), r"line \d+: cannot be read \(no , or }"),
        (WHOLE.replace('"pitch": 60', '"pitch": 0x'), r"line \d: cannot be read \(Expecting ',' delimiter"),
        (WHOLE + "{}", r"cannot be read \(more after the object's end"),
        ('{"a": ' + "[" * 100_000, r"line 1: cannot be read \("),
        ('{"a": ' + "9" * 5_000 + "}", r"line 1: cannot be read \(Exceeds"),
        ('{"a": []}', r"line 1: note 'a' is not one"),
        ('{"a":\n3}', r"line 1: note 'a' is not one"),
        ('{\n"a": {"pitch": "60"}}', r"line 2: note 'a' is not one \(pitch is '60'\)"),
        ('{"a": {"velocity": 60.5}}', r"note 'a' is not one \(velocity is 60.5\)"),
        ('{"a": {"instrument_str": 7}}', r"note 'a' is not one \(instrument_str is 7\)"),
        ('{"a": {"instrument_str": ["x"]}}', "note 'a' is not one"),
        ('{"a": {"qualities": [1, 0]}}', r"note 'a' is not one \(qualities are \[1, 0\]\)"),
        ('{"a": {"qualities": 3}}', "note 'a' is not one"),
        ('{"../../a": {}}', r"line 1: note '\.\./\.\./a'"),
        ('{"": {}}', "line 1: note ''"),
        ('{"a": {},\n"a": {}}', "line 2: note 'a' a second time"),
    ],
)
def test_a_table_says_where_it_is_wrong(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message) as caught:
        listed(tmp_path, text)
    assert "examples.json" in str(caught.value)


def test_a_table_that_is_not_utf8_is_named(tmp_path):
    lay_out(tmp_path, {"nsynth-test/examples.json": "{}"})
    (tmp_path / "nsynth-test" / "examples.json").write_bytes(b'{"\xff": {}}')
    with pytest.raises(CorpusError, match=r"examples\.json: cannot be read .*UTF-8"):
        list(nsynth.recordings(tmp_path))


@pytest.mark.parametrize("text", ["{}", "\ufeff { }\n"])
def test_a_table_without_notes_is_refused(tmp_path, text):
    with pytest.raises(CorpusError, match=r"nsynth-test.examples\.json: it holds no note"):
        listed(tmp_path, text, "organ_electronic_001-060-025.wav")


@pytest.mark.parametrize("indent", [None, 1])
def test_a_long_table_is_read_piece_by_piece(tmp_path, monkeypatch, indent):
    monkeypatch.setattr(nsynth, "CHUNK", 2000)
    monkeypatch.setattr(nsynth, "NOTE", 1000)
    names = [f"organ_electronic_{number:03d}-060-025" for number in range(200)]
    text = json.dumps({name: note(name) for name in names}, indent=indent)
    assert [r.attributes["instrument"] for r in listed(tmp_path, text)] == [name[:-8] for name in names]
    broken = text.replace('"organ_electronic_150-060-025":', "oops")
    with pytest.raises(CorpusError) as caught:
        listed(tmp_path, broken)
    place = broken.index("oops")
    assert f"line {broken.count(chr(10), 0, place) + 1}: cannot be read" in str(caught.value)
    assert f"at character {place})" in str(caught.value)


# the dataset


def write_notes(folder, silent=()):
    """Parts whose notes are noises: 4 instruments of every family in train, one each in valid and test."""
    rows = {subset: {} for subset in nsynth.SUBSETS.values()}
    for place, family in enumerate((*FAMILIES, "synth_lead")):
        for number in range(6):
            subset = ("train", "train", "train", "train", "valid", "test")[number]
            if family == "synth_lead" and subset != "train":
                continue
            for velocity in (25, 127):
                name = f"{family}_acoustic_{number:03d}-060-{velocity:03d}"
                rows[subset][name] = note(name)
                file = folder / f"nsynth-{subset}" / "audio" / f"{name}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                samples = np.random.default_rng([place, number, velocity]).normal(0, 0.1, 4000)
                soundfile.write(file, samples, 16000)
    for subset, notes in rows.items():
        (folder / f"nsynth-{subset}" / "examples.json").write_text(json.dumps(notes))
    for name in silent:
        (folder / name).unlink()
    return folder


def test_notes_become_the_dataset_of_the_paper(tmp_path):
    source = write_notes(tmp_path / "nsynth")
    heard = source / "nsynth-test" / "audio" / "bass_acoustic_005-060-025.wav"
    training = source / "nsynth-train" / "audio"
    twins = [training / f"{name}.wav" for name in ("organ_acoustic_001-060-025", "bass_acoustic_000-060-127")]
    for twin in twins:
        twin.write_bytes(heard.read_bytes())
    built = build(manifest.load("nsynth_family"), source / "nsynth-test", tmp_path / "out")
    assert verify(built.folder) == []
    assert built.header.counts == {"train": 30, "valid": 6, "test": 6}
    assert built.header.left_out == {"duplicate": 2}
    left_out = [json.loads(line) for line in (built.folder / "quarantine.jsonl").read_text().splitlines()]
    assert {entry["id"].rpartition("/")[2] for entry in left_out} == {twin.stem for twin in twins}
    assert all("nsynth-test/audio/bass_acoustic_005-060-025" in entry["reason"] for entry in left_out)
    lines = json.loads((built.folder / "leaks.json").read_text())
    assert {(line["key"], line["verdict"]) for line in lines} == {
        (key, "disjoint") for key in ("instrument", "waveform", "near-duplicate")
    }
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert {row["split"] for row in rows if row["attribute.family"] == "synth_lead"} == {"train"}


def test_training_notes_are_capped_and_the_other_parts_stay_whole(tmp_path):
    source = write_notes(tmp_path / "nsynth")
    raw = yaml.safe_load(manifest.shipped()["nsynth_family"].read_text())
    raw["balance"]["at"] = 16
    built = build(manifest.parse(raw, "here"), source, tmp_path / "out")
    assert built.header.counts == {"train": 16, "valid": 6, "test": 6}


def test_a_note_without_its_file_is_left_out_with_its_reason(tmp_path):
    source = write_notes(tmp_path / "nsynth", silent=["nsynth-train/audio/bass_acoustic_000-060-025.wav"])
    built = build(manifest.load("nsynth_family"), source, tmp_path / "out", max_bad=0.05)
    assert built.header.left_out == {"bad": 1}
    assert "no such file" in (built.folder / "quarantine.jsonl").read_text().lower()


# the real ones


@pytest.mark.real
def test_real_notes_are_all_listed_and_described(real_data):
    found = [r for r in nsynth.recordings(real_data / "nsynth-test") if r.attributes["subset"] == "test"]
    assert len(found) == 34
    assert {r.attributes["pitch"] for r in found} == {"60"}
    published = json.loads((real_data / "nsynth-test" / "examples.json").read_text())
    for recording in found:
        row = published[recording.path.rpartition("/")[2].removesuffix(".wav")]
        flagged = {q for q in nsynth.QUALITIES if recording.attributes[f"quality_{q}"] == "1"}
        assert flagged == {name.replace("-", "_") for name in row["qualities_str"]}
        assert (real_data / recording.path).is_file()


@pytest.mark.real
def test_real_notes_become_a_dataset(real_data, tmp_path):
    raw = yaml.safe_load(manifest.shipped()["nsynth_family"].read_text())
    raw["keep"] = {"family": ["bass", "brass", "guitar", "organ", "reed"]}
    raw["split"] = {"by": "random", "method": "balanced", "train": 0.4, "valid": 0.3, "test": 0.3}
    built = build(manifest.parse(raw, "here"), real_data / "nsynth-test", tmp_path)
    assert verify(built.folder) == []
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    assert Counter(row["attribute.family"] for row in rows) == {
        "organ": 6,
        "guitar": 4,  # and one that is nearly another, struck harder
        "bass": 4,
        "brass": 4,
        "reed": 4,
    }
