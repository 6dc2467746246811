"""The runs behind `first_look.md`, on spoken digits of unseen speakers.

    python docs/results/first_look.py arabic --source ../shared/data/arabic-speech-commands-dataset --out runs/arabic
    python docs/results/first_look.py fsdd --source ../shared/data/free-spoken-digit-dataset --out runs/fsdd

Every seed draws its own partition of the speakers, trains a network to know the training speakers, then networks that
recognise digits: plain, initialised from the speaker network, and kept unlike it at one layer. Each is trained twice:
stopped early, and for a fixed number of epochs. Killed, it carries on where it was; at the end it writes the report.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from at_data import manifest

SCHEDULES = {
    "early": ["--patience", "5", "--selection", "best"],
    "fixed": ["--patience", "none", "--selection", "last"],
}


@dataclass(frozen=True)
class Study:
    """What is run on one corpus."""

    speaker: str
    digit: str
    seeds: int
    layers: tuple[str, ...]
    width: str
    fixed_epochs: int


STUDIES = {
    "arabic": Study("arabic_speaker", "arabic_digit_by_speaker", 5, ("conv3", "conv7", "conv13"), "0.125", 12),
    "fsdd": Study("fsdd_speaker", "fsdd_digit_by_speaker", 3, ("conv7",), "0.0625", 8),
}


def main() -> None:
    """Build, train, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--source", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--out", type=Path, required=True, help="folder for datasets, runs and the report")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    arguments = parser.parse_args()
    study = STUDIES[arguments.study]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda seed: one_seed(study, arguments.source, arguments.out, seed), range(1, study.seeds + 1)))
    runs = sorted(str(path) for path in arguments.out.glob("runs/*/*") if not path.name.startswith("speaker"))
    call("at-train", "report", *runs, "--out", str(arguments.out / "report"))


def one_seed(study: Study, source: Path, out: Path, seed: int) -> None:
    """Both datasets of one partition, the speaker network, and every digit network of every schedule."""
    speaker = dataset(study.speaker, source, out, seed)
    digit = dataset(study.digit, source, out, seed)
    runs = out / "runs" / f"seed{seed}"
    fit(speaker, runs / "speaker", study, seed, "early")
    other = ["--orthogonal", str(runs / "speaker")]
    for schedule in SCHEDULES:
        fit(digit, runs / f"none-{schedule}", study, seed, schedule)
        fit(digit, runs / f"init-{schedule}", study, seed, schedule, "--strategy", "init", *other)
        for layer in study.layers:
            anti = ["--strategy", "anti", *other, "--layer", layer]
            fit(digit, runs / f"anti-{layer}-{schedule}", study, seed, schedule, *anti)


def dataset(name: str, source: Path, out: Path, seed: int) -> str:
    """Folder of the dataset a shipped manifest makes with this seed."""
    raw = yaml.safe_load(manifest.shipped()[name].read_text(encoding="utf-8")) | {"seed": seed}
    path = out / "manifests" / f"{name}-seed{seed}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    call("at-prepare", "build", str(path), "--source", str(source), "--out", str(out / "datasets"), "--workers", "1")
    return str(out / "datasets" / manifest.load(path).folder)


def fit(dataset: str, run: Path, study: Study, seed: int, schedule: str, *strategy: str) -> None:
    """One run, unless it is finished."""
    epochs = ["--epochs", "50" if schedule == "early" else str(study.fixed_epochs)]
    setting = ["--width", study.width, "--seed", str(seed), *epochs, *SCHEDULES[schedule], *strategy]
    call("at-train", "fit", dataset, "--out", str(run), *setting)


def call(*command: str) -> None:
    """Run a command of the project with one thread; its last words are shown."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    tool = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([tool, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    print(done.stdout, flush=True)


if __name__ == "__main__":
    main()
