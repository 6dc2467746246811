"""`at-prepare`: corpora of recordings in, task datasets out."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from at_data import __version__, corpora
from at_data import manifest as manifests
from at_data.errors import AtError, ManifestError
from at_data.progress import Bar

FOLDER = click.Path(path_type=Path)


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
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


class _Commands(click.Group):
    """The commands below, and one for every corpus that shipped manifests build."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_by_corpus()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in corpora.names() and cmd_name in (shipped := _by_corpus()):
            return _corpus_command(cmd_name, shipped[cmd_name])
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="at-prepare")
def cli() -> None:
    """Turn corpora of recordings into task datasets.

    A manifest says what is built, flags say where and how fast. Begin with `at-prepare list`.
    """


@cli.command("list")
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


@cli.command()
@click.argument("manifest")
@SOURCE
@NOISE
@JSON
def plan(manifest: str, source: Path, noise_source: Path | None, as_json: bool) -> None:
    """Say what a build of MANIFEST would hold and take, reading no more than a few recordings."""
    from at_data import build as builds  # noqa: PLC0415 - numpy and scipy, which --help does not need

    made = builds.plan(manifests.load(manifest), source, noise_source)
    trial = builds.estimate(made)
    by_split = {
        name: sum(len(t.recordings) for t in made.tasks if t.split == name) for name in ("train", "valid", "test")
    }
    facts = {
        "name": made.manifest.name,
        "folder": made.manifest.folder,
        "recordings": len(made.recordings),
        "by_split": by_split,
        "classes": len(made.attributes[made.manifest.target]),
        "shape": list(made.shape),
        "shards": len(made.tasks),
        **asdict(trial),
        "unlabelled": len(made.unlabelled),
        "warnings": list(made.warnings),
        "leaks": [asdict(line) for line in made.proof],
    }
    for warning in made.warnings:
        click.echo(f"warning: {made.manifest.corpus}: {warning}", err=True)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    size = " x ".join(map(str, made.shape))
    click.echo(f"{made.manifest.folder}: {len(made.recordings)} recordings, {facts['classes']} classes")
    unlabelled = f"; unlabelled, left out: {len(made.unlabelled)}" if made.unlabelled else ""
    click.echo("  " + ", ".join(f"{split} {count}" for split, count in by_split.items()) + unlabelled)
    click.echo(f"  about {trial.items} items of {size} in {len(made.tasks)} shards, {trial.data_bytes / 1e6:.0f} MB")
    click.echo(f"  {trial.scratch_bytes / 1e6:.0f} MB more while it is built; about {trial.core_s:.0f} s on one core")
    for line in made.proof:
        shared = f" ({line.shared})" if line.shared else ""
        click.echo(f"  {' / '.join(line.splits)}: {line.key} {line.verdict}{shared}")


@cli.command()
@click.argument("manifest")
@SOURCE
@OUT
@NOISE
@WORKERS
@MAX_BAD
def build(manifest: str, source: Path, out: Path, noise_source: Path | None, workers: int, max_bad: float) -> None:
    r"""Build the dataset of MANIFEST, a file or the name of a shipped one; carry on where an earlier call stopped.

    \b
    Example: at-prepare build gsc_words_clean --source speech_commands --out datasets
    """
    _build(manifests.load(manifest), source, out, noise_source, workers, max_bad)


@cli.command()
@click.option("--sources", required=True, type=FOLDER, help="Folder that holds the corpora, each as it unpacks.")
@OUT
@WORKERS
@MAX_BAD
@click.pass_context
def datasets(context: click.Context, sources: Path, out: Path, workers: int, max_bad: float) -> None:
    """Build every shipped manifest whose corpus is in SOURCES, say what is missing; exit 1 if one failed."""
    failed = False
    for corpus, names in _by_corpus().items():
        source = corpora.find(corpus, sources)
        if source is None:
            _say_missing(corpus, sources)
            continue
        for name in names:
            made = manifests.load(name)
            noise_source = None if made.noise == "none" else corpora.find(made.noise.corpus, sources)
            if made.noise != "none" and noise_source is None:
                _say_missing(made.noise.corpus, sources)
                continue
            try:
                _build(made, source, out, noise_source, workers, max_bad)
            except AtError as error:
                failed = True
                click.echo(f"{name}: {error}", err=True)
    if failed:
        context.exit(1)


@cli.command()
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


@cli.command()
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


@cli.command()
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


def _by_corpus() -> dict[str, list[str]]:
    """Shipped manifests of every corpus that has any."""
    found: dict[str, list[str]] = {}
    for name in manifests.shipped():
        found.setdefault(manifests.load(name).corpus, []).append(name)
    return found


def _corpus_command(corpus: str, names: list[str]) -> click.Command:
    """Command that builds the shipped manifests of one corpus."""

    def run(
        source: Path, out: Path, noise_source: Path | None, workers: int, max_bad: float, only: tuple[str, ...]
    ) -> None:
        loaded = [manifests.load(name) for name in only or names]
        mixing = [made.name for made in loaded if made.noise != "none"]
        if mixing and noise_source is None:
            raise ManifestError(
                ", ".join(mixing),
                "they mix noise and no noise folder was given",
                "the folder of the noise corpus",
                "add --noise-source DIR, or choose others with --only",
            )
        for made in loaded:
            _build(made, source, out, noise_source, workers, max_bad)

    only = click.option("--only", multiple=True, type=click.Choice(names), help="This manifest only; may be repeated.")
    command: Callable[..., Any] = run
    for option in (only, MAX_BAD, WORKERS, NOISE, OUT, SOURCE):
        command = option(command)
    text = f"Build the shipped datasets of {corpus}: {', '.join(names)}."
    return click.command(corpus, help=text, short_help=f"Build the shipped datasets of {corpus}.")(command)


def _build(
    made: manifests.Manifest, source: Path, out: Path, noise_source: Path | None, workers: int, max_bad: float
) -> None:
    from at_data import build as builds  # noqa: PLC0415

    with Bar(made.name) as bar:
        built = builds.build(
            made, source, out, noise_source=noise_source, workers=workers, max_bad=max_bad / 100, progress=bar
        )
    counts = ", ".join(f"{split} {count}" for split, count in built.header.counts.items())
    lost = ", ".join(f"{count} {kind}" for kind, count in built.header.left_out.items())
    state = "built" if built.fresh else "already there"
    click.echo(f"{built.folder}: {state}; {counts}" + (f"; left out: {lost} (see quarantine.jsonl)" if lost else ""))


def _say_missing(corpus: str, sources: Path) -> None:
    module = corpora.load(corpus)
    if module.UNPACKS_TO:
        folders = " or ".join(module.UNPACKS_TO)
        click.echo(f"{corpus}: no {folders} in {sources}; from {module.SOURCE}; licence {module.LICENCE}", err=True)


def _about(corpus: str) -> dict[str, Any]:
    module = corpora.load(corpus)
    about = (module.__doc__ or "").strip().splitlines()[0]
    return {"about": about, "licence": module.LICENCE, "source": module.SOURCE, "citation": module.CITATION}


def main() -> None:
    """Run `at-prepare`; what a user can mend ends in one paragraph and exit 2, an interrupt in 130."""
    try:
        code = cli.main(standalone_mode=False)
    except AtError as error:
        click.echo(f"at-prepare: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        raise KeyboardInterrupt from None
    sys.exit(code if isinstance(code, int) else 0)
