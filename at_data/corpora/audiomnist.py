"""AudioMNIST: English digits by sixty speakers, most of them with a German accent, at 48 kHz.

30,000 recordings: 60 speakers (12 women, 48 men) x 10 digits x 50 takes, fully crossed, none longer than a second.
Layout: `data/<speaker>/<digit>_<speaker>_<take>.wav`, and `data/audioMNIST_meta.txt`, which describes each speaker in
JSON. No split is published with the audio. Two takes of speaker 36 are copies, `data/36/notes.txt` says: of the digit
three, take 20 of take 19, and 29 of 28. Licence: MIT.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, from_json, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "MIT"
SOURCE = "GitHub repository soerenab/AudioMNIST"
CITATION = (
    "S. Becker, J. Vielhaben, M. Ackermann, K.-R. Mueller, S. Lapuschkin, W. Samek, 'AudioMNIST: Exploring Explainable "
    "Artificial Intelligence for Audio Analysis on a Simple Benchmark', Journal of the Franklin Institute 361(1), 2024"
)
GROUPS = ("speaker",)
UNPACKS_TO = ("AudioMNIST", "AudioMNIST-master")
COUNTS = (Count((30_000,), of="speaker"), Count((60,), distinct="speaker"))
# the commit whose README names the paper of 2023; its size is only about this (all history packs into 0.99 GB)
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "all",
        "https://github.com/soerenab/AudioMNIST.git",
        "git-commit:8d77a2d8754105541742115cefec1e537040a6cf",
        950_000_000,
        "AudioMNIST",
        size_is_exact=False,
    ),
)
ACCESS = ""

NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>\d+)_(?P<take>\d+)")
META = "data/audioMNIST_meta.txt"
# attribute -> key of the description
FACTS = {
    "sex": "gender",
    "accent": "accent",
    "age": "age",
    "native_speaker": "native speaker",
    "origin": "origin",
    "room": "recordingroom",
    "date": "recordingdate",
}
SPELLINGS = {"german": "German", "VR-Room": "vr-room", "VR-room": "vr-room", "vr-romm": "vr-room"}
NO_AGE = "1234"  # what speaker 45 gave

EXAMPLE: dict[str, Any] = {
    "files": {
        "README.md": "audioMNIST",
        "data/audioMNIST_meta.txt": (
            '{"01": {"accent": "german", "age": 30, "gender": "male", "native speaker": "no", '
            '"origin": "Europe, Germany, Wuerzburg", "recordingdate": "17-06-22-11-04-28", "recordingroom": "Kino"}, '
            '"45": {"accent": "German", "age": "1234", "gender": "male", "recordingroom": "VR-Room"}}'
        ),
        "data/01/0_01_0.wav": None,
        "data/01/0_01_10.wav": None,
        "data/01/._0_01_0.wav": "what a file system left behind",
        "data/36/notes.txt": "3_20 is missing",
        "data/45/9_45_2.wav": None,
        "data/46/9_46_2.wav": None,
        "data/46/nine.wav": None,
    },
    "recordings": (
        *(
            Recording(
                f"data/01/0_01_{take}",
                "audiomnist",
                f"data/01/0_01_{take}.wav",
                {
                    "digit": "0",
                    "speaker": "01",
                    "take": take,
                    "sex": "male",
                    "accent": "German",
                    "age": "30",
                    "native_speaker": "no",
                    "origin": "Europe, Germany, Wuerzburg",
                    "room": "Kino",
                    "date": "17-06-22-11-04-28",
                },
            )
            for take in ("0", "10")
        ),
        Recording(
            "data/45/9_45_2",
            "audiomnist",
            "data/45/9_45_2.wav",
            {"digit": "9", "speaker": "45", "take": "2", "sex": "male", "accent": "German", "room": "vr-room"},
        ),
        Recording("data/46/9_46_2", "audiomnist", "data/46/9_46_2.wav", {"digit": "9", "speaker": "46", "take": "2"}),
        Recording("data/46/nine", "audiomnist", "data/46/nine.wav"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an AudioMNIST folder, in order of path.

    Attributes: digit ("0" to "9"), speaker, take, and what is said of the speaker: sex, accent, age, native_speaker
    (of English: yes, no), origin, room, date. Rooms and accents that are spelt in several ways are spelt in one, and an
    age of 1234 is none. A wav file that breaks the naming rule has no attributes. CorpusError where none follows it, or
    where the description of the speakers is absent, empty, or something else.
    """
    need_folder(root)
    home = root / "data"
    paths = list(walk(home, ".wav")) if home.is_dir() else []
    if not any(NAME.fullmatch(path.rpartition("/")[2][: -len(".wav")]) for path in paths):
        raise CorpusError(
            root,
            f"{len(paths)} wav files in data/, none of this corpus",
            "data/<speaker>/<digit>_<speaker>_<take>.wav",
            "point at the folder that holds data/",
        )
    facts_of = _speakers(root / META)
    for path in paths:
        item = f"data/{path[: -len('.wav')]}"
        parts = NAME.fullmatch(item.rpartition("/")[2])
        attributes = {**parts.groupdict(), **facts_of.get(parts["speaker"], {})} if parts else {}
        yield Recording(item, "audiomnist", f"data/{path}", attributes)


def _speakers(file: Path) -> dict[str, dict[str, str]]:
    """Speaker -> attributes."""
    try:
        table = from_json(text_of(file))
    except ValueError as error:
        raise _broken(file, f"cannot be read ({error})") from error
    if not isinstance(table, dict) or not all(isinstance(facts, dict) for facts in table.values()):
        raise _broken(file, "holds something else")
    if not table:
        raise _broken(file, "describes no speaker")
    odd = [name for name, facts in table.items() if any(isinstance(facts.get(k), (dict, list)) for k in FACTS.values())]
    if odd:
        raise _broken(file, f"says of speaker {odd[0]} what is neither text nor number")
    return {name: _facts(facts) for name, facts in table.items()}


def _broken(file: Path, came: str) -> CorpusError:
    return CorpusError(file, came, "a JSON object of one object per speaker", "restore the original file")


def _facts(facts: Mapping[str, object]) -> dict[str, str]:
    said = {name: facts.get(key) for name, key in FACTS.items()}
    known = {name: str(value).strip() for name, value in said.items() if value is not None}
    return {
        name: SPELLINGS.get(value, value)
        for name, value in known.items()
        if value and not (name == "age" and value == NO_AGE)
    }
