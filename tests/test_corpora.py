"""Every corpus module keeps its promises; each corpus' own layout becomes the right Recordings."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from trees import lay_out, other_counts

from at_data import corpora
from at_data.corpora import gsc, table
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


PAIRS = [(reader, other) for reader in corpora.names() for other in corpora.names() if reader != other]
SAME = {("gsc", "synth_digits"), ("synth_digits", "gsc")}  # one layout on purpose, a folder apart


@pytest.mark.parametrize(("reader", "other"), [pair for pair in PAIRS if pair not in SAME])
def test_the_folder_of_another_corpus_is_refused(reader, other, tmp_path):
    lay_out(tmp_path / "folder", corpora.load(other).EXAMPLE["files"])
    with pytest.raises(CorpusError):
        list(corpora.load(reader).recordings(tmp_path / "folder"))


def test_whoever_lacks_a_corpus_is_told_how_to_get_it(corpus):
    if corpus.UNPACKS_TO:
        assert corpus.ARCHIVES or corpus.ACCESS
    for archive in corpus.ARCHIVES:
        assert archive.url.startswith("https://")
        assert archive.into.split("/")[0] in corpus.UNPACKS_TO
        kind, digits = archive.checksum.split(":")
        assert re.fullmatch("[0-9a-f]+", digits)
        assert len(digits) == {"sha256": 64, "md5": 32, "git-tree": 40, "git-commit": 40}[kind]
        assert archive.size_bytes > 0
    assert len({archive.subset for archive in corpus.ARCHIVES}) == len(corpus.ARCHIVES)


def test_published_counts_name_attributes_of_the_corpus(corpus):
    known = {name for recording in corpus.EXAMPLE["recordings"] for name in recording.attributes}
    for count in corpus.COUNTS:
        assert {*count.where, *filter(None, (count.of, count.distinct))} <= known
        assert all(number > 0 for number in count.numbers)


def test_other_counts_than_published_are_told_with_both_numbers(corpus, tmp_path):
    found = list(corpus.recordings(lay_out(tmp_path, corpus.EXAMPLE["files"])))
    told = list(other_counts(corpus, found))
    assert len(told) <= len(corpus.COUNTS)
    assert all(re.search(r"^\d+ .* here.*; published: [\d,]+", line) for line in told)


@pytest.mark.parametrize("name", [name for name in corpora.names() if name != "table"])
def test_a_file_where_the_corpus_folder_should_be_is_called_a_file(tmp_path, name):
    (tmp_path / "corpus.zip").touch()
    with pytest.raises(CorpusError, match=r"corpus\.zip: it is a file; expected the folder"):
        list(corpora.load(name).recordings(tmp_path / "corpus.zip"))


def test_licence_source_citation_and_story_are_told(corpus):
    assert all(isinstance(text, str) and text for text in (corpus.LICENCE, corpus.SOURCE, corpus.CITATION))
    assert "icence" in corpus.__doc__


# the door


def test_a_walk_finds_every_file_once_in_the_order_of_paths(tmp_path):
    names = ["b.wav", "a/z.WAV", "a-b/x.wav", "a/.hidden/x.wav", ".x.wav", "a/b/c.wav", "a.wav", "a/x.txt", "é/ü.wav"]
    lay_out(tmp_path, dict.fromkeys(names, ""))
    found = list(corpora.walk(tmp_path, ".wav"))
    assert found == sorted(name for name in names if name.lower().endswith(".wav") and "." not in (name[0], name[2:3]))


def test_a_walk_follows_links_but_never_in_circles(tmp_path):
    lay_out(tmp_path, {"there/x.wav": "", "root/y.wav": ""})
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "back").symlink_to(tmp_path / "root")
    assert list(corpora.walk(tmp_path / "root", ".wav")) == ["linked/x.wav", "y.wav"]


def test_counts_are_compared_where_the_corpus_has_something_to_count():
    module = ModuleType("made")
    module.COUNTS = (
        corpora.Count((2,), of="word"),
        corpora.Count((1,), distinct="speaker"),
        corpora.Count((7,), where={"subset": "train"}),
        corpora.Count((9,), where={"subset": "absent"}),
    )
    found = [Recording(str(n), "made", "x", {"subset": "train", "speaker": "s", "word": "w"}) for n in range(2)]
    assert other_counts(module, found) == ["2 recordings here, subset train; published: 7"]


def test_a_recording_without_the_attribute_is_no_value_of_it():
    module = ModuleType("made")
    module.COUNTS = (corpora.Count((2,), distinct="speaker"),)
    stray = Recording("stray", "made", "x", {})
    spoken = [Recording(name, "made", "x", {"speaker": name}) for name in "ab"]
    assert other_counts(module, [*spoken, stray]) == []
    assert other_counts(module, [spoken[0], stray]) == ["1 values of speaker here; published: 2"]


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
