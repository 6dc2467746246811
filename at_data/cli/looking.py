"""The commands that show what there is: corpora, manifests, finished datasets."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from at_data import corpora
from at_data import manifest as manifests
from at_data.cli.options import FOLDER, JSON


@click.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List corpora and shipped manifests."""
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
@click.pass_context
def verify(context: click.Context, dataset: Path) -> None:
    """Check every shard of DATASET against its header; exit 1 naming what is damaged."""
    from at_data import headers  # noqa: PLC0415
    from at_data.verify import verify as find_problems  # noqa: PLC0415

    problems = find_problems(dataset)
    for problem in problems:
        click.echo(problem)
    if problems:
        context.exit(1)
    header = headers.read(dataset)
    click.echo(f"{dataset}: {len(header.shards)} shards, {sum(header.counts.values())} items, all as the header says")


@click.command()
@click.argument("dataset", type=FOLDER)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
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
    module = corpora.load(corpus)
    about = (module.__doc__ or "").strip().splitlines()[0]
    return {"about": about, "licence": module.LICENCE, "source": module.SOURCE, "citation": module.CITATION}
