"""Google Speech Commands: single English words, crowd-sourced, about one second each at 16 kHz.

Version 2 holds 105,829 clips of 35 words by 2,618 speakers, version 1 64,721 clips of 30 words; nothing is known of a
speaker but a hash. Layout: `<word>/<speaker>_nohash_<take>.wav`, where takes count from 0, and a few minutes of noise
in `_background_noise_/`. `validation_list.txt` and `testing_list.txt` name the published parts by file; every file in
neither is in the training part; a copy without both has no published parts. Background noise is in no part. Licence:
CC BY 4.0.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY 4.0"
SOURCE = "Speech Commands archive, v0.02 or v0.01, download.tensorflow.org/data"
CITATION = "P. Warden, 'Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition', arXiv:1804.03209, 2018"
GROUPS = ("speaker",)
UNPACKS_TO = ("speech_commands", "speech_commands_v0.02", "speech_commands_v0.01")
COUNTS = (
    Count((105_829, 64_721), of="speaker"),  # version 0.02, 0.01
    Count((35, 30), of="speaker", distinct="word"),
)
# sha256: TensorFlow Datasets (url_checksums/speech_commands.txt) and torchaudio; v0.01 torchaudio alone
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "v0.02",
        "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        2_428_923_189,
        "speech_commands_v0.02",
    ),
    Archive(
        "v0.01",
        "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
        "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        1_489_096_277,
        "speech_commands_v0.01",
    ),
)
ACCESS = ""

NOISE = "_background_noise_"
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NAME = re.compile(r"(?P<speaker>.+)_nohash_(?P<take>\d+)")
LISTED = re.compile(r"[^/\\]+/[^/\\]+\.wav", re.IGNORECASE)


def _example(path: str, split: str | None, **attributes: str) -> Recording:
    return Recording(path.removesuffix(".wav"), "gsc", path, attributes, published_split=split)


EXAMPLE: dict[str, Any] = {
    "files": {
        "README.md": "Speech Commands",
        "testing_list.txt": "zero/0a7c2a8d_nohash_0.wav\nzero/absent_nohash_0.wav\n",
        "validation_list.txt": "happy/0ff728b5_nohash_1.wav\n",
        "_background_noise_/README.md": "collected by Pete Warden",
        "_background_noise_/pink_noise.wav": None,
        "happy/0ff728b5_nohash_1.wav": None,
        "zero/0a7c2a8d_nohash_0.wav": None,
        "zero/0ff728b5_nohash_0.wav": None,
        "zero/mine.wav": None,
        "zero/._mine.wav": "what a file system left behind",
    },
    "recordings": (
        _example("_background_noise_/pink_noise.wav", None, word=NOISE),
        _example("happy/0ff728b5_nohash_1.wav", "valid", word="happy", speaker="0ff728b5", take="1"),
        _example("zero/0a7c2a8d_nohash_0.wav", "test", word="zero", speaker="0a7c2a8d", take="0"),
        _example("zero/0ff728b5_nohash_0.wav", "train", word="zero", speaker="0ff728b5", take="0"),
        _example("zero/mine.wav", "train", word="zero"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a Speech Commands folder, in order of path.

    Attributes: word, speaker, take. A wav file whose name has no `_nohash_` has no speaker and no take. Files that are
    not wav, or do not lie in a word's folder, are no recordings. CorpusError where no file follows the naming rule, or
    the lists of the published parts cannot be trusted: one is absent or empty, a line names no file, both name one.
    """
    need_folder(root)
    split_of = _published(root)
    seen, ours = 0, False
    for path in walk(root, ".wav"):
        word, _, file = path.partition("/")
        if not file or "/" in file:
            continue
        seen += 1
        attributes = {"word": intern(word)}
        parts = NAME.fullmatch(file[: -len(".wav")])
        if parts:
            attributes |= {"speaker": intern(parts["speaker"]), "take": intern(parts["take"])}
        ours = ours or bool(parts) or word == NOISE
        split = None if split_of is None or word == NOISE else split_of.get(path[: -len(".wav")], "train")
        yield Recording(path[: -len(".wav")], "gsc", path, attributes, published_split=split)
    if not ours:
        raise CorpusError(
            root,
            f"{seen} wav files in its folders, none of Speech Commands",
            "<word>/<speaker>_nohash_<take>.wav",
            "point at the folder that holds the folders of words",
        )


def _published(root: Path) -> dict[str, str] | None:
    """Path without suffix -> part, for the files the official lists name; None where both lists are absent."""
    present = [name for name in LISTS.values() if (root / name).is_file()]
    if not present:
        return None
    if len(present) < len(LISTS):
        # one list alone would pass the other part off as training material
        raise CorpusError(
            root,
            f"{present[0]} without the other list",
            " and ".join(LISTS.values()),
            "restore the missing list, or take both away to do without the published split",
        )
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        for stem in _listed(root / name, split_of):
            split_of[stem] = split
    return split_of


def _listed(file: Path, elsewhere: Mapping[str, str]) -> list[str]:
    """Paths without suffix in a list; CorpusError where a line names no file, or one that is listed elsewhere.

    What a broken line meant would pass for training material.
    """
    stems = []
    for number, line in enumerate(text_of(file).split("\n"), 1):
        path = line.strip()
        if not path:
            continue
        if not LISTED.fullmatch(path):
            raise _wrong(file, number, f"got {path!a}", "<word>/<name>.wav")
        stem = path[: -len(".wav")]
        if stem in elsewhere:
            raise _wrong(file, number, f"{path} stands in {LISTS[elsewhere[stem]]} too", "each file in one list")
        stems.append(stem)
    if not stems:
        raise CorpusError(file, "it names no file", "<word>/<name>.wav in every line", "restore the original list")
    return stems


def _wrong(file: Path, number: int, came: str, expected: str) -> CorpusError:
    return CorpusError(f"{file}, line {number}", came, expected, "restore the original list")
