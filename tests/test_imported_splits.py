import csv
import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import NOISE
from hypothesis import given
from hypothesis import strategies as st

from at_data import manifest
from at_data.build import build, plan
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.splits import Imported, assign, group_names, kept_whole
from at_data.stages.splits import listing as lists
from at_data.verify import verify

RULES = {"not_listed": "fail", "absent": "fail", "missing_classes": "fail"}


def hashed(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(path: Path, **changes: Any) -> Imported:
    return Imported(by="file", file=str(path), sha256=hashed(path), **(RULES | changes))


def listed(path: Path, *rows: str, head: str = "id,split") -> Path:
    path.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
    return path


def words(ids: str) -> list[Recording]:
    """One recording for each letter: capitals and small ones are the two classes."""
    return [Recording(letter, "made", "x", {"case": str(letter.isupper())}) for letter in ids]


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",\n;\u2028'), min_size=1)


def test_mixtures_are_of_the_groups_of_their_speech(tmp_path):
    split = imported(listed(tmp_path / "s.csv", "a,train,g1", "b,test,g2", head="id,split,group"))
    made = [Recording(f"noisy/{n}", "made", "x", {"speech": item}) for n, item in enumerate("bab")]
    assert list(group_names(made, split, "speech")) == ["g2", "g1", "g2"]


@given(parts=st.dictionaries(NAMES, st.sampled_from(["train", "valid", "test"]), min_size=1), group=NAMES)
def test_whatever_the_ids_a_list_gives_back_what_was_written(
    parts: dict[str, str], group: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lists") / "theirs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("id", "split", "group"), *((i, p, group) for i, p in parts.items())]
        )
    read = lists.read(str(path), hashed(path))
    assert {item: place.part for item, place in read.items()} == parts
    assert {place.group for place in read.values()} == {group}


def test_a_part_the_file_never_names_is_none(tmp_path: Path) -> None:
    path = listed(tmp_path / "s.csv", "a,train", "A,train", "b,test", "B,test")
    assert assign(words("aAbB"), imported(path), 1, "case") == {"a": "train", "A": "train", "b": "test", "B": "test"}
    assert kept_whole(imported(path)) == ()
    assert list(group_names(words("aA"), imported(path))) == ["", ""]


