"""What lies in a work folder and is nothing a build writes: somebody's, refused by name, or a system's, removed."""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from at_data.build import tables
from at_data.errors import ShardError

BESIDE = ("README.md", "dataset.json")  # the files of a dataset that no header lists
SYSTEM = {".ds_store", "desktop.ini", "thumbs.db"}
OPEN = (".nfs", ".fuse_hidden")  # begin the names that network disks give to what is removed and still open
EXAMPLES = 5  # strangers named in an error

_WORK = re.compile(
    r"plan\.json|\.lock|\.workers|shards/|parts/"
    r"|parts/\d{5,}\.(f32|u32|made|json(\.partial)?)|parts/words\d+/(\w+\.npy)?"
)
_SHARD = re.compile(r"shards/(train|valid|test|test_conflicting)-\d{5,}-of-\d{5,}\.h5(\.partial)?")


def put_by_a_system(name: str) -> bool:
    """Whether a file of this name is one that systems put, unasked, into any folder that they show."""
    return name.lower() in SYSTEM or name.startswith("._")


def refuse(folder: Path) -> None:
    """ShardError where something lies in a work folder that no build, of whatever plan, writes there."""
    _refuse(folder, [name for name in _others(folder, _of_a_build) if not put_by_a_system(_last(name))])


def sweep(folder: Path, shards: Collection[str]) -> None:
    """A finished work folder without the files that systems put there, and those a killed build was writing.

    ShardError, and nothing is removed, where it holds anything else that is neither of the work nor of the dataset
    with these shards.
    """
    of_dataset = {*BESIDE, *tables.NAMES, *shards}
    writing = {f"{name}.partial" for name in (*of_dataset, "plan.json")}
    others = list(_others(folder, lambda name: name in of_dataset or bool(_WORK.fullmatch(name))))
    goes = [name for name in others if name in writing or put_by_a_system(_last(name))]
    _refuse(folder, [name for name in others if name not in goes])
    for name in goes:
        (folder / name).unlink()


def _of_a_build(name: str) -> bool:
    beside = name.removesuffix(".partial") in (*BESIDE, *tables.NAMES, "plan.json")
    return beside or bool(_WORK.fullmatch(name) or _SHARD.fullmatch(name))


def _others(folder: Path, known: Callable[[str], bool], within: str = "") -> Iterator[str]:
    """Names of what lies below a folder and is not known, links among it; those of folders end in a slash."""
    for path in sorted((folder / within).iterdir()):
        link = path.is_symlink()
        name = f"{within}{path.name}" + "/" * (path.is_dir() and not link)
        if link or not known(name):
            if not path.name.startswith(OPEN):
                yield name
        elif name.endswith("/"):
            yield from _others(folder, known, name)


def _last(name: str) -> str:
    """The name of a file without its folders; of a folder nothing."""
    return name.rpartition("/")[2]


def _refuse(folder: Path, strangers: list[str]) -> None:
    if strangers:
        raise ShardError(
            folder,
            f"no build wrote what lies in it: {', '.join(strangers[:EXAMPLES])}"
            + (f" and {len(strangers) - EXAMPLES} more" if len(strangers) > EXAMPLES else ""),
            "a build's own files alone, for this folder becomes the dataset",
            "move away what is yours and run the same command again, which carries on; nothing was removed",
        )
