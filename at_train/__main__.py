"""`at-train`, however it is called: an interrupt ends it in one line, even while it is still starting."""

import sys


def main() -> None:
    """Run `at-train`; an interrupt ends in exit 130, and only what trains has something to carry on."""
    try:
        from at_data import endings  # noqa: PLC0415 - importing takes long enough to be interrupted

        endings.refuse_windows("at-train")
        from at_train.cli import main as run  # noqa: PLC0415 - the same, and on Windows it cannot be imported

        run()
    except KeyboardInterrupt:
        trains = sys.argv[1:2] in (["fit"], ["study"])
        hint = "; the same command carries on after the last whole epoch" if trains else ""
        sys.stderr.write(f"at-train: interrupted{hint}\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
