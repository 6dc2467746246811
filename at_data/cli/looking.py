"""The commands that show what there is: corpora, manifests, finished datasets."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from at_data.cli.options import FOLDER, JSON, NOISE, Place
from at_data.unswept import imports

if TYPE_CHECKING:
    from at_data.verify import Found


@click.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List corpora and shipped manifests."""
    from at_data import corpora  # noqa: PLC0415
    from at_data import manifest as manifests  # noqa: PLC0415

    loaded = {name: manifests.load(name) for name in manifests.shipped()}
    if as_json:
        click.echo(
            json.dumps(
                {
                    "corpora": {name: _about(name) for name in corpora.names()},
                    "manifests": {
                        name: made.model_dump(mode="json") | {"digest": made.digest} for name, made in loaded.items()
                    },
                },
                indent=1,
            )
        )
        return
    for corpus in corpora.names():
        click.echo(f"{corpus}: {_about(corpus)['about']}")
        for name, made in loaded.items():
            if made.corpus == corpus:
                nuisances = f", nuisances {', '.join(made.nuisances)}" if made.nuisances else ""
                click.echo(f"    {name}: target {made.target}{nuisances}")


@click.command()
@click.argument("dataset", type=FOLDER)
@click.option("--source", type=FOLDER, help="Folder of the corpus: rebuild a sample of items from it and compare.")
@NOISE
@click.option("--split-file", type=FOLDER, help="The file an imported split was read from.")
@click.option("--sample", type=click.IntRange(0), default=32, show_default=True, help="Items to rebuild.")
@click.option("--all", "every_file", is_flag=True, help="Compare the content of every source file, not the sample's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the sample.")
@click.pass_context
def verify(context: click.Context, /, dataset: Path, source: Path | None, **how: Any) -> None:
    """Check everything DATASET says of itself, with --source against the audio too; exit 1 naming what is wrong."""
    with imports():
        from at_data import verify as verifying  # noqa: PLC0415

    found = verifying.examine(dataset)
    if found.problems:
        _tell_problems(context, found)
    checked = found.checked
    click.echo(
        f"{dataset}: {checked['shards']:.0f} shards, {checked['items']:.0f} items, {checked['files']:.0f} files of "
        f"{checked['bytes'] / 1e6:.1f} MB, all as the header says; {checked['recordings']:.0f} recordings in the same "
        f"splits everywhere, {checked['lines']:.0f} lines of proof made again, scaling measured again"
    )
    if source is not None:
        _compare(context, dataset, source, how)


def _compare(context: click.Context, dataset: Path, source: Path, how: dict[str, Any]) -> None:
    from at_data import verify as verifying  # noqa: PLC0415

    found = verifying.compare(dataset, source, **how)
    if found.problems:
        _tell_problems(context, found)
    checked = found.checked
    equal = (
        "equal to the last bit" if checked["exact"] else f"equal within {checked['furthest']:.2g}, of other versions"
    )
    click.echo(
        f"{source}: {checked['rebuilt']:.0f} items rebuilt, {equal}; the labels of {checked['labels']:.0f} recordings "
        f"as the corpus has them; {checked['sources']:.0f} of {checked['of']:.0f} source files as they were read"
    )


def _tell_problems(context: click.Context, found: "Found") -> None:
    """Lines for what is wrong, and exit 1."""
    for problem in found.problems:
        click.echo(problem)
    context.exit(1)


def _png(_: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(path)!r} is no PNG: give it a name that ends in .png", param=parameter)
    return path


@click.command()
@click.argument("dataset", type=FOLDER)
@click.option(
    "--picture",
    type=Place(dir_okay=False),
    callback=_png,
    help="Write a PNG with example spectrograms per class.",
)
@JSON
def show(dataset: Path, picture: Path | None, as_json: bool) -> None:
    """Show what DATASET holds: counts, hours, class balance, scaling, the leak proof."""
    from at_data import cards, shards  # noqa: PLC0415

    opened = shards.open_dataset(dataset)
    proof = cards.read_proof(dataset)
    if as_json:
        click.echo(
            json.dumps({"header": opened.header.model_dump(mode="json"), "leaks": [asdict(p) for p in proof]}, indent=1)
        )
    else:
        click.echo(cards.summary(opened.header, proof))
    if picture is not None:
        cards.picture(opened, picture)
        click.echo(f"wrote {picture}", err=True)


def _about(corpus: str) -> dict[str, Any]:
    from at_data import corpora  # noqa: PLC0415

    module = corpora.load(corpus)
    about = (module.__doc__ or "").strip().splitlines()[0]
    return {"about": about, "licence": module.LICENCE, "source": module.SOURCE, "citation": module.CITATION}
