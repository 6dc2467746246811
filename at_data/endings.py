"""How the commands end: in one paragraph and with exit 2 where a user can mend what went wrong."""

import atexit
import errno
import gc
import sys
from importlib.util import find_spec
from typing import NoReturn

import click

from at_data.errors import AtError


def run(name: str, command: click.Command) -> None:
    """Run a command of that name and exit; an interrupt is a KeyboardInterrupt, which who called it answers.

    The process is the command's own: what cycles of objects hold at its end, an open file too, is not closed by Python.
    """
    atexit.register(gc.freeze)  # or Python searches all that lives before it leaves: half a second, with torch
    try:
        code = command.main(standalone_mode=False)
    except AtError as error:
        refuse(name, str(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.ENOSPC or not _in_printing(error):
            raise
        refuse(
            name,
            "standard output: no space left on device; expected room for what is printed; "
            "free some there: what was asked for is done, and the same command tells of it again",
        )
    except click.Abort:  # click's word for an interrupt
        raise KeyboardInterrupt from None
    sys.exit(code if isinstance(code, int) else 0)


def refuse_windows(name: str) -> None:
    """Nothing, or say that a command of that name cannot run here, and exit."""
    if find_spec("fcntl") is None:
        refuse(name, "this system has no POSIX file locks; expected Linux or macOS; on Windows, install it under WSL")


def refuse(name: str, why: str) -> NoReturn:
    """Say why a command cannot do what it was asked for, and exit."""
    click.echo(f"{name}: {why}", err=True)
    sys.exit(2)


def _in_printing(error: OSError) -> bool:
    """Whether it was click that could not write: what it was given to print."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "click.utils"