def test_columns_may_stand_in_any_order_and_lines_end_as_they_like(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\ufeffgroup,split,id\r\ng1,train,a\r\n\r\ng2,test,b\r\n".encode())
    split = imported(path, missing_classes="allow")
    assert assign(words("ab"), split, 1, "case") == {"a": "train", "b": "test"}
    assert list(group_names(words("ab"), split)) == ["g1", "g2"]


@pytest.mark.parametrize(
    ("ids", "rows", "changes", "message"),
    [
        ("ab", ["a,train"], {}, r"s\.csv does not list 1 of 2 recordings \(b\).*not_listed: drop"),
        (
            "a",
            ["a,train", "b,test", "c,test"],
            {},
            r"lists 2 of 3 ids that no kept recording has \(b, c\).*absent: allow",
        ),
        ("aAb", ["a,train", "A,train", "b,test"], {}, r"imported test split has no True"),
        ("aAb", ["a,train", "A,test", "b,train"], {"missing_classes": "allow"}, r"imported train split has no True"),
        ("ab", ["a,valid", "b,test"], {"missing_classes": "allow"}, r"imported train split has no recording"),
        (
            "abc",
            ["x,train"],
            {"not_listed": "drop", "absent": "allow"},
            r"does not list 3 of 3 .*; expected some kept recording in it; take the file of this corpus$",
        ),
    ],
)
def test_what_does_not_fit_the_corpus_is_counted_and_shown(
    tmp_path: Path, ids: str, rows: list[str], changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        assign(words(ids), imported(listed(tmp_path / "s.csv", *rows), **changes), 1, "case")


def test_absent_ids_and_missing_classes_may_be_allowed(tmp_path: Path) -> None:
    split = imported(listed(tmp_path / "s.csv", "a,train", "A,train", "b,test", "x,valid"), absent="allow")
    with pytest.raises(ManifestError, match="imported valid split has no recording"):
        assign(words("aAb"), split, 1, "case")
    split = imported(listed(tmp_path / "t.csv", "a,train", "A,train", "b,test", "x,train"), absent="allow")
    split = split.model_copy(update={"missing_classes": "allow"})
    assert Counter(assign(words("aAb"), split, 1, "case").values()) == {"train": 2, "test": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,split\na,train\nb,tset\n", r"s\.csv:3: the split is 'tset'; expected .*train, valid, test"),
        (b"id,split\na,train\na,test\n", r"s\.csv:3: the id 'a' stands a second time"),
        (b"id,split\n,train\n", r"s\.csv:2: the id is empty"),
        (b"id,split\na\n", r"s\.csv:2: 1 cells under 2 columns"),
        (b"id,split\na,train,x\n", r"s\.csv:2: 3 cells under 2 columns"),
        (b"id,split\n\na,test_conflicting\n", r"s\.csv:3: the split is 'test_conflicting'"),
        (b"id,part\na,train\n", r"s\.csv:1: the columns are id, part; expected id, split"),
        (b"id,split,id\na,train,b\n", r"s\.csv:1: the columns"),
        (b"id,split,path\n", r"s\.csv:1: the columns"),
        (b"", r"s\.csv:1: the columns are absent"),
        (b"\xff\xfe", r"cannot be read .*decode"),
        (b'id,split\n"a,train\n', r"cannot be read .*end of data"),
        (b"id,split\n" + b"a" * 200_000 + b",train\n", r"cannot be read .*field limit"),
    ],
)
def test_a_bad_list_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        assign(words("a"), imported(path), 1, None)


def test_a_file_that_is_another_absent_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = listed(tmp_path / "s.csv", "a,train")
    split = imported(path)
    listed(path, "a,test")
    with pytest.raises(ManifestError, match=rf"has SHA-256 {hashed(path)}; expected {split.sha256}"):
        assign(words("a"), split, 1, None)
    for missing in (tmp_path / "none.csv", tmp_path, Path("/dev/zero")):
        with pytest.raises(ManifestError, match="no file"):
            assign(words("a"), split.model_copy(update={"file": str(missing)}), 1, None)
    monkeypatch.setattr(lists, "LARGEST_BYTES", 3)
    with pytest.raises(ManifestError, match="no file, or one of more than"):
        assign(words("a"), imported(path, absent="allow"), 1, None)


def raw(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    split = RULES | {"by": "file", "file": "theirs.csv", "sha256": "0" * 64} | changes
    return settings | {"split": {key: value for key, value in split.items() if value is not None}}


@pytest.mark.parametrize("key", ["file", "not_listed", "absent", "missing_classes"])
def test_a_key_that_an_import_lacks_is_named(key: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=rf"split\.{key}: key is missing"):
        manifest.parse(raw(settings, **{key: None}), "here")


@pytest.mark.parametrize("sha256", [None, "", "abc", "A" * 64])
def test_without_its_hash_a_manifest_is_told_the_one_to_paste(
    tmp_path: Path, settings: dict[str, Any], sha256: str | None
) -> None:
    path = listed(tmp_path / "theirs.csv", "a,train")
    written = tmp_path / "m.yaml"
    written.write_text(yaml.safe_dump(raw(settings, sha256=sha256)))
    with pytest.raises(ManifestError, match=rf"split\.sha256: .*SHA-256 of the file.*: {hashed(path)}"):
        manifest.load(written)
    path.unlink()
    with pytest.raises(ManifestError, match=r"split\.sha256: .*64 hexadecimal digits;"):
        manifest.load(written)


def test_an_import_has_no_fractions(settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"split\.train: unknown key \(known here: absent, by, file,"):
        manifest.parse(raw(settings, train=0.6), "here")


def test_where_a_list_lies_and_what_it_is_called_is_no_part_of_the_digest(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = manifest.parse(raw(settings), "here")
    assert made.digest == manifest.parse(raw(settings, file="lists/others.csv"), "here", tmp_path).digest
    assert made.digest != manifest.parse(raw(settings, sha256="1" * 64), "here").digest
    assert made.digest != manifest.parse(raw(settings, absent="allow"), "here").digest
    subset = {"split": raw(settings)["split"], "bias": "none", "target": "word", "part": "train"}
    outer = manifest.parse(settings | {"subset": subset}, "here", tmp_path)
    assert str(tmp_path) not in outer.model_dump_json()
    subset = subset | {"split": subset["split"] | {"file": "b.csv"}}
    assert outer.digest == manifest.parse(settings | {"subset": subset}, "here").digest
    (tmp_path / "far").mkdir()
    manifest.write(outer, tmp_path / "far" / "m.yaml", "moved")
    again = manifest.load(tmp_path / "far" / "m.yaml")
    assert again.subset != "none"
    assert isinstance(again.subset.split, Imported)
    assert Path(again.subset.split.file).resolve() == tmp_path / "theirs.csv"


BY_SPEAKER = {"by": "speaker", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
FOLD = {"by": "speaker", "fold": "2/3", "method": "balanced", "valid": 0, "missing_classes": "fail"}


def table(folder: Path) -> list[list[str]]:
    with (folder / "splits.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("split", [BY_SPEAKER, BY_SPEAKER | {"method": "stable", "by": "random"}, FOLD])
def test_the_list_of_a_dataset_reproduces_its_partition_to_the_byte(
    digits: Path, tmp_path: Path, settings: dict[str, Any], split: dict[str, Any]
) -> None:
    shared = {"shared": ["speaker"]} if split["by"] == "random" else {}
    first = build(manifest.parse(settings | shared | {"split": split}, "here"), digits, tmp_path / "one").folder
    shutil.copy(first / "splits.csv", tmp_path / "theirs.csv")
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(raw(settings | shared, sha256=hashed(tmp_path / "theirs.csv"))))
    built = build(manifest.load(tmp_path / "m.yaml"), digits, tmp_path / "two")
    assert (built.folder / "splits.csv").read_bytes() == (first / "splits.csv").read_bytes()
    assert verify(built.folder) == []
    shards = {p.name: p.read_bytes() for p in (first / "shards").iterdir()}
    assert shards.keys() == {p.name for p in (built.folder / "shards").iterdir()}


def test_the_list_of_a_biased_dataset_and_that_of_a_noise_task_cannot_be_imported(
    digits: Path, noises: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    biased = {"split": BY_SPEAKER, "bias": {"with": "speaker", "favoured": 3, "strength": 0.9}}
    mixed = {
        "split": BY_SPEAKER,
        "target": "noise_type",
        "nuisances": [],
        "segment": settings["segment"] | {"hop_s": "one_at_start"},
        "noise": NOISE | {"label": "noise_type", "hours": 0.02},
    }
    for name, changes, message in (
        ("biased", biased, "the split is 'test_conflicting'; expected an id, once, and one of train, valid, test"),
        ("mixed", mixed, "does not list 120 of 120 recordings"),
    ):
        made = manifest.parse(settings | changes, "here")
        file = build(made, digits, tmp_path / name, noise_source=noises).folder / "splits.csv"
        values = raw(settings, file=str(file), sha256=hashed(file))
        with pytest.raises(ManifestError, match=message):
            plan(manifest.parse(values, "here", tmp_path), digits)


def test_what_a_list_leaves_out_is_quarantined_and_no_matter_of_max_bad(
    digits: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = manifest.parse(settings | {"split": BY_SPEAKER}, "here")
    rows = [f"{item},{part}" for item, part in plan(made, digits).assigned.items()]
    path = listed(tmp_path / "theirs.csv", *(row for row in rows[::-1] if row not in rows[::6]))
    values = raw(settings, sha256=hashed(path), not_listed="drop", missing_classes="fail")
    built = build(manifest.parse(values, "here", tmp_path), digits, tmp_path / "out", max_bad=0.0)
    assert built.header.left_out == {"not listed": 20}
    assert {row[0] for row in table(built.folder)[1:]} == {row.split(",")[0] for row in rows} - {
        row.split(",")[0] for row in rows[::6]
    }
    assert "not listed in theirs.csv" in (built.folder / "quarantine.jsonl").read_text()
    assert verify(built.folder) == []
    with pytest.raises(ManifestError, match=r"does not list 20 of 120"):
        plan(manifest.parse(values | {"split": values["split"] | {"not_listed": "fail"}}, "here", tmp_path), digits)


def test_an_orthogonal_dataset_of_an_imported_split_has_its_training_part(
    digits: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assigned = plan(manifest.parse(settings | {"split": BY_SPEAKER}, "here"), digits).assigned
    path = listed(tmp_path / "theirs.csv", *(f"{item},{part}" for item, part in assigned.items()))
    split = raw(settings, sha256=hashed(path))["split"]
    subset = {"split": split, "bias": "none", "target": "word", "part": "train"}
    changes = {"target": "speaker", "nuisances": ["word"], "subset": subset, "shared": ["speaker"]}
    changes |= {"split": BY_SPEAKER | {"by": "random"}}
    made = plan(manifest.parse(settings | changes, "here", tmp_path), digits)
    assert set(made.assigned) == {item for item, part in assigned.items() if part == "train"}
