"""Microsoft Scalable Noisy Speech Dataset (MS-SNSD): clean speech and everyday noise to mix, at 16 kHz.

Noise: in `noise_train` 58 files of 11 types (air conditioner, babble, typing ...), in later releases also the DEMAND
environments; in `noise_test` others of mostly the same types. Speech: some 10,800 English sentences in `clean_train`,
1,000 in `clean_test`, from the Edinburgh 56-speaker set (`p<speaker>_<sentence>.wav`) and, without names, PTDB-TUG
(`clnsp<n>.wav`). Noise files are `<type>_<n>.wav`. Licence: code MIT; noise CC0 1.0 (Freesound) and CC BY-SA 3.0
(DEMAND); speech CC BY 4.0 (Edinburgh) and ODbL 1.0 (PTDB-TUG).
"""

from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_folder, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "noise: CC0 1.0, CC BY-SA 3.0; speech: CC BY 4.0, ODbL 1.0; code: MIT"
SOURCE = "GitHub repository microsoft/MS-SNSD"
CITATION = (
    "C. K. A. Reddy, E. Beyrami, J. Pool, R. Cutler, S. Srinivasan, J. Gehrke, 'A Scalable Noisy Speech Dataset and "
    "Online Subjective Test Framework', Interspeech 2019"
)
GROUPS = ("voice",)
UNPACKS_TO = ("MS-SNSD",)
COUNTS: tuple[Count, ...] = ()
# the commit that several projects pin for this audio; its size is only about this (all history packs into 4 GB)
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "all",
        "https://github.com/microsoft/MS-SNSD.git",
        "git-commit:fe61c4ba0d9ac8dd7e23d719cc79f8947e1dc742",
        3_000_000_000,
        "MS-SNSD",
        size_is_exact=False,
    ),
)
ACCESS = ""

FOLDERS = ("clean_test", "clean_train", "noise_test", "noise_train")
SPELLINGS = {"Neighbor": "NeighborSpeaking"}  # three files of noise_test carry the short name


def _example(path: str, split: str, **attributes: str) -> Recording:
    folder = path.partition("/")[0]
    known = {"kind": folder.partition("_")[0], "folder": folder, **attributes}
    return Recording(path.removesuffix(".wav"), "ms_snsd", path, known, published_split=split)


EXAMPLE: dict[str, Any] = {
    "files": {
        "noisyspeech_synthesizer.cfg": "[noisy_speech]",
        "clean_test/clnsp1.wav": None,
        "clean_train/p234_001.wav": None,
        "noise_test/Neighbor_4.wav": None,
        "noise_test/NeighborSpeaking_2.wav": None,
        "noise_train/AirConditioner_10.wav": None,
    },
    "recordings": (
        _example("clean_test/clnsp1.wav", "test", voice="clnsp1"),
        _example("clean_train/p234_001.wav", "train", speaker="p234", voice="p234"),
        _example("noise_test/NeighborSpeaking_2.wav", "test", noise_type="NeighborSpeaking"),
        _example("noise_test/Neighbor_4.wav", "test", noise_type="NeighborSpeaking"),
        _example("noise_train/AirConditioner_10.wav", "train", noise_type="AirConditioner"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an MS-SNSD folder, in order of path; any of its four folders may be absent.

    Attributes: kind (noise, clean), folder, noise_type (of noise: the name before `_`), speaker (of clean speech: the
    name before `_`, where it has one), voice (the speaker, or the file where its speaker is not known). A name that
    begins with `_` has neither type nor speaker. Published split: train or test, by folder. CorpusError where no wav is
    found.
    """
    need_folder(root)
    seen = 0
    for path in walk(root, ".wav"):
        folder, _, name = path.partition("/")
        if folder not in FOLDERS or "/" in name:
            continue
        seen += 1
        kind, split = folder.split("_")
        stem = name[: -len(".wav")]
        prefix, mark, _ = stem.partition("_")
        attributes = {"kind": intern(kind), "folder": intern(folder)}
        if kind == "clean":
            attributes["voice"] = intern(prefix or stem)
            if prefix and mark:
                attributes["speaker"] = intern(prefix)
        elif prefix:
            attributes["noise_type"] = intern(SPELLINGS.get(prefix, prefix))
        yield Recording(path[: -len(".wav")], "ms_snsd", path, attributes, published_split=split)
    if not seen:
        raise CorpusError(
            root,
            "no wav file where MS-SNSD has them",
            f"at least one of the folders {', '.join(FOLDERS)}, with wav files",
            "point at the folder that holds them",
        )
