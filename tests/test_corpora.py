"""Every corpus module keeps its promises; each corpus' own layout becomes the right Recordings."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from trees import audio, lay_out

from at_data import corpora
from at_data.corpora import arabic_speech_commands, fsdd, gsc, ms_snsd, table
from at_data.errors import CorpusError
from at_data.recordings import Recording


@pytest.fixture(params=corpora.names())
def corpus(request):
    return corpora.load(request.param)


# what every corpus offers


def test_example_files_become_exactly_the_example_recordings(corpus, tmp_path):
    lay_out(tmp_path, corpus.EXAMPLE["files"])
    assert tuple(corpus.recordings(tmp_path)) == corpus.EXAMPLE["recordings"]


def test_example_is_the_same_whatever_order_the_files_were_written_in(corpus, tmp_path):
    lay_out(tmp_path, dict(reversed(corpus.EXAMPLE["files"].items())))
    assert tuple(corpus.recordings(tmp_path)) == corpus.EXAMPLE["recordings"]


def test_recordings_are_in_order_of_path_and_ids_differ(corpus, tmp_path):
    found = list(corpus.recordings(lay_out(tmp_path, corpus.EXAMPLE["files"])))
    assert [(r.path, r.start_s or 0) for r in found] == sorted((r.path, r.start_s or 0) for r in found)
    assert len({r.id for r in found}) == len(found)


def test_recordings_name_their_corpus_and_a_file_that_is_there(corpus, tmp_path):
    lay_out(tmp_path, corpus.EXAMPLE["files"])
    name = corpus.__name__.rpartition(".")[2]
    for recording in corpus.recordings(tmp_path):
        assert recording.corpus == name
        assert (corpora.root(corpus, tmp_path) / recording.path).is_file()
        assert recording.published_split in {"train", "valid", "test", None}


def test_attributes_are_strings_and_unknown_ones_are_absent(corpus, tmp_path):
    for recording in corpus.recordings(lay_out(tmp_path, corpus.EXAMPLE["files"])):
        for name, value in recording.attributes.items():
            assert isinstance(name, str)
            assert isinstance(value, str)
            assert name.isidentifier()
            assert value


def test_groups_are_attributes_of_some_example(corpus):
    known = {name for recording in corpus.EXAMPLE["recordings"] for name in recording.attributes}
    assert set(corpus.GROUPS) <= known


@pytest.mark.parametrize("kind", ["empty", "missing", "other corpus"])
def test_a_folder_that_is_not_the_corpus_is_refused_by_name(corpus, tmp_path, kind):
    root = tmp_path / "corpus-folder"
    if kind != "missing":
        root.mkdir()
    if kind == "other corpus":
        lay_out(root, {"holiday/beach/pictures.txt": "no audio here"})
    with pytest.raises(CorpusError, match="corpus-folder"):
        list(corpus.recordings(root))


@pytest.mark.parametrize("name", [name for name in corpora.names() if name != "table"])
def test_a_file_where_the_corpus_folder_should_be_is_called_a_file(tmp_path, name):
    (tmp_path / "corpus.zip").touch()
    with pytest.raises(CorpusError, match=r"corpus\.zip: it is a file; expected the folder"):
        list(corpora.load(name).recordings(tmp_path / "corpus.zip"))


def test_licence_source_citation_and_story_are_told(corpus):
    assert all(isinstance(text, str) and text for text in (corpus.LICENCE, corpus.SOURCE, corpus.CITATION))
    assert "icence" in corpus.__doc__


# the door


def test_names_are_the_files_of_the_folder():
    files = sorted(path.stem for path in Path(corpora.__file__).parent.glob("[!_]*.py"))
    assert list(corpora.names()) == files


def test_an_unknown_corpus_lists_the_known_ones():
    with pytest.raises(CorpusError, match=r"got 'crema'.*arabic_speech_commands, .*gsc"):
        corpora.load("crema")


def test_paths_start_at_the_source_unless_the_corpus_says_otherwise(tmp_path):
    file = tmp_path / "recordings.csv"
    file.touch()
    assert corpora.root(gsc, tmp_path) == tmp_path
    assert corpora.root(table, tmp_path) == tmp_path
    assert corpora.root(table, file) == tmp_path


# gsc


def test_gsc_has_no_published_split_without_its_lists(tmp_path):
    lay_out(tmp_path, audio("zero/ab12_nohash_0.wav", "one/ab12_nohash_3.wav"))
    assert [r.published_split for r in gsc.recordings(tmp_path)] == [None, None]


@pytest.mark.parametrize("present", gsc.LISTS.values())
def test_gsc_refuses_one_list_without_the_other(tmp_path, present):
    lay_out(tmp_path, {"zero/ab12_nohash_0.wav": None, present: ""})
    with pytest.raises(CorpusError, match=f"{present} without the other"):
        list(gsc.recordings(tmp_path))


def test_gsc_refuses_wav_files_of_another_naming(tmp_path):
    lay_out(tmp_path, audio("rock/song.wav", "jazz/song.wav"))
    with pytest.raises(CorpusError, match="2 wav files"):
        list(gsc.recordings(tmp_path))


def test_gsc_lists_may_have_been_saved_on_windows(tmp_path):
    lay_out(tmp_path, audio("zoom in/ab12_nohash_0.wav"))
    (tmp_path / "testing_list.txt").write_bytes(b"zoom in/ab12_nohash_0.wav\r\n")
    (tmp_path / "validation_list.txt").touch()
    assert [r.published_split for r in gsc.recordings(tmp_path)] == ["test"]


@pytest.mark.parametrize("broken", gsc.LISTS.values())
def test_gsc_names_a_list_that_is_not_utf8(tmp_path, broken):
    lay_out(tmp_path, audio("zero/ab12_nohash_0.wav"))
    for name in gsc.LISTS.values():
        (tmp_path / name).write_bytes(b"zero/\xff.wav\n" if name == broken else b"")
    with pytest.raises(CorpusError, match=f"{broken}: cannot be read .*UTF-8"):
        list(gsc.recordings(tmp_path))


# fsdd


def test_fsdd_does_without_metadata(tmp_path):
    lay_out(tmp_path, audio("recordings/7_jackson_32.wav"))
    (only,) = fsdd.recordings(tmp_path)
    assert only.attributes == {"digit": "7", "speaker": "jackson", "take": "32"}


def test_fsdd_keeps_a_file_of_another_name_without_attributes(tmp_path):
    lay_out(tmp_path, audio("recordings/7_jackson_32.wav", "recordings/cough.wav"))
    assert list(fsdd.recordings(tmp_path))[1] == Recording("recordings/cough", "fsdd", "recordings/cough.wav", {})


@pytest.mark.parametrize("text", ["{", "[]", '{"jackson": "male"}'])
def test_fsdd_names_metadata_it_cannot_read(tmp_path, text):
    lay_out(tmp_path, {"recordings/7_jackson_32.wav": None, "metadata.json": text})
    with pytest.raises(CorpusError, match=r"metadata\.json"):
        list(fsdd.recordings(tmp_path))


def test_fsdd_names_a_fact_that_cannot_be_an_attribute(tmp_path):
    lay_out(tmp_path, {"recordings/7_jackson_32.wav": None, "metadata.json": '{"jackson": {"a/b": "c"}}'})
    with pytest.raises(CorpusError, match=r"metadata\.json: the key 'a/b'"):
        list(fsdd.recordings(tmp_path))


# arabic speech commands


def test_arabic_names_a_table_without_its_column(tmp_path):
    lay_out(tmp_path, {"dataset/one/00000001_NO_01.wav": None, "val.csv": "name,class\n"})
    with pytest.raises(CorpusError, match=r"val\.csv: no column 'file'"):
        list(arabic_speech_commands.recordings(tmp_path))


def test_arabic_names_a_table_that_is_not_utf8(tmp_path):
    lay_out(tmp_path, {"dataset/one/00000001_NO_01.wav": None})
    (tmp_path / "val.csv").write_bytes(b"file,class\n\xff,one\n")
    with pytest.raises(CorpusError, match=r"val\.csv: cannot be read .*UTF-8"):
        list(arabic_speech_commands.recordings(tmp_path))


# ms-snsd


@pytest.mark.parametrize("folder", ms_snsd.FOLDERS)
def test_ms_snsd_does_with_any_of_its_folders(tmp_path, folder):
    lay_out(tmp_path, audio(f"{folder}/Babble_1.wav"))
    (only,) = ms_snsd.recordings(tmp_path)
    assert only.id == f"{folder}/Babble_1"
    assert f"{only.attributes['kind']}_{only.published_split}" == only.attributes["folder"] == folder


# table


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
        ("file,word\na.wav,yes\n", "line 1: no column 'path'"),
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
        ('path\n"a.wav\n', "cannot be read"),
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
    "name", ["length", "duration", "end", "stop", "end_time", "end_s", "dur", "duration_ms", "Duration (sec)", "len"]
)
def test_table_refuses_a_length_under_another_name(tmp_path, name):
    with pytest.raises(CorpusError, match=rf"column '{re.escape(name)}'.*did you mean length_s\?"):
        listed(tmp_path, f"path,{name}\na.wav,1\n")


@pytest.mark.parametrize("name", ["Split", "ID", "Start_S", "PATH"])
def test_table_refuses_its_own_columns_in_another_spelling(tmp_path, name):
    with pytest.raises(CorpusError, match=rf"column '{name}'; .*did you mean {name.lower()}\?"):
        listed(tmp_path, f"path,word,{name}\na.wav,yes,1\n")


@pytest.mark.parametrize(
    "name", ["endings", "startled", "friend", "lens", "stopped", "age_s", "lengthy", "time_of_day"]
)
def test_table_takes_words_that_only_look_like_marks(tmp_path, name):
    assert listed(tmp_path, f"path,{name}\na.wav,x\n")[0].attributes == {name: "x"}


@pytest.mark.parametrize("name", ["a/b", ".", "a\0b", "native language", "1st", "a.b"])
def test_table_refuses_names_that_cannot_be_attributes(tmp_path, name):
    with pytest.raises(CorpusError, match="which cannot name an attribute") as caught:
        listed(tmp_path, as_json_line(f"path,{name}\na.wav,x"), "recordings.jsonl")
    assert ascii(name) in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("word", "Word"), ("\u00e9tat", "e\u0301tat")])
def test_table_refuses_names_that_look_alike(tmp_path, one, other):
    with pytest.raises(CorpusError, match=f"columns '{one}' and '{other}'"):
        listed(tmp_path, f"path,{one},{other}\na.wav,x,y\n")
    (tmp_path / "recordings.csv").unlink()
    with pytest.raises(CorpusError, match=f"line 2: columns '{one}' and '{other}'"):
        listed(tmp_path, f'{{"path": "a.wav", "{one}": "x"}}\n{{"path": "b.wav", "{other}": "y"}}', "recordings.jsonl")


@pytest.mark.parametrize("name", ["recordings.csv", "recordings.jsonl"])
def test_table_says_when_it_is_not_utf8(tmp_path, name):
    (tmp_path / name).write_bytes(b"path,word\na.wav,\xff\n")
    with pytest.raises(CorpusError, match="UTF-8"):
        list(table.recordings(tmp_path))


# the real ones


def wav_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


@pytest.mark.real
def test_real_fsdd_is_fully_crossed(real_data):
    found = list(fsdd.recordings(real_data / "free-spoken-digit-dataset"))
    assert len(found) == 2500
    cells = Counter((r.attributes["digit"], r.attributes["speaker"]) for r in found)
    assert set(cells.values()) == {50}
    assert len(cells) == 50
    assert Counter(r.published_split for r in found) == {"train": 2250, "test": 250}
    accents = {r.attributes["speaker"]: r.attributes["accent"] for r in found}
    assert accents["george"] == "GRC/Greek"


@pytest.mark.real
def test_real_arabic_speech_commands_are_crossed_and_published_by_speaker(real_data):
    found = list(arabic_speech_commands.recordings(real_data / "arabic-speech-commands-dataset"))
    assert len(found) == 1800
    cells = Counter((r.attributes["digit"], r.attributes["speaker"]) for r in found)
    assert len(cells) == 180
    assert set(cells.values()) == {10}
    assert Counter(r.published_split for r in found) == {"train": 800, "valid": 500, "test": 500}
    splits_of = {(r.attributes["speaker"], r.published_split) for r in found}
    assert len(splits_of) == 18


@pytest.mark.real
def test_real_speech_commands_leave_no_wav_out(real_data):
    folder = real_data / "speech_commands"
    found = list(gsc.recordings(folder))
    assert [r.path for r in found] == wav_files(folder)
    spoken = [r for r in found if r.attributes["word"] != gsc.NOISE]
    assert all("speaker" in r.attributes for r in spoken)
    tested = set((folder / "testing_list.txt").read_text(encoding="utf-8").split())
    assert {r.path for r in spoken if r.published_split == "test"} == tested & {r.path for r in spoken}
    splits_of = {(r.attributes["speaker"], r.published_split) for r in spoken}
    assert len(splits_of) == len({speaker for speaker, _ in splits_of})


@pytest.mark.real
def test_real_ms_snsd_leaves_out_what_the_synthesizer_made(real_data):
    folder = real_data / "MS-SNSD"
    found = list(ms_snsd.recordings(folder))
    assert [r.path for r in found] == [name for name in wav_files(folder) if name.partition("/")[0] in ms_snsd.FOLDERS]
    assert {r.attributes.get("speaker") for r in found if r.attributes["folder"] == "clean_train"} == {"p287"}
