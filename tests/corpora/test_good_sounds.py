"""Good-Sounds: tables of two kinds, what a klass is called, and the datasets made of them."""

import csv
import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from trees import audio, lay_out

from at_data import corpora, manifest
from at_data.build import build, plan
from at_data.corpora import good_sounds
from at_data.errors import CorpusError, ManifestError
from at_data.stages.audio import Audio, load
from at_data.verify import verify

AUDIO = good_sounds.AUDIO
SOUND = {"id": 1, "instrument": "flute", "klass": "good-sound", "player": "ann", "pack_id": 1}


def take(number, path, sound=1, microphone="akg"):
    return {"id": number, "sound_id": sound, "microphone": microphone, "filename": path and f"{AUDIO}/{path}"}


def tables(takes, sounds=(SOUND,), packs=({"id": 1, "name": "flute_ann"},)):
    return {"packs": list(packs), "sounds": list(sounds), "takes": list(takes)}


def as_json(given):
    """Tables as the published JSON files hold them."""
    return {f"{name}.json": json.dumps({str(row["id"]): row for row in rows}) for name, rows in given.items()}


def write_database(file, given):
    with closing(sqlite3.connect(file)) as connection:
        for name, rows in given.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            cells = [[row.get(column) for column in columns] for row in rows]
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", cells)  # noqa: S608
        connection.commit()


def listed(tmp_path, given):
    lay_out(tmp_path, as_json(given))
    (tmp_path / AUDIO).mkdir(exist_ok=True)
    return list(good_sounds.recordings(tmp_path))


# what a klass is called


@pytest.mark.parametrize(
    ("klass", "name"),
    [
        ("good-sound", "good-sound"),
        ("good-sound-mf", "good-sound"),
        ("bad-dynamics", "bad-dynamics"),
        ("bad-dynamics-stability-tremolo", "bad-dynamics"),
        ("bad-pitch-stability-vibrato", "bad-pitch"),
        ("bad-timbre", "bad-timbre"),
        ("bad-richness-pato", "bad-richness"),
        ("bad-attack-air", "bad-attack"),
        ("bad-pitch bad-timbre", "several-bad-pitch"),
        ("bad-attack-bad-pitch", "several-bad-pitch"),
        ("tremolo bad-pitch", "several-bad-pitch"),
        ("bad-attack bad-timbre", "several"),
        ("bad-attack-bad-timbre", "several"),
        ("good-sound vibrato", "several"),
        ("scale-good", "scale"),
        ("scale-bad-pitch-staccato-minor", "scale"),
        ("minor scale bad-pitch", "scale"),
        ("good-timbre-wood", "other"),
        ("bad-stability-timbre", "other"),
        ("air-outside", "other"),
    ],
)
def test_every_klass_is_called_something(klass, name):
    assert good_sounds.goodness(klass) == name


def test_manifests_ask_for_the_five_classes_and_agree_in_which_recordings():
    made = [manifest.load(name) for name in manifest.shipped() if name.startswith("good_sounds_")]
    asked = [{**m.keep} for m in made]
    for keep in asked:
        keep.pop("microphone_number", None)
    assert all(keep == asked[0] for keep in asked)
    assert {m.seed for m in made} == {1}
    assert len({m.balance for m in made}) == 1
    known = {name for name, _ in good_sounds.GOODNESS}
    kept = {value for values in asked[0]["goodness"].values() for value in values}
    assert known - kept == {"scale", "several", "other"}
    assert set(asked[0]["goodness"]) == {"good-sound", "bad-dynamics", "bad-pitch", "bad-timbre", "bad-attack"}


# listing


