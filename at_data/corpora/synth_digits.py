"""Synthetic digits: what `at-prepare synth` writes; voices that say ten digits, made here and free of any licence.

The speech lies in `speech_commands/` in the layout of gsc, and beside it noise in the layout of ms_snsd, so each also
reads as those corpora. `synthesised.json` says with which arguments it was made. The published lists hold whole voices
out; those say every digit, however closely `--correlation` ties the training voices to digits of their own.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, gsc, need_folder
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "none needed: synthesised"
SOURCE = "at-prepare synth"
CITATION = "none"
GROUPS = ("speaker",)
UNPACKS_TO: tuple[str, ...] = ()
COUNTS: tuple[Count, ...] = ()
ARCHIVES: tuple[Archive, ...] = ()
ACCESS = ""

MARK = "synthesised.json"
SPEECH = "speech_commands"

EXAMPLE: dict[str, Any] = {
    "files": {MARK: "{}", **{f"{SPEECH}/{path}": text for path, text in gsc.EXAMPLE["files"].items()}},
    "recordings": tuple(replace(recording, corpus="synth_digits") for recording in gsc.EXAMPLE["recordings"]),
}


def folder(root: Path) -> Path:
    """Folder that paths start from."""
    return root / SPEECH


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of the speech, in order of path, with the attributes of gsc: word, speaker, take.

    CorpusError where the folder was not written by `at-prepare synth`.
    """
    need_folder(root)
    if not (root / MARK).is_file():
        raise CorpusError(root, f"no {MARK} in it", "a folder that `at-prepare synth` wrote", "write one, or use gsc")
    for recording in gsc.recordings(folder(root)):
        yield replace(recording, corpus="synth_digits")
