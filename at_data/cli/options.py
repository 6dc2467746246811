"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Place(click.Path):
    """A path; `~` at its beginning is the user's home, which shells leave as it is behind `=`."""

    def __init__(self, **how: Any) -> None:
        super().__init__(path_type=Path, **how)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, its home in full."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - as it is, where nobody has a home


FOLDER = Place()


def _no_nan(_: click.Context, parameter: click.Parameter, value: float) -> float:
    if value != value:  # noqa: PLR0124 - only nan differs from itself
        raise click.BadParameter("nan is no share", param=parameter)
    return value


SOURCE = click.option("--source", required=True, type=FOLDER, help="Folder the corpus was unpacked to.")
OUT = click.option("--out", required=True, type=FOLDER, help="Folder that receives the dataset folder.")
NOISE = click.option("--noise-source", type=FOLDER, help="Folder of the noise corpus, for manifests that mix noise.")
WORKERS = click.option(
    "--workers",
    type=click.IntRange(1),
    default=lambda: len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    show_default="one per core",
    help="Processes; their number changes no byte.",
)
MAX_BAD = click.option(
    "--max-bad",
    type=click.FloatRange(0, 100),
    callback=_no_nan,
    default=1.0,
    show_default=True,
    help="Per cent of recordings that may be bad.",
)
QUICK = click.option(
    "--quick", is_flag=True, help="Of a finished dataset compare the sizes of its source files, not their contents."
)
IGNORE_FREE_SPACE = click.option(
    "--ignore-free-space", is_flag=True, help="Go on although the disk has less free than is needed."
)
PROFILE = click.option("--profile", is_flag=True, help="Say how many seconds each stage took.")
EXPLAIN = click.option("--explain", is_flag=True, help="Say of every shard why it is built, or why not.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def how(command: Callable[..., Any]) -> Callable[..., Any]:
    """Command with the options that say how a build runs, and change no byte of it."""
    for option in (PROFILE, EXPLAIN, IGNORE_FREE_SPACE, QUICK, MAX_BAD, WORKERS):
        command = option(command)
    return command