def test_a_database_says_the_same_as_the_published_tables(tmp_path):
    lay_out(tmp_path, good_sounds.EXAMPLE["files"])
    given = {name: json.loads((tmp_path / f"{name}.json").read_text()).values() for name in good_sounds.TABLES}
    write_database(tmp_path / "database.sqlite", {name: list(rows) for name, rows in given.items()})
    for name in good_sounds.TABLES:
        (tmp_path / f"{name}.json").unlink()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert tuple(good_sounds.recordings(tmp_path)) == good_sounds.EXAMPLE["recordings"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", ["", "good-sounds/"])
@pytest.mark.parametrize("kind", ["database", "json"])
def test_tables_may_lie_beside_the_audio_or_above_it(tmp_path, place, kind):
    root = lay_out(tmp_path / "corpus", audio(f"good-sounds/{AUDIO}/flute_ann/akg/0.wav"))
    given = tables([take(1, "flute_ann/akg/0.wav")])
    if kind == "json":
        lay_out(root / place, as_json(given))
    else:
        write_database(root / place / "database.sqlite", given)
    found = list(good_sounds.recordings(root))
    assert [r.path for r in found] == [f"{AUDIO}/flute_ann/akg/0.wav"]
    assert found[0].attributes["goodness"] == "good-sound"
    assert corpora.root(good_sounds, root) == root / "good-sounds"
    assert list(good_sounds.recordings(root / "good-sounds")) == found


def test_a_database_goes_before_tables_made_of_it(tmp_path):
    lay_out(tmp_path, {**audio(f"{AUDIO}/flute_ann/akg/0.wav"), "takes.json": "{", "sounds.json": "{}"})
    write_database(tmp_path / "database.sqlite", tables([take(1, "flute_ann/akg/0.wav")]))
    assert next(good_sounds.recordings(tmp_path)).attributes["player"] == "ann"


def test_a_take_without_its_file_is_listed_in_its_place(tmp_path):
    lay_out(tmp_path, audio(f"{AUDIO}/a/akg/0.wav", f"{AUDIO}/c/akg/0.wav"))
    found = listed(tmp_path, tables([take(1, "b/akg/0.wav")]))
    assert [r.id for r in found] == [f"{AUDIO}/{pack}/akg/0" for pack in "abc"]
    assert [r.attributes.get("goodness") for r in found] == [None, "good-sound", None]


def test_a_take_of_no_known_sound_has_what_is_known_of_it(tmp_path):
    (only,) = listed(tmp_path, tables([take(7, "a/akg/0.wav", sound=99)]))
    assert only.attributes == {
        "pack": "a",
        "microphone": "akg",
        "take": "7",
        "performance": "99",
        "microphone_number": "1",
    }


def test_cells_without_a_value_become_no_attribute(tmp_path):
    sound = {"id": 1, "instrument": " flute ", "klass": None, "note": "C", "octave": None, "pack_id": 5.0, "player": ""}
    (only,) = listed(tmp_path, tables([take(1, "a/akg/0.wav")], [sound], [{"id": 5, "name": "given"}]))
    assert only.attributes == {
        "pack": "given",
        "microphone": "akg",
        "instrument": "flute",
        "take": "1",
        "performance": "1",
        "microphone_number": "1",
    }


def test_two_takes_of_one_file_keep_what_they_agree_in(tmp_path):
    other = {**SOUND, "id": 2, "klass": "bad-pitch"}
    (only,) = listed(tmp_path, tables([take(1, "a/akg/0.wav"), take(2, "a/akg/0.wav", sound=2)], [SOUND, other]))
    assert only.attributes["instrument"] == "flute"
    assert not {"take", "performance", "klass", "goodness"} & only.attributes.keys()


def test_a_table_may_be_a_list_of_rows(tmp_path):
    given = tables([take(1, "a/akg/0.wav")])
    lay_out(tmp_path, {f"{name}.json": json.dumps(rows) for name, rows in given.items()})
    (tmp_path / AUDIO).mkdir()
    assert next(good_sounds.recordings(tmp_path)).attributes["klass"] == "good-sound"


@pytest.mark.parametrize(("there", "named"), [("WAV", "wav"), ("wav", "WAV")])
def test_a_take_finds_its_file_however_the_suffix_is_written(tmp_path, there, named):
    lay_out(tmp_path, audio(f"{AUDIO}/a/akg/0.{there}"))
    (only,) = listed(tmp_path, tables([take(1, f"a/akg/0.{named}")]))
    assert (only.id, only.path) == (f"{AUDIO}/a/akg/0", f"{AUDIO}/a/akg/0.{there}")
    assert only.attributes["goodness"] == "good-sound"


# wrong folders and tables


def test_audio_without_any_table_is_refused(tmp_path):
    lay_out(tmp_path, audio(f"{AUDIO}/a/akg/0.wav"))
    with pytest.raises(
        CorpusError, match=r"no table .* expected database\.sqlite, or packs\.json, sounds\.json, takes"
    ):
        list(good_sounds.recordings(tmp_path))


@pytest.mark.parametrize("absent", good_sounds.TABLES)
def test_a_published_table_that_is_absent_is_named(tmp_path, absent):
    lay_out(tmp_path, good_sounds.EXAMPLE["files"])
    (tmp_path / f"{absent}.json").unlink()
    with pytest.raises(CorpusError, match=rf"{absent}\.json: no such file"):
        list(good_sounds.recordings(tmp_path))


def test_tables_without_audio_are_refused(tmp_path):
    lay_out(tmp_path, as_json(tables([take(1, "a/akg/0.wav")])))
    with pytest.raises(CorpusError, match="no folder sound_files"):
        list(good_sounds.recordings(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("takes", "{", r"takes\.json: cannot be read .*line 1 column 2"),
        ("takes", "[" * 100_000, r"takes\.json: cannot be read"),
        ("sounds", '"a"', r"sounds\.json: holds str"),
        ("sounds", '{"8": [1]}', r"sounds\.json, entry 8: holds list"),
        ("packs", '{"8": {"id": 8}}', r"packs\.json, entry 8: no name"),
        *((name, empty, rf"{name}\.json: it has no row") for name in good_sounds.TABLES for empty in ("{}", "[]")),
        (
            "sounds",
            json.dumps([SOUND, SOUND | {"klass": "bad-pitch"}]),
            r"sounds\.json, entry 2: sound 1 a second time",
        ),
        ("sounds", json.dumps([SOUND, SOUND | {"id": 1.0}]), r"sounds\.json, entry 2: sound 1 a second time"),
        ("sounds", json.dumps([SOUND | {"id": None}]), r"sounds\.json, entry 1: sound without an id"),
        ("packs", '[{"id": 1, "name": "a"}, {"id": "1", "name": "b"}]', r"packs\.json, entry 2: pack 1 a second time"),
        ("takes", '[{"id": 1}]', r"takes\.json, entry 1: no filename"),
        ("takes", '[{"id": 1, "filename": ["a.wav"]}]', r"takes\.json, entry 1: a cell is of type list"),
        ("takes", '[{"id": 1, "filename": "/etc/a.wav"}]', r"entry 1: filename is '/etc/a\.wav'"),
        ("takes", '[{"id": 1, "filename": "sound_files/../../a.wav"}]', "entry 1: filename is"),
        ("takes", r'[{"id": 1, "filename": "sound_files\\a.wav"}]', "entry 1: filename is"),
        ("takes", '[{"id": 1, "filename": "sound_files//a.wav"}]', "entry 1: filename is"),
    ],
)
def test_a_published_table_says_where_it_is_wrong(tmp_path, name, text, message):
    lay_out(tmp_path, {**good_sounds.EXAMPLE["files"], f"{name}.json": text})
    with pytest.raises(CorpusError, match=message):
        list(good_sounds.recordings(tmp_path))


def database(tmp_path, given):
    (tmp_path / AUDIO).mkdir(exist_ok=True)
    write_database(tmp_path / "database.sqlite", given)
    return tmp_path / "database.sqlite"


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be taken for one" * 20, b"SQLite format 3\0" * 9]
)
def test_a_file_that_is_no_database_is_named(tmp_path, content):
    (tmp_path / AUDIO).mkdir()
    (tmp_path / "database.sqlite").write_bytes(content)
    with pytest.raises(CorpusError, match=r"database\.sqlite: cannot be read"):
        list(good_sounds.recordings(tmp_path))


