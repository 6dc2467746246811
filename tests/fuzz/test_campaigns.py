"""Twenty thousand inputs that strangers could have made; `make fuzz` makes more of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fuzz import kinds, runner

SEED = 1


@pytest.mark.slow
@pytest.mark.parametrize("name", kinds.names())
def test_every_input_is_taken_or_refused_in_words(name, tmp_path):
    campaign = kinds.campaign(name)
    tally = runner.run(campaign, SEED, range(campaign.cases), tmp_path / "work")
    assert tally.findings == []
    assert tally.cases == campaign.cases
    # `align` leaves out what it cannot use and says so in its result
    assert tally.refused > campaign.cases // 50 or name == "labels/transcripts", "these inputs are not hostile"
    # where the child was lost, the project too reads such input in a child of its own
    assert campaign.crashes or not tally.lost


def test_the_suite_tries_twenty_thousand_inputs():
    assert sum(kinds.campaign(name).cases for name in kinds.names()) >= 20_000


@pytest.mark.skipif(shutil.which("make") is None, reason="install make")
@pytest.mark.parametrize(("given", "said"), [((), []), (("COUNT=7",), ["--count", "7"])])
def test_make_fuzz_tries_as_many_as_the_suite_if_not_told_how_many(given, said):
    command = ["make", "--dry-run", "fuzz", *given]
    printed = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, text=True, capture_output=True).stdout
    (line,) = (line for line in printed.splitlines() if "-m fuzz " in line)  # a make within a make says more
    assert line.partition("-m fuzz ")[2].split() == ["--seed", "1", *said]


def test_a_case_is_the_same_by_itself(tmp_path):
    campaign = kinds.campaign("labels/table_csv")
    several = runner.run(campaign, SEED, range(6), tmp_path / "several")
    case = tmp_path / "several" / "case" / "recordings.csv"
    last = case.read_bytes()
    alone = runner.run(campaign, SEED, [5], tmp_path / "alone")
    assert (tmp_path / "alone" / "case" / "recordings.csv").read_bytes() == last
    assert (several.cases, alone.cases) == (6, 1)
