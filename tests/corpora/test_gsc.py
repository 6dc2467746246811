"""Google Speech Commands as it unpacks, and its odd cases."""

import pytest
from trees import audio, lay_out

from at_data.corpora import gsc
from at_data.errors import CorpusError


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