def test_a_database_cut_short_is_named(tmp_path):
    file = database(tmp_path, tables([take(n, f"a/akg/{n}.wav") for n in range(500)]))
    file.write_bytes(file.read_bytes()[:9000])
    with pytest.raises(CorpusError, match=r"database\.sqlite: cannot be read"):
        list(good_sounds.recordings(tmp_path))


def test_an_empty_database_lacks_its_tables(tmp_path):
    (tmp_path / AUDIO).mkdir()
    (tmp_path / "database.sqlite").touch()
    with pytest.raises(CorpusError, match=r"database\.sqlite: no table packs"):
        list(good_sounds.recordings(tmp_path))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE takes RENAME COLUMN filename TO file", "table takes: no filename"),
        ("DROP TABLE sounds", "no table sounds"),
        ("DELETE FROM packs", "table packs: it has no row"),
        ("DELETE FROM sounds", "table sounds: it has no row"),
        ("DELETE FROM takes", "table takes: it has no row"),
        ("INSERT INTO sounds SELECT * FROM sounds", "table sounds, row 2: sound 1 a second time"),
        ("ALTER TABLE takes RENAME TO held; CREATE VIEW takes AS SELECT * FROM held", "no table takes"),
        ("UPDATE takes SET filename = x'00ff'", "table takes, row 1: a cell is of type bytes"),
        ("UPDATE sounds SET klass = CAST(x'ff' AS TEXT)", r"cannot be read \(Could not decode to UTF-8"),
        ("UPDATE takes SET filename = '../a.wav'", r"table takes, row 1: filename is '\.\./a\.wav'"),
    ],
)
def test_a_database_says_where_it_is_wrong(tmp_path, statement, message):
    file = database(tmp_path, tables([take(1, "a/akg/0.wav")]))
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(statement)
    with pytest.raises(CorpusError, match=message) as caught:
        list(good_sounds.recordings(tmp_path))
    assert "database.sqlite" in str(caught.value)


