"""Google Speech Commands as it unpacks, and its odd cases."""

import pytest
from trees import audio, lay_out

from at_data.corpora import gsc
from at_data.errors import CorpusError


def test_the_source_that_cards_name_is_that_of_every_version_read():
    assert all(archive.subset in gsc.SOURCE for archive in gsc.ARCHIVES)


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
    (tmp_path / "validation_list.txt").write_bytes(b"\xef\xbb\xbfzoom in/cd34_nohash_0.wav\r\n\r\n")
    assert [r.published_split for r in gsc.recordings(tmp_path)] == ["test"]


@pytest.mark.parametrize("broken", gsc.LISTS.values())
def test_gsc_names_a_list_that_is_not_utf8(tmp_path, broken):
    lay_out(tmp_path, audio("zero/ab12_nohash_0.wav"))
    for name in gsc.LISTS.values():
        (tmp_path / name).write_bytes(b"zero/\xff.wav\n" if name == broken else b"one/ab12_nohash_0.wav\n")
    with pytest.raises(CorpusError, match=f"{broken}: cannot be read .*UTF-8"):
        list(gsc.recordings(tmp_path))


@pytest.mark.parametrize("broken", gsc.LISTS.values())
@pytest.mark.parametrize(
    ("line", "came"),
    [
        ("zero/ab12_noh", "got 'zero/ab12_noh'"),
        ("zero/", "got 'zero/'"),
        ("ab12_nohash_0.wav", "got 'ab12_nohash_0.wav'"),
        ("./zero/ab12_nohash_0.wav", "got './zero/ab12_nohash_0.wav'"),
        (r"zero\ab12_nohash_0.wav", r"got 'zero\\ab12_nohash_0.wav'"),
        ("zero/ab12_nohash_0.wav one/ab12_nohash_0.wav", "got 'zero/ab12_nohash_0.wav one"),
        ("zero/.wav", "got 'zero/.wav'"),
    ],
)
def test_gsc_names_a_line_that_is_no_file_of_a_word(tmp_path, broken, line, came):
    lay_out(tmp_path, audio("zero/ab12_nohash_0.wav"))
    for place, name in enumerate(gsc.LISTS.values()):
        (tmp_path / name).write_text(f"one/a{place}_nohash_0.wav\n\n" + (f"{line}\n" if name == broken else ""))
    with pytest.raises(CorpusError) as caught:
        list(gsc.recordings(tmp_path))
    assert f"{broken}, line 3: {came}" in str(caught.value)
    assert "expected <word>/<name>.wav" in str(caught.value)


@pytest.mark.parametrize("empty", gsc.LISTS.values())
def test_gsc_refuses_an_empty_list(tmp_path, empty):
    lay_out(tmp_path, audio("zero/ab12_nohash_0.wav"))
    lay_out(tmp_path, dict.fromkeys(gsc.LISTS.values(), "one/cd34_nohash_0.wav\n") | {empty: "\n"})
    with pytest.raises(CorpusError, match=f"{empty}: it names no file"):
        list(gsc.recordings(tmp_path))


def test_gsc_refuses_a_file_that_both_lists_name(tmp_path):
    lay_out(tmp_path, {"zero/ab12_nohash_0.wav": None, "validation_list.txt": "zero/ab12_nohash_0.wav\n"})
    lay_out(tmp_path, {"testing_list.txt": "zero/cd34_nohash_0.wav\nzero/ab12_nohash_0.WAV\n"})
    with pytest.raises(CorpusError, match=r"testing_list\.txt, line 2: zero/ab12_nohash_0\.WAV stands in validation_l"):
        list(gsc.recordings(tmp_path))


@pytest.mark.parametrize(("there", "listed"), [("wav", "WAV"), ("WAV", "wav"), ("Wav", "wav")])
def test_gsc_finds_listed_files_however_their_suffix_is_written(tmp_path, there, listed):
    lay_out(tmp_path, audio(f"zero/ab12_nohash_0.{there}", "zero/cd34_nohash_0.wav"))
    lay_out(tmp_path, {"testing_list.txt": f"zero/ab12_nohash_0.{listed}\n", "validation_list.txt": "zero/ef_0.wav\n"})
    assert [r.published_split for r in gsc.recordings(tmp_path)] == ["test", "train"]


def wav_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


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
