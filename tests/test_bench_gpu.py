"""The script that measures a GPU runs from a checkout, and says what it measured with what."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


# without sound libraries: the machine with the GPU has none
ABSENT = "import sys; sys.modules.update(dict.fromkeys(['soundfile', 'soxr', 'librosa']))"
START = "sys.argv[0] = 'bench/gpu.py'; sys.path.insert(0, 'bench'); import runpy"


def bench(*words, first=""):
    script = f"{ABSENT}; {START}\n{first}\nrunpy.run_path('bench/gpu.py', run_name='__main__')"
    command = [sys.executable, "-c", script, "--device", "cpu", "--quick", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_the_table_has_every_part_and_says_card_date_version_and_command(tmp_path):
    done = bench("--work", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("# CPU, 20")
    assert "torch" in lines[0]
    assert lines[1].startswith("# python bench/gpu.py --device cpu --quick")
    assert {line.split("|")[1].strip() for line in lines if line.startswith("| ")} == {"part", *"nabcdefp"}
    assert list(tmp_path.iterdir()) == []
    numbers = [line.split("|")[3].strip() for line in lines if line.startswith("| n")]
    assert numbers == ["0", "0", "0", "0", "0", "equal"]  # on a CPU nothing is captured, and kept vectors are the same


@pytest.mark.slow
def test_a_part_that_fails_is_named_and_the_others_are_measured():
    done = bench("--parts", "bn", first="import gpu_steps; gpu_steps.as_torch_comes = None")
    assert done.returncode == 1
    assert "| b | failed | TypeError, see stderr | |" in done.stdout
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "parts that failed: b"
    assert "| n | anti-transfer losses from kept vectors" in done.stdout


def test_what_a_run_says_is_a_comment_of_the_table():
    done = bench("--parts", "", first="import gpu_runs; gpu_runs.Stamps().say('steps are not captured')")
    assert done.returncode == 0, done.stderr
    assert "# steps are not captured" in done.stdout.splitlines()
