"""The Microsoft Scalable Noisy Speech Dataset as it unpacks, and its odd cases."""

import pytest
from trees import audio, lay_out

from at_data.corpora import ms_snsd


@pytest.mark.parametrize("folder", ms_snsd.FOLDERS)
def test_ms_snsd_does_with_any_of_its_folders(tmp_path, folder):
    lay_out(tmp_path, audio(f"{folder}/Babble_1.wav"))
    (only,) = ms_snsd.recordings(tmp_path)
    assert only.id == f"{folder}/Babble_1"
    assert f"{only.attributes['kind']}_{only.published_split}" == only.attributes["folder"] == folder


def wav_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


@pytest.mark.real
def test_real_ms_snsd_leaves_out_what_the_synthesizer_made(real_data):
    folder = real_data / "MS-SNSD"
    found = list(ms_snsd.recordings(folder))
    assert [r.path for r in found] == [name for name in wav_files(folder) if name.partition("/")[0] in ms_snsd.FOLDERS]
    assert {r.attributes.get("speaker") for r in found if r.attributes["folder"] == "clean_train"} == {"p287"}
