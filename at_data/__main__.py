"""`at-prepare`, however it is called: an interrupt ends it in one line, even while it is still starting."""

import sys


def main() -> None:
    """Run `at-prepare`."""
    try:
        from at_data import endings  # noqa: PLC0415 - importing takes long enough to be interrupted

        endings.refuse_windows("at-prepare")
        from at_data.cli import main as run  # noqa: PLC0415 - the same, and on Windows it cannot be imported

        run()
    except KeyboardInterrupt:
        sys.stderr.write("at-prepare: interrupted; the same command carries on where this one stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
