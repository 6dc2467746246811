"""`at-train`, however it is called: an interrupt ends it in one line, even while it is still starting."""

import sys


def main() -> None:
    """Run `at-train`."""
    try:
        from at_train.cli import main as run  # noqa: PLC0415 - importing takes long enough to be interrupted

        run()
    except KeyboardInterrupt:
        sys.stderr.write("at-train: interrupted; the same command carries on after the last whole epoch\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
