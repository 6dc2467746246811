"""`at-prepare`: corpora of recordings in, task datasets out."""

import click

from at_data import __version__, endings
from at_data.cli import building, folding, getting, looking


class Commands(click.Group):
    """The commands below, and one for every corpus that shipped manifests build."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, those of corpora last."""
        return [*super().list_commands(ctx), *building.by_corpus()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Command of that name, made on the spot for a corpus."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        names = building.by_corpus().get(cmd_name)
        return None if names is None else building.corpus_command(cmd_name, names)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="at-prepare")
def cli() -> None:
    """Turn corpora of recordings into task datasets.

    A manifest says what is built, flags say where and how fast. Begin with `at-prepare list`.
    """


for command in (
    looking.list_,
    building.plan,
    building.build,
    building.datasets,
    folding.folds,
    looking.verify,
    looking.show,
    getting.fetch,
    getting.align,
    getting.synth,
):
    cli.add_command(command)


def main() -> None:
    """Run `at-prepare`; what a user can mend ends in one paragraph and exit 2, an interrupt in KeyboardInterrupt."""
    endings.run("at-prepare", cli)
