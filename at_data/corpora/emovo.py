"""EMOVO: Italian sentences acted in seven emotions, at 48 kHz.

588 recordings, fully crossed: 14 sentences by six actors, three of each sex (f1 to f3, m1 to m3), each disgusted
(disgusto), happy (gioia), neutral, fearful (paura), angry (rabbia), surprised (sorpresa), sad (tristezza). Layout:
`<speaker>/<emotion>-<speaker>-<sentence>.wav`, such as `f1/dis-f1-b1.wav`; emotions are the first three letters,
sentences b1 to b3, d1, d2, l1 to l4, n1 to n5. No split is published. Licence: not confirmed; at second hand, use that
earns no money, with acknowledgement.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "not confirmed: said to be non-commercial use with acknowledgement"
SOURCE = "Fondazione Ugo Bordoni, voice.fub.it/activities/corpora/emovo"
CITATION = (
    "G. Costantini, I. Iaderola, A. Paoloni, M. Todisco, 'EMOVO Corpus: an Italian Emotional Speech Database', "
    "LREC 2014"
)
GROUPS = ("speaker", "sentence")
UNPACKS_TO = ("EMOVO", "emovo")
COUNTS = (Count((588,), of="speaker"), Count((6,), of="speaker", distinct="speaker"))
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = "Get EMOVO at voice.fub.it/activities/corpora/emovo, and unpack it in a folder called EMOVO."

EMOTIONS = {
    "dis": "disgusted",
    "gio": "happy",
    "neu": "neutral",
    "pau": "fearful",
    "rab": "angry",
    "sor": "surprised",
    "tri": "sad",
}
SEXES = {"f": "female", "m": "male"}
NAME = re.compile(
    rf"(?P<emotion>{'|'.join(EMOTIONS)})-(?P<speaker>(?P<sex>[fm])[1-3])-(?P<sentence>b[1-3]|d[12]|l[1-4]|n[1-5])"
)


def _example(path: str, **attributes: str) -> Recording:
    return Recording(path.rpartition("/")[2].removesuffix(".wav"), "emovo", path, attributes)


EXAMPLE: dict[str, Any] = {
    "files": {
        "documents/frasi.txt": "fourteen sentences",
        "f1/._dis-f1-b1.wav": "what a file system left behind",
        "f1/dis-f1-b1.wav": None,
        "f1/dis-f1-b4.wav": None,
        "m3/gio-m3-n5.wav": None,
        "m3/tri-m3-l4.wav": None,
    },
    "recordings": (
        _example("f1/dis-f1-b1.wav", speaker="f1", sex="female", emotion="disgusted", sentence="b1"),
        Recording("f1/dis-f1-b4", "emovo", "f1/dis-f1-b4.wav"),
        _example("m3/gio-m3-n5.wav", speaker="m3", sex="male", emotion="happy", sentence="n5"),
        _example("m3/tri-m3-l4.wav", speaker="m3", sex="male", emotion="sad", sentence="l4"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an EMOVO folder, in order of path; the id of one is its name, whichever folder it lies in.

    Attributes: speaker (f1 to f3, m1 to m3), sex, emotion, sentence. A wav file that breaks the naming rule has no
    attributes, and its path for an id. CorpusError where a name stands twice or none follows the rule.
    """
    need_folder(root)
    places: dict[str, str] = {}
    for path in walk(root, ".wav"):
        name = path.rpartition("/")[2][: -len(".wav")]
        parts = NAME.fullmatch(name)
        if not parts:
            yield Recording(path[: -len(".wav")], "emovo", path)
            continue
        note_once(root, places, name, path)
        attributes = {
            "speaker": intern(parts["speaker"]),
            "sex": SEXES[parts["sex"]],
            "emotion": EMOTIONS[parts["emotion"]],
            "sentence": intern(parts["sentence"]),
        }
        yield Recording(name, "emovo", path, attributes)
    if not places:
        raise CorpusError(
            root,
            "no recording of EMOVO in it",
            "<speaker>/<emotion>-<speaker>-<sentence>.wav, such as f1/dis-f1-b1.wav",
            "point at the folder that holds f1 to m3",
        )