# the datasets

INSTRUMENTS = ("bass", "cello", "flute", "oboe", "trumpet", "violin")
KLASSES = (
    "good-sound",
    "bad-dynamics",
    "bad-pitch bad-timbre",
    "bad-richness",
    "bad-attack",
    "bad-pitch",
    "bad-timbre",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Six instruments played in seven ways five times before two microphones, scales besides; ten waveforms alike."""
    root = tmp_path_factory.mktemp("good") / "good-sounds"
    sounds, takes = [], []
    for place, instrument in enumerate(INSTRUMENTS):
        for klass in (*KLASSES, "scale-good"):
            for _ in range(5):
                number = len(sounds) + 1
                sounds.append(
                    {
                        "id": number,
                        "instrument": instrument,
                        "klass": klass,
                        "player": f"p{place // 2}",
                        "pack_id": place,
                    }
                    | {"note": "C", "octave": number % 3 + 3}
                )
                for microphone in ("akg", "neumann"):
                    path = f"{instrument}_p{place // 2}/{microphone}/{number:04d}.wav"
                    takes.append(take(len(takes) + 1, path, number, microphone))
                    seed = [0] if number % 28 == 1 and microphone == "akg" else [number, len(takes)]
                    samples = np.random.default_rng(seed).normal(0, 0.1, 2400)
                    file = root / "good-sounds" / AUDIO / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(file, samples, 48000, format="FLAC" if number % 2 else "WAV")
    packs = [{"id": place, "name": f"{name}_p{place // 2}"} for place, name in enumerate(INSTRUMENTS)]
    write_database(root / "good-sounds" / "database.sqlite", tables(takes, sounds, packs))
    return root


def rows_of(folder):
    return pq.read_table(folder / "index.parquet").to_pylist()


def verdicts(folder):
    lines = json.loads((folder / "leaks.json").read_text())
    found = defaultdict(set)
    for line in lines:
        found[line["key"]].add(line["verdict"])
    return dict(found)


@pytest.mark.parametrize(
    ("target", "orthogonal", "whole"),
    [
        ("good_sounds_goodness_random", "good_sounds_instrument", "performance"),
        ("good_sounds_goodness_random_as_released", "good_sounds_instrument_as_released", "performance"),
        ("good_sounds_goodness_by_instrument", "good_sounds_instrument_of_by_instrument", "instrument"),
    ],
)
def test_goodness_and_instrument_agree_in_what_is_held_out(source, tmp_path, target, orthogonal, whole):
    goodness, instrument = (build(manifest.load(name), source, tmp_path) for name in (target, orthogonal))
    assert verify(goodness.folder) == verify(instrument.folder) == []
    rows = rows_of(goodness.folder)
    taught = {row["recording"] for row in rows_of(instrument.folder)}
    assert not taught & {row["recording"] for row in rows if row["split"] != "train"}
    assert taught >= {row["recording"] for row in rows if row["split"] == "train"}
    assert verdicts(goodness.folder)[whole] == {"disjoint"}
    assert verdicts(goodness.folder)["performance"] == {"disjoint"}
    assert verdicts(goodness.folder)["waveform"] == verdicts(instrument.folder)["waveform"] == {"disjoint"}
    assert set(verdicts(goodness.folder)) == {"pack", "performance", "player", "waveform", "near-duplicate", whole}
    splits = defaultdict(set)
    for row in rows:
        splits[row["attribute.performance"]].add(row["split"])
    assert set(map(len, splits.values())) == {1}
    microphones = 1 if target.endswith("_as_released") else 2
    assert max(map(len, performances(rows).values())) == microphones
    assert set(goodness.header.left_out) <= {"duplicate"}


def performances(rows):
    found = defaultdict(set)
    for row in rows:
        found[row["attribute.performance"]].add(row["attribute.microphone"])
    return found


def test_classes_are_the_five_of_the_paper_and_equally_many(source):
    made = plan(manifest.load("good_sounds_goodness_random"), source)
    counts = Counter(recording.attributes["goodness"] for recording in made.recordings)
    assert counts == dict.fromkeys(("good-sound", "bad-dynamics", "bad-pitch", "bad-timbre", "bad-attack"), 60)


def test_the_same_waveform_under_several_labels_leaves_the_training_part(source, tmp_path):
    built = build(manifest.load("good_sounds_goodness_random"), source, tmp_path)
    entries = [json.loads(line) for line in (built.folder / "quarantine.jsonl").read_text().splitlines()]
    assert built.header.left_out == {"duplicate": len(entries)}
    assert all(entry["reason"].startswith("same waveform as") for entry in entries)
    held = {row["waveform"]: set() for row in rows_of(built.folder)}
    for row in rows_of(built.folder):
        held[row["waveform"]].add(row["split"])
    assert set(map(len, held.values())) == {1}


def test_the_released_twin_takes_one_microphone_and_one_stretch(source, tmp_path):
    built = build(manifest.load("good_sounds_goodness_random_as_released"), source, tmp_path)
    rows = rows_of(built.folder)
    assert {row["attribute.microphone"] for row in rows} == {"akg"}
    assert {row["start_s"] for row in rows} == {0.0}
    assert verify(built.folder) == []


def test_files_that_no_table_names_are_left_out_with_their_reason(source, tmp_path):
    raw = yaml.safe_load(manifest.shipped()["good_sounds_goodness_random"].read_text())
    copy = lay_out(tmp_path / "good-sounds", audio(f"good-sounds/{AUDIO}/horn_eve/akg/0.wav"))
    for entry in (source / "good-sounds" / AUDIO).iterdir():
        (copy / "good-sounds" / AUDIO / entry.name).symlink_to(entry)
    (copy / "good-sounds" / "database.sqlite").symlink_to(source / "good-sounds" / "database.sqlite")
    made = plan(manifest.parse(raw, "here"), copy)
    (entry,) = made.unlabelled
    assert entry["id"] == f"{AUDIO}/horn_eve/akg/0"
    assert entry["reason"] == "no goodness"


# the real ones


@pytest.mark.real
def test_real_takes_are_listed_from_either_kind_of_table(real_data, tmp_path):
    root = real_data / "good-sounds"
    found = list(good_sounds.recordings(root))
    assert [r.id for r in found] == [
        f"{AUDIO}/bass_alejandro_recordings/neumann/0005",
        f"{AUDIO}/bass_alejandro_recordings/neumann/0030",
        f"{AUDIO}/flute_almudena_reference/akg/0000",
    ]
    assert found[0].attributes == {"pack": "bass_alejandro_recordings", "microphone": "neumann"}
    assert (
        found[2].attributes.items()
        >= {
            "goodness": "good-sound",
            "instrument": "flute",
            "player": "almudena",
            "pitch": "C4",
            "semitone": "48",
            "performance": "1",
            "take": "1",
            "microphone": "akg",
            "pack": "flute_almudena_reference",
            "dynamics": "mf",
        }.items()
    )
    assert list(good_sounds.recordings(root / "good-sounds")) == found
    copy = tmp_path / "good-sounds"
    (copy / "good-sounds").mkdir(parents=True)
    (copy / "good-sounds" / AUDIO).symlink_to(root / "good-sounds" / AUDIO)
    for name in good_sounds.TABLES:
        (copy / f"{name}.json").symlink_to(root / f"{name}.json")
    assert list(good_sounds.recordings(copy)) == found


@pytest.mark.real
def test_real_takes_can_be_heard_though_some_hold_flac(real_data):
    root = real_data / "good-sounds"
    for recording in good_sounds.recordings(root):
        samples = load(corpora.root(good_sounds, root), recording, Audio(sample_rate_hz=16000, resampler="soxr_hq"))
        assert 0.9 < samples.size / 16000 < 3.1


@pytest.mark.real
def test_real_takes_are_too_few_for_the_paper_and_the_plan_says_so(real_data):
    with pytest.raises(ManifestError, match=r"keep\.goodness: no recording has bad-attack, bad-dynamics"):
        plan(manifest.load("good_sounds_goodness_random"), real_data / "good-sounds")


STRETCH_S = 0.25


@pytest.mark.real
def test_real_takes_go_end_to_end_though_the_wav_files_hold_flac(real_data, tmp_path):
    """The three real takes through the shipped audio, segments and spectra.

    Only one of them is labelled. So a listing gives each take a made-up class and cuts it into stretches.
    """
    base = real_data / "good-sounds" / "good-sounds"
    takes = sorted((base / AUDIO).rglob("*.wav"))
    assert [soundfile.info(file).format for file in takes] == ["FLAC", "FLAC", "WAV"]
    (tmp_path / AUDIO).symlink_to(base / AUDIO)
    with (tmp_path / "recordings.csv").open("w", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(("path", "goodness", "start_s", "length_s"))
        for goodness, file in zip(("one", "two", "three"), takes, strict=True):
            for place in range(int(soundfile.info(file).duration / STRETCH_S)):
                rows.writerow((file.relative_to(base).as_posix(), goodness, place * STRETCH_S, STRETCH_S))
    raw = yaml.safe_load(manifest.shipped()["good_sounds_goodness_random"].read_text())
    raw |= {"corpus": "table", "keep": {}, "nuisances": [], "balance": "none", "shared": []}
    raw |= {"split": {"by": "random", "method": "balanced", "train": 0.5, "valid": 0.25, "test": 0.25}}
    raw["segment"] |= {"length_s": STRETCH_S, "hop_s": STRETCH_S}
    built = build(manifest.parse(raw, "here"), tmp_path, tmp_path / "out")
    assert verify(built.folder) == []
    assert built.header.left_out == {}
    counts = Counter(row["attribute.goodness"] for row in rows_of(built.folder))
    assert counts == {"one": 12, "two": 10, "three": 4}
    assert {row["stop_s"] - row["start_s"] for row in rows_of(built.folder)} == {STRETCH_S}
    assert verdicts(built.folder)["waveform"] == {"disjoint"}
