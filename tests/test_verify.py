"""Lies that datasets tell are found: flipped bits, forged hashes, contradictions of one another or of the audio."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from conftest import write_digits, write_noises
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from at_data import cards, guard, headers, manifest, shards, verify
from at_data.build import build
from at_data.cli import cli
from at_data.errors import ShardError
from at_data.verify import rebuild, scaling, whole

TRAIN, TEST = "shards/train-00000-of-00005.h5", "shards/test-00000-of-00002.h5"
RANDOM = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
NOISE = {
    "corpus": "ms_snsd", "keep": {"kind": ["noise"]}, "speech_level_dbfs": -25, "snr_db": [0, 20], "offset": "random",
    "crossfade_s": 0.01, "clipping": "scale", "split": {"train": 0.4, "valid": 0.3, "test": 0.3},
}  # fmt: skip


def at_home(function: Callable[[Any], Any], jobs: list[Any], _: object) -> Iterator[Any]:
    """The calls made in this process; what children give travels as JSON."""
    for job in jobs:
        yield json.loads(json.dumps(function(job)))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child processes, which take a second to start."""
    monkeypatch.setattr(guard, "each", at_home)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """The dataset, to be forged."""
    return shutil.copytree(dataset, tmp_path / "copy")


def reseal(folder: Path, **changes: Any) -> None:
    """Hashes, content and card as somebody who knows the format would write them anew."""
    raw = json.loads((folder / "dataset.json").read_text()) | changes
    raw["files"] = {name: shards.sha256(folder / name) for name in raw["files"]}
    raw["shards"] = [entry | {"sha256": shards.sha256(folder / entry["file"])} for entry in raw["shards"]]
    header = headers.Header.model_validate(raw)
    header = header.model_copy(update={"content": headers.content(header)})
    headers.write(folder, header)
    (folder / "README.md").write_text(cards.card(header, cards.read_proof(folder)), encoding="utf-8")


