"""A list of the user's own recordings as it unpacks, and its odd cases."""

import json
import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data import corpora
from at_data.corpora import table
from at_data.errors import CorpusError
from at_data.recordings import Recording


def listed(tmp_path, text, name="recordings.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return list(table.recordings(tmp_path))


def test_table_reads_the_same_from_csv_and_json_lines(tmp_path):
    csv = listed(tmp_path, "path,start_s,length_s,split,word,age\na.wav,0.5,1,train,yes,30\nb.wav,,,,,\n")
    (tmp_path / "recordings.csv").unlink()
    lines = (
        '{"path": "a.wav", "start_s": 0.5, "length_s": 1, "split": "train", "word": "yes", "age": 30}\n'
        '\n{"path": "b.wav", "start_s": null, "word": null}\n'
    )
    assert listed(tmp_path, lines, "recordings.jsonl") == csv
    assert csv[0] == Recording("a@0.5", "table", "a.wav", {"word": "yes", "age": "30"}, 0.5, 1.0, "train")
    assert csv[1] == Recording("b", "table", "b.wav", {})


def test_table_may_be_named_itself_and_called_anything(tmp_path):
    (tmp_path / "mine.csv").write_text("path\na.wav\n", encoding="utf-8")
    assert [r.id for r in table.recordings(tmp_path / "mine.csv")] == ["a"]


def test_table_may_come_from_a_spreadsheet(tmp_path):
    (tmp_path / "recordings.csv").write_bytes(b'\xef\xbb\xbfpath,text\r\na.wav,"one, two"\r\n')
    assert next(table.recordings(tmp_path)).attributes == {"text": "one, two"}


def test_table_gives_a_length_without_start_the_start_of_the_file(tmp_path):
    (only,) = listed(tmp_path, "path,length_s\na.wav,2\n")
    assert (only.id, only.start_s, only.length_s) == ("a@0.0", 0.0, 2.0)


def test_table_refuses_two_lists(tmp_path):
    (tmp_path / "recordings.jsonl").touch()
    with pytest.raises(CorpusError, match="2 lists"):
        listed(tmp_path, "path\na.wav\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\n", "lists no recording"),
        ("", "line 1: no column 'path'"),
        ("file,word\na.wav,yes\n", "line 1: no column 'path'; expected"),
        (
            "path\tword\na.wav\tyes\n",
            "no column 'path', and tabs in the first line: cells are parted by commas",
        ),
        ("path;word\na.wav;yes\n", "and semicolons in the first line"),
        ("path,\na.wav,\n", "line 1: column 2 has no name"),
        ("path,word,word\na.wav,a,b\n", "line 1: column 'word' stands twice"),
        ("path,word\na.wav,yes\nb.wav\n", "line 3: 1 cells"),
        ("path,split\na.wav,dev\n", "line 2, split: got 'dev'; expected train, valid, test"),
        ("path,start_s\na.wav,1\nb.wav,soon\n", "line 3, start_s: got 'soon'"),
        ("path,start_s\na.wav,-1\n", "line 2, start_s: got '-1'"),
        ("path,start_s\na.wav,nan\n", "line 2, start_s: got 'nan'"),
        ("path,length_s\na.wav,0\n", "line 2, length_s: got 0"),
        ("path\na.wav\na.flac\n", "line 3: id 'a' stands in line 2 too"),
        ("path,word\n,yes\n", "line 2, path: got ''"),
        ("path\n/data/a.wav\n", "line 2, path: got '/data/a.wav'"),
        ("path\n../a.wav\n", "line 2, path"),
        ("path\nx\\a.wav\n", "line 2, path"),
        ('path\n"a.wav\n', "line 2: cannot be read"),
        ('path,word\n"a\n.wav",x\nb.wav,"y" z\nc.wav,x\n', "line 4: cannot be read"),
    ],
)
def test_table_says_where_a_csv_is_wrong(tmp_path, text, message):
    with pytest.raises(CorpusError) as caught:
        listed(tmp_path, text)
    assert "recordings.csv" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "a.wav"}\n{"path": \n', "line 2: cannot be read"),
        ('["a.wav"]\n', 'line 1: got ["a.wav"]'),
        ('{"path": "a.wav", "word": "yes", "word": "no"}\n', "line 1: cannot be read (key 'word' stands twice)"),
        ('{"path": "a.wav", "word": ["yes"]}\n', "line 1, word: got"),
        ('{"path": "a.wav", " word": "yes"}\n', "line 1: a key"),
        ('{"word": "yes"}\n', "line 1, path: got ''"),
    ],
)
def test_table_says_where_json_lines_are_wrong(tmp_path, text, message):
    with pytest.raises(CorpusError) as caught:
        listed(tmp_path, text, "recordings.jsonl")
    assert "recordings.jsonl" in str(caught.value)
    assert message in str(caught.value)


