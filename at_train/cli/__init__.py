"""`at-train`: task datasets in, networks that ignore what another network knows out."""

import click

from at_data import __version__, endings
from at_train.cli import looking, training

TRAIN_EXTRA = {"torch", "tensorboard", "captum"}  # packages that only the extra `train` installs


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="at-train")
def cli() -> None:
    """Train networks that learn a task without what another network knows, and compare them.

    Datasets come from `at-prepare`. Begin with `at-train list`.
    """


for command in (
    training.fit,
    training.study,
    looking.score,
    looking.report,
    looking.explain,
    looking.cost,
    looking.list_,
):
    cli.add_command(command)


def main() -> None:
    """Run `at-train`; what a user can mend ends in one paragraph and exit 2, an interrupt in KeyboardInterrupt."""
    try:
        endings.run("at-train", cli)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAIN_EXTRA:
            raise
        endings.refuse(
            "at-train", f"{error.name} is not installed; training needs it: pip install 'anti-transfer[train]'"
        )