def edit_table(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rows of a Parquet file changed, its schema kept."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def edit_csv(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw, indent=1) + "\n")


def in_shard(name: str, change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        with h5py.File(folder / name, "r+") as file:
            change(file)

    return forge


def in_index(change: Callable[[list[dict[str, Any]]], None], name: str = "index") -> Callable[[Path], None]:
    return lambda folder: edit_table(folder / f"{name}.parquet", change)


def in_csv(name: str, change: Callable[[list[list[str]]], None]) -> Callable[[Path], None]:
    return lambda folder: edit_csv(folder / name, change)


def in_proof(change: Callable[[list[Any]], None]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "leaks.json", change)


def put(rows: Any, row: int, key: Any, value: Any) -> None:
    rows[row][key] = value


def another(rows: list[dict[str, Any]], row: int, key: str) -> None:
    """A value that another row has becomes this row's."""
    rows[row][key] = next(other[key] for other in rows if other[key] != rows[row][key])


def shift(name: str, by: int) -> Callable[[h5py.File], None]:
    """Every code of a column becomes another that stands for something."""

    def change(file: h5py.File) -> None:
        codes = file[name][:]
        file[name][:] = (codes + by) % 2

    return change


def put_value(file: h5py.File, value: float) -> None:
    file["x"][3, 5, 7] = value


def swap_ids(file: h5py.File) -> None:
    ids = file["id"][:]
    file["id"][:] = ids[::-1]


def scale_all(factor: float, add: float) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        for path in (folder / "shards").glob("train*"):
            with h5py.File(path, "r+") as file:
                file["x"][:] = file["x"][:].astype(np.float32) * factor + add

    return forge


def same_sound(folder: Path) -> None:
    """A test recording sounds like one of train."""

    def change(rows: list[dict[str, Any]]) -> None:
        train = next(row for row in rows if row["split"] == "train")
        next(row for row in rows if row["split"] == "test")["words"] = train["words"]

    edit_table(folder / "fingerprints.parquet", change)


def same_waveform(folder: Path) -> None:
    """A test item has the very waveform of one of train, wherever waveforms are told."""
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    train = next(row for row in rows if row["split"] == "train")
    test = next(row for row in rows if row["split"] == "test")
    for name in ("index", "fingerprints"):
        edit_table(
            folder / f"{name}.parquet",
            lambda rows: (
                [row.update(waveform=train["waveform"]) for row in rows if row["recording"] == test["recording"]]
                and None
            ),
        )
    with h5py.File(folder / test["shard"], "r+") as file:
        file["waveform"][test["row"]] = train["waveform"].encode()


def other_speaker(folder: Path) -> None:
    """One train item is told to be of a test speaker, everywhere but in the proof."""
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    test = next(row for row in rows if row["split"] == "test")["attribute.speaker"]
    (first,) = [row for row in rows if (row["shard"], row["row"]) == (TRAIN, 0)]
    edit_table(folder / "index.parquet", lambda rows: put(rows, rows.index(first), "attribute.speaker", test))
    values = headers.read(folder).attributes["speaker"]
    in_shard(TRAIN, lambda file: file["attributes/speaker"].__setitem__(0, values.index(test)))(folder)
    edit_csv(
        folder / "splits.csv", lambda rows: [put([r], 0, 2, test) for r in rows if r[0] == first["recording"]] and None
    )


def external(file: h5py.File) -> None:
    del file["waveform"]
    file["waveform"] = h5py.ExternalLink("/etc/passwd", "/x")


def wide(file: h5py.File) -> None:
    values = file["x"][:].astype(np.float32)
    del file["x"]
    file["x"] = values


def packed(file: h5py.File) -> None:
    values = file["x"][:]
    del file["x"]
    file.create_dataset("x", data=values, chunks=(1, *values.shape[1:]), compression="gzip")


FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a label in the index": (in_index(lambda rows: another(rows, 3, "attribute.speaker")), "speaker is"),
    "a target in the index": (in_index(lambda rows: another(rows, 3, "attribute.word")), "class_counts: says"),
    "a label nobody has": (in_index(lambda rows: put(rows, 3, "attribute.take", "99")), "99: not among its values"),
    "an item without a target": (in_index(lambda rows: put(rows, 3, "attribute.word", None)), "it is the target"),
    "a split in the index": (in_index(lambda rows: put(rows, 3, "split", "test")), "row 3: split is test"),
    "a row in the index": (in_index(lambda rows: put(rows, 3, "row", 7)), "row 3: row is 7"),
    "an id twice": (in_index(lambda rows: put(rows, 3, "id", rows[4]["id"])), "have the id of another"),
    "an id of another recording": (in_index(lambda rows: put(rows, 3, "recording", "x")), "is no item of 'x'"),
    "a path in the index": (in_index(lambda rows: put(rows, 3, "path", "zero/../x.wav")), "sources.csv: zero/../x.wav"),
    "a start in the index": (in_index(lambda rows: put(rows, 3, "start_s", -1.0)), "is no segment of 1.0 s"),
    "a stop in the index": (in_index(lambda rows: put(rows, 3, "stop_s", 0.5)), "is no segment of 1.0 s"),
    "a stretch that is not finite": (in_index(lambda rows: put(rows, 3, "stop_s", np.nan)), "is no segment"),
    "a row too few": (in_index(lambda rows: rows.pop()), "has 119 rows"),
    "a label in a shard": (in_shard(TRAIN, shift("attributes/take", 1)), f"{TRAIN}: row 0: take is"),
    "a code in a shard": (in_shard(TRAIN, lambda file: file["attributes/take"].__setitem__(2, 77)), "codes of take"),
    "a target in a shard": (in_shard(TRAIN, shift("target", 1)), "target is not word"),
    "ids in a shard": (in_shard(TRAIN, swap_ids), f"{TRAIN}: row 0: id is"),
    "a waveform in a shard": (in_shard(TRAIN, lambda file: file["waveform"].__setitem__(0, b"0" * 32)), "waveform is"),
    "a value that is not finite": (in_shard(TEST, lambda file: put_value(file, np.inf)), "row 3 ("),
    "a value below 0": (in_shard(TEST, lambda file: put_value(file, -99)), "the least value is -99"),
    "values of another spread": (scale_all(1.01, 0.0), "deviation 1.00"),
    "values of another mean": (scale_all(1.0, 0.01), "the training split has mean 0.01"),
    "another type": (in_shard(TRAIN, wide), "of float32, expected"),
    "another packing": (in_shard(TRAIN, packed), "x is packed by the filters [1]"),
    "something more in a shard": (in_shard(TRAIN, lambda file: file.__setitem__("note", 1)), "and nothing else"),
    "an attribute of a shard": (in_shard(TRAIN, lambda file: file.attrs.__setitem__("by", "me")), "is marked"),
    "a link out of the folder": (in_shard(TRAIN, external), "waveform is absent, or a link"),
    "no shard at all": (lambda folder: (folder / TRAIN).write_bytes(b"no HDF5") and None, f"{TRAIN}: cannot be read"),
    "a split in splits.csv": (in_csv("splits.csv", lambda rows: put(rows, 1, 1, "test")), "the index has it in"),
    "a group in splits.csv": (in_csv("splits.csv", lambda rows: put(rows, 1, 2, "x")), "its attributes make it"),
    "a line less in splits.csv": (in_csv("splits.csv", lambda rows: rows.pop()), "lists 119 recordings"),
    "a line twice in splits.csv": (in_csv("splits.csv", lambda rows: rows.append(rows[1])), "lists 121 recordings"),
    "columns of splits.csv": (in_csv("splits.csv", lambda rows: put(rows, 0, 1, "part")), "has the columns id, part"),
    "a duplicate": (
        in_csv("duplicates.csv", lambda rows: rows.append(["0" * 32, "zero/x", "zero/x.wav", "zero", "train"])),
        "duplicates.csv: zero/x: is in train, and neither",
    ),
    "a loss": (
        lambda folder: (folder / "quarantine.jsonl").write_text(
            '{"id": "a", "recording": "a", "kind": "bad", "reason": "so"}\n'
        )
        and None,
        'quarantine.jsonl: holds {"bad": 1}',
    ),
    "no JSON": (lambda folder: (folder / "quarantine.jsonl").write_text("{\n") and None, "quarantine.jsonl: cannot"),
    "a recording passed over": (
        in_index(lambda rows: rows.append({"recording": "x", "reason": "keep"}), "passed_over"),
        'recordings: says {"held": 120}',
    ),
    "a reason to pass over": (
        in_index(lambda rows: rows.append({"recording": "x", "reason": "mood"}), "passed_over"),
        "mood: no key of a manifest",
    ),
    "a source less": (in_csv("sources.csv", lambda rows: rows.pop(1)), "is not in it, though items came of it"),
    "a source more": (
        in_csv("sources.csv", lambda rows: rows.append(["corpus", "zero/y.wav", "1", "0" * 32])), "1 files of which no"
    ),
    "a noise where none is": (
        in_csv("sources.csv", lambda rows: rows.append(["noise", "y.wav", "1", "0" * 32])), "noise files are listed"
    ),
    "a source of no hash": (in_csv("sources.csv", lambda rows: put(rows, 1, 3, "")), "which no file that was read has"),
    "a source of no size": (in_csv("sources.csv", lambda rows: put(rows, 1, 2, "much")), "sources.csv: cannot be read"),
    "the same sound in two splits": (same_sound, "near-duplicate: says 0 disjoint (none), the tables have 1 LEAK"),
    "the same waveform in two splits": (same_waveform, "waveform: says 0 disjoint (none), the tables have 1 LEAK"),
    "a speaker in two splits": (other_speaker, "speaker: says 0 disjoint (none), the tables have 1 LEAK"),
    "a fingerprint less": (in_index(lambda rows: rows.pop(), "fingerprints"), "not those of the index"),
    "half a fingerprint": (in_index(lambda rows: put(rows, 0, "words", b"abc"), "fingerprints"), "has 3 bytes"),
    "a recording held out": (
        in_index(lambda rows: rows.append(rows[-1] | {"recording": "zz", "split": "held out"}), "fingerprints"),
        "zz is held out, and passed_over.parquet",
    ),
    "a verdict": (in_proof(lambda lines: put(lines, 0, "verdict", "shared by design")), "says 0 shared by design"),
    "a leak": (in_proof(lambda lines: put(lines, 0, "verdict", "LEAK")), "speaker: LEAK of 0"),
    "a count in the proof": (in_proof(lambda lines: put(lines, 0, "shared", 2)), "says 2 disjoint"),
    "a line less in the proof": (in_proof(lambda lines: lines.pop()), "its lines are not those for speaker"),
    "a line more in the proof": (in_proof(lambda lines: lines.append(lines[0])), "its lines are not those for speaker"),
}  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", FORGERIES)
def test_forged_hashes_hide_nothing(copy: Path, name: str) -> None:
    forge, told = FORGERIES[name]
    forge(copy)
    reseal(copy)
    problems = verify.verify(copy)
    assert any(told in line for line in problems), problems


HEADER: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "counts": (lambda raw: {"train": raw["counts"]["train"] + 1} | {"valid": 20, "test": 40}, "its shards hold"),
    "hours": (lambda raw: raw["hours"] | {"train": 9.0}, "its counts make"),
    "class_counts": (lambda raw: raw["class_counts"] | {"test": {"zero": 20}}, "the index has"),
    "scaling": (lambda raw: {"mean": raw["scaling"]["mean"], "std": raw["scaling"]["std"] * 2}, "the least value is"),
    "attributes": (lambda raw: raw["attributes"] | {"take": ["1", "0"]}, "not sorted"),
    "target": (lambda _: "speaker", "target: says speaker, its manifest word"),
    "nuisances": (lambda _: [], "nuisances: says []"),
    "dtype": (lambda _: "float32", "dtype: says float32, its manifest float16"),
    "compression": (lambda _: "zstd", "compression: says zstd"),
    "frames": (lambda _: 125, "frames, bins: says (125, 129)"),
    "recordings": (lambda raw: raw["recordings"] | {"held": 119, "bad": 1}, "the tables have"),
    "left_out": (lambda _: {"dropped": 2}, "the header says"),
    "duplicates": (lambda raw: raw["duplicates"] | {"waveforms": 1}, "the header says"),
    "manifest": (lambda raw: raw["manifest"] | {"seed": 99}, "its manifest has digest"),
    "digest": (lambda _: "0" * 64, "its manifest has digest"),
    "noise": (lambda _: {"items": 3}, "noise: says False"),
    "shards": (lambda raw: raw["shards"][::-1], "each counted from 00000"),
}  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("key", HEADER)
def test_a_forged_header_contradicts_the_rest(copy: Path, key: str) -> None:
    change, told = HEADER[key]
    reseal(copy, **{key: change(json.loads((copy / "dataset.json").read_text()))})
    problems = verify.verify(copy)
    assert any(told in line for line in problems), problems