def as_json_line(text):
    names, cells = (line.split(",") for line in text.splitlines())
    return json.dumps(dict(zip(names, cells, strict=True)))


@pytest.mark.parametrize(
    "name",
    [
        *("start", "Start", "start_time", "startTime", "starttime", "begin", "onset", "offset", "start_ms", "offset_s"),
        *("start (s)", "t_start", "segment_start", "start_in_seconds", "onset_sample"),
        *("xmin", "tmin", "t_min", "word_start", "event_onset"),
    ],
)
def test_table_refuses_a_start_under_another_name(tmp_path, name):
    text = f"path,{name}\na.wav,1\n"
    with pytest.raises(CorpusError, match=rf"column '{re.escape(name)}'.*did you mean start_s\?"):
        listed(tmp_path, text)
    (tmp_path / "recordings.csv").unlink()
    with pytest.raises(CorpusError, match=rf"column '{re.escape(name)}'.*did you mean start_s\?"):
        listed(tmp_path, as_json_line(text), "recordings.jsonl")


@pytest.mark.parametrize(
    "name",
    [
        *("length", "duration", "end", "stop", "end_time", "end_s", "dur", "duration_ms", "Duration (sec)", "len"),
        *("xmax", "tmax", "word_end", "phone_duration"),
    ],
)
def test_table_refuses_a_length_under_another_name(tmp_path, name):
    with pytest.raises(CorpusError, match=rf"column '{re.escape(name)}'.*did you mean length_s\?"):
        listed(tmp_path, f"path,{name}\na.wav,1\n")


@pytest.mark.parametrize("name", ["Split", "ID", "Start_S", "PATH"])
def test_table_refuses_its_own_columns_in_another_spelling(tmp_path, name):
    with pytest.raises(CorpusError, match=rf"column '{name}'; .*did you mean {name.lower()}\?"):
        listed(tmp_path, f"path,word,{name}\na.wav,yes,1\n")


@pytest.mark.parametrize(
    "name",
    ["endings", "startled", "friend", "lens", "stopped", "age_s", "lengthy", "time_of_day", "min", "word", "event"],
)
def test_table_takes_words_that_only_look_like_marks(tmp_path, name):
    assert listed(tmp_path, f"path,{name}\na.wav,x\n")[0].attributes == {name: "x"}


@pytest.mark.parametrize("name", ["a/b", ".", "a\0b", "native language", "1st", "a.b"])
def test_table_refuses_names_that_cannot_be_attributes(tmp_path, name):
    with pytest.raises(CorpusError, match="which cannot name an attribute") as caught:
        listed(tmp_path, as_json_line(f"path,{name}\na.wav,x"), "recordings.jsonl")
    assert ascii(name) in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_what_is_no_number_in_json_is_no_label(tmp_path, number):
    with pytest.raises(CorpusError, match=r"recordings\.jsonl, line 1.*(is no number|got Infinity)"):
        listed(tmp_path, f'{{"path": "a.wav", "word": {number}}}', "recordings.jsonl")


def test_a_column_that_the_proof_has_its_own_meaning_for_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="column 'waveform', which the proof of a split has its own meaning for"):
        listed(tmp_path, "path,waveform\na.wav,x")


