"""IEMOCAP: ten actors in pairs play scripts and improvise scenes; English, cut into turns, 16 kHz.

10,039 turns, 4.5 s long on average, in 151 dialogs: 5,255 scripted, 4,784 improvised. Five sessions of one woman and
one man each, who stand in no other session. Several people judged each turn; the emotion is the one most of them chose
(neutral 1,708, angry 1,103, sad 1,084, happy 595, excited 1,041, frustrated 1,849, surprised 107, fearful 40, other 3,
disgusted 2), or `undecided`, written `xxx`, where no choice had a majority (2,507); valence, activation and dominance
are means on scales of 1 to 5. Layout: `Session<n>/sentences/wav/<dialog>/<dialog>_<F or M><turn>.wav`, and
`Session<n>/dialog/EmoEvaluation/<dialog>.txt` with a line per turn. In `Ses01F_impro01_M003` the first letter says who
of the two wears the face markers, the second who speaks. No split is published; to hold out a session is the custom.
Licence: not public; USC SAIL releases it for research to those who sign its form.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "not public: for research, under the release form of USC SAIL"
SOURCE = "Signal Analysis and Interpretation Laboratory, University of Southern California, sail.usc.edu/iemocap"
CITATION = (
    "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee, S. S. Narayanan, 'IEMOCAP: "
    "Interactive Emotional Dyadic Motion Capture Database', Language Resources and Evaluation 42(4), 2008"
)
GROUPS = ("speaker", "session", "dialog")
UNPACKS_TO = ("IEMOCAP_full_release", "IEMOCAP", "iemocap")
COUNTS = (
    Count((10_039,), of="speaker"),
    Count((10,), distinct="speaker"),
    Count((151,), distinct="dialog"),
    Count((5_255,), of="speaker", where={"style": "scripted"}),
    Count((4_784,), of="speaker", where={"style": "improvised"}),
    Count((1_708,), where={"emotion": "neutral"}),
    Count((1_103,), where={"emotion": "angry"}),
    Count((595,), where={"emotion": "happy"}),
    Count((1_084,), where={"emotion": "sad"}),
    Count((1_041,), where={"emotion": "excited"}),
    Count((1_849,), where={"emotion": "frustrated"}),
)
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = "Ask USC SAIL for IEMOCAP with the release form at sail.usc.edu/iemocap; they answer with a download."

SESSIONS = ("Session1", "Session2", "Session3", "Session4", "Session5")
EMOTIONS = {
    "ang": "angry",
    "dis": "disgusted",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "oth": "other",
    "sad": "sad",
    "sur": "surprised",
    "xxx": "undecided",
}
SEXES = {"F": "female", "M": "male"}
STYLES = {"impro": "improvised", "script": "scripted"}
DIALOG = re.compile(r"(?P<session>Ses\d\d)[FM]_(?P<scene>(?P<style>impro|script)\w+)")
TURN = re.compile(r"(?P<sex>[FM])(?P<line>[\dX]+)")  # MXX0 is such a turn too
LABEL = re.compile(
    r"\[[^\]]*\]\s+(?P<turn>\S+)\s+(?P<emotion>[a-z]{3})"
    r"\s+\[(?P<valence>[\d.]+),\s*(?P<activation>[\d.]+),\s*(?P<dominance>[\d.]+)\]"
)
JUDGE = re.compile(r"[AC]-\w+:[^()]*\([^()]*\)")  # what one judge says; the brackets may hold any remark


def _example(path: str, *attributes: dict[str, str]) -> Recording:
    return Recording(
        path.removesuffix(".wav"),
        "iemocap",
        path,
        {name: value for known in attributes for name, value in known.items()},
    )


_IMPRO = {"session": "Ses01", "scene": "impro01", "style": "improvised", "dialog": "Ses01F_impro01"}
_SCRIPT = {"session": "Ses05", "scene": "script01_1b", "style": "scripted", "dialog": "Ses05M_script01_1b"}
EXAMPLE: dict[str, Any] = {
    "files": {
        "README.txt": "a video camera, two actors",
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": (
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            "[1.5000 - 3.2500]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.0000]\n"
            "C-E1:\tNeutral;\t()\nA-E1:\tval 2; act 2; dom 3;\t(so to speak)\n\n"
            "[4.0000 - 5.0000]\tSes01F_impro01_M000\txxx\t[3.0000, 3.5000, 2.3333]\nC-E1:\tAnger; Sadness;\t()\n"
        ),
        "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt": "what a file system left behind",
        "Session1/dialog/wav/Ses01F_impro01.wav": None,
        "Session1/sentences/wav/Ses01F_impro01/._Ses01F_impro01_F000.wav": "what a file system left behind",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01.pk": "somebody's pickle",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav": None,
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav": None,
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_MXX0.wav": None,
        "Session1/sentences/wav/Ses01F_impro01/room.wav": None,
        "Session1/sentences/wav/spare/room.wav": None,
        "Session5/dialog/EmoEvaluation/Ses05M_script01_1b.txt": (
            "[0.5000 - 9.1250]\tSes05M_script01_1b_F003\texc\t[4.0000, 4.0000, 3.0000]\r\n"
        ),
        "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F003.wav": None,
    },
    "recordings": (
        _example(
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
            _IMPRO,
            {"speaker": "Ses01_F", "sex": "female", "line": "000", "emotion": "neutral"},
            {"valence": "2.5000", "activation": "2.0000", "dominance": "3.0000"},
        ),
        _example(
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
            _IMPRO,
            {"speaker": "Ses01_M", "sex": "male", "line": "000", "emotion": "undecided"},
            {"valence": "3.0000", "activation": "3.5000", "dominance": "2.3333"},
        ),
        _example(
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_MXX0.wav",
            _IMPRO,
            {"speaker": "Ses01_M", "sex": "male", "line": "XX0"},
        ),
        _example("Session1/sentences/wav/Ses01F_impro01/room.wav", _IMPRO),
        _example("Session1/sentences/wav/spare/room.wav"),
        _example(
            "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F003.wav",
            _SCRIPT,
            {"speaker": "Ses05_F", "sex": "female", "line": "003", "emotion": "excited"},
            {"valence": "4.0000", "activation": "4.0000", "dominance": "3.0000"},
        ),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of the turns in an IEMOCAP folder, in order of path; any of its sessions may be absent.

    Attributes: session (Ses01 to Ses05), dialog, scene (the dialog less its session and who wears the markers), style
    (scripted, improvised), speaker (Ses01_F: session and sex), sex, line (the number in the turn's name), emotion,
    and valence, activation, dominance as they are written, four decimals. A turn that its evaluation does not name has
    what its name says, a wav file that is no turn what its folder says. CorpusError where a dialog has no evaluation,
    where a line of one cannot be understood, or where no turn is found.
    """
    need_folder(root)
    turns = 0
    for session in SESSIONS:
        prefix = f"{session}/sentences/wav/"
        if not (root / prefix).is_dir():
            continue
        dialog, shared, labels = "", dict[str, str](), dict[str, dict[str, str]]()
        for name in walk(root / prefix, ".wav"):
            folder, _, file = name.rpartition("/")
            if folder != dialog:
                dialog, shared = folder, _dialog(folder)
                labels = _labels(root / session / "dialog" / "EmoEvaluation" / f"{folder}.txt") if shared else {}
            stem = file[: -len(".wav")]
            turn = TURN.fullmatch(stem.removeprefix(f"{dialog}_")) if shared else None
            attributes = {**shared, **_speaking(shared["session"], turn), **labels.get(stem, {})} if turn else shared
            turns += turn is not None
            path = prefix + name
            yield Recording(path[: -len(".wav")], "iemocap", path, attributes)
    if not turns:
        raise CorpusError(
            root,
            "no turn of IEMOCAP in it",
            "Session<n>/sentences/wav/<dialog>/<dialog>_<F or M><turn>.wav",
            "point at the folder that holds Session1 to Session5",
        )


