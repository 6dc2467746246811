"""EmoDB, the Berlin Database of Emotional Speech: German sentences acted in seven emotions, at 16 kHz.

535 recordings of ten sentences by ten actors, five of each sex, in an anechoic chamber. Emotions: angry (W, 127), bored
(L, 81), disgusted (E, 46), fearful (A, 69), happy (F, 71), sad (T, 62), neutral (N, 79); not crossed, since only what
listeners recognised was released: speaker 08 has no disgust. Layout: `wav/<speaker><sentence><emotion><version>.wav`,
where letters stand for German words: `03a01Fa` is speaker 03, sentence a01, Freude, version a. `erkennung.txt` and the
label folders beside `wav` are not read. No split is published. Licence: CC0 1.0, as audEERING states, who hand it on;
a licence on its own site was not found.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC0 1.0, as stated by audeering/emodb"
SOURCE = "emodb.bilderbar.info, Technical University of Berlin"
CITATION = (
    "F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier, B. Weiss, 'A Database of German Emotional Speech', "
    "Interspeech 2005"
)
GROUPS = ("speaker", "sentence")
UNPACKS_TO = ("emodb", "EmoDB", "EMODB", "Emo-DB")
COUNTS = (Count((535,), of="speaker"), Count((10,), of="speaker", distinct="speaker"))
# md5: zenodo.org/records/7447302, where audEERING publishes EmoDB 1.3.0; the site of its authors gives no checksum
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "v1.3.0",
        "https://zenodo.org/records/7447302/files/emodb.zip?download=1",
        "md5:9d21362dbc5676ef3ab4745d83ced0db",
        39_981_818,
        "emodb",
        strip=1,
    ),
)
ACCESS = ""

EMOTIONS = {
    "A": "fearful",
    "E": "disgusted",
    "F": "happy",
    "L": "bored",
    "N": "neutral",
    "T": "sad",
    "W": "angry",
}
# speaker -> sex, age in years: the corpus' site
SPEAKERS = {
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}
NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[AEFLNTW])(?P<version>[a-z]?)")


def _example(name: str, **attributes: str) -> Recording:
    return Recording(name, "emodb", f"wav/{name}.wav", attributes)


EXAMPLE: dict[str, Any] = {
    "files": {
        "erkennung.txt": "1 03a01Fa.wav 90,00 75,00",
        "lablaut/03a01Faxx.lablaut": "signal",
        "wav/._03a01Fa.wav": "what a file system left behind",
        "wav/03a01Fa.wav": None,
        "wav/16b10Lb.wav": None,
        "wav/16b10T.wav": None,
        "wav/17a01Na.wav": None,
        "wav/room.wav": None,
    },
    "recordings": (
        _example("03a01Fa", speaker="03", sex="male", age="31", sentence="a01", emotion="happy", version="a"),
        _example("16b10Lb", speaker="16", sex="female", age="31", sentence="b10", emotion="bored", version="b"),
        _example("16b10T", speaker="16", sex="female", age="31", sentence="b10", emotion="sad"),
        _example("17a01Na", speaker="17", sentence="a01", emotion="neutral", version="a"),
        Recording("wav/room", "emodb", "wav/room.wav"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an EmoDB folder, in order of path; the id of one is its name, whichever folder it lies in.

    Attributes: speaker, sex, age (where the site tells them), sentence (a01 to b10), emotion, version (the last letter,
    where there is one). A wav file that breaks the naming rule has no attributes, and its path for an id. CorpusError
    where a name stands twice or none follows the rule.
    """
    need_folder(root)
    places: dict[str, str] = {}
    for path in walk(root, ".wav"):
        name = path.rpartition("/")[2][: -len(".wav")]
        parts = NAME.fullmatch(name)
        if not parts:
            yield Recording(path[: -len(".wav")], "emodb", path)
            continue
        note_once(root, places, name, path)
        yield Recording(name, "emodb", path, _attributes(parts))
    if not places:
        raise CorpusError(
            root,
            "no recording of EmoDB in it",
            "wav/<speaker><sentence><emotion><version>.wav, such as wav/03a01Fa.wav",
            "point at the folder that holds wav/",
        )


def _attributes(parts: re.Match[str]) -> dict[str, str]:
    attributes = {
        "speaker": intern(parts["speaker"]),
        "sentence": intern(parts["sentence"]),
        "emotion": EMOTIONS[parts["emotion"]],
    }
    if parts["version"]:
        attributes["version"] = intern(parts["version"])
    if parts["speaker"] in SPEAKERS:
        attributes["sex"], attributes["age"] = SPEAKERS[parts["speaker"]]
    return attributes
