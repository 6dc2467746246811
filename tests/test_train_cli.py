"""`at-train` as a user meets it: exit codes, messages, help, a run from end to end."""

import json
import re
import shutil
import signal
import subprocess
import sys
from typing import Annotated, get_args

import click
import pytest
import toy
from click.testing import CliRunner
from pydantic import TypeAdapter

import at_data
import at_train
from at_train import cli
from at_train.cli.options import given
from at_train.config import Settings

pytestmark = pytest.mark.usefixtures("own_server")
QUICK = ["--width", str(toy.WIDTH), "--epochs", "2", "--patience", "none", "--device", "cpu"]
START = "import sys; from at_train.__main__ import main; sys.argv = ['at-train', *sys.argv[1:]]; main()"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "words")


@pytest.fixture(scope="module")
def plain(tmp_path_factory, words):
    out = tmp_path_factory.mktemp("runs") / "plain"
    call("fit", words, "--out", out, *QUICK)
    return out


@pytest.fixture
def main(monkeypatch, capsys):
    """Exit code, stdout and stderr of `at-train` with these words."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["at-train", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def call(*words):
    return CliRunner().invoke(cli.cli, [*map(str, words)], catch_exceptions=False)


def test_fit_says_what_came_of_it_and_logs_a_line_per_epoch(words, tmp_path, main):
    code, out, err = main("fit", words, "--out", tmp_path / "r", *QUICK)
    assert code == 0
    assert "2 epochs (stopped by epochs), best epoch" in out
    assert [line.split(":")[0].strip() for line in out.splitlines()[1:]] == ["test", "train", "valid"]
    lines = err.splitlines()
    assert [line[:12] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert "valid task loss" in lines[0]


def test_a_nuisance_loss_of_no_item_is_shown_as_none(tmp_path, main):
    folder = toy.dataset(tmp_path / "d", speakers={"train": toy.SPEAKERS[:3], "valid": toy.SPEAKERS[3:]})
    dann = ("--strategy", "dann", "--nuisance", "speaker", "--layer", "conv2")
    code, _, err = main("fit", folder, "--out", tmp_path / "r", *QUICK, *dann)
    assert code == 0
    assert re.search(r"train task loss \d\.\d+, nuisance loss \d\.\d+, accuracy", err)
    assert re.search(r"valid task loss \d\.\d+, nuisance loss -, accuracy", err)


def test_flags_reach_the_settings_and_override_the_file(words, speaker_run, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("strategy: anti\nlayers: [conv2, conv5]\nseed: 3\nepochs: 9\n")
    given = ["--config", file, "--orthogonal", speaker_run, "--beta", "-2", "--seed", "4", "--batch-size", "6"]
    assert call("fit", words, "--out", tmp_path / "r", *given, *QUICK).exit_code == 0
    settings = json.loads((tmp_path / "r" / "run.json").read_text())["settings"]
    picked = {
        name: settings[name] for name in ("strategy", "layers", "seed", "epochs", "beta", "batch_size", "patience")
    }
    assert picked == {
        "strategy": "anti",
        "layers": ["conv2", "conv5"],
        "seed": 4,
        "epochs": 2,
        "beta": -2.0,
        "batch_size": 6,
        "patience": None,
    }


@pytest.fixture(scope="module")
def speaker_run(tmp_path_factory):
    data = toy.dataset(tmp_path_factory.mktemp("data") / "speakers", target="speaker")
    out = tmp_path_factory.mktemp("runs") / "speaker"
    call("fit", data, "--out", out, *QUICK)
    return out


def test_dann_is_trained_by_its_flags_and_names_its_loss(words, tmp_path, main):
    dann = ["--strategy", "dann", "--nuisance", "speaker", "--layer", "conv5", "--beta", "0.5"]
    code, _, err = main("fit", words, "--out", tmp_path / "r", *dann, *QUICK)
    assert code == 0
    assert all("nuisance loss" in line and "at loss" not in line for line in err.splitlines())


def test_what_the_frozen_network_says_is_kept_by_a_flag(words, speaker_run, tmp_path, main):
    anti = ["--strategy", "anti", "--orthogonal", speaker_run, "--layer", "conv5", "--input-scaling", "own"]
    code, _, err = main("fit", words, "--out", tmp_path / "r", *anti, "--cache-orthogonal", *QUICK)
    assert code == 0
    assert err.startswith("keeping what the orthogonal network says of every item")


def test_a_run_that_diverges_ends_in_exit_1_and_says_so_again(words, tmp_path, main):
    for epochs in range(2):
        code, out, err = main("fit", words, "--out", tmp_path / "r", *QUICK, "--learning-rate", "1e30")
        assert (code, out) == (1, "")
        assert "diverged in epoch 1 (epoch 1, training, step 2: task loss" in err
        assert "lower learning_rate" in err
        assert len(err.splitlines()) == 1, epochs


def test_fit_on_a_finished_run_says_so(words, plain, main):
    code, _, err = main("fit", words, "--out", plain, *QUICK)
    assert code == 0
    assert "already finished" in err


@pytest.mark.parametrize(
    ("words_after", "message"),
    [
        (["--strategy", "anti"], "strategy 'anti' needs 1"),
        (["--epochs", "0"], "epochs: got 0, which has no best epoch and needs selection last"),
        (["--cache-orthogonal"], "--cache-orthogonal: strategy 'none'"),
        (["--patience", "some"], "--patience: got 'some'; expected a whole number, or none"),
        (["--shuffle-run", "4", "--shuffle-buffer", "many"], "--shuffle-buffer: got 'many'"),
        (
            ["--beta", "2"],
            "beta: got 2.0, which strategy 'none' does not look at; expected strategy anti or dual or dann",
        ),
        (["--similarity", "sigmoid_mse"], "similarity: got sigmoid_mse, which strategy 'none' does not look at"),
        (["--target", "emotion"], "no attribute 'emotion'"),
        (["--network", "vgg61"], "did you mean 'vgg16'"),
        (["--config", "absent.yaml"], "absent.yaml: cannot be read"),
    ],
)
def test_what_a_user_can_mend_ends_in_one_paragraph_and_exit_2(words, tmp_path, main, words_after, message):
    code, out, err = main("fit", words, "--out", tmp_path / "r", *QUICK, *words_after)
    assert (code, out) == (2, "")
    assert err.startswith("at-train: ")
    assert len(err.splitlines()) == 1
    assert message in err
    assert not (tmp_path / "r").exists()


def test_a_folder_that_is_no_dataset_is_told(tmp_path, main):
    code, _, err = main("fit", tmp_path, "--out", tmp_path / "r", *QUICK)
    assert code == 2
    assert "no dataset.json" in err


def test_an_unknown_flag_exits_2_with_usage(main):
    code, _, err = main("fit", "--speed", "9")
    assert code == 2
    assert "--speed" in err


def test_a_bug_keeps_its_traceback(monkeypatch, main):
    monkeypatch.setattr(cli.training.config, "load", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main("fit", "d", "--out", "r")


def test_an_interrupt_exits_130_and_the_same_command_carries_on(words, tmp_path):
    command = [sys.executable, "-c", START, "fit", str(words), "--out", str(tmp_path / "r"), *QUICK, "--epochs", "2000"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert started.stderr.readline().startswith("epoch 1")
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "interrupted; the same command carries on" in err.splitlines()[-1]
    lines = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert "carrying on after epoch" in lines.stderr.readline()
    lines.kill()
    lines.communicate()


@pytest.mark.parametrize("command", ["score", "report"])
def test_an_interrupt_promises_to_carry_on_only_where_there_is_something_to_carry_on(command):
    interrupt = "from at_train import cli; from unittest import mock; "
    interrupt += f"cli.cli.commands[{command!r}].callback = mock.Mock(side_effect=KeyboardInterrupt); "
    words = [sys.executable, "-c", interrupt + START, command, "r", *(["--out", "o"] if command == "report" else [])]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.split()) == (130, ["at-train:", "interrupted"])


def test_score_prints_groups_and_worst(plain, main):
    code, out, _ = main("score", plain, "--device", "cpu")
    assert code == 0
    assert "test: accuracy" in out
    assert out.count("<- worst") == 1
    assert all(f"{speaker}: " in out for speaker in toy.SPEAKERS)


def test_score_prints_json_for_machines(plain, main):
    code, out, _ = main("score", plain, "--split", "valid", "--json", "--device", "cpu")
    assert code == 0
    assert json.loads(out) == json.loads((plain / "scores" / "valid.json").read_text())


def test_report_prints_the_comparison_and_where_the_page_is(plain, tmp_path, main):
    code, out, _ = main("report", plain, "--out", tmp_path / "report")
    assert code == 0
    assert "words: word" in out
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'report' / 'index.html'}"
    assert (tmp_path / "report" / "index.html").is_file()


def test_a_report_that_cannot_be_written_exits_2(plain, tmp_path, main):
    (tmp_path / "file").write_text("in the way")
    code, _, err = main("report", plain, "--out", tmp_path / "file" / "report")
    assert code == 2
    assert "cannot be used (Not a directory)" in err
    assert err.rstrip().endswith("choose another --out")


def test_report_of_something_else_exits_2(tmp_path, main):
    code, _, err = main("report", tmp_path, "--out", tmp_path / "report")
    assert code == 2
    assert "neither run.json nor runs in it; expected the folder of a run, or of a study" in err
    assert "no such folder" in main("report", tmp_path / "none", "--out", tmp_path / "report")[2]


def test_score_of_items_that_were_trained_on_warns_and_so_does_one_that_nobody_knows_of(plain, tmp_path, main):
    run = tmp_path / "r"
    shutil.copytree(plain, run)
    other = toy.dataset(tmp_path / "other", scaling=(0.5, 1.0))  # the same ids
    asked = ("score", run, "--dataset", other, "--split", "train", "--device", "cpu")
    said = "the network, or one that it used, was trained on 24 of these 24 items: they test nothing"
    assert said in main(*asked)[2]
    assert "warning" not in main("score", run, "--dataset", other, "--device", "cpu")[2]
    (run / "train_ids.txt").unlink()
    assert "no longer tells what it was trained on" in main(*asked)[2]


def test_score_of_something_else_exits_2(tmp_path, main):
    code, _, err = main("score", tmp_path)
    assert code == 2
    assert "no run.json" in err


def test_list_names_layers_and_every_table(main):
    code, out, _ = main("list", "--json")
    assert code == 0
    known = json.loads(out)
    assert known["networks"]["vgg16"] == [f"conv{number}" for number in range(1, 14)]
    assert set(known["aggregations"]) >= {"gram", "mean", "sum", "max", "compressed_product", "none"}
    assert set(known["similarities"]) >= {"squared_cosine", "sigmoid_mse"}
    assert list(known["strategies"]) == ["none", "init", "freeze", "anti", "dual", "dann"]
    _, text, _ = main("list")
    assert all(name in text for table in known.values() for name in table)


def test_every_setting_is_a_flag_that_shows_its_default():
    options = {option.name: option for option in cli.training.fit.params if isinstance(option, click.Option)}
    text = call("fit", "--help").output
    for name, field in Settings.model_fields.items():
        assert options[name].help == field.description
        assert options[name].opts[0] in text
    assert "[default: 0.0005]" in " ".join(text.split())


WORDS = {"patience": ["7", "none"], "shuffle_buffer": ["20", "none"]}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_takes_as_a_flag_what_it_takes_in_a_file(name):
    field = Settings.model_fields[name]
    default = field.default if field.default not in (None, ()) else "conv1"
    words = [*get_args(field.annotation)] if isinstance(default, str) else [default]
    words = WORDS.get(name) or [word for word in words if isinstance(word, str | int | float)] or [default]
    kind = TypeAdapter(Annotated[field.annotation, None, *field.metadata])
    flag = next(option for option in cli.training.fit.params if option.name == name).opts[0]
    for word in words:
        context = cli.training.fit.make_context("fit", ["data", "--out", "run", flag, str(word)])
        value = given(context)[name]
        assert kind.validate_python(value, strict=True) == value
        assert str(value) == str(word) or value in (None, (word,))


@pytest.mark.parametrize("command", ["fit", "score", "report", "list"])
def test_every_command_has_an_example(command):
    text = call(command, "--help").output
    examples = text.split("Example", 1)[1].splitlines()
    assert any(line.split(": ")[-1].strip().startswith(f"at-train {command}") for line in examples)


def test_help_needs_no_torch():
    script = f"import sys; sys.modules['torch'] = None; {START}"
    shown = subprocess.run([sys.executable, "-c", script, "fit", "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_a_missing_torch_names_the_extra_to_install(words, tmp_path):
    script = f"import sys; sys.modules['torch'] = None; {START}"
    command = [sys.executable, "-c", script, "fit", str(words), "--out", str(tmp_path / "r")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "pip install 'anti-transfer[train]'" in said.stderr
    assert "Traceback" not in said.stderr


def test_the_penalty_is_a_public_name_that_waits_for_torch():
    script = "import sys, at_train; assert 'torch' not in sys.modules; print(at_train.AntiTransfer)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "at_train.losses.AntiTransfer" in shown.stdout
    assert at_train.__version__ == at_data.__version__
    with pytest.raises(AttributeError, match="no attribute 'AntiTransfers'"):
        at_train.AntiTransfers  # noqa: B018 - asking is the test


def test_version():
    assert call("--version").output.startswith("at-train, version ")


STUDY = """
name: small
datasets: {words: DATASET}
settings: {width: 0.0625, epochs: 1, patience: null, selection: last}
seeds: [1, 2]
runs:
  - {name: none, strategy: none, dataset: words}
