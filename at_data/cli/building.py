"""The commands that plan and build datasets."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from at_data import forks
from at_data.cli import planning, profiling
from at_data.cli.options import FOLDER, IGNORE_FREE_SPACE, JSON, MAX_BAD, NOISE, OUT, SOURCE, WORKERS, how
from at_data.errors import AtError, CorpusError, ManifestError
from at_data.unswept import imports

MANY_ALIKE = 0.1  # near-duplicates among recordings, of which more may be none

if TYPE_CHECKING:  # pydantic and numpy, which workers import at the same time: the sooner they are told, the better
    from at_data.manifest import Manifest


@click.command()
@click.argument("manifest")
@SOURCE
@NOISE
@click.option("--out", type=FOLDER, help="Folder that will receive the dataset folder: is there room for it?")
@WORKERS
@click.option("--time", "timed", is_flag=True, help="Try a few recordings, and say how long a build will take.")
@MAX_BAD
@IGNORE_FREE_SPACE
@JSON
def plan(manifest: str, source: Path, noise_source: Path | None, **flags: Any) -> None:
    """Say what a build of MANIFEST would hold and take.

    Headers are read. Audio is decoded, of a few recordings, for --time alone and where the manifest drops quiet ones or
    compresses.
    """
    with imports():
        from at_data import build as builds  # noqa: PLC0415 - numpy and scipy, which --help does not need
        from at_data import manifest as manifests  # noqa: PLC0415

    made = builds.plan(manifests.load(manifest), source, noise_source)
    warnings = [*made.warnings]
    for warning in warnings:
        click.echo(f"warning: {made.manifest.corpus}: {warning}", err=True)
    refusal = builds.too_unlabelled(made, source, flags["max_bad"] / 100)
    if refusal is not None:
        warnings.append(f"a build will end here: {refusal}")
        click.echo(f"warning: {warnings[-1]}", err=True)
    folder = flags["out"] and flags["out"] / (made.manifest.folder + builds.PARTIAL)
    found = builds.estimate(
        made,
        flags["workers"],
        timed=flags["timed"],
        folder=folder,
        ignore_free_space=flags["ignore_free_space"],
    )
    unreadable = planning.too_unreadable(made, found, flags["max_bad"] / 100)
    if unreadable is not None:
        warnings.append(f"a build will end: {unreadable}")
        click.echo(f"warning: {warnings[-1]}", err=True)
    facts = planning.facts(made, found, warnings)
    click.echo(json.dumps(facts, indent=1) if flags["as_json"] else planning.text(made, found))


@click.command(epilog="Example: at-prepare build gsc_words_clean --source speech_commands --out datasets")
@click.argument("manifest")
@SOURCE
@OUT
@NOISE
@how
def build(manifest: str, source: Path, out: Path, noise_source: Path | None, **flags: Any) -> None:
    """Build the dataset of MANIFEST, a file or the name of a shipped one; carry on where an earlier call stopped."""
    _start()  # workers import what they need while this process does
    with imports():
        from at_data import manifest as manifests  # noqa: PLC0415

    _build_one(manifests.load(manifest), source, out, noise_source, **flags)


@click.command()
@click.option("--sources", required=True, type=FOLDER, help="Folder that holds the corpora, each as it unpacks.")
@OUT
@how
@click.pass_context
def datasets(context: click.Context, /, sources: Path, out: Path, **flags: Any) -> None:
    """Build every shipped manifest whose corpus is in SOURCES, say what is missing; exit 1 if one failed."""
    _start()  # workers import what they need while this process does
    with imports():
        from at_data import corpora  # noqa: PLC0415
        from at_data import manifest as manifests  # noqa: PLC0415

    if not sources.is_dir():
        raise CorpusError(sources, "no folder", "the folder that holds the corpora", "correct --sources")
    told: set[str] = set()  # missing corpora, once each
    tally = {"built": 0, "already there": 0, "failed": 0, "corpora missing": 0}
    for corpus, names in by_corpus().items():
        source = corpora.find(corpus, sources)
        if source is None:
            _say_missing(corpus, sources, told)
            continue
        for name in names:
            made = manifests.load(name)
            noise_source = None if made.noise == "none" else corpora.find(made.noise.corpus, sources)
            if made.noise != "none" and noise_source is None:
                click.echo(f"{name}: not built, its noise is missing: {made.noise.corpus}", err=True)
                _say_missing(made.noise.corpus, sources, told)
                continue
            try:
                fresh = _build_one(made, source, out, noise_source, **flags)
                tally["built" if fresh else "already there"] += 1
            except AtError as error:
                tally["failed"] += 1
                click.echo(f"{name}: {error}", err=True)
    tally["corpora missing"] = len(told)
    click.echo("datasets: " + ", ".join(f"{number} {what}" for what, number in tally.items()))
    if tally["failed"]:
        context.exit(1)


@cache
def by_corpus() -> dict[str, list[str]]:
    """Shipped manifests of every corpus that has any."""
    _leave_linear_algebra_alone()  # what is asked for next may be a build
    with imports():
        from at_data import manifest as manifests  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for name in manifests.shipped():
        found.setdefault(manifests.load(name).corpus, []).append(name)
    return found


def corpus_command(corpus: str, names: list[str]) -> click.Command:
    """Command that builds the shipped manifests of one corpus."""

    def run(source: Path, out: Path, noise_source: Path | None, only: tuple[str, ...], **flags: Any) -> None:
        _start()
        from at_data import manifest as manifests  # noqa: PLC0415 - imported, as this corpus has shipped ones

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
            _build_one(made, source, out, noise_source, **flags)

    only = click.option("--only", multiple=True, type=click.Choice(names), help="This manifest only; may be repeated.")
    command: Callable[..., Any] = run
    for option in (only, how, NOISE, OUT, SOURCE):
        command = option(command)
    text = f"Build the shipped datasets of {corpus}: {', '.join(names)}."
    return click.command(corpus, help=text, short_help=f"Build the shipped datasets of {corpus}.")(command)


def _start() -> None:
    """Start the process that workers are copied from; this one leaves the processors to it."""
    _leave_linear_algebra_alone()
    forks.start()


def _leave_linear_algebra_alone() -> None:
    """Nothing; numpy, imported later, has no threads for it: they would wait for work at full speed.

    Where the user says how many there shall be, there are.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _build_one(
    made: "Manifest",
    source: Path,
    out: Path,
    noise_source: Path | None,
    *,
    workers: int,
    max_bad: float,
    quick: bool,
    explain: bool,
    profile: bool,
    ignore_free_space: bool,
) -> bool:
    """Whether there was anything to do."""
    with imports():
        from at_data import build as builds  # noqa: PLC0415
        from at_data.build.kinds import NEAR_DUPLICATE  # noqa: PLC0415
        from at_data.progress import Bar  # noqa: PLC0415

    if out.resolve().is_relative_to(source.resolve()):
        click.echo(f"warning: {out} lies within the corpus folder {source}", err=True)
    with Bar(made.name) as bar:
        built = builds.build(
            made,
            source,
            out,
            noise_source=noise_source,
            workers=workers,
            max_bad=max_bad / 100,
            quick=quick,
            ignore_free_space=ignore_free_space,
            progress=bar,
            warn=lambda text: bar.say(f"warning: {text}"),
            explain=bar.say if explain else lambda _: None,
        )
    counts = ", ".join(f"{split} {count}" for split, count in built.header.counts.items())
    lost = ", ".join(f"{count} {kind}" for kind, count in built.header.left_out.items())
    state = "built" if built.fresh else "already there"
    click.echo(f"{built.folder}: {state}; {counts}" + (f"; left out: {lost} (see quarantine.jsonl)" if lost else ""))
    alike, held = built.header.left_out.get(NEAR_DUPLICATE, 0), built.header.recordings["held"]
    if built.fresh and alike > MANY_ALIKE * (held + alike):
        told = f"{alike} of {held + alike} recordings are left out, as each sounds nearly like one of another split"
        todo = "listen to some: where they are takes of their own, set duplicates.near: keep"
        click.echo(f"warning: {made.name}: {told}; {todo}", err=True)
    if profile:
        click.echo(profiling.table(built.spent, built.spent_by_workers, workers), err=True)
    return built.fresh


def _say_missing(corpus: str, sources: Path, told: set[str]) -> None:
    """Say once how to get a corpus; one that is made here, or listed by the user, is nowhere to be had."""
    from at_data import corpora  # noqa: PLC0415

    module = corpora.load(corpus)
    if not module.UNPACKS_TO or corpus in told:
        return
    told.add(corpus)
    click.echo(f"{corpus}: not found, no folder {' or '.join(module.UNPACKS_TO)} in {sources}", err=True)
    click.echo(f"    from {module.SOURCE}; licence {module.LICENCE}", err=True)
    if module.ARCHIVES:
        parts = " or ".join(archive.subset for archive in module.ARCHIVES)
        which = f" --subset {parts}, or all" if len(module.ARCHIVES) > 1 else ""
        click.echo(f"    to get it: at-prepare fetch {corpus} --to {sources}{which}", err=True)
    if module.ACCESS:
        click.echo(f"    {module.ACCESS}", err=True)
