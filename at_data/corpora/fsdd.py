"""Free Spoken Digit Dataset: English digits by a few men of several accents, trimmed close, at 8 kHz.

3,000 recordings in the current release: 6 speakers x 10 digits x 50 takes, fully crossed; earlier releases hold fewer
speakers. Layout: `recordings/<digit>_<speaker>_<take>.wav`; `metadata.json`, where present, describes each speaker
(gender, accent, language). The published test part is takes 0 to 4, the training part all others, so both parts hold
every speaker. Licence: CC BY-SA 4.0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, from_json, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY-SA 4.0"
SOURCE = "GitHub repository Jakobovski/free-spoken-digit-dataset, doi:10.5281/zenodo.1342401"
CITATION = "Z. Jackson et al., 'Free Spoken Digit Dataset', doi:10.5281/zenodo.1342401"
GROUPS = ("speaker",)
UNPACKS_TO = ("free-spoken-digit-dataset",)
COUNTS = (Count((3_000,), of="speaker"),)
# tree of the commit that release v1.0.10 names; the archive is generated, so its size is only about this
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "v1.0.10",
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/d6938f9bf1545aa66d8489fc9f1385a7abd64282.tar.gz",
        "git-tree:2812395cc0d09f07e2bea672d0c436e937a1ab5f",
        15_608_098,
        "free-spoken-digit-dataset",
        strip=1,
    ),
)
ACCESS = ""

FOLDER = "recordings"
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>.+)_(?P<take>\d+)")
TEST_TAKES = 5  # "Recordings numbered 0-4 (inclusive) are in the test": the corpus' README

EXAMPLE: dict[str, Any] = {
    "files": {
        "metadata.json": '{"jackson": {"gender": "male", "accent": "USA/neutral"}, "lucas": {"gender": "male"}}',
        "recordings/0_jackson_4.wav": None,
        "recordings/0_jackson_5.wav": None,
        "recordings/9_theo_12.wav": None,
    },
    "recordings": (
        Recording(
            "recordings/0_jackson_4",
            "fsdd",
            "recordings/0_jackson_4.wav",
            {"gender": "male", "accent": "USA/neutral", "digit": "0", "speaker": "jackson", "take": "4"},
            published_split="test",
        ),
        Recording(
            "recordings/0_jackson_5",
            "fsdd",
            "recordings/0_jackson_5.wav",
            {"gender": "male", "accent": "USA/neutral", "digit": "0", "speaker": "jackson", "take": "5"},
            published_split="train",
        ),
        Recording(
            "recordings/9_theo_12",
            "fsdd",
            "recordings/9_theo_12.wav",
            {"digit": "9", "speaker": "theo", "take": "12"},
            published_split="train",
        ),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a Free Spoken Digit folder, in order of path.

    Attributes: digit ("0" to "9"), speaker, take, and what `metadata.json` says of the speaker. A wav file that breaks
    the naming rule has no attributes and no published split. CorpusError where none follows it.
    """
    need_folder(root)
    speakers = _speakers(root / "metadata.json")
    seen, ours = 0, False
    for path in walk(root / FOLDER, ".wav") if (root / FOLDER).is_dir() else ():
        if "/" in path:
            continue
        seen += 1
        parts = NAME.fullmatch(path[: -len(".wav")])
        ours = ours or bool(parts)
        attributes = {**speakers.get(parts["speaker"], {}), **parts.groupdict()} if parts else {}
        split = ("test" if int(parts["take"]) < TEST_TAKES else "train") if parts else None
        file = f"{FOLDER}/{path}"
        yield Recording(file[: -len(".wav")], "fsdd", file, attributes, published_split=split)
    if not ours:
        raise CorpusError(
            root,
            f"{seen} wav files in {FOLDER}/, none of this corpus",
            f"{FOLDER}/<digit>_<speaker>_<take>.wav",
            f"point at the folder that holds {FOLDER}/",
        )


def _speakers(file: Path) -> dict[str, dict[str, str]]:
    """Speaker -> attributes; empty where the file is absent."""
    if not file.is_file():
        return {}
    try:
        table = from_json(text_of(file))
        speakers = {name: {key: str(value) for key, value in facts.items()} for name, facts in table.items()}
    except (ValueError, AttributeError) as error:
        raise CorpusError(
            file, f"cannot be read ({error})", "a JSON object of one object per speaker", "restore the original file"
        ) from error
    strange = next((key for facts in speakers.values() for key in facts if not key.isidentifier()), None)
    if strange is not None:
        raise CorpusError(file, f"the key {strange!a}", "names in letters, digits and underscores", "rename it")
    return speakers