baseline: none
"""


def test_a_study_is_planned_trained_and_reported_by_its_folder(words, main, tmp_path):
    (tmp_path / "small.yaml").write_text(STUDY.replace("DATASET", words.name))
    asked = ("study", tmp_path / "small.yaml", "--datasets", words.parent, "--out", tmp_path / "out")
    code, out, _ = main(*asked, "--dry-run")
    assert (code, "2 runs, 2 missing" in out) == (0, True)
    assert "2 runs of a kind that nobody has timed here" in out
    code, out, _ = main(*asked, "--dry-run", "--time", "--json")
    told = json.loads(out)
    assert (code, told["runs_of_unknown_length"], told["seconds_left"] > 0) == (0, 0, True)
    code, _, err = main(*asked, "--time")
    assert (code, "--time goes with --dry-run" in err) == (2, True)
    assert not (tmp_path / "out").exists()
    code, out, _ = main(*asked)
    assert (code, "2 done, 0 failed, 0 blocked" in out) == (0, True)
    code, out, _ = main(*asked, "--dry-run", "--json")
    assert (code, set(json.loads(out)["runs"].values())) == (0, {"done"})
    assert main("report", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "report" / "index.html").is_file()


def test_a_dry_run_counts_on_as_many_jobs_as_devices(words, main, tmp_path):
    (tmp_path / "small.yaml").write_text(STUDY.replace("DATASET", words.name))
    asked = ("study", tmp_path / "small.yaml", "--datasets", words.parent, "--out", tmp_path / "out")
    assert main(*asked)[0] == 0
    (tmp_path / "small.yaml").write_text(STUDY.replace("DATASET", words.name).replace("[1, 2]", "[1, 2, 3, 4]"))
    left = {
        how: json.loads(main(*asked, "--dry-run", "--json", *how)[1])["seconds_left"]
        for how in [(), ("--devices", "0,1"), ("--devices", "0,1", "--jobs", 1), ("--jobs", 2)]
    }
    one, two_devices, one_job, two_jobs = left.values()
    assert one > 0
    assert (two_devices, one_job, two_jobs) == pytest.approx((one / 2, one, one / 2))


def test_a_study_whose_runs_fail_exits_one_and_says_which(words, main, tmp_path):
    broken = STUDY.replace("DATASET", words.name).replace("epochs: 1", "epochs: 1, learning_rate: 1.0e+30")
    (tmp_path / "small.yaml").write_text(broken)
    code, out, _ = main("study", tmp_path / "small.yaml", "--datasets", words.parent, "--out", tmp_path / "out")
    assert code == 1
    assert out.count("failed: ") == 2
    assert "0 done, 2 failed, 0 blocked" in out
    assert "mend that, then give the same command with --retry-failed" in out.splitlines()[2]


def test_cost_tells_every_strategy_beside_plain_training(main):
    code, out, _ = main(
        "cost", "--width", 0.03125, "--batch-size", 2, "--steps", 1, "--layer", "conv2", "--device", "cpu", "--json"
    )
    assert code == 0
    assert {"none", "init", "freeze", "anti", "dual", "dann"} <= {row["strategy"] for row in json.loads(out)}


def test_explain_draws_the_networks_side_by_side(words, main, tmp_path):
    for name, extra in (("a", ()), ("b", ("--seed", 2))):
        assert main("fit", words, "--out", tmp_path / name, *QUICK, *extra)[0] == 0
    assert main("explain", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "maps")[0] == 0
    assert list((tmp_path / "maps").glob("*.png"))
