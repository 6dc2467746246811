"""TESS, the Toronto Emotional Speech Set: English words in one carrier phrase, acted in seven emotions, at 24.4 kHz.

2,800 recordings, fully crossed: 200 words after "Say the word", by two actresses (OAF, 64 years old, and YAF, 26), each
angry, disgusted, fearful, happy, neutral, sad and pleasantly surprised (`ps`). Rate: 24,414 Hz, but for OAF_food_fear
at 96 kHz. Layout: `<speaker>_<word>_<emotion>.wav`, in one folder or in 14, such as `OAF_angry/OAF_back_angry.wav`; the
folders are spelt in several ways (OAF_Fear, OAF_Pleasant_surprise, YAF_pleasant_surprised) and not looked at. In many
copies one file lacks a letter, `OA_bite_neutral.wav`; some copies hold everything twice. No split is published.
Licence: CC BY-NC-ND 4.0, which does not allow derived data to be passed on.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY-NC-ND 4.0: datasets made of it are not to be passed on"
SOURCE = "University of Toronto, Psychology Department, doi:10.5683/SP2/E8H2MF"
CITATION = "M. K. Pichora-Fuller, K. Dupuis, 'Toronto Emotional Speech Set (TESS)', doi:10.5683/SP2/E8H2MF, 2020"
GROUPS = ("speaker", "word")
UNPACKS_TO = ("TESS", "tess", "TESS Toronto emotional speech set data")
COUNTS = (
    Count((2_800,), of="speaker"),
    Count((2,), of="speaker", distinct="speaker"),
    Count((200,), of="speaker", distinct="word"),
)
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = "Download TESS at doi:10.5683/SP2/E8H2MF, and unpack it in a folder called TESS."

EMOTIONS = {
    "angry": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}
AGES = {"OAF": "64", "YAF": "26"}
NAME = re.compile(rf"(?P<speaker>OAF?|YAF)_(?P<word>[a-z]+)_(?P<emotion>{'|'.join(EMOTIONS)})")
SPELLINGS = {"OA": "OAF"}


def _example(name: str, path: str, **attributes: str) -> Recording:
    return Recording(name, "tess", path, {"sex": "female", **attributes})


EXAMPLE: dict[str, Any] = {
    "files": {
        "OAF_Pleasant_surprise/OAF_back_ps.wav": None,
        "OAF_neutral/._OA_bite_neutral.wav": "what a file system left behind",
        "OAF_neutral/OA_bite_neutral.wav": None,
        "YAF_angry/YAF_bite_angry.wav": None,
        "YAF_angry/YAF_bite_wild.wav": None,
        "readme.txt": "say the word",
    },
    "recordings": (
        _example(
            "OAF_back_ps",
            "OAF_Pleasant_surprise/OAF_back_ps.wav",
            speaker="OAF",
            age="64",
            word="back",
            emotion="surprised",
        ),
        _example(
            "OAF_bite_neutral",
            "OAF_neutral/OA_bite_neutral.wav",
            speaker="OAF",
            age="64",
            word="bite",
            emotion="neutral",
        ),
        _example(
            "YAF_bite_angry",
            "YAF_angry/YAF_bite_angry.wav",
            speaker="YAF",
            age="26",
            word="bite",
            emotion="angry",
        ),
        Recording("YAF_angry/YAF_bite_wild", "tess", "YAF_angry/YAF_bite_wild.wav"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a TESS folder, in order of path; the id of one is its name, whichever folder it lies in.

    Attributes: speaker (OAF, YAF), sex, age, word, emotion. `OA` is read as OAF, in the id too. A wav file that breaks
    the naming rule has no attributes, and its path for an id. CorpusError where a name stands twice or none follows the
    rule.
    """
    need_folder(root)
    places: dict[str, str] = {}
    for path in walk(root, ".wav"):
        parts = NAME.fullmatch(path.rpartition("/")[2][: -len(".wav")])
        if not parts:
            yield Recording(path[: -len(".wav")], "tess", path)
            continue
        speaker = intern(SPELLINGS.get(parts["speaker"], parts["speaker"]))
        name = f"{speaker}_{parts['word']}_{parts['emotion']}"
        note_once(root, places, name, path)
        attributes = {
            "speaker": speaker,
            "sex": "female",
            "age": AGES[speaker],
            "word": intern(parts["word"]),
            "emotion": EMOTIONS[parts["emotion"]],
        }
        yield Recording(name, "tess", path, attributes)
    if not places:
        raise CorpusError(
            root,
            "no recording of TESS in it",
            "<speaker>_<word>_<emotion>.wav, such as OAF_angry/OAF_back_angry.wav",
            "point at the folder that holds the recordings, or the folders OAF_angry to YAF_sad",
        )
