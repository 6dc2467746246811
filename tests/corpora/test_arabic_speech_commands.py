"""Arabic Speech Commands as it unpacks, and its odd cases."""

from collections import Counter

import pytest
from trees import lay_out

from at_data.corpora import arabic_speech_commands
from at_data.errors import CorpusError


def test_arabic_names_a_table_without_its_column(tmp_path):
    lay_out(tmp_path, {"dataset/one/00000001_NO_01.wav": None, "val.csv": "name,class\n"})
    with pytest.raises(CorpusError, match=r"val\.csv: no column 'file'"):
        list(arabic_speech_commands.recordings(tmp_path))


def test_arabic_names_a_table_that_is_not_utf8(tmp_path):
    lay_out(tmp_path, {"dataset/one/00000001_NO_01.wav": None})
    (tmp_path / "val.csv").write_bytes(b"file,class\n\xff,one\n")
    with pytest.raises(CorpusError, match=r"val\.csv: cannot be read .*UTF-8"):
        list(arabic_speech_commands.recordings(tmp_path))


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
