"""The commands that get a corpus: made here, fetched, aligned."""

from pathlib import Path

import click

from at_data.cli.options import FOLDER
from at_data.errors import CorpusError


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
    from at_data.progress import Bar  # noqa: PLC0415
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


@click.command()
@click.argument("corpus")
@click.option("--to", type=FOLDER, help="Folder that receives the corpus, in the folder it unpacks to.")
@click.option("--subset", "subsets", multiple=True, help="A part of the corpus; may be repeated. `all` for all of it.")
@click.option("--keep-archives", is_flag=True, help="Keep what was downloaded, in .downloads.")
@click.option("--list", "list_only", is_flag=True, help="Name the parts, their sizes and where they come from.")
def fetch(corpus: str, to: Path | None, subsets: tuple[str, ...], keep_archives: bool, list_only: bool) -> None:
    """Download CORPUS, or say what has to be done to get it; carry on where an earlier call broke off.

    Every archive is held to a published checksum, and nothing in it can leave the folder. What is there already is
    not fetched again.
    """
    from at_data import corpora  # noqa: PLC0415
    from at_data.fetch import fetch as get  # noqa: PLC0415 - requests, which --help does not need
    from at_data.progress import Bar  # noqa: PLC0415

    module = corpora.load(corpus)
    click.echo(f"{corpus}: {module.SOURCE}; licence {module.LICENCE}", err=True)
    parts = [f"{archive.subset} ({archive.size_bytes / 1e6:,.0f} MB)" for archive in module.ARCHIVES]
    if list_only:
        for archive, part in zip(module.ARCHIVES, parts, strict=True):
            click.echo(f"{part}: {archive.url}")
        return
    if to is None:
        raise click.UsageError("Missing option '--to'.")
    if len(parts) > 1 and not subsets:
        raise CorpusError(
            corpus, "no part named", f"--subset {', '.join(parts)}, or all", "name what you need; it may be repeated"
        )
    subsets = () if "all" in subsets else subsets
    with Bar(corpus, unit="B") as bar:
        folders = get(module, to, subsets, lambda phase, done, total: bar(phase, done, total, 0), keep=keep_archives)
    for folder in folders:
        click.echo(f"{folder}: there")
    if module.ACCESS:
        click.echo(module.ACCESS, err=True)


@click.command()
@click.argument("corpus", type=click.Choice(["librispeech"]))
@click.option("--source", required=True, type=FOLDER, help="Folder the corpus was unpacked to.")
@click.option(
    "--out", type=FOLDER, help="Folder that receives the word times, in the tree of the corpus; default: the corpus."
)
@click.option("--device", default="cpu", show_default=True, help="Where torch computes: cpu, cuda, cuda:1 ...")
@click.pass_context
def align(context: click.Context, corpus: str, source: Path, out: Path | None, device: str) -> None:
    """Find out when each word of CORPUS is said, by forced alignment with torchaudio; carry on where a call stopped.

    Writes the files of word times that the corpus' reader looks for. Exit 1 if utterances had to be left out.
    """
    from at_data.alignment import align as find_words  # noqa: PLC0415 - at work it imports torch
    from at_data.progress import Bar  # noqa: PLC0415

    with Bar(corpus) as bar:
        aligned = find_words(source, out=out, device=device, progress=bar)
    for line in aligned.left_out:
        click.echo(f"left out: {line}", err=True)
    click.echo(
        f"{out or source}: {aligned.words} words of {aligned.utterances} utterances in {aligned.chapters} chapters; "
        f"{aligned.already} chapters already there, {len(aligned.left_out)} utterances left out"
    )
    if aligned.left_out:
        context.exit(1)
