"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset: English sentences in six emotions, at 16 kHz.

7,442 recordings of twelve sentences by 91 actors, 48 men and 43 women of 20 to 74 years: angry, disgusted, fearful,
happy and sad 1,271 times each, neutral 1,087 times. One sentence, IEO, is played in three intensities, the others in
one that is not specified. Layout: `AudioWAV/<actor>_<sentence>_<emotion>_<intensity>.wav`, such as
`AudioWAV/1001_DFA_ANG_XX.wav`, and `VideoDemographics.csv` with a line per actor; MP3 and video lie beside it and are
not looked at. The emotion is the one that was played, not what listeners heard. The repository keeps audio in Git LFS:
without it, files of three lines lie in their place. One name lacks a letter, `1040_ITH_SAD_X.wav`: its intensity is not
specified either. Issue 8 of the repository says that 1076_MTI_SAD_XX is silent. No split is published. Licence: Open
Database License 1.0, contents under the Database Contents License 1.0.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "ODbL 1.0, contents DbCL 1.0"
SOURCE = "GitHub repository CheyneyComputerScience/CREMA-D"
CITATION = (
    "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma, 'CREMA-D: Crowd-sourced Emotional "
    "Multimodal Actors Dataset', IEEE Transactions on Affective Computing 5(4), 2014"
)
GROUPS = ("speaker", "sentence")
UNPACKS_TO = ("CREMA-D", "crema-d", "CREMA_D", "crema_d", "crema-d-mirror")
COUNTS = (Count((7_442,), of="speaker"), Count((91,), of="speaker", distinct="speaker"))
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = "Clone CREMA-D from github.com/CheyneyComputerScience/CREMA-D with Git LFS: its zip archive holds no audio."

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}  # XX: not specified
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
NAME = re.compile(
    rf"(?P<speaker>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})_(?P<emotion>{'|'.join(EMOTIONS)})"
    r"_(?P<intensity>LO|MD|HI|XX?)"
)
SPELLINGS = {"X": "XX"}
ACTORS = "VideoDemographics.csv"
# attribute -> column
FACTS = {"age": "Age", "sex": "Sex", "race": "Race", "ethnicity": "Ethnicity"}
SEXES = {"Female": "female", "Male": "male"}


def _example(name: str, *attributes: dict[str, str], file: str = "") -> Recording:
    known = {name: value for part in attributes for name, value in part.items()}
    return Recording(name, "crema_d", f"AudioWAV/{file or name}.wav", known)


_ACTOR = {"speaker": "1001", "sex": "male", "age": "51", "race": "Caucasian", "ethnicity": "Not Hispanic"}
EXAMPLE: dict[str, Any] = {
    "files": {
        "AudioMP3/1001_DFA_ANG_XX.mp3": "the same, smaller",
        "AudioWAV/._1001_DFA_ANG_XX.wav": "what a file system left behind",
        "AudioWAV/1001_DFA_ANG_XX.wav": None,
        "AudioWAV/1001_IEO_SAD_HI.wav": None,
        "AudioWAV/1002_IEO_NEU_XX.wav": None,
        "AudioWAV/1002_IEO_NEU_XY.wav": None,
        "AudioWAV/1003_TSI_FEA_LO.wav": None,
        "AudioWAV/1040_ITH_SAD_X.wav": None,
        "VideoDemographics.csv": (
            '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
            '1002,21,"Female","Unknown",""\n'
        ),
    },
    "recordings": (
        _example("1001_DFA_ANG_XX", _ACTOR, {"sentence": "DFA", "emotion": "angry"}),
        _example("1001_IEO_SAD_HI", _ACTOR, {"sentence": "IEO", "emotion": "sad", "intensity": "high"}),
        _example(
            "1002_IEO_NEU_XX",
            {"speaker": "1002", "sex": "female", "age": "21", "sentence": "IEO", "emotion": "neutral"},
        ),
        Recording("AudioWAV/1002_IEO_NEU_XY", "crema_d", "AudioWAV/1002_IEO_NEU_XY.wav"),
        _example(
            "1003_TSI_FEA_LO",
            {"speaker": "1003", "sentence": "TSI", "emotion": "fearful", "intensity": "low"},
        ),
        _example(
            "1040_ITH_SAD_XX",
            {"speaker": "1040", "sentence": "ITH", "emotion": "sad"},
            file="1040_ITH_SAD_X",
        ),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a CREMA-D folder, in order of path; the id of one is its name, whichever folder it lies in.

    Attributes: speaker (the actor's number), sentence (three letters), emotion, intensity (low, medium, high, where one
    is specified), and what `VideoDemographics.csv` says of the actor: sex, age, race, ethnicity; some copies lack that
    file. An intensity `X` is read as `XX`, in the id too. A wav file that breaks the naming rule has no attributes, and
    its path for an id. CorpusError where a name stands twice, none follows the rule, or the file of the actors is empty
    or cannot be understood.
    """
    need_folder(root)
    places: dict[str, str] = {}
    actors = _actors(root / ACTORS)
    for path in walk(root, ".wav"):
        parts = NAME.fullmatch(path.rpartition("/")[2][: -len(".wav")])
        if not parts:
            yield Recording(path[: -len(".wav")], "crema_d", path)
            continue
        rest, _, intensity = parts[0].rpartition("_")
        name = f"{rest}_{SPELLINGS.get(intensity, intensity)}"
        note_once(root, places, name, path)
        yield Recording(name, "crema_d", path, _attributes(parts) | actors.get(parts["speaker"], {}))
    if not places:
        raise CorpusError(
            root,
            "no recording of CREMA-D in it",
            "AudioWAV/<actor>_<sentence>_<emotion>_<intensity>.wav, such as AudioWAV/1001_DFA_ANG_XX.wav",
            "point at the folder that holds AudioWAV/",
        )


def _attributes(parts: re.Match[str]) -> dict[str, str]:
    attributes = {
        "speaker": intern(parts["speaker"]),
        "sentence": intern(parts["sentence"]),
        "emotion": EMOTIONS[parts["emotion"]],
    }
    if parts["intensity"] in INTENSITIES:
        attributes["intensity"] = INTENSITIES[parts["intensity"]]
    return attributes


def _actors(file: Path) -> dict[str, dict[str, str]]:
    """Actor -> attributes; empty where the file is absent."""
    if not file.is_file():
        return {}
    columns: list[str] = []
    actors: dict[str, dict[str, str]] = {}
    for number, line in enumerate(text_of(file).splitlines(), 1):
        try:
            # line by line: no cell holds a line end, and an open quote is told where it stands
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise _broken(file, number, f"it cannot be read ({error})") from error
        if number == 1:
            columns = cells
            continue
        row = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
        actor, sex = row.get("ActorID", ""), row.get("Sex", "")
        if not actor.isdecimal() or sex not in SEXES or actor in actors:
            raise _broken(file, number, f"actor {actor!a} of sex {sex!a}")
        known = {name: intern(row.get(column, "")) for name, column in FACTS.items()}
        known = {name: value for name, value in known.items() if value not in ("", "Unknown")}
        actors[actor] = known | {"sex": SEXES[sex]}
    if not actors:
        raise CorpusError(file, "it holds no actor", "a line for each actor", "restore the original file")
    return actors


def _broken(file: Path, number: int, came: str) -> CorpusError:
    return CorpusError(
        f"{file}, line {number}",
        came,
        f"ActorID, {', '.join(FACTS.values())} under those headings, Sex being Female or Male, each actor once",
        "restore the original file",
    )
