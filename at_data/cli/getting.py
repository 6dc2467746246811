"""The commands that get a corpus: made here, fetched, aligned."""

from pathlib import Path

import click

from at_data.cli.options import FOLDER
from at_data.progress import Bar


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--speakers",
    type=click.IntRange(4),
    default=24,
    show_default=True,
    help="Voices; a fifth of them validate, a fifth test.",
)
@click.option("--takes", type=click.IntRange(1), default=6, show_default=True, help="Times each voice says each digit.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of everything drawn.")
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How far voices are tied to digits in the published training part; 0: every voice says every digit.",
)
def synth(folder: Path, speakers: int, takes: int, seed: int, correlation: float) -> None:
    """Write a corpus anyone can make into FOLDER: digits in the layout of gsc, noise in the layout of ms_snsd."""
    from at_data.synth import synthesise  # noqa: PLC0415

    with Bar() as bar:
        synthesise(
            folder,
            speakers=speakers,
            takes=takes,
            seed=seed,
            correlation=correlation,
            progress=lambda done, total: bar("synthesise", done, total, 0),
        )
    click.echo(f"wrote {folder}", err=True)
