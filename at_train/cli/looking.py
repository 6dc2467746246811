"""The commands that look: at scores, costs, heat maps, reports, and what there is to choose from."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from at_data.unswept import imports
from at_train import config
from at_train.cli.options import DEVICE, FOLDER, JSON, given, headline, setting_flags

SPLITS = ["train", "valid", "test", "test_conflicting"]  # the last in datasets with a bias


@click.command(epilog="Example: at-train score runs/digit --split test")
@click.argument("run", type=FOLDER)
@click.option(
    "--dataset",
    type=FOLDER,
    help="Another dataset with the same shape, audio and STFT settings.  [default: the run's own]",
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="Items to score.",
)
@DEVICE
@JSON
def score(run: Path, dataset: Path | None, split: str, device: str, as_json: bool) -> None:
    """Score the network of RUN: accuracy, macro F1, and accuracy per value of every nuisance attribute.

    Scores and predictions are also written into the run folder, under `scores`.
    """
    with imports():
        from at_train import run as runs  # noqa: PLC0415 - torch, which --help does not need

    scores = runs.score(run, dataset, split, device)
    if scores.get("seen", 0) is None:
        click.echo(f"warning: {run} no longer tells what it was trained on: these items may be among that", err=True)
    elif scores.get("seen"):
        known = f"{scores['seen']} of these {scores['items']} items"
        click.echo(f"warning: the network, or one that it used, was trained on {known}: they test nothing", err=True)
    if as_json:
        click.echo(json.dumps(scores, indent=1, ensure_ascii=False))
        return
    click.echo(f"{run} on {scores['dataset']['name']}, {split}: {headline(scores)}")
    for attribute, groups in scores["groups"].items():
        click.echo(f"  by {attribute}:")
        for value, group in groups.items():
            worst = "  <- worst" if scores["worst_group"][attribute]["value"] == value else ""
            click.echo(f"    {value}: {group['accuracy']:.4f} of {group['items']}{worst}")


@click.command(epilog="Example: at-train report studies/layers, or runs/plain runs/digit --out report")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder that receives index.html and its pictures.  [default: report in the folder of a study]",
)
def report(runs: tuple[Path, ...], out: Path | None) -> None:
    """Compare RUNS, run folders or a study's folder: one HTML page that opens from disk, its tables and pictures."""
    with imports():
        from at_train import report as reports  # noqa: PLC0415 - matplotlib, which --help does not need

    material = reports.gather(runs)
    page = reports.write(material, out)
    click.echo(reports.comparison_text(material))
    click.echo(f"wrote {page}")


@click.command(epilog="Example: at-train explain runs/speaker runs/plain runs/anti --out heat_maps")
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--item", "items", multiple=True, help="Id of an item; may be repeated.  [default: one of each class]")
@click.option("--dataset", type=FOLDER, help="Dataset the items are of.  [default: that of the first run compared]")
@click.option("--layer", help="Layer to look at.  [default: the last convolution]")
@click.option("--out", required=True, type=FOLDER, help="Folder that receives the maps and their pictures.")
@DEVICE
def explain(
    runs: tuple[Path, ...], items: tuple[str, ...], dataset: Path | None, layer: str | None, out: Path, device: str
) -> None:
    """Draw where the networks of RUNS look: Grad-CAM heat maps of the same items, side by side."""
    with imports():
        from at_train import explain as explaining  # noqa: PLC0415 - torch and captum, which --help does not need
        from at_train.report import heat_maps  # noqa: PLC0415 - matplotlib, likewise

    for path in heat_maps.draw(explaining.explain(runs, items or None, dataset, layer, out, device)):
        click.echo(f"wrote {path}")


@click.command(epilog="Example: at-train cost --width 0.125 --device cpu")
@click.option(
    "--dataset", type=FOLDER, help="Dataset whose shape and classes count.  [default: the paper's, 126 x 129]"
)
@click.option("--steps", type=click.IntRange(1), default=7, show_default=True, help="Training steps measured for each.")
@setting_flags("network", "width", "layers", "beta", "aggregation", "similarity", "variant", "batch_size", "precision")
@DEVICE
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@JSON
@click.pass_context
def cost(
    context: click.Context,
    /,
    dataset: Path | None,
    steps: int,
    device: str,
    *,
    as_csv: bool,
    as_json: bool,
    **_settings: Any,
) -> None:
    """Measure what every strategy costs: step time and peak memory beside plain training, and equation 4's prediction.

    Without --layer every convolution is compared. None and init do the same work as plain training: their distance
    from 1 is the noise of the measurement.
    """
    asked = given(context)
    layers = asked.pop("layers", None)
    settings = config.load(None, asked)
    with imports():
        from at_train import cost as costs  # noqa: PLC0415 - torch, which --help does not need
        from at_train.report.formats import aligned  # noqa: PLC0415 - numpy, likewise

    rows = costs.cost(
        settings, layers, dataset, steps=steps, device=device, say=lambda text: click.echo(text, err=True)
    )
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
    elif as_csv:
        click.echo(costs.as_csv(rows), nl=False)
    else:
        click.echo(aligned(costs.shown(rows)), nl=False)


@click.command("list", epilog="Example: at-train list --json")
@JSON
def list_(as_json: bool) -> None:
    """List networks with their layers, aggregations, similarities and strategies."""
    with imports():
        from at_train import aggregations, networks, similarities, study  # noqa: PLC0415 - torch, which --help does not need

    smallest = 1e-9  # every channel count becomes 1: the names are all we want
    known: dict[str, dict[str, Any]] = {
        "networks": {name: list(networks.build(name, 2, (64, 64), smallest).layers) for name in networks.names()},
        "aggregations": {name: _first_line(way) for name, way in aggregations.AGGREGATIONS.items()},
        "similarities": {name: _first_line(way) for name, way in similarities.SIMILARITIES.items()},
        "strategies": config.STRATEGIES,
        "studies": {name: study.load(name).about for name in study.shipped()},
    }
    if as_json:
        click.echo(json.dumps(known, indent=1))
        return
    for kind, entries in known.items():
        click.echo(f"{kind}:")
        for name, about in entries.items():
            click.echo(f"  {name}: {about if isinstance(about, str) else 'layers ' + ', '.join(about)}")


def _first_line(way: Callable[..., Any]) -> str:
    return (way.__doc__ or "").strip().split("\n", 1)[0]
