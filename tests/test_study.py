"""Studies: what a file may say, which runs it asks for, and that each is trained once, whatever happens."""

import errno
import json
import multiprocessing.forkserver
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
import toy
import yaml
from foreign import foreign
from toy_runs import same, weights

from at_data import manifest
from at_data.errors import AtError, CheckpointError, ConfigError
from at_train import networks, results, study
from at_train.batches import Data
from at_train.study import locks, runner, schema, timings
from at_train.study.grid import points_of
from at_train.study.runner import Silent

pytestmark = pytest.mark.usefixtures("own_server")
SETTINGS = {"width": toy.WIDTH, "epochs": 2, "batch_size": 12, "patience": None, "learning_rate": 1e-3}
STUDY = {
    "name": "toys",
    "datasets": {"words": "words", "voices": "speakers"},
    "settings": SETTINGS,
    "seeds": [0, 1],
    "orthogonal": {"voice": {"dataset": "voices", "seeds": "shared"}},
    "runs": [
        {"name": "plain", "dataset": "words", "strategy": "none"},
        {
            "name": "anti",
            "dataset": "words",
            "strategy": "anti",
            "orthogonal": "voice",
            "layers": {"each": ["conv3", "conv5"]},
        },
    ],
    "baseline": "plain",
    "select": {"rule": "best_validation_accuracy", "over": "layers", "entries": ["anti"]},
}
SMALL = {**STUDY, "seeds": [0], "runs": [STUDY["runs"][0], {**STUDY["runs"][1], "layers": "conv3"}], "select": None}
RUNNER = """
import sys
from pathlib import Path
from at_train import study

class Loud(study.Silent):
    def say(self, text):
        print(text, flush=True)

made = study.plan(study.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print("planned", flush=True)
outcome = study.run(made, devices=["cpu"], progress=Loud(), **eval(sys.argv[4]))
print("complete" if outcome.complete else outcome, flush=True)
"""

