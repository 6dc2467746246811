"""Which corpora exist: the modules in this folder, each a corpus of that name.

A corpus module turns a folder on disk into Recordings and does nothing else. It offers

- a docstring: what was recorded, who spoke, how many, under which licence, where it comes from;
- `LICENCE`, `SOURCE`, `CITATION`: strings for the dataset card;
- `GROUPS`: the identity attributes that should not stand in two splits, for the leak proof;
- `UNPACKS_TO`: names of the folder the corpus unpacks to, where it has one; `find` looks for them;
- `EXAMPLE`: `files` (relative path -> text, or None for audio) and the exact `recordings` they become;
- `recordings(root)`: Recordings in order of path, CorpusError where `root` is not this corpus;
- `folder(root)`, only where paths do not start at `root` itself: the folder they start from.

A recording whose file name says less than it should is yielded with the attributes that are known: it is the
manifest's matter whether it can be used. Hidden files (`.DS_Store`, `._a.wav`) are no recordings.
"""

import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

from at_data.errors import CorpusError


def names() -> tuple[str, ...]:
    """Names of all corpora, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> ModuleType:
    """Corpus module of that name; CorpusError lists the known names."""
    if name not in names():
        raise CorpusError(
            "corpus",
            f"got '{name}'",
            f"one of {', '.join(names())}",
            "correct the name, or list your files in a `table`",
        )
    return import_module(f"{__name__}.{name}")


def need_folder(source: Path) -> None:
    """CorpusError where `source` is no folder; says whether it is a file or not there."""
    if not source.is_dir():
        came = "it is a file" if source.exists() else "no such folder"
        raise CorpusError(source, came, "the folder of the corpus", "unpack the corpus, and point at its folder")


def root(module: ModuleType, source: Path) -> Path:
    """Folder from which the paths of the corpus' Recordings start, where a user points at `source`."""
    folder: Path = module.folder(source) if hasattr(module, "folder") else source
    return folder


def find(name: str, sources: Path) -> Path | None:
    """Folder of a corpus among those in `sources`, by the names it unpacks to; None where there is none."""
    return next((sources / folder for folder in load(name).UNPACKS_TO if (sources / folder).is_dir()), None)
