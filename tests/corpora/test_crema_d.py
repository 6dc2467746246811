"""CREMA-D: codes of emotion and intensity, and what is known of the actors."""

from pathlib import Path

import pytest
from trees import audio, lay_out, other_counts

from at_data.corpora import crema_d
from at_data.errors import CorpusError

HEADER = '"ActorID","Age","Sex","Race","Ethnicity"\n'
CLIP = "AudioWAV/1001_IEO_HAP_MD.wav"


def attributes_of(folder: Path, path: str = CLIP, actors: str | None = None) -> dict[str, str]:
    lay_out(folder, audio(path) | ({} if actors is None else {crema_d.ACTORS: actors}))
    (only,) = crema_d.recordings(folder)
    return dict(only.attributes)


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        ("ANG", "angry"),
        ("DIS", "disgusted"),
        ("FEA", "fearful"),
        ("HAP", "happy"),
        ("NEU", "neutral"),
        ("SAD", "sad"),
    ],
)
def test_codes_stand_for_emotions(tmp_path: Path, code: str, emotion: str) -> None:
    found = attributes_of(tmp_path, f"AudioWAV/1091_TIE_{code}_XX.wav")
    assert found == {"speaker": "1091", "sentence": "TIE", "emotion": emotion}


@pytest.mark.parametrize(("code", "intensity"), [("LO", "low"), ("MD", "medium"), ("HI", "high"), ("XX", None)])
def test_an_intensity_that_is_not_specified_is_absent(tmp_path: Path, code: str, intensity: str | None) -> None:
    assert attributes_of(tmp_path, f"AudioWAV/1001_IEO_HAP_{code}.wav").get("intensity") == intensity


def test_a_copy_without_the_file_of_the_actors_is_read_by_names(tmp_path: Path) -> None:
    assert attributes_of(tmp_path) == {
        "speaker": "1001",
        "sentence": "IEO",
        "emotion": "happy",
        "intensity": "medium",
    }


def test_what_is_known_of_an_actor_is_told_of_each_recording(tmp_path: Path) -> None:
    found = attributes_of(tmp_path, actors=HEADER + '1001,51,"Male","Unknown","Hispanic"\r\n1002,21,"Female","",""\n')
    assert {name: found.get(name) for name in crema_d.FACTS} == {
        "age": "51",
        "sex": "male",
        "race": None,
        "ethnicity": "Hispanic",
    }


@pytest.mark.parametrize(
    ("actors", "message"),
    [
        (HEADER + '1001,51,"Male","a","b"\n1002,21,"F","a","b"\n', r"csv, line 3: actor '1002' of sex 'F'"),
        (HEADER + '1001,51,"Male","a","b"\n,21,"Male","a","b"\n', r"csv, line 3: actor '' of sex 'Male'"),
        (HEADER + '1001,51,"Male","a","b"\n' * 2, r"csv, line 3: "),
        (HEADER + "1001,51\n", r"csv, line 2: actor '1001' of sex ''"),
        ("Actor,Age\n1001,51\n", r"csv, line 2: actor '' of sex ''; expected ActorID, Age, Sex"),
        (HEADER + '1001,51,"Male"x,"a","b"\n', r"csv, line 2: it cannot be read"),
        ("", r"VideoDemographics\.csv: it holds no actor"),
        (HEADER, r"VideoDemographics\.csv: it holds no actor"),
        (HEADER + '1001,51,"Male,a,b\n1002,21,"Female","a","b"\n', r"csv, line 2: it cannot be read"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path, actors: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        attributes_of(tmp_path, actors=actors)


@pytest.mark.parametrize("name", ["1001_IEO_HAP", "1001_XYZ_HAP_XX", "1001_IEO_BOR_XX", "2001_IEO_HAP_XX"])
def test_other_names_say_nothing(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, audio(f"AudioWAV/{name}.wav", CLIP))
    found = {recording.id: recording.attributes for recording in crema_d.recordings(tmp_path)}
    assert found[f"AudioWAV/{name}"] == {}


def test_the_name_that_lacks_a_letter_is_read_as_if_it_had_it(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("AudioWAV/1040_ITH_SAD_X.wav"))
    (only,) = crema_d.recordings(tmp_path)
    assert (only.id, only.path) == ("1040_ITH_SAD_XX", "AudioWAV/1040_ITH_SAD_X.wav")
    assert only.attributes == {"speaker": "1040", "sentence": "ITH", "emotion": "sad"}


def test_both_spellings_of_one_recording_are_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1040_ITH_SAD_XX.wav"))
    with pytest.raises(CorpusError, match="1040_ITH_SAD_XX stands twice"):
        list(crema_d.recordings(tmp_path))


def test_a_complete_copy_counts_as_published(tmp_path: Path) -> None:
    codes = [f"{sentence}_{code}_XX" for sentence in crema_d.SENTENCES for code in crema_d.EMOTIONS]
    codes += [f"IEO_{code}_{level}" for code in crema_d.EMOTIONS if code != "NEU" for level in ("HI", "LO")]
    names = [f"{actor}_{code}" for code in codes for actor in range(1001, 1092)][:7442]
    (tmp_path / "AudioWAV").mkdir()
    for name in names:
        (tmp_path / "AudioWAV" / f"{'1040_ITH_SAD_X' if name == '1040_ITH_SAD_XX' else name}.wav").touch()
    assert "1040_ITH_SAD_XX" in names
    assert list(other_counts(crema_d, list(crema_d.recordings(tmp_path)))) == []


def test_sound_in_mp3_and_video_is_not_looked_at(tmp_path: Path) -> None:
    lay_out(tmp_path, {CLIP: "", "AudioMP3/1001_IEO_HAP_MD.mp3": "", "VideoFlash/1001_IEO_HAP_MD.flv": ""})
    assert len(list(crema_d.recordings(tmp_path))) == 1