INTERRUPTED = """
import signal, sys
from multiprocessing import reduction
from pathlib import Path
from at_train import study

send = reduction.sendfds
def interrupted(*told):
    signal.raise_signal(signal.SIGINT)
    send(*told)
def begun(*told):
    reduction.sendfds = interrupted
    send(*told)

reduction.sendfds = begun
made = study.plan(study.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
try:
    study.run(made, devices=["cpu"])
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    toy.dataset(folder / "words", takes={"train": 1, "valid": 1, "test": 1}, digest="a" * 64)
    toy.dataset(folder / "speakers", takes={"train": 1, "valid": 1, "test": 1}, target="speaker", digest="b" * 64)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """Folder of runs, and the plan they were trained by."""
    out = tmp_path_factory.mktemp("finished")
    made = study.plan(parse(STUDY), data, out)
    said = Said()
    outcome = study.run(made, jobs=2, devices=["cpu"], progress=said)
    assert outcome.complete, outcome
    return out, made, said


class Said(Silent):
    def __init__(self):
        self.texts, self.counts = [], []

    def say(self, text):
        self.texts.append(text)

    def update(self, done, total):
        self.counts.append((done, total))


def parse(raw, **changes):
    return schema.parse(json.dumps({**raw, **changes}), "toys.yaml")


def start(file, data, out, arguments="{}"):
    command = [sys.executable, "-c", RUNNER, str(file), str(data), str(out), arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def saved(folder, raw):
    path = folder / f"{raw['name']}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def trained(out):
    """How many times each run was begun, by name."""
    files = [path for role in ("runs", "orthogonal") for path in sorted((out / role).glob("*/environment.json"))]
    return {path.parent.name: len(json.loads(path.read_text())) for path in files}


# what a file may say


def test_a_grid_has_a_run_for_every_point_and_seed():
    several = points_of(parse(STUDY))
    assert [len(several[name]) for name in ("plain", "anti")] == [2, 4]
    first = several["anti"][0]
    assert (first.cell, first.raw["layers"], first.raw["seed"]) == ({"layers": ["conv3"]}, ["conv3"], 0)


def test_an_entry_may_have_seeds_of_its_own():
    several = points_of(parse(STUDY, runs=[{**STUDY["runs"][0], "seeds": [3, 4, 5]}, STUDY["runs"][1]]))
    assert [point.raw["seed"] for point in several["plain"]] == [3, 4, 5]
    assert [point.raw["seed"] for point in several["anti"]] == [0, 1, 0, 1]


def test_a_shared_orthogonal_network_has_one_seed_and_others_one_each():
    for seeds, expected in (("shared", [0, 0]), ("each", [0, 1])):
        raw = {**STUDY, "orthogonal": {"voice": {"dataset": "voices", "seeds": seeds}}}
        several = points_of(parse(raw))["anti"][:2]
        assert [point.others[0].raw["seed"] for point in several] == expected


def test_all_layers_can_be_asked_for():
    anti = {**STUDY["runs"][1], "layers": {"each": "all"}}
    assert len(points_of(parse(STUDY, runs=[anti], baseline=None))["anti"]) == 13 * 2


def test_a_network_can_be_trained_for_the_layer_of_the_run_that_starts_from_it(data, tmp_path):
    first = {"dataset": "same", "strategy": "anti", "orthogonal": "voice", "layers": "same", "seeds": "each"}
    dual = {**STUDY["runs"][1], "name": "dual", "strategy": "dual", "orthogonal": ["first", "voice"]}
    raw = {**STUDY, "orthogonal": {**STUDY["orthogonal"], "first": first}, "runs": [*STUDY["runs"], dual]}
    made = study.plan(parse(raw), data, tmp_path)
    for cell in made.entries["dual"]:
        begun = made.runs[made.runs[cell.run].others[0]]
        assert (begun.settings.layers, begun.settings.seed) == (tuple(cell.values["layers"]), cell.seed)
        assert begun.role == "orthogonal"
    # the runs of entry `anti` are those very networks: nothing is trained twice
    assert len(made.runs) == 1 + 2 + 4 + 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": []}, r"unknown key 'run', did you mean 'runs'\? \(known: name, about"),
        ({"settings": {"widht": 1}}, r"settings: unknown setting 'widht', did you mean 'width'"),
        ({"settings": {"seed": 1}}, "settings: got seed, expected `seeds`"),
        ({"seeds": [1, 1]}, "seeds: one stands twice"),
        ({"seeds": [-1]}, "seeds 0: got -1"),
        ({"runs": [{**STUDY["runs"][0], "seeds": ["1"]}]}, "runs 0 seeds 0: got '1'"),
        ({"runs": [{**STUDY["runs"][0], "seeds": []}]}, "runs 0 seeds: got \\[\\]"),
        ({"baseline": "plane"}, r"unknown entry 'plane', did you mean 'plain'\? \(known: plain, anti\)"),
        ({"controls": ["none"]}, "unknown entry 'none'"),
        ({"select": {"rule": "best_test_accuracy", "over": "layers"}}, "'best_validation_accuracy'"),
        ({"select": {"rule": "best_validation_accuracy", "over": "beta"}}, "select over: got 'beta'.*'layers'"),
        (
            {"runs": SMALL["runs"]},
            r"no entry has several layers to choose from; expected an entry with layers: \{each",
        ),
        ({"baseline": "anti"}, "baseline: entry 'anti' is of strategy anti, expected one of none"),
        ({"runs": [*STUDY["runs"], STUDY["runs"][0]]}, "'plain' stands twice"),
        ({"orthogonal": {"voice": {"dataset": "voices"}}}, "orthogonal voice seeds: Field required"),
        ({"orthogonal": {"voice": {"dataset": "voice", "seeds": "each"}}}, "unknown dataset 'voice', did you mean"),
    ],
)
def test_what_is_wrong_with_a_study_is_told(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(STUDY, **changes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset": "word"}, r"unknown dataset 'word', did you mean 'words'\? \(known: words, voices\)"),
        ({"orthogonal": "voices"}, r"unknown orthogonal network 'voices', did you mean 'voice'\? \(known: voice\)"),
        ({"layers": {"each": []}}, r"layers: got \{'each': \[\]\}, expected \{each"),
        ({"layers": {"each": ["conv1", "conv1"]}}, "each once"),
        ({"beta": {"all": [1]}}, "beta: got"),
        ({"beta": {"each": "all"}}, "beta: got each: all, which is for layers"),
        ({"beta": "same"}, "which only an orthogonal network can have"),
        ({"layer": "conv1"}, "unknown setting 'layer', did you mean 'layers'"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(given, message):
    with pytest.raises(ConfigError, match=message) as told:
        parse(STUDY, runs=[STUDY["runs"][0], {**STUDY["runs"][1], **given}], select=None)
    assert str(told.value).startswith("toys.yaml: ")


def test_networks_that_need_each_other_are_refused():
    circle = {"a": {"dataset": "words", "orthogonal": "b", "strategy": "init", "seeds": "each"}}
    circle["b"] = {**circle["a"], "orthogonal": "a"}
    with pytest.raises(ConfigError, match="a -> b -> a is a circle"):
        parse(STUDY, orthogonal={**STUDY["orthogonal"], **circle})


def test_a_key_that_stands_twice_is_told(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match="'name' stands twice"):
        study.load(file)
    with pytest.raises(ConfigError, match=r"no shipped study of that name.*table2_pretraining"):
        study.load("table_2")


# what is checked before the first run


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"layers": "conv14"}, "runs anti: layer: unknown layer 'conv14', did you mean"),
        ({"strategy": "ant"}, "runs anti: settings: strategy: got 'ant'"),
        ({"aggregation": "grm"}, "unknown aggregation 'grm', did you mean 'gram'"),
        ({"similarity": "cosine"}, "unknown similarity 'cosine'"),
        ({"network": "vgg61"}, "unknown network 'vgg61'"),
        ({"target": "emotion"}, "no attribute 'emotion'; expected one of: word, speaker"),
        ({"beta": "much"}, "beta: got 'much'"),
        ({"orthogonal": ["voice", "voice"], "strategy": "dual"}, "the first network has strategy 'none'"),
        ({"strategy": "dann", "orthogonal": [], "nuisance": "sex"}, "unknown nuisance 'sex'"),
    ],
)
def test_unknown_names_are_told_before_the_first_run(data, tmp_path, entry, message):
    wrong = parse(SMALL, runs=[SMALL["runs"][0], {**SMALL["runs"][1], **entry}])
    with pytest.raises(AtError, match=message):
        study.plan(wrong, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"strategy": "init", "layers": []}, r"runs anti: orthogonal: conv1.* of shape \(\d+, 1, 3, 3\)"),
        ({"strategy": "freeze"}, "runs anti: orthogonal: conv1"),
        ({"strategy": "anti"}, r"runs anti: layer conv3, gram: maps of 4 and 8 channels; expected equal"),
        ({"strategy": "anti", "aggregation": "none", "variant": "as_released"}, "runs anti: layer conv3, none: maps"),
    ],
)
def test_networks_that_do_not_fit_each_other_are_told_before_the_first_is_trained(data, tmp_path, strategy, message):
    wider = {"voice": {**STUDY["orthogonal"]["voice"], "width": 2 * toy.WIDTH}}
    wrong = parse(SMALL, orthogonal=wider, runs=[SMALL["runs"][0], {**SMALL["runs"][1], **strategy}])
    with pytest.raises(AtError, match=message):
        study.plan(wrong, data, tmp_path)


def test_networks_of_other_widths_are_compared_where_channels_do_not_count(data, tmp_path):
    wider = {"voice": {**STUDY["orthogonal"]["voice"], "width": 2 * toy.WIDTH}}
    made = study.plan(parse(SMALL, orthogonal=wider, settings={**SETTINGS, "aggregation": "mean"}), data, tmp_path)
    assert len(made.runs) == 3


def test_a_plan_makes_an_outline_of_each_network_once(data, tmp_path, monkeypatch):
    made, build = [], networks.build
    monkeypatch.setattr(networks, "build", lambda *how: made.append(how) or build(*how))
    networks.outline.cache_clear()
    study.plan(parse(STUDY), data, tmp_path)
    assert len(made) == len(set(made)) == 2


def test_an_absent_dataset_is_told_with_what_is_there_and_how_to_get_it(data, tmp_path):
    for name, message in (
        ("word", r"no dataset 'word' in it \(there: speakers, words\).*did you mean 'words'"),
        ("synth_speaker", r"expected a folder synth_speaker-\w{8}; build it with `at-prepare build synth_speaker"),
    ):
        with pytest.raises(ConfigError, match=message):
            study.plan(parse(SMALL, datasets={**STUDY["datasets"], "words": name}), data, tmp_path)


def test_a_folder_of_datasets_that_is_none_is_told_as_what_it_is(data, tmp_path):
    for folder, came in ((tmp_path / "none", "no such folder"), (data / "words", "a dataset; .*the folder around it")):
        with pytest.raises(ConfigError, match=came):
            study.plan(parse(SMALL), folder, tmp_path)


def test_a_dataset_is_suggested_by_its_name_whatever_the_digests(tmp_path):
    for name in ("dog-1234abcd", "cat-5678abcd"):
        toy.dataset(tmp_path / name)
    for name, hint in (("dogs", "dog"), ("cats-1234abcd", "cat"), ("synth_speakr", "synth_speaker")):
        with pytest.raises(ConfigError, match=f"or correct the name, did you mean '{hint}'"):
            study.plan(parse(SMALL, datasets={**STUDY["datasets"], "words": name}), tmp_path, tmp_path / "out")


def test_a_dataset_is_found_without_its_digest_unless_there_are_two(tmp_path):
    for name in ("words-1234abcd", "speakers-00000000"):
        toy.dataset(tmp_path / name, target=name.split("-")[0].removesuffix("s"))
    assert study.plan(parse(SMALL), tmp_path, tmp_path / "out").datasets["words"].name == "words-1234abcd"
    toy.dataset(tmp_path / "words-5678abcd")
    with pytest.raises(ConfigError, match="holds 2 datasets 'words': words-1234abcd, words-5678abcd"):
        study.plan(parse(SMALL), tmp_path, tmp_path / "out")


def test_data_that_do_not_fit_each_other_are_told(tmp_path):
    toy.dataset(tmp_path / "words")
    toy.dataset(tmp_path / "speakers", target="speaker", manifest={"corpus": "toy", "audio": {}, "stft": toy.STFT})
    with pytest.raises(AtError, match=r"runs anti: .*its network was trained on audio"):
        study.plan(parse(SMALL), tmp_path, tmp_path / "out")


def test_a_plan_writes_and_trains_nothing(data, tmp_path):
    made = study.plan(parse(STUDY), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert set(made.states().values()) == {"missing"}
    assert made.seconds() == (0.0, 7)
    timed, unknown = study.plan(parse(STUDY), data, tmp_path / "out", trial="cpu").seconds(jobs=2)
    assert timed > 0
    assert unknown == 0


# what is trained


def test_every_run_is_trained_once_and_found_again(finished, data):
    out, made, said = finished
    assert trained(out) == dict.fromkeys(made.runs, 1)
    assert len(made.runs) == 1 + 2 + 4
    assert said.counts[-1] == (7, 7)
    for run in made.runs.values():
        assert results.load_run(made.folder(run)).digest == run.digest
    again = study.plan(parse(STUDY), data, out)
    assert set(again.states().values()) == {"done"}
    assert study.run(again, devices=["cpu"]).complete
    assert trained(out) == dict.fromkeys(made.runs, 1)


def test_on_a_mac_runs_are_trained_by_processes_that_are_no_copies(data, tmp_path, monkeypatch, finished):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(multiprocessing.forkserver, "connect_to_new_process", None)
    made = study.plan(parse(SMALL), data, tmp_path)
    assert study.run(made, jobs=2, devices=["cpu"]).complete
    for name, run in made.runs.items():
        assert same(weights(made.folder(run)), weights(finished[1].folder(finished[1].runs[name]))), name


def test_finished_runs_tell_how_long_the_next_will_take(finished, data):
    out, _, _ = finished
    made = study.plan(parse(STUDY, seeds=[0, 1, 2]), data, out)
    left, unknown = made.seconds()
    assert left > 0
    assert unknown == 0


def test_a_step_is_timed_until_the_device_has_done_it(data, monkeypatch):
    waits = []
    recorded = SimpleNamespace(cpu=lambda: waits.append("done"))
    monkeypatch.setattr(timings.loop, "learn", lambda *_: recorded)
    timings.step_s(toy.settings(), Data.open(data / "words"), "cpu")
    assert len(waits) == 3


def test_names_tell_what_differs_and_other_studies_find_the_same_runs(finished, data):
    out, made, _ = finished
    assert sorted(name.rpartition("-")[0] for name in made.runs) == [
        "speakers-none-s0",
        *sorted(f"words-anti-{layer}-s{seed}" for layer in ("conv3", "conv5") for seed in (0, 1)),
        *(f"words-none-s{seed}" for seed in (0, 1)),
    ]
    as_target = {"name": "voices", "dataset": "voices", "strategy": "none"}
    other = study.plan(parse(STUDY, name="other", runs=[as_target], baseline=None, select=None), data, out)
    assert [other.states()[cell.run] for cell in other.entries["voices"]] == ["done", "missing"]
    assert other.folder(other.runs[other.entries["voices"][0].run]).parent.name == "orthogonal"


def test_a_report_finds_entries_runs_and_the_rule_of_selection(finished):
    out, made, _ = finished
    told = json.loads((out / "studies" / "toys.json").read_text())
    assert (told["name"], told["baseline"], told["select"]["rule"]) == ("toys", "plain", "best_validation_accuracy")
    anti = {entry["name"]: entry["runs"] for entry in told["entries"]}["anti"]
    assert [(cell["cell"], cell["seed"]) for cell in anti][:2] == [
        ({"layers": ["conv3"]}, 0),
        ({"layers": ["conv3"]}, 1),
    ]
    for cell in anti:
        run = results.load_run(out / cell["folder"])
        assert (run.digest, run.settings["seed"]) == (cell["digest"], cell["seed"])
        assert [(other["name"], other["run"]) for other in cell["orthogonal"]] == [
            ("voice", made.runs[run.name].others[0])
        ]
        assert run.orthogonal[0]["name"] == cell["orthogonal"][0]["run"]
    assert [told["orthogonal"][0]["folder"]] == [f"orthogonal/{name}" for name in made.runs if "speakers" in name]


def test_a_failing_run_does_not_end_the_study_and_is_retried_on_request(data, tmp_path):
    made = study.plan(parse(SMALL), data, tmp_path)
    voice, plain, anti = made.runs
    in_the_way = tmp_path / "orthogonal" / voice / "thesis.tex"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("ten years")
    outcome = study.run(made, devices=["cpu"])
    assert outcome.done == (plain,)
    assert "is no run (thesis.tex)" in outcome.failed[voice]
    assert outcome.blocked == {anti: (voice,)}
    record = json.loads((tmp_path / "failed" / f"{voice}.json").read_text())
    assert record["traceback"].startswith("Traceback")
    in_the_way.unlink()
    again = study.plan(parse(SMALL), data, tmp_path)
    assert again.states() == {voice: "failed", plain: "done", anti: "blocked"}
    assert study.run(again, devices=["cpu"]).blocked
    assert study.run(study.plan(parse(SMALL), data, tmp_path), devices=["cpu"], retry=True).complete
    assert not list((tmp_path / "failed").iterdir())


def test_data_that_were_built_anew_since_the_plan_are_not_trained_on_under_its_names(tmp_path):
    words = toy.dataset(tmp_path / "data" / "words", digest="a" * 64)
    plain = parse(STUDY, runs=STUDY["runs"][:1], seeds=[0], orthogonal={}, select=None, datasets={"words": "words"})
    made = study.plan(plain, tmp_path / "data", tmp_path / "out")
    shutil.rmtree(words)
    toy.dataset(words, takes={"train": 3, "valid": 1, "test": 1}, digest="a" * 64)
    (why,) = study.run(made, devices=["cpu"]).failed.values()
    assert "words: content " in why
    assert "give the same command again" in why
    assert trained(tmp_path / "out") == {}


def test_ctrl_c_while_a_worker_is_asked_for_is_told_once(data, tmp_path):
    """The process that workers are copied from would tell of a request without an end."""
    command = [sys.executable, "-c", INTERRUPTED, str(saved(tmp_path, SMALL)), str(data), str(tmp_path / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_a_study_within_a_dataset_is_refused_and_nothing_written(data, tmp_path):
    shutil.copytree(next(data.iterdir()), tmp_path / "d")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"lies in the dataset .*a finished dataset is never changed"):
        study.run(study.plan(parse(SMALL), data, tmp_path / "d" / "study"), devices=["cpu"])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("device", ["cuda", "99", "mps"])
def test_a_device_that_is_not_there_is_told_before_any_run_can_fail(data, tmp_path, device):
    if (device == "mps" and torch.backends.mps.is_available()) or (device == "cuda" and torch.cuda.is_available()):
        pytest.skip("that device is here")
    made = study.plan(parse(SMALL), data, tmp_path)
    with pytest.raises(ConfigError, match=r"device: '(cuda|mps)' is not there|card 99"):
        study.run(made, devices=["cpu", device])
    assert set(study.plan(parse(SMALL), data, tmp_path).states().values()) <= {"missing", "blocked"}


def test_a_run_that_diverges_is_marked_and_the_others_go_on(data, tmp_path):
    wild = {"name": "wild", "dataset": "words", "strategy": "none", "learning_rate": 1e30}
    raw = parse(SMALL, runs=[wild, SMALL["runs"][0]], orthogonal={})
    for retry in (False, True):
        made = study.plan(raw, data, tmp_path)
        outcome = study.run(made, devices=["cpu"], retry=retry)
        first = made.entries["wild"][0].run
        assert "diverged in epoch" in outcome.failed[first]
        assert json.loads(made.record(made.runs[first]).read_text())["kind"] == "diverged"
        assert len(outcome.done) == 1


def test_a_run_whose_process_is_killed_fails_and_carries_on_when_retried(data, tmp_path):
    long = parse(SMALL, settings={**SETTINGS, "epochs": 6}, runs=SMALL["runs"][:1], orthogonal={})
    made = study.plan(long, data, tmp_path)
    (run,) = made.runs.values()

    class Killer(Said):
        def say(self, text):
            super().say(text)
            if "epoch 1 of" in text:
                os.kill(locks.owner(made.lock(run)).pid, signal.SIGKILL)

    assert "ended by signal 9" in study.run(made, devices=["cpu"], progress=Killer()).failed[run.name]
    said = Said()
    assert study.run(study.plan(long, data, tmp_path), devices=["cpu"], retry=True, progress=said).complete
    assert any("carrying on after epoch" in text for text in said.texts)


def test_want_of_memory_is_named_for_the_signal_that_the_system_sends_for_it():
    assert runner.how_ended(-9) == "by signal 9; by the system for want of memory, if nobody did it"
    assert runner.how_ended(-11) == "by signal 11"
    assert runner.how_ended(1) == "with exit code 1; what it printed tells why"


@pytest.mark.parametrize("kind", ["failed", "locks"])
def test_a_folder_that_cannot_be_written_ends_a_study_with_one_error_and_no_run_has_failed(data, tmp_path, kind):
    made = study.plan(parse(SMALL), data, tmp_path)
    voice = next(iter(made.runs))
    in_the_way = tmp_path / "orthogonal" / voice / "thesis.tex"  # that run fails
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("ten years")
    (tmp_path / kind).write_text("a file, so that nothing can be made in it")
    with pytest.raises(CheckpointError, match=rf"{kind}.*cannot be used .*mend that and give the same command again"):
        study.run(made, devices=["cpu"])
    in_the_way.unlink()
    (tmp_path / kind).unlink()
    assert study.run(study.plan(parse(SMALL), data, tmp_path), devices=["cpu"]).complete


def test_a_killed_run_that_cannot_be_recorded_ends_a_study_with_one_error(data, tmp_path):
    long = parse(SMALL, settings={**SETTINGS, "epochs": 200}, runs=SMALL["runs"][:1], orthogonal={})
    made = study.plan(long, data, tmp_path)
    (run,) = made.runs.values()
    (tmp_path / "failed").write_text("a file, so that nothing can be made in it")

    class Killer(Silent):
        def say(self, text):
            if "epoch 1 of" in text:
                os.kill(locks.owner(made.lock(run)).pid, signal.SIGKILL)

    with pytest.raises(CheckpointError, match=r"failed.*cannot be used"):
        study.run(made, devices=["cpu"], progress=Killer())


def test_ranks_share_the_runs_and_wait_for_each_other(data, tmp_path):
    made = study.plan(parse(STUDY), data, tmp_path)
    shares = [study.share(made, rank, 3) for rank in range(3)]
    assert sorted(name for names in shares for name in names) == sorted(made.runs)
    # rank 1 has no orthogonal run of its own, and takes over the one it needs
    second = study.run(made, devices=["cpu"], rank=1, world=3)
    assert set(second.done) == set(shares[1]) < set(trained(tmp_path))
    first, third = (study.run(made, devices=["cpu"], rank=rank, world=3) for rank in (0, 2))
    assert [set(outcome.done) for outcome in (first, second, third)] == [*map(set, shares)]
    assert first.complete
    assert second.complete
    assert third.complete
    assert trained(tmp_path) == dict.fromkeys(made.runs, 1)
    with pytest.raises(ConfigError, match="got rank 3 of 3"):
        study.run(made, rank=3, world=3)


def test_a_rank_tells_of_failures_of_other_ranks_that_its_own_runs_wait_for(data, tmp_path):
    made = study.plan(parse(SMALL), data, tmp_path)
    voice, plain, anti = made.runs
    assert [study.share(made, rank, 2) for rank in (0, 1)] == [[voice, plain], [anti]]
    in_the_way = tmp_path / "orthogonal" / voice / "thesis.tex"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("ten years")
    outcome = study.run(made, devices=["cpu"], rank=1, world=2)
    assert (outcome.done, [*outcome.failed], outcome.blocked) == ((), [voice], {anti: (voice,)})
    assert not outcome.complete


def test_two_runners_at_once_train_every_run_once(data, tmp_path):
    made = study.plan(parse(SMALL), data, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: study.run(made, devices=["cpu"], cache_orthogonal=True), range(2)))
    assert all(outcome.complete for outcome in outcomes)
    assert trained(tmp_path) == dict.fromkeys(made.runs, 1)


def test_what_cannot_be_kept_of_a_network_is_asked_at_every_step(data, tmp_path):
    released = {**SMALL, "settings": {**SETTINGS, "epochs": 1, "variant": "as_released"}}
    outcome = study.run(study.plan(parse(released), data, tmp_path), devices=["cpu"], cache_orthogonal=True)
    assert outcome.complete, outcome.failed


@pytest.mark.slow
def test_two_runner_processes_train_every_run_once(data, tmp_path):
    file = saved(tmp_path, STUDY)
    both = [start(file, data, tmp_path / "out") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [text.splitlines()[-1] for text in said] == ["complete", "complete"]
    assert len(trained(tmp_path / "out")) == 7
    assert set(trained(tmp_path / "out").values()) == {1}


def test_a_killed_runner_carries_on_to_the_same_weights(data, tmp_path):
    long = {**SMALL, "settings": {**SETTINGS, "epochs": 8}, "runs": SMALL["runs"][:1], "orthogonal": {}}
    file, out = saved(tmp_path, long), tmp_path / "out"
    process = start(file, data, out)
    for line in process.stdout:
        if "epoch 2 of 8" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    made = study.plan(study.load(file), data, out)
    (name,) = made.runs
    begun = [result.epoch for result in results.read(out / "runs" / name)]
    assert 2 <= max(begun) < 8
    said = Said()
    assert study.run(made, devices=["cpu"], progress=said).complete
    assert any("carrying on after epoch" in text for text in said.texts)
    whole = study.plan(study.load(file), data, tmp_path / "whole")
    assert study.run(whole, devices=["cpu"]).complete
    assert same(weights(out / "runs" / name), weights(tmp_path / "whole" / "runs" / name))
    assert results.read(out / "runs" / name) == results.read(tmp_path / "whole" / "runs" / name)


def test_an_interrupt_ends_the_workers(data, tmp_path):
    class Interrupted(Silent):
        def say(self, text):
            if "epoch 1 of" in text:
                raise KeyboardInterrupt

    long = parse(SMALL, settings={**SETTINGS, "epochs": 2000}, runs=SMALL["runs"][:1], orthogonal={})
    with pytest.raises(KeyboardInterrupt):
        study.run(study.plan(long, data, tmp_path), devices=["cpu"], progress=Interrupted())
    assert not (tmp_path / "failed").exists()
    assert set(study.plan(long, data, tmp_path).states().values()) == {"missing"}


# other machines


@pytest.mark.parametrize(
    ("reason", "age_s", "state"),
    [(errno.EACCES, 0.0, "running"), (errno.EROFS, locks.DEAD_AFTER_S * 2, "missing")],
)
def test_who_may_only_read_a_study_can_look_how_far_it_is(data, tmp_path, monkeypatch, reason, age_s, state):
    made = study.plan(parse(SMALL, runs=SMALL["runs"][:1], orthogonal={}), data, tmp_path)
    (run,) = made.runs.values()

    def refuse(**_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    foreign(made.lock(run), age_s)
    assert made.states() == {run.name: state}


def test_a_run_that_another_machine_trains_is_waited_for(data, tmp_path):
    made = study.plan(parse(SMALL, runs=SMALL["runs"][:1], orthogonal={}), data, tmp_path)
    (run,) = made.runs.values()
    lock = made.lock(run)
    foreign(lock, 0.0)
    assert made.states() == {run.name: "running"}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(study.run, made, devices=["cpu"])
        time.sleep(0.5)
        assert not waiting.done()
        assert trained(tmp_path) == {}
        (lock / "1.json").unlink()  # given back
        assert waiting.result(timeout=60).complete


# shipped studies


COUNTS = {  # runs, their orthogonal networks not counted
    "ablation_similarity": 3 * 4 * 5,
    "arabic_digit_biased": (1 + 2 + 2 * 4 + 4 + 3 * 4) * 6,
    "beta": (1 + 6 * 2) * 5,
    "layers": (1 + 13) * 5,
    "multi_layer": (1 + 3) * 5,
    "ravdess_emotion": (1 + 1 + 4 + 4 + 3 * 4) * 6,
    "synth_ablation_similarity": 4 * 2,
    "synth_beta": (1 + 4 * 2) * 2,
    "synth_layers": (1 + 13) * 2,
    "synth_multi_layer": (1 + 3) * 2,
    "synth_table2_pretraining": 2 * 2,
    "synth_table3_words": (1 + 2 + 2 * 2 + 2 * 2) * 2,
    "synth_table4_emotion": 2 * (1 + 2 + 2 * 2) * 2,
    "synth_table5_goodness": 2 * (1 + 2 + 2 * 2) * 2,
    "synth_table6_aggregations": (1 + 6 * 2) * 2,
    "synth_word_biased": (1 + 2 + 2 * 2 + 2 + 3 * 2) * 2,
    "table2_pretraining": 6 * 5,
    "table3_words": 3 * (1 + 2 + 2 * 13 + 2 * 13) * 5,
    "table4_emotion": 2 * (1 + 2 + 2 * 13) * 5,
    "table5_goodness": 2 * (1 + 2 + 2 * 13) * 5,
    "table6_aggregations": (1 + 6 * 2) * 5,
}


def test_every_shipped_study_is_counted():
    assert sorted(study.shipped()) == sorted(COUNTS)


@pytest.mark.parametrize("name", sorted(study.shipped()))
def test_a_shipped_study_asks_for_as_many_runs_as_it_says(name):
    loaded = study.load(name)
    assert loaded.name == name
    assert set(loaded.datasets.values()) <= set(manifest.shipped())
    assert sum(len(points) for points in points_of(loaded).values()) == COUNTS[name]
