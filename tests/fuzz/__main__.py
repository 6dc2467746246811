"""The long campaign, from a shell in `tests`: `python -m fuzz --seed 7 --count 100000 [NAME ...]`."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from fuzz import runner
from fuzz.kinds import campaign, names


def main() -> int:
    """Zero where nothing was found; what was found is told with the number that makes it again."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="campaigns; all of them without any")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="cases in all; as in the test suite without it")
    parser.add_argument("--only", type=int, help="one case, whose input is kept")
    given = parser.parse_args()
    campaigns = [campaign(name) for name in names() if not given.names or name.startswith(tuple(given.names))]
    share = given.count / sum(one.cases for one in campaigns) if given.count else 1.0
    found, cases = 0, 0
    for one in campaigns:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        numbers = range(round(one.cases * share)) if given.only is None else [given.only]
        tally = runner.run(one, given.seed, numbers, folder)
        sys.stdout.write(
            f"{tally}\n" + "".join(f"  {line}\n" for line in dict.fromkeys([*tally.findings[:40], *tally.lost[:40]]))
        )
        sys.stdout.flush()
        found, cases = found + len(tally.findings), cases + tally.cases
        if given.only is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            sys.stdout.write(f"  the input lies in {folder}/case\n")
    sys.stdout.write(f"{cases} cases, {found} findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