@pytest.mark.parametrize(("one", "other"), [("word", "Word"), ("\u00e9tat", "\u00c9tat")])
def test_table_refuses_names_that_look_alike(tmp_path, one, other):
    with pytest.raises(CorpusError, match=f"columns '{one}' and '{other}'"):
        listed(tmp_path, f"path,{one},{other}\na.wav,x,y\n")
    (tmp_path / "recordings.csv").unlink()
    with pytest.raises(CorpusError, match=f"line 2: columns '{one}' and '{other}'"):
        listed(tmp_path, f'{{"path": "a.wav", "{one}": "x"}}\n{{"path": "b.wav", "{other}": "y"}}', "recordings.jsonl")


def test_a_name_typed_on_two_systems_is_one_value(tmp_path):
    found = listed(tmp_path, "path,speaker\na.wav,Jos\u00e9\nb.wav,Jose\u0301\n")
    assert {recording.attributes["speaker"] for recording in found} == {"Jos\u00e9"}


def test_a_column_typed_on_two_systems_is_one(tmp_path):
    (only,) = listed(tmp_path, "path,locute\u0301e\na.wav,x\n")
    assert only.attributes == {"locut\u00e9e": "x"}
    (tmp_path / "recordings.csv").unlink()
    (only,) = listed(tmp_path, '{"path": "a.wav", "locute\u0301e": "x"}', "recordings.jsonl")
    assert only.attributes == {"locut\u00e9e": "x"}
    with pytest.raises(CorpusError, match="line 1: a key stands twice"):
        listed(tmp_path, '{"path": "a.wav", "\u00e9": "x", "e\u0301": "y"}', "recordings.jsonl")


def test_a_corpus_that_was_misspelt_is_told_the_nearest():
    with pytest.raises(CorpusError, match=r"got 'tabel', did you mean 'table'\?"):
        corpora.load("tabel")


def test_a_space_before_a_quote_is_no_part_of_a_cell(tmp_path):
    found = listed(tmp_path, 'path, word, speaker\na.wav, "yes, sir", "s0"\nb.wav, yes, s0\n')
    assert [recording.attributes for recording in found] == [
        {"word": "yes, sir", "speaker": "s0"},
        {"word": "yes", "speaker": "s0"},
    ]


@pytest.mark.parametrize("name", ["recordings.csv", "recordings.jsonl"])
def test_table_says_when_it_is_not_utf8(tmp_path, name):
    good = b"path\n" + b"a.wav\n" * 5000 if name.endswith("csv") else b'{"path": "\xc3\xa4.wav"}\n' * 5001
    (tmp_path / name).write_bytes(good + b"\xe4.wav\n" + good)
    with pytest.raises(CorpusError, match=r"line 5002: got b'\\xe4\.wav'; expected a \w+ file in UTF-8"):
        list(table.recordings(tmp_path))


# not "..g": what its suffix is depends on the version of Python
parts = st.sampled_from(["a", "b.wav", ".c", "d.", "e.f.wav", "h..wav", " ", ".", "\u00e9.ogg"])


@given(st.lists(parts, min_size=1, max_size=4).map("/".join))
def test_table_names_a_recording_after_its_path_without_suffix(path):
    pure = PurePosixPath(path)
    if not pure.name:
        return
    assert table._path("here", path) == pure.as_posix()
    assert table._without_suffix(pure.as_posix()) == pure.with_suffix("").as_posix()


@pytest.mark.parametrize("path", ["", ".", "/a.wav", "../a.wav", "a/../b.wav", "a/..", "a\\b.wav"])
def test_table_refuses_a_path_that_leads_elsewhere(path):
    with pytest.raises(CorpusError, match="here, path"):
        table._path("here", path)


def test_table_takes_json_lines_however_lines_end(tmp_path):
    (tmp_path / "recordings.jsonl").write_bytes(
        b'{"path": "a.wav"}\r{"path": "b\xe2\x80\xa8.wav"}\r\n{"path": "c.wav"}\n'
    )
    assert [recording.id for recording in table.recordings(tmp_path)] == ["a", "b\u2028", "c"]
