"""`at-train`: task datasets in, networks that ignore what another network knows out."""

import errno
import sys

import click

from at_data import __version__
from at_data.errors import AtError
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


def _in_printing(error: OSError) -> bool:
    """Whether it was click that could not write: what it was given to print."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "click.utils"


def main() -> None:
    """Run `at-train`; what a user can mend ends in one paragraph and exit 2, an interrupt in KeyboardInterrupt."""
    try:
        code = cli.main(standalone_mode=False)
    except AtError as error:
        click.echo(f"at-train: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in TRAIN_EXTRA:
            raise
        click.echo(
            f"at-train: {error.name} is not installed; training needs it: pip install 'anti-transfer[train]'", err=True
        )
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENOSPC or not _in_printing(error):
            raise
        click.echo(
            "at-train: standard output: no space left on device; expected room for what is printed; "
            "free some there: what was asked for is done, and the same command tells of it again",
            err=True,
        )
        sys.exit(2)
    except click.Abort as error:  # click's word for an interrupt; `at_train.__main__` answers it
        raise KeyboardInterrupt from error
    sys.exit(code if isinstance(code, int) else 0)
