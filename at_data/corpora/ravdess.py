"""RAVDESS: two English statements acted, spoken and sung, in eight emotions, at 48 kHz.

24 actors of North American English, twelve of each sex. Speech: 1,440 recordings, 60 by each actor: two statements in
two takes, neutral, and calm, happy, sad, angry, fearful, disgusted, surprised in two intensities. Song: 1,012, of 23
actors (18 did not sing), without disgusted and surprised. Layout: `Actor_<nn>/<seven numbers>.wav`, in
`Audio_Speech_Actors_01-24` and `Audio_Song_Actors_01-24` where the archives unpack to folders of their own. The numbers
are modality, channel, emotion, intensity, statement, repetition, actor: `03-01-05-01-02-01-12` is audio only, speech,
angry, normal, second statement, first take, actor 12; odd actors are men. Resampled copies keep the names and may be
FLAC. No split is published. Licence: CC BY-NC-SA 4.0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, need_folder, note_once, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY-NC-SA 4.0"
SOURCE = "Zenodo, doi:10.5281/zenodo.1188976"
CITATION = (
    "S. R. Livingstone, F. A. Russo, 'The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS): A "
    "Dynamic, Multimodal Set of Facial and Vocal Expressions in North American English', PLoS ONE 13(5), 2018"
)
GROUPS = ("speaker", "sentence")
# as published before a resampled copy: whoever has both and names neither gets what the authors released
UNPACKS_TO = ("RAVDESS", "ravdess", "Audio_Speech_Actors_01-24", "RAVDESS_16k")
COUNTS = (
    Count((1_440,), where={"modality": "audio", "channel": "speech"}),
    Count((1_012,), where={"modality": "audio", "channel": "song"}),
    Count((24,), distinct="speaker", where={"modality": "audio", "channel": "speech"}),
)
# md5 as published at zenodo.org/records/1188976
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "speech",
        "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
        "md5:bc696df654c87fed845eb13823edef8a",
        208_468_073,
        "RAVDESS",
    ),
)
ACCESS = (
    "Song and video are not fetched: download them at doi:10.5281/zenodo.1188976, and unpack them beside the speech."
)

MODALITIES = {"01": "audio_video", "02": "video", "03": "audio"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgusted",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}  # "... are talking", "... are sitting by the door"
TAKES = {"01": "1", "02": "2"}
ACTORS = {f"{number:02d}": "male" if number % 2 else "female" for number in range(1, 25)}
SUFFIXES = (".wav", ".flac")
NAME = re.compile(
    "(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])"
    "-(?P<repetition>0[12])-(?P<actor>0[1-9]|1[0-9]|2[0-4])"
)


def _example(path: str, **attributes: str) -> Recording:
    return Recording(path.rpartition("/")[2].partition(".")[0], "ravdess", path, attributes)


_KIDS = {"modality": "audio", "intensity": "normal", "sentence": "kids", "take": "1"}
_DOGS = {"modality": "audio", "intensity": "strong", "sentence": "dogs", "take": "2"}
EXAMPLE: dict[str, Any] = {
    "files": {
        "Audio_Song_Actors_01-24/Actor_02/03-02-06-02-02-02-02.wav": None,
        "Audio_Speech_Actors_01-24/.DS_Store": "what a file system left behind",
        "Audio_Speech_Actors_01-24/Actor_01/._03-01-01-01-01-01-01.wav": "and another",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav": None,
        "Audio_Speech_Actors_01-24/Actor_01/03-01-09-01-01-01-01.wav": None,
        "Audio_Speech_Actors_01-24/Actor_12/03-01-08-02-02-02-12.flac": None,
        "Video_Speech_Actor_01/Actor_01/01-01-01-01-01-01-01.mp4": "pictures",
    },
    "recordings": (
        _example(
            "Audio_Song_Actors_01-24/Actor_02/03-02-06-02-02-02-02.wav",
            speaker="02",
            sex="female",
            channel="song",
            emotion="fearful",
            **_DOGS,
        ),
        _example(
            "Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
            speaker="01",
            sex="male",
            channel="speech",
            emotion="neutral",
            **_KIDS,
        ),
        Recording(
            "Audio_Speech_Actors_01-24/Actor_01/03-01-09-01-01-01-01",
            "ravdess",
            "Audio_Speech_Actors_01-24/Actor_01/03-01-09-01-01-01-01.wav",
        ),
        _example(
            "Audio_Speech_Actors_01-24/Actor_12/03-01-08-02-02-02-12.flac",
            speaker="12",
            sex="female",
            channel="speech",
            emotion="surprised",
            **_DOGS,
        ),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a RAVDESS folder, in order of path; the id of one is its name, whichever folder it lies in.

    Attributes: speaker (01 to 24), sex, modality (audio; audio_video and video where somebody took the sound of a
    film), channel (speech, song), emotion, intensity (normal, strong), sentence (kids, dogs: what the statement begins
    with), take. A wav or flac file that breaks the naming rule has no attributes, and its path for an id. CorpusError
    where a name stands twice or none follows the rule.
    """
    need_folder(root)
    places: dict[str, str] = {}
    for path in walk(root, *SUFFIXES):
        item = path.rpartition(".")[0]
        name = item.rpartition("/")[2]
        parts = NAME.fullmatch(name)
        if not parts:
            yield Recording(item, "ravdess", path)
            continue
        note_once(root, places, name, path)
        yield Recording(name, "ravdess", path, _attributes(parts))
    if not places:
        raise CorpusError(
            root,
            "no recording of RAVDESS in it",
            "Actor_<nn>/<seven numbers>.wav or .flac, such as Actor_12/03-01-05-01-02-01-12.wav",
            "point at the folder that holds the actors, or the folders of speech and song",
        )


def _attributes(parts: re.Match[str]) -> dict[str, str]:
    actor = parts["actor"]
    return {
        "speaker": actor,
        "sex": ACTORS[actor],
        "modality": MODALITIES[parts["modality"]],
        "channel": CHANNELS[parts["channel"]],
        "emotion": EMOTIONS[parts["emotion"]],
        "intensity": INTENSITIES[parts["intensity"]],
        "sentence": STATEMENTS[parts["statement"]],
        "take": TAKES[parts["repetition"]],
    }
