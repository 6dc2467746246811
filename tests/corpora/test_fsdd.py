"""The Free Spoken Digit Dataset as it unpacks, and its odd cases."""

from collections import Counter

import pytest
from trees import audio, lay_out

from at_data.corpora import fsdd
from at_data.errors import CorpusError
from at_data.recordings import Recording


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
