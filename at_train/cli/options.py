"""Options that several commands share; a flag for every training setting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from at_train.config import Settings

FLAGS = {"layers": "--layer"}  # where a flag is called otherwise than its setting
SHOWN = {
    "target": "the manifest's",
    "orthogonal": "none",
    "layers": "none",
    "nuisance": "none",
}  # defaults that need words

DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes the first of cuda, mps and cpu that is there.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
FOLDER = click.Path(path_type=Path, file_okay=False)


def setting_flags(*only: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that gives a command a flag for every training setting, or those named, their defaults shown."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(Settings.model_fields.items()):
            if only and name not in only:
                continue
            default, words = field.default, get_args(field.annotation)
            kind = type(default) if isinstance(default, int | float) and name != "patience" else str
            command = click.option(
                FLAGS.get(name, f"--{name.replace('_', '-')}"),
                name,
                multiple=isinstance(default, tuple),
                type=click.Choice(words) if default in words else kind,
                metavar="N|none" if name == "patience" else None,
                default=str(default) if name == "patience" else default,
                show_default=SHOWN.get(name, True),
                help=field.description,
            )(command)
        return command

    return decorate


def given(context: click.Context) -> dict[str, Any]:
    """Settings that the user gave as flags, whatever their values."""
    flags = {name: value for name, value in context.params.items() if name in Settings.model_fields}
    given = {
        name: value for name, value in flags.items() if context.get_parameter_source(name) != ParameterSource.DEFAULT
    }
    patience = given.get("patience", "")
    if patience == "none" or patience.isdecimal():
        given["patience"] = None if patience == "none" else int(patience)
    return given


def headline(scores: dict[str, Any]) -> str:
    """Accuracy, macro F1 and loss of one split in a line."""
    measures = f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"
    return f"{measures}, task loss {scores['task_loss']:.4f} nats, {scores['items']} items"
