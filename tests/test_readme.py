"""What README says can be typed, can."""

import os
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
import torch
import yaml
from torch import nn

from at_data import cli as prepare
from at_data import corpora, manifest
from at_train import cli as train
from at_train import study

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("at-")]


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    tool, name, *arguments = shlex.split(line)
    group = {"at-prepare": prepare.cli, "at-train": train.cli}[tool]
    command = group.get_command(click.Context(group), name)
    assert command is not None, name
    command.make_context(name, arguments)  # raises on unknown options, missing values and the like


def test_the_recipe_for_slurm_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "8")
    (text,) = blocks("bash")
    _, line = text.partition("at-train study ")[1:]
    arguments = shlex.split(os.path.expandvars(line.replace("\\\n", " ")))
    context = train.cli.commands["study"].make_context("study", arguments)
    assert (context.params["rank"], context.params["world"]) == (3, 8)
    assert context.params["study"] in study.shipped()


def test_the_road_to_a_dataset_is_as_shown(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "corpora"):
        recordings = folder / "free-spoken-digit-dataset" / "recordings"
        recordings.mkdir(parents=True)
        for number, path in enumerate(sorted(digits.glob("*/*.wav"))):
            shutil.copy(path, recordings / f"{number % 10}_speaker{number // 10 % 6}_{number // 60}.wav")
    for line in commands():
        tool, *arguments = shlex.split(line)
        if tool == "at-prepare" and arguments[0] != "fetch":  # no test reaches into the world
            monkeypatch.setattr("sys.argv", [tool, *arguments])
            with pytest.raises(SystemExit) as stopped:
                prepare.main()
            assert stopped.value.code == 0, (line, capsys.readouterr().err)
    assert (tmp_path / "items.png").is_file()


def test_the_manifest_shown_is_the_one_shipped() -> None:
    (text,) = blocks("yaml")
    shown = manifest.parse(yaml.safe_load(text), "README")
    assert shown == manifest.load("fsdd_digit_by_speaker")


def test_dataset_folders_are_called_as_shown() -> None:
    for name, digest in re.findall(r"datasets/(\w+)-([0-9a-f]{8})", README):
        assert manifest.load(name).folder == f"{name}-{digest}"


def test_every_corpus_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == set(corpora.names())


def test_the_own_corpus_shown_is_read_as_shown(tmp_path: Path) -> None:
    (text,) = blocks("csv")
    (tmp_path / "recordings.csv").write_text(text)
    found = list(corpora.load("table").recordings(tmp_path))
    assert [(r.path, r.start_s, r.length_s, r.attributes["speaker"]) for r in found] == [
        ("monday/a.wav", 0.5, 1.2, "anna"),
        ("monday/a.wav", 2.0, 1.1, "anna"),
        ("tuesday/b.flac", None, None, "boris"),
    ]


class Net(nn.Module):
    """Eleven convolutions and a head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.features = nn.Sequential(*(nn.Conv2d(4 if n else 1, 4, 3, padding=1) for n in range(11)))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


def test_the_loop_shown_trains() -> None:
    model, frozen = Net(1), Net(2)
    before = [weight.clone() for weight in model.parameters()]
    (text,) = blocks("python")
    loader = [(torch.randn(2, 1, 8, 8), torch.tensor([0, 2]))] * 3
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    exec(text, {"model": model, "frozen": frozen, "loader": loader, "optimiser": optimiser})  # noqa: S102 - README's own
    assert all((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