STRANGE = [
    {"audio": {"sample_rate_hz": 16001, "resampler": "soxr_hq"}},
    {"audio": {"sample_rate_hz": 768_000, "resampler": "soxr_hq"}},
    {"segment": {"length_s": 1e308, "hop_s": 1.0, "shorter": "pad_center", "tail": "drop"}},
    {"corpus": "nobody's"},
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("strange", STRANGE)
def test_a_manifest_of_impossible_numbers_is_a_line(copy: Path, strange: dict[str, Any]) -> None:
    raw = json.loads((copy / "dataset.json").read_text())["manifest"] | strange
    reseal(copy, manifest=raw, digest=manifest.parse(raw, "here").digest)
    assert verify.verify(copy)


@pytest.fixture(scope="module")
def flipped(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset, of which a bit is flipped and flipped back."""
    return shutil.copytree(dataset, tmp_path_factory.mktemp("flipped") / "copy")


@hypothesis_settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(flipped: Path, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    # hashes and the card alone have to find it: nothing is looked into
    monkeypatch.setattr(whole, "_look", lambda *_: None)
    files = sorted(path for path in flipped.rglob("*") if path.is_file() and path.stat().st_size)
    # those that no hash covers, half of the time
    path = data.draw(st.sampled_from([flipped / "dataset.json", flipped / "README.md"]) | st.sampled_from(files))
    before = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(before) - 1))
    raw = bytearray(before)
    raw[bit // 8] ^= 1 << bit % 8
    path.write_bytes(raw)
    try:
        assert verify.verify(flipped), (path, bit)
    finally:
        path.write_bytes(before)


@pytest.mark.usefixtures("here")
def test_a_sound_dataset_says_what_was_checked(dataset: Path) -> None:
    found = verify.examine(dataset)
    assert found.problems == []
    size = sum(path.stat().st_size for path in dataset.rglob("*") if path.is_file())
    assert found.checked == {"shards": 9, "items": 120, "files": 19, "bytes": size, "recordings": 120, "lines": 9}


@pytest.mark.usefixtures("here")
def test_what_does_not_belong_or_is_no_file_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "notes").mkdir()
    (copy / "notes" / "a.txt").write_text("mine")
    (copy / "shards" / "b\x1b[2J.h5").write_text("mine")
    (copy / "splits.csv").rename(tmp_path / "splits.csv")
    (copy / "splits.csv").symlink_to(tmp_path / "splits.csv")
    (copy / "README.md").unlink()
    for name in (".DS_Store", "shards/Thumbs.db"):
        (copy / name).write_bytes(b"\0")
    (copy / "._a").symlink_to(tmp_path)
    assert verify.verify(copy) == [
        ".DS_Store: the system put it there unasked, and it may be deleted",
        "._a: a link, expected a file of the folder's own",
        "notes: a folder that no dataset has",
        "splits.csv: a link, expected a file of the folder's own",
        "notes/a.txt: not in the header",
        "shards/Thumbs.db: the system put it there unasked, and it may be deleted",
        "shards/b\\x1b[2J.h5: not in the header",
        "splits.csv: missing",
        "README.md: missing",
    ]


@pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 100_000, b"\xff\xfe"])
def test_a_header_that_is_none_is_a_line(copy: Path, raw: bytes) -> None:
    (copy / "dataset.json").write_bytes(raw)
    (problem,) = verify.verify(copy)
    assert problem.startswith("dataset.json: ")
    (copy / "dataset.json").unlink()
    with pytest.raises(ShardError, match=r"no dataset\.json"):
        verify.verify(copy)


def test_what_hdf5_makes_of_a_torn_shard_of_the_right_hash_is_a_line(copy: Path) -> None:
    (copy / TEST).write_bytes((copy / TEST).read_bytes()[:4000])
    reseal(copy)
    problems = verify.verify(copy)
    assert problems
    assert all(line.startswith(TEST) for line in problems)


def test_scaling_is_held_to_the_rounding_of_the_type(dataset: Path) -> None:
    header = headers.read(dataset)
    assert header.dtype == "float16"
    exact = np.concatenate([h5py.File(path)["x"][:].ravel() for path in (dataset / "shards").glob("train*")])
    wide = exact.astype(np.float64)
    assert abs(wide.mean()) < scaling.tolerance(header) < 6e-4
    assert abs(wide.std() - 1) < scaling.tolerance(header)
    single = header.model_copy(update={"dtype": "float32"})
    assert scaling.tolerance(single) < 1e-6


def sound(folder: Path, source: Path, **how: Any) -> verify.Found:
    """What was compared of a dataset in which verify finds nothing wrong, nor its source anything."""
    assert verify.verify(folder) == []
    found = verify.compare(folder, source, every_file=True, **how)
    assert found.problems == []
    assert found.checked["rebuilt"] == found.checked["sample"] > 0
    assert found.checked["sources"] == found.checked["of"]
    return found


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "change",
    [
        {"scaling": {"kind": "none", "measured_on": "train"}},
        {"store": {"dtype": "float32", "recordings_per_shard": 50, "compression": "zstd", "padding": "implicit"}},
        {"bias": {"with": "speaker", "favoured": 3, "strength": 0.9}},
        {"split": RANDOM, "shared": ["speaker"], "keep": {"word": ["zero", "one", "two"]}},
        {"split": {"by": ["speaker", "take"], "fold": "1/groups", "method": "balanced", "valid": 0.0,
                   "missing_classes": "allow"}, "name": "chained"},
        {"split": {"by": "published", "valid_from_train": 0.1, "missing_classes": "fail"}, "shared": ["speaker"]},
    ],
    ids=["unscaled", "packed", "bias", "keep", "chained", "published"],
)  # fmt: skip
def test_every_kind_of_dataset_is_sound(
    digits: Path, settings: dict[str, Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    if change.get("name") == "chained":
        change = change | {"split": change["split"] | {"by": ["speaker"]}}
    folder = build(manifest.parse(settings | change, "here"), digits, tmp_path).folder
    found = sound(folder, digits)
    assert found.checked["labels"] == verify.examine(folder).checked["recordings"]


@pytest.mark.usefixtures("here")
def test_a_subset_is_sound_and_its_held_out_part_is_in_the_proof(
    digits: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    inner = {"split": settings["split"], "target": "word", "part": "train", "bias": "none"}
    settings |= {"target": "speaker", "nuisances": ["word"], "subset": inner, "split": RANDOM, "shared": ["speaker"]}
    folder = build(manifest.parse(settings, "here"), digits, tmp_path).folder
    sound(folder, digits)

    def forget(lines: list[Any]) -> None:
        lines[:] = [line for line in lines if "held out" not in line["splits"]]

    def unhear(rows: list[dict[str, Any]]) -> None:
        rows[:] = [row for row in rows if row["split"] != "held out"]

    edit_json(folder / "leaks.json", forget)
    reseal(folder)
    assert any("leaks.json: its lines" in line for line in verify.verify(folder))
    edit_table(folder / "fingerprints.parquet", unhear)
    reseal(folder)
    assert {line.partition(" ")[0] for line in verify.verify(folder)} == {"fingerprints.parquet:", "leaks.json:"}


@pytest.mark.usefixtures("here")
def test_losses_of_every_kind_are_accounted_for(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = write_digits(tmp_path / "speech_commands")
    (corpus / "zero" / "00000000_nohash_0.wav").write_bytes(b"no audio")
    (corpus / "one" / "00000001_nohash_0.wav").write_bytes(b"")
    speaker = corpus / "one" / "00000000_nohash_0.wav"
    (corpus / "one" / "00000005_nohash_0.wav").write_bytes(speaker.read_bytes())
    (corpus / "one" / "00000000_nohash_1.wav").write_bytes(speaker.read_bytes())
    (corpus / "two" / "nobody.wav").write_bytes(speaker.read_bytes())
    samples, rate = soundfile.read(corpus / "three" / "00000005_nohash_0.wav")
    soundfile.write(corpus / "three" / "00000000_nohash_0.wav", samples * 0.5, rate)
    built = build(manifest.parse(settings, "here"), corpus, tmp_path / "out", max_bad=0.5)
    assert {"bad": 2, "unlabelled": 1}.items() <= built.header.left_out.items()
    sound(built.folder, corpus)
    # the one that is left in it is another's twin
    edit_csv(built.folder / "duplicates.csv", lambda rows: rows.pop())
    reseal(built.folder)
    assert any(line.startswith("duplicates.csv: ") for line in verify.verify(built.folder))


@pytest.fixture(scope="module")
def noisy(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Digits in noise, every segment at two levels, and the folder of the noise."""
    from conftest import by_speaker  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("noisy")
    noises = write_noises(folder / "MS-SNSD")
    raw = by_speaker() | {"noise": NOISE | {"snr_db": {"each_of": [0, 10]}}, "keep": {"word": ["zero", "one"]}}
    return build(manifest.parse(raw, "here"), digits, folder / "out", noise_source=noises).folder, noises


NOISE_FORGERIES = {
    "noise.snr_requested_db": (5.0, "noise.snr_requested_db is 5.0"),
    "noise.snr_achieved_db": (3.0, "noise.snr_achieved_db is 3.0"),
    "noise.level_requested_dbfs": (-20.0, "noise.level_requested_dbfs is -20.0"),
    "noise.peak": (np.nan, "noise.peak is nan"),
    "noise.clipped": (-1, "noise.clipped is -1"),
    "noise.speech_level_dbfs": (-3.0, "noise: speech_level_dbfs_max"),
}


@pytest.mark.usefixtures("here")
def test_noise_is_sound_and_every_lie_about_it_is_found(noisy: tuple[Path, Path], digits: Path, tmp_path: Path) -> None:
    folder, noises = noisy
    assert sound(folder, digits, noise_source=noises).checked["of"] > 24
    assert verify.compare(folder, digits).problems[0].startswith("source: ")  # without its noise
    for number, (column, (value, told)) in enumerate(NOISE_FORGERIES.items()):
        forged = shutil.copytree(folder, tmp_path / str(number))
        edit_table(forged / "index.parquet", lambda rows, c=column, v=value: put(rows, 5, c, v))
        reseal(forged)
        problems = verify.verify(forged)
        assert any(told in line for line in problems), problems
    # a noise of train in test, which its levels do not tell
    train = next(r for r in pq.read_table(folder / "index.parquet").to_pylist() if r["split"] == "train")
    for number, (columns, told) in enumerate(
        [
            (["noise.noise"], "noise.waveform: a noise has two of them"),
            (["noise.waveform"], "noise.waveform: a noise has two of them"),
            (["noise.noise", "noise.waveform"], "noise file: says 0 disjoint (none), the tables have 1 LEAK"),
            (["noise.noise", "noise.waveform"], "noise waveform: says 0 disjoint (none), the tables have 1 LEAK"),
        ]
    ):
        forged = shutil.copytree(folder, tmp_path / f"mixed{number}")
        edit_table(forged / "index.parquet", lambda rows, c=columns: rows[-1].update({name: train[name] for name in c}))
        reseal(forged)
        problems = verify.verify(forged)
        assert any(told in line for line in problems), problems


@pytest.mark.usefixtures("here")
def test_a_noise_task_is_sound(digits: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD")
    settings |= {
        "target": "noise_type", "nuisances": [], "segment": settings["segment"] | {"hop_s": "one_at_start"},
        "noise": NOISE | {"label": "noise_type", "hours": 0.02},
    }  # fmt: skip
    folder = build(manifest.parse(settings, "here"), digits, tmp_path / "out", noise_source=noises).folder
    sound(folder, digits, noise_source=noises)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("of_subset", [False, True])
def test_an_imported_split_is_rebuilt_with_its_file_which_is_asked_for_by_the_name_of_the_flag(
    dataset: Path,
    digits: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    of_subset: bool,
) -> None:
    file = Path(shutil.copy(dataset / "splits.csv", tmp_path / "theirs.csv"))
    split: dict[str, Any] = {"by": "file", "file": str(file), "sha256": shards.sha256(file), "not_listed": "drop"}
    split |= {"absent": "fail", "missing_classes": "fail"}
    changes: dict[str, Any] = {"split": split}
    if of_subset:
        subset = {"split": split, "bias": "none", "target": "word", "part": "train"}
        changes = {"split": RANDOM, "subset": subset, "shared": ["speaker"], "target": "speaker", "nuisances": []}
    folder = build(manifest.parse(settings | changes, "here", tmp_path), digits, tmp_path / "out").folder
    sound(folder, digits, split_file=file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    expected = f"; expected the file that the split was imported from, of SHA-256 {split['sha256']}; "
    expected += "give it with --split-file"
    (absent,) = verify.compare(folder, digits).problems
    assert absent == f"source: theirs.csv: no such file, or one too large for a list{expected}"
    other = elsewhere / "theirs.csv"  # of the same name, and not it
    other.write_text("id,split\na,train\n")
    (another,) = verify.compare(folder, digits).problems
    assert another == f"source: theirs.csv: has SHA-256 {shards.sha256(other)}{expected}"
    (given,) = verify.compare(folder, digits, split_file=other).problems
    assert given == f"source: {other}: has SHA-256 {shards.sha256(other)}{expected}"
    shutil.copy(file, other)
    sound(folder, digits)


@pytest.mark.usefixtures("here")
def test_the_audio_tells_of_values_and_labels_that_were_changed_everywhere(copy: Path, digits: Path) -> None:
    rows = pq.read_table(copy / "index.parquet").to_pylist()
    item = next(row for row in rows if row["shard"] == TEST)
    with h5py.File(copy / TEST, "r+") as file:
        file["x"][item["row"], 3, 5] += 1
        take = 1 - int(file["attributes/take"][item["row"]])
        file["attributes/take"][item["row"]] = take
    edit_table(copy / "index.parquet", lambda rows: put(rows, rows.index(item), "attribute.take", str(take)))
    reseal(copy)
    assert verify.verify(copy) == []  # nothing in the dataset tells
    found = verify.compare(copy, digits, sample=10_000)
    assert f"index.parquet: {item['recording']} has take {take}, not {1 - take}" in found.problems
    (other,) = [line for line in found.problems if "differ from those stored" in line]
    assert other.startswith(f"{item['id']}: 1 of {126 * 129} values")
    assert found.checked["rebuilt"] == 119
    assert not any("differ" in line for line in verify.compare(copy, digits, sample=0).problems)


@pytest.mark.usefixtures("here")
def test_a_sample_is_drawn_from_its_seed(dataset: Path, digits: Path) -> None:
    drawn: list[set[str]] = []

    def noting(function: Callable[[Any], Any], jobs: list[Any], limits: object) -> Iterator[Any]:
        drawn.append({job.recording.id for job in jobs if isinstance(job, rebuild.Job)})
        return at_home(function, jobs, limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "each", noting)
        for seed in (1, 1, 2):
            assert verify.compare(dataset, digits, sample=8, seed=seed).checked["rebuilt"] == 8
    first, again, other = (found for found in drawn if found)
    assert first == again != other


@pytest.mark.usefixtures("here")
def test_changed_lost_and_broken_audio_is_found(settings: dict[str, Any], tmp_path: Path) -> None:
    corpus = write_digits(tmp_path / "speech_commands")
    folder = build(manifest.parse(settings, "here"), corpus, tmp_path / "out").folder
    changed, broken = corpus / "one" / "00000001_nohash_0.wav", corpus / "two" / "00000002_nohash_1.wav"
    samples, rate = soundfile.read(changed, dtype="int16")
    samples[1000] ^= 1
    soundfile.write(changed, samples, rate)
    broken.write_bytes(b"RIFF")
    problems = verify.compare(folder, corpus, sample=120).problems
    assert any(line.startswith("one/00000001_nohash_0.wav: changed (") for line in problems)
    assert any(
        line.startswith("one/00000001_nohash_0.wav#0: its recording has the waveform") for line in problems
    ) or any("its recording has the waveform" in line for line in problems)
    assert any(line.startswith("two/00000002_nohash_1.wav: cannot be used any more") for line in problems)
    quick = verify.compare(folder, corpus, sample=0, every_file=True).problems
    assert sorted(line.partition(":")[0] for line in quick) == [
        "one/00000001_nohash_0.wav", "two/00000002_nohash_1.wav"
    ]  # fmt: skip
    broken.unlink()
    problems = verify.compare(folder, corpus, sample=120).problems
    assert problems[0].startswith("source: lists other recordings than the dataset was made of")
    assert any("is not among the recordings of the source" in line for line in problems)
    shutil.rmtree(corpus)
    (problem,) = verify.compare(folder, corpus).problems
    assert problem.startswith("source: ")


@pytest.mark.usefixtures("here")
def test_other_versions_may_round_otherwise_and_no_more(copy: Path, digits: Path) -> None:
    def raise_by(step: float) -> None:
        with h5py.File(copy / TEST, "r+") as file:
            x = file["x"][:].astype(np.float64)
            file["x"][:] = np.nextafter(x.astype(np.float16), np.float16(99)) if not step else x + step

    raise_by(0)
    reseal(copy, versions={"numpy": "0.1"})
    found = verify.compare(copy, digits, sample=120)
    assert found.problems == []
    assert not found.checked["exact"]
    assert 0 < found.checked["furthest"] < 0.01
    raise_by(0.05)
    reseal(copy)
    assert any("differ from those stored" in line for line in verify.compare(copy, digits, sample=120).problems)


def test_a_script_that_verifies_is_not_run_again_in_the_child(dataset: Path, tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    script = tmp_path / "mine.py"
    script.write_text(
        f"from pathlib import Path\nfrom at_data import verify_dataset\nprint(verify_dataset(Path({str(dataset)!r})))\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("[]\n", 0), ended.stderr


@pytest.mark.usefixtures("here")
def test_the_command_says_what_was_checked_and_what_is_wrong(copy: Path, digits: Path) -> None:
    call = ["verify", str(copy), "--source", str(digits), "--sample", "5", "--all"]
    ended = CliRunner().invoke(cli, call)
    assert ended.exit_code == 0
    first, second = ended.output.splitlines()
    assert "9 shards, 120 items, 19 files" in first
    assert "9 lines of proof made again" in first
    assert "5 items rebuilt, equal to the last bit" in second
    assert "labels of 120 recordings" in second
    assert "120 of 120 source files" in second
    with h5py.File(copy / TEST, "r+") as file:
        file["x"][:] = 0
    ended = CliRunner().invoke(cli, call)
    assert (ended.exit_code, len(ended.output.splitlines())) == (1, 1)
    assert ended.output.startswith(f"{TEST}: SHA-256 is ")
    reseal(copy)  # nobody has the audio in mind
    ended = CliRunner().invoke(cli, [*call, "--sample", "120"])
    assert ended.exit_code == 1
    assert "differ from those stored, by up to" in ended.output
