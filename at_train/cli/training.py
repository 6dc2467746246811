"""The commands that train: one run, or a study of many."""

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from at_data.unswept import imports
from at_train import config
from at_train.cli.options import DEVICE, FOLDER, JSON, Place, given, headline, setting_flags

MINUTES_FROM_S = 90  # a shorter time is told in seconds
FIT_EXAMPLE = """\b
Example, a speaker network and a digit network that must differ from it at its fifth layer:
  at-train fit datasets/fsdd_speaker-1a2b3c4d --out runs/speaker --seed 1
  at-train fit datasets/fsdd_digit_by_speaker-5e6f7a8b --out runs/digit \\
    --strategy anti --orthogonal runs/speaker --layer conv5
"""


@click.command(epilog=FIT_EXAMPLE)
@click.argument("dataset", type=FOLDER)
@click.option("--out", required=True, type=FOLDER, help="Run folder to write, or to carry on.")
@click.option(
    "--config",
    "config_file",
    type=Place(dir_okay=False),
    help="YAML file of settings; flags override it.",
)
@setting_flags()
@DEVICE
@click.option(
    "--cache-orthogonal",
    is_flag=True,
    help="Keep what the network to differ from (anti, dual) says of every item on disk, in the run folder, until the "
    "run has ended: faster steps, the same results.",
)
@click.pass_context
def fit(
    context: click.Context,
    /,
    dataset: Path,
    out: Path,
    config_file: Path | None,
    device: str,
    *,
    cache_orthogonal: bool,
    **_settings: Any,
) -> None:
    """Train a network on DATASET, score it on every split, and write all of it into a run folder.

    The same command carries on where an earlier one was stopped, after the last whole epoch. Exit code 1 says that a
    loss became no finite number: the run has diverged, and is kept as far as it came.
    """
    asked = given(context)
    settings = config.load(config_file, asked)
    config.refuse_idle(settings, asked)
    with imports():
        from at_train import run  # noqa: PLC0415 - torch, which --help does not need

    with closing(_Bar("nuisance loss" if settings.strategy == "dann" else "at loss")) as bar:
        facts = run.fit(dataset, out, settings, device, bar, cache_orthogonal=cache_orthogonal)
    if facts["state"] != "finished":
        context.exit(1)
    best = f", best epoch {facts['best_epoch']}" if facts["best_epoch"] else ""
    click.echo(f"{out}: {facts['epochs_run']} epochs (stopped by {facts['stopped']}){best}")
    for path in sorted((out / "scores").glob("*.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))
        click.echo(f"  {scores['split']}: {headline(scores)}")


@click.command(epilog="Example: at-train study synth_layers --datasets datasets --out studies/layers --jobs 2")
@click.argument("study")
@click.option(
    "--datasets", required=True, type=FOLDER, help="Folder that holds the datasets, as at-prepare writes them."
)
@click.option("--out", required=True, type=FOLDER, help="Folder of the study: its runs, failures and plan.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be trained and, by runs of its kind that were timed in the study's folder, how long it takes; "
    "train nothing.",
)
@click.option("--time", "timed", is_flag=True, help="With --dry-run: time a step of each kind that nobody has timed.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time.  [default: one for each device]")
@click.option("--devices", default="", help="Graphics cards to use, as 0,1, or what --device of fit takes.")
@click.option("--rank", type=click.IntRange(0), default=0, show_default=True, help="Which of --world callers this is.")
@click.option("--world", type=click.IntRange(1), default=1, show_default=True, help="Callers that share the study.")
@click.option("--retry-failed", is_flag=True, help="Train runs again that failed before.")
@click.option("--cache-orthogonal", is_flag=True, help="As of fit, for every run that can.")
@JSON
@click.pass_context
def study(
    context: click.Context,
    /,
    study: str,
    datasets: Path,
    out: Path,
    devices: str,
    *,
    dry_run: bool,
    timed: bool,
    jobs: int | None,
    rank: int,
    world: int,
    retry_failed: bool,
    cache_orthogonal: bool,
    as_json: bool,
) -> None:
    """Train every run of STUDY, a YAML file or the name of a shipped one, that is not there yet.

    The same command carries on where an earlier one was stopped; several at once, on one machine or many, share the
    work. Exit code 1 says that runs failed or wait for runs that did; the same command with --retry-failed, and no
    other, tries those again.
    """
    with imports():
        from at_train import study as studies  # noqa: PLC0415 - torch, which --help does not need

    if timed and not dry_run:
        raise click.UsageError("--time goes with --dry-run")
    names = [name for name in devices.split(",") if name]
    tried_on = ("cuda" if names[0].isdecimal() else names[0]) if names else "auto"
    plan = studies.plan(studies.load(study), datasets, out, trial=tried_on if timed else None)
    states = plan.states()
    if dry_run:
        seconds, unknown = plan.seconds(jobs or max(1, len(names)))
        facts = {"study": plan.study.name, "runs": states, "seconds_left": seconds, "runs_of_unknown_length": unknown}
        click.echo(json.dumps(facts, indent=1) if as_json else _planned(plan.study.name, states, seconds, unknown))
        return
    outcome = studies.run(
        plan, jobs, names, rank, world, retry=retry_failed, cache_orthogonal=cache_orthogonal, progress=_StudyBar()
    )
    if as_json:
        told = {"done": outcome.done, "failed": outcome.failed, "blocked": outcome.blocked}
        click.echo(json.dumps(told, indent=1))
    else:
        for name, why in outcome.failed.items():
            click.echo(f"failed: {name}: {why}")
        if outcome.failed:
            click.echo("mend that, then give the same command with --retry-failed")
        for name, others in outcome.blocked.items():
            click.echo(f"blocked: {name}, by {', '.join(others)}")
        whose = f"{out}, rank {rank} of {world}" if world > 1 else out
        click.echo(f"{whose}: {len(outcome.done)} done, {len(outcome.failed)} failed, {len(outcome.blocked)} blocked")
    if not outcome.complete:
        context.exit(1)


def _planned(name: str, states: Mapping[str, str], seconds: float, unknown: int) -> str:
    counts = {state: list(states.values()).count(state) for state in dict.fromkeys(states.values())}
    lines = [f"  {state}: {run}" for run, state in states.items()]
    lines.append(f"{name}: {len(states)} runs, " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    about = f"{seconds / 60:.0f} minutes" if seconds >= MINUTES_FROM_S else f"{seconds:.0f} seconds"
    left = [f"about {about} left"] if seconds or not unknown else []
    left += [f"{unknown} runs of a kind that nobody has timed here"] if unknown else []
    return "\n".join([*lines, ", and ".join(left)])


class _StudyBar:
    """Progress of a study on stderr, a line at a time: workers share the terminal."""

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def update(self, done: int, total: int) -> None:
        click.echo(f"{done} of {total} runs", err=True)


class _Bar:
    """Progress on stderr: a bar over the steps of an epoch on a terminal, and a line per epoch everywhere."""

    def __init__(self, added: str) -> None:
        self.added = added  # what the loss that the strategy adds is called
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
        parts = [f"{split} {self._losses(named)}" for split, named in values.items()]
        self.say(f"epoch {self.epoch} of {self.epochs}: {'; '.join(parts)}{' (best)' if best else ''}")

    def _losses(self, named: dict[str, float]) -> str:
        added = f"{named['at_loss']:.4f}" if "at_loss" in named else "-"
        return f"task loss {named['task_loss']:.4f}, {self.added} {added}, accuracy {named['accuracy']:.4f}"

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
