"""ESC-10: ten kinds of everyday sounds, cut from field recordings of Freesound, about five seconds each at 44.1 kHz.

400 clips: 10 categories x 40, the part of ESC-50 that was published first and under a freer licence. Layout:
`<number> - <category>/<fold>-<source>-<take>.ogg` (Vorbis), as in `001 - Dog bark/1-100032-A.ogg`; a source is one
upload to Freesound, from which several takes may come. The clips are not cut to the sample as those of ESC-50 are: of
twenty, one lasts 4.994 s, eighteen 5.001 s and one 5.014 s. Five folds are published for cross-validation, and no
source stands in two. Licence: CC BY 3.0.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from at_data.corpora import Archive, Count, need_folder, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY 3.0"
SOURCE = "GitHub repository karolpiczak/ESC-10"
CITATION = "K. J. Piczak, 'ESC: Dataset for Environmental Sound Classification', ACM Multimedia 2015"
GROUPS = ("source", "fold")
UNPACKS_TO = ("ESC-10", "ESC-10-master")
COUNTS = (Count((400,), of="category"), Count((10,), distinct="category"))
# tree of the last commit that holds the clips; the archive is generated, so its size is only about this
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "all",
        "https://github.com/karolpiczak/ESC-10/archive/553c8f1743b9dba6b282e1323c3ca8fa76923448.tar.gz",
        "git-tree:f8db9607bde042265b003ca19f94b63c484aeefe",
        42_000_000,
        "ESC-10",
        strip=1,
    ),
)
ACCESS = ""

# folder -> the name that ESC-50 gives the category
CATEGORIES = {
    "001 - Dog bark": "dog",
    "002 - Rain": "rain",
    "003 - Sea waves": "sea_waves",
    "004 - Baby cry": "crying_baby",
    "005 - Clock tick": "clock_tick",
    "006 - Person sneeze": "sneezing",
    "007 - Helicopter": "helicopter",
    "008 - Chainsaw": "chainsaw",
    "009 - Rooster": "rooster",
    "010 - Fire crackling": "crackling_fire",
}
NAME = re.compile(r"(?P<fold>\d)-(?P<source>\d+)-(?P<take>[A-Z])")


def _example(path: str, **attributes: str) -> Recording:
    return Recording(path.removesuffix(".ogg"), "esc10", path, attributes)


EXAMPLE: dict[str, Any] = {
    "files": {
        "README.md": "ESC-10",
        "001 - Dog bark/1-100032-A.ogg": None,
        "001 - Dog bark/._1-100032-A.ogg": "what a file system left behind",
        "001 - Dog bark/my dog.ogg": None,
        "010 - Fire crackling/5-99-B.ogg": None,
        "011 - Kettle/5-99-C.ogg": None,
    },
    "recordings": (
        _example("001 - Dog bark/1-100032-A.ogg", category="dog", fold="1", source="100032", take="A"),
        _example("001 - Dog bark/my dog.ogg", category="dog"),
        _example("010 - Fire crackling/5-99-B.ogg", category="crackling_fire", fold="5", source="99", take="B"),
        _example("011 - Kettle/5-99-C.ogg", fold="5", source="99", take="C"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of an ESC-10 folder, in order of path.

    Attributes: category (named as in ESC-50), fold (1 to 5), source (the clip's number at Freesound), take. Other
    folders have no category, other file names nothing else. CorpusError where no file follows the naming rule in a
    folder of the ten categories.
    """
    need_folder(root)
    paths = list(walk(root, ".ogg"))
    if not any(category and name for category, name in map(_parts, paths)):
        raise CorpusError(
            root,
            f"{len(paths)} ogg files, none of ESC-10",
            "<number> - <category>/<fold>-<source>-<take>.ogg, as in '001 - Dog bark/1-100032-A.ogg'",
            "point at the folder that holds the ten folders of categories",
        )
    for path in paths:
        category, name = _parts(path)
        attributes = {**({"category": category} if category else {}), **(name.groupdict() if name else {})}
        yield Recording(path[: -len(".ogg")], "esc10", path, attributes)


def _parts(path: str) -> tuple[str | None, re.Match[str] | None]:
    """Category, by the folder, and what the file name says."""
    folder, _, file = path.rpartition("/")
    return CATEGORIES.get(folder), NAME.fullmatch(file[: -len(".ogg")])