def _dialog(name: str) -> dict[str, str]:
    """Attributes that all turns of a dialog share; none where the folder is no dialog."""
    parts = DIALOG.fullmatch(name)
    if not parts:
        return {}
    return {
        "session": intern(parts["session"]),
        "scene": parts["scene"],
        "style": STYLES[parts["style"]],
        "dialog": name,
    }


def _speaking(session: str, turn: re.Match[str]) -> dict[str, str]:
    """Who speaks, by the turn's name."""
    return {"speaker": intern(f"{session}_{turn['sex']}"), "sex": SEXES[turn["sex"]], "line": intern(turn["line"])}


def _labels(file: Path) -> dict[str, dict[str, str]]:
    """Turn -> emotion, valence, activation, dominance, of one dialog's evaluation.

    Lines that neither start with a time nor name a turn of the dialog are passed over, those of single judges too.
    """
    labels: dict[str, dict[str, str]] = {}
    turns = (f"{file.stem}_F", f"{file.stem}_M")
    for number, line in enumerate(map(str.strip, text_of(file).split("\n")), 1):
        names_turn = (turns[0] in line or turns[1] in line) and not JUDGE.fullmatch(line)
        if not (names_turn or line.startswith("[")):
            continue
        parts = LABEL.fullmatch(line)
        if not parts or parts["emotion"] not in EMOTIONS:
            raise CorpusError(
                f"{file}, line {number}",
                f"got {line!a}",
                f"[start - end], turn, one of {' '.join(EMOTIONS)}, [valence, activation, dominance], between tabs",
                "restore the original file",
            )
        found = {
            "emotion": EMOTIONS[parts["emotion"]],
            **{name: intern(parts[name]) for name in ("valence", "activation", "dominance")},
        }
        if labels.setdefault(parts["turn"], found) != found:
            raise CorpusError(
                f"{file}, line {number}",
                f"{parts['turn']} has another label than above",
                "one label for each turn",
                "restore the original file",
            )
    if not labels:
        raise CorpusError(file, "it holds no turn", "a line for each turn", "unpack the whole corpus")
    return labels
