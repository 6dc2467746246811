"""`at-train`: task datasets in, networks that ignore what another network knows out."""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from tqdm import tqdm

from at_data import __version__
from at_data.errors import AtError
from at_train import config
from at_train.config import Settings

FLAGS = {"layers": "--layer"}  # where a flag is called otherwise than its setting
SHOWN = {"target": "the manifest's", "orthogonal": "none", "layers": "none"}  # defaults that need words
TRAIN_EXTRA = {"torch", "tensorboard"}  # packages that only the extra `train` installs

FIT_EXAMPLE = """\b
Example, a speaker network and a digit network that must differ from it at its fifth layer:
  at-train fit datasets/fsdd_speaker-1a2b3c4d --out runs/speaker
  at-train fit datasets/fsdd_digit_by_speaker-5e6f7a8b --out runs/digit \\
    --strategy anti --orthogonal runs/speaker --layer conv5
"""

DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes the first of cuda, mps and cpu that is there.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
FOLDER = click.Path(path_type=Path, file_okay=False)


def _setting_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Command with a flag for every training setting, its default shown."""
    for name, field in reversed(Settings.model_fields.items()):
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


def _given(context: click.Context) -> dict[str, Any]:
    """Settings that the user gave as flags, whatever their values."""
    flags = {name: value for name, value in context.params.items() if name in Settings.model_fields}
    given = {
        name: value for name, value in flags.items() if context.get_parameter_source(name) != ParameterSource.DEFAULT
    }
    patience = given.get("patience", "")
    if patience == "none" or patience.isdecimal():
        given["patience"] = None if patience == "none" else int(patience)
    return given


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="at-train")
def cli() -> None:
    """Train networks that learn a task without what another network knows, and compare them.

    Datasets come from `at-prepare`. Begin with `at-train list`.
    """


@cli.command(epilog=FIT_EXAMPLE)
@click.argument("dataset", type=FOLDER)
@click.option("--out", required=True, type=FOLDER, help="Run folder to write, or to carry on.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file of settings; flags override it.",
)
@_setting_flags
@DEVICE
@click.pass_context
def fit(
    context: click.Context, /, dataset: Path, out: Path, config_file: Path | None, device: str, **_settings: Any
) -> None:
    """Train a network on DATASET, score it on every split, and write all of it into a run folder.

    The same command carries on where an earlier one was stopped, after the last whole epoch.
    """
    settings = config.load(config_file, _given(context))
    from at_train import run  # noqa: PLC0415 - torch, which --help does not need

    with closing(_Bar()) as bar:
        facts = run.fit(dataset, out, settings, device, bar)
    best = f", best epoch {facts['best_epoch']}" if facts["best_epoch"] else ""
    click.echo(f"{out}: {facts['epochs_run']} epochs (stopped by {facts['stopped']}){best}")
    for path in sorted((out / "scores").glob("*.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))
        click.echo(f"  {scores['split']}: {_headline(scores)}")


@cli.command(epilog="Example: at-train score runs/digit --split test")
@click.argument("run", type=FOLDER)
@click.option(
    "--dataset",
    type=FOLDER,
    help="Another dataset with the same shape, audio and STFT settings.  [default: the run's own]",
)
@click.option(
    "--split", type=click.Choice(["train", "valid", "test"]), default="test", show_default=True, help="Items to score."
)
@DEVICE
@JSON
def score(run: Path, dataset: Path | None, split: str, device: str, as_json: bool) -> None:
    """Score the network of RUN: accuracy, macro F1, and accuracy per value of every nuisance attribute.

    Scores and predictions are also written into the run folder, under `scores`.
    """
    from at_train import run as runs  # noqa: PLC0415 - torch, which --help does not need

    scores = runs.score(run, dataset, split, device)
    if as_json:
        click.echo(json.dumps(scores, indent=1, ensure_ascii=False))
        return
    click.echo(f"{run} on {scores['dataset']['name']}, {split}: {_headline(scores)}")
    for attribute, groups in scores["groups"].items():
        click.echo(f"  by {attribute}:")
        for value, group in groups.items():
            worst = "  <- worst" if scores["worst_group"][attribute]["value"] == value else ""
            click.echo(f"    {value}: {group['accuracy']:.4f} of {group['items']}{worst}")


@cli.command(epilog="Example: at-train report runs/plain runs/digit --out report")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--out", required=True, type=FOLDER, help="Folder that receives index.html and its pictures.")
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Compare RUNS in a table, curves and confusion matrices: one HTML page that opens from disk, and its pictures."""
    from at_train import report as reports  # noqa: PLC0415 - matplotlib, which --help does not need
    from at_train import results  # noqa: PLC0415 - numpy, likewise

    page = reports.report(runs, out)
    click.echo(reports.comparison_text([results.load_run(run) for run in runs]))
    click.echo(f"wrote {page}")


@cli.command("list", epilog="Example: at-train list --json")
@JSON
def list_(as_json: bool) -> None:
    """List networks with their layers, aggregations, similarities and strategies."""
    from at_train import aggregations, networks, similarities  # noqa: PLC0415 - torch, which --help does not need

    smallest = 1e-9  # every channel count becomes 1: the names are all we want
    known: dict[str, dict[str, Any]] = {
        "networks": {name: list(networks.build(name, 2, (64, 64), smallest).layers) for name in networks.names()},
        "aggregations": {name: _first_line(way) for name, way in aggregations.AGGREGATIONS.items()},
        "similarities": {name: _first_line(way) for name, way in similarities.SIMILARITIES.items()},
        "strategies": config.STRATEGIES,
    }
    if as_json:
        click.echo(json.dumps(known, indent=1))
        return
    for kind, entries in known.items():
        click.echo(f"{kind}:")
        for name, about in entries.items():
            click.echo(f"  {name}: {about if isinstance(about, str) else 'layers ' + ', '.join(about)}")


def _headline(scores: dict[str, Any]) -> str:
    measures = f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"
    return f"{measures}, task loss {scores['task_loss']:.4f} nats, {scores['items']} items"


def _first_line(way: Callable[..., Any]) -> str:
    return (way.__doc__ or "").strip().split("\n", 1)[0]


class _Bar:
    """Progress on stderr: a bar over the steps of an epoch on a terminal, and a line per epoch everywhere."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.epoch = self.epochs = 0

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        self.epoch, self.epochs = epoch, epochs
        if sys.stderr.isatty():
            self.bar = tqdm(total=steps, desc=f"epoch {epoch} of {epochs}", unit="step", leave=False)

    def step(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        self.close()
        parts = [f"{split} {_losses(named)}" for split, named in values.items()]
        self.say(f"epoch {self.epoch} of {self.epochs}: {'; '.join(parts)}{' (best)' if best else ''}")

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _losses(named: dict[str, float]) -> str:
    return f"task loss {named['task_loss']:.4f}, at loss {named['at_loss']:.4f}, accuracy {named['accuracy']:.4f}"


def main() -> None:
    """Run `at-train`; what a user can mend ends in one paragraph and exit 2, an interrupt in KeyboardInterrupt."""
    try:
        code = cli.main(standalone_mode=False)
    except AtError as error:
        click.echo(f"at-train: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAIN_EXTRA:
            raise
        click.echo(
            f"at-train: {error.name} is not installed; training needs it: pip install 'anti-transfer[train]'", err=True
        )
        sys.exit(2)
    except click.Abort as error:  # click's word for an interrupt; `at_train.__main__` answers it
        raise KeyboardInterrupt from error
    sys.exit(code if isinstance(code, int) else 0)
