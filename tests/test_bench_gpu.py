"""The script that measures a GPU runs from a checkout, and says what it measured with what."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_table_has_every_part_and_says_card_date_version_and_command(tmp_path):
    # without sound libraries: the machine with the GPU has none
    absent = "import sys; sys.modules.update(dict.fromkeys(['soundfile', 'soxr', 'librosa']))"
    words = f"--device cpu --quick --work {tmp_path}"
    start = "sys.argv[0] = 'bench/gpu.py'; sys.path.insert(0, 'bench'); import runpy"
    script = f"{absent}; {start}; runpy.run_path('bench/gpu.py', run_name='__main__')"
    command = [sys.executable, "-c", script, *words.split()]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("# CPU, 20")
    assert "torch" in lines[0]
    assert lines[1].startswith("# python bench/gpu.py --device cpu --quick")
    assert {line.split("|")[1].strip() for line in lines if line.startswith("| ")} == {"part", *"abcdef"}
    assert list(tmp_path.iterdir()) == []
