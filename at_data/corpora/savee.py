"""SAVEE, Surrey Audio-Visual Expressed Emotion: British English sentences acted in seven emotions, at 44.1 kHz.

480 recordings by four men (DC, JE, JK, KL), 120 by each: 30 neutral and 15 of each of angry (a), disgusted (d),
fearful (f), happy (h), sad (sa), surprised (su). The sentences are TIMIT's. Of the 15 of an emotion 3 are common to
all, 2 are meant for it and 10 are its own; neutral has the common ones, the twelve meant for emotions and 15 of its
own. So most sentences give their emotion away to whoever knows them. Layout: `AudioData/<speaker>/<emotion><nn>.wav`,
such as `AudioData/DC/sa01.wav`, or all in one folder, `ALL/DC_sa01.wav`. No split is published. Licence: free of charge
for research, to those who register.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "free of charge, for research only"
SOURCE = "Centre for Vision, Speech and Signal Processing, University of Surrey, kahlan.eps.surrey.ac.uk/savee"
CITATION = (
    "S. Haq, P. J. B. Jackson, 'Multimodal Emotion Recognition', in W. Wang (ed.), Machine Audition: Principles, "
    "Algorithms and Systems, 2010"
)
GROUPS = ("speaker", "sentence")
UNPACKS_TO = ("SAVEE", "savee", "AudioData")
COUNTS = (Count((480,), of="speaker"), Count((4,), of="speaker", distinct="speaker"))
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = "Register for SAVEE at kahlan.eps.surrey.ac.uk/savee; download AudioData.zip and unpack it in a folder SAVEE."

EMOTIONS = {
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
NAME = re.compile(r"(?:.*/)?(?P<speaker>DC|JE|JK|KL)[/_](?P<sentence>(?P<emotion>a|d|f|h|n|sa|su)\d\d)")


def _example(path: str, name: str, emotion: str) -> Recording:
    speaker, _, sentence = name.partition("_")
    known = {"speaker": speaker, "sex": "male", "emotion": emotion, "sentence": sentence}
    return Recording(name, "savee", path, known)


EXAMPLE: dict[str, Any] = {
    "files": {
        "AudioData/DC/._a01.wav": "what a file system left behind",
        "AudioData/DC/a01.wav": None,
        "AudioData/DC/x01.wav": None,
        "AudioData/Info.txt": "four male speakers",
        "AudioData/KL/sa15.wav": None,
        "AudioData/KL/su15.wav": None,
        "JE_n30.wav": None,
    },
    "recordings": (
        _example("AudioData/DC/a01.wav", "DC_a01", "angry"),
        Recording("AudioData/DC/x01", "savee", "AudioData/DC/x01.wav"),
        _example("AudioData/KL/sa15.wav", "KL_sa15", "sad"),
        _example("AudioData/KL/su15.wav", "KL_su15", "surprised"),
        _example("JE_n30.wav", "JE_n30", "neutral"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a SAVEE folder, in order of path; the id of one is `DC_a01` in either layout.

    Attributes: speaker (DC, JE, JK, KL), sex, emotion, sentence (a01: the first of anger; the name does not tell which
    sentences of two emotions are the same). A wav file that breaks the naming rule has no attributes, and its path for
    an id. CorpusError where a name stands twice or none follows the rule.
    """
    need_folder(root)
    places: dict[str, str] = {}
    for path in walk(root, ".wav"):
        item = path[: -len(".wav")]
        parts = NAME.fullmatch(item)
        if not parts:
            yield Recording(item, "savee", path)
            continue
        name = f"{parts['speaker']}_{parts['sentence']}"
        note_once(root, places, name, path)
        attributes = {
            "speaker": intern(parts["speaker"]),
            "sex": "male",
            "emotion": EMOTIONS[parts["emotion"]],
            "sentence": intern(parts["sentence"]),
        }
        yield Recording(name, "savee", path, attributes)
    if not places:
        raise CorpusError(
            root,
            "no recording of SAVEE in it",
            "AudioData/<speaker>/<emotion><number>.wav, such as AudioData/DC/a01.wav, or DC_a01.wav",
            "point at the folder that holds AudioData/, or the recordings of all speakers",
        )
