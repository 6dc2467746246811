"""Options that several commands share; a flag for every training setting."""

import os
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import click
from click.core import ParameterSource

from at_data.errors import ConfigError
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


class Place(click.Path):
    """A path; `~` at its beginning is the user's home, which shells leave as it is behind `=`."""

    def __init__(self, **how: Any) -> None:
        super().__init__(path_type=Path, **how)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, its home in full."""
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111 - as it is, where nobody has a home


FOLDER = Place(file_okay=False)


class NumberOrNone(click.ParamType):  # type: ignore[type-arg]
    """A whole number, or the word none."""

    name = "N|none"

    def convert(self, value: Any, param: click.Parameter | None, _ctx: click.Context | None) -> int | None:
        """The number; None for none. ConfigError for another word."""
        if value is None or value == "none":
            return None
        try:
            return int(value)
        except ValueError as error:
            where = param.opts[0] if param else self.name
            raise ConfigError(where, f"got {value!r}", "a whole number, or none", "see --help") from error


def setting_flags(*only: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that gives a command a flag for every training setting, or those named, their defaults shown."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(Settings.model_fields.items()):
            if only and name not in only:
                continue
            default, words = field.default, get_args(field.annotation)
            may_be_none = NoneType in words and any(get_args(word)[:1] == (int,) for word in words)
            kind = type(default) if isinstance(default, int | float) else str
            command = click.option(
                FLAGS.get(name, f"--{name.replace('_', '-')}"),
                name,
                multiple=isinstance(default, tuple),
                type=NumberOrNone() if may_be_none else click.Choice(words) if default in words else kind,
                default="none" if may_be_none and default is None else default,
                show_default=SHOWN.get(name, True),
                help=field.description,
            )(command)
        return command

    return decorate


def given(context: click.Context) -> dict[str, Any]:
    """Settings that the user gave as flags, whatever their values."""
    flags = {name: value for name, value in context.params.items() if name in Settings.model_fields}
    return {
        name: value for name, value in flags.items() if context.get_parameter_source(name) != ParameterSource.DEFAULT
    }


def headline(scores: dict[str, Any]) -> str:
    """Accuracy, macro F1 and loss of one split in a line."""
    measures = f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"
    return f"{measures}, task loss {scores['task_loss']:.4f} nats, {scores['items']} items"
