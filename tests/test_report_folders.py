"""Which runs a report reads: folders of studies, and what is told of those that are no finished runs."""

import json
import shutil

import pytest
from made_runs import PLAIN, write_run
from made_studies import EMOTION, SESSION, WORD, trained

from at_data.errors import CheckpointError, ConfigError
from at_train import results
from at_train.report import biased, comparison_text, folders, gather, report

pytest_plugins = ["study_fixtures"]


def test_a_studys_folder_is_read_with_its_orthogonal_runs(study):
    material = gather([study])
    assert len(material.runs) == 2 + 5 * (1 + 2 + 2 * 3)
    assert (material.title, material.place) == ("table4_emotion", study / "report")


def test_every_run_that_is_none_is_listed_with_its_reason(study, written):
    missing = {one.name: (one.state, one.reason) for one in gather([study]).missing}
    assert missing == {
        "torn": ("not begun", "no run.json in it; name a folder that `at-train fit` wrote"),
        "gone": ("failed", "out of <memory>"),
        "planned": ("not begun", "no run folder yet"),
    }
    page = written.read_text()
    for name in missing:
        assert f"<li>{name}: " in page
    assert "out of &lt;memory&gt;" in page
    assert "gone (failed, out of <memory>)" in comparison_text(gather([study]))


def test_diverged_failed_and_damaged_runs_say_why(tmp_path):
    diverged, failed = (write_run(tmp_path / "runs", seed, state="running") for seed in (0, 1))
    facts = json.loads((diverged / "run.json").read_text())
    results.write_run(diverged, facts | {"state": "diverged", "diverged": {"epoch": 3, "message": "loss is nan"}})
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / f"{failed.name}.json").write_text('{"error": "disk full"}')
    damaged = tmp_path / "runs" / "damaged"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    states = {one.name: (one.state, one.reason) for one in gather([tmp_path]).missing}
    assert states[diverged.name] == ("diverged", "6 epochs; epoch 3: loss is nan")
    assert states[failed.name] == ("failed", "7 epochs; disk full")
    assert states["damaged"][0] == "damaged"
    with pytest.raises(CheckpointError):
        gather([damaged])  # named by itself it is an error, not a line


def test_runs_that_no_study_asks_for_any_more_are_named_and_count_for_nothing(tmp_path):
    asked, dropped, torn = (write_run(tmp_path / "runs", seed, dataset=EMOTION) for seed in (0, 1, 2))
    other, unused = trained(tmp_path, SESSION), trained(tmp_path, WORD)
    (torn / "run.json").write_text("{")
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "gone.json").write_text('{"error": "out of memory"}')
    assert len(gather([tmp_path]).runs) == 4  # nothing tells what is asked for
    assert not gather([tmp_path]).unasked
    (tmp_path / "studies").mkdir()
    for name, entries, orthogonal in (("one", [asked], []), ("two", [], [other])):
        runs, needed = ([{"run": folder.name} for folder in some] for some in (entries, orthogonal))
        facts = {"name": name, "entries": [{"name": "a", "runs": runs}], "orthogonal": needed}
        (tmp_path / "studies" / f"{name}.json").write_text(json.dumps(facts))
    material = gather([tmp_path])
    assert {run.folder for run in material.runs} == {asked, other}
    assert not material.missing
    assert set(material.unasked) == {dropped.name, torn.name, unused.name, "gone"}
    told = comparison_text(material).split("4 runs that no study here asks for:\n")[1]
    assert told.split() == list(material.unasked)
    page = report([tmp_path]).read_text()
    assert "<h3>4 runs that no study here asks for</h3>" in page
    assert all(f"<li>{name}</li>" in page for name in material.unasked)
    assert "2 finished runs" in page
    # named by itself such a run counts
    assert {run.folder for run in gather([tmp_path, dropped]).runs} == {asked, other, dropped}
    assert dropped.name not in gather([tmp_path, dropped]).unasked
    (tmp_path / "studies" / "two.json").write_text("{")  # which may have asked for them
    assert len(gather([tmp_path]).runs) == 4


def test_a_report_without_out_goes_into_the_study(study, tmp_path):
    write_run(tmp_path / "one" / "runs", 0, dataset=EMOTION)
    assert report([tmp_path / "one"]) == tmp_path / "one" / "report" / "index.html"
    with pytest.raises(ConfigError, match="no folder to write to"):
        report([next((study / "runs").glob("none-*"))])


def test_a_study_and_its_runs_named_again_count_once(study):
    runs = [path for path in sorted((study / "runs").iterdir()) if path.name != "torn"]
    assert {run.digest for run in gather([study, *runs]).runs} == {run.digest for run in gather([study]).runs}
    assert len(gather([study, *runs]).runs) == len(gather([study]).runs)


def test_headers_that_are_not_there_say_nothing(tmp_path):
    run = results.load_run(write_run(tmp_path, 0))
    assert folders.header(run) == {}
    assert biased.bias(run) is None
    assert PLAIN["strategy"] == run.settings["strategy"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_is_finished_in_one_folder_counts_whatever_it_is_in_another(tmp_path, order):
    one, other = tmp_path / "one", tmp_path / "other"
    finished = write_run(one / "runs", 0, dataset=EMOTION)
    alone = write_run(other / "runs", 1, dataset=EMOTION)
    shutil.copytree(finished, other / "runs" / finished.name)
    facts = json.loads((finished / "run.json").read_text())
    results.write_run(other / "runs" / finished.name, facts | {"state": "running"})
    planned = {"run": "elsewhere", "digest": facts["digest"]}
    (other / "studies").mkdir()
    entries = [{"name": "a", "runs": [{"run": name} for name in (finished.name, alone.name)] + [planned]}]
    (other / "studies" / "s.json").write_text(json.dumps({"name": "s", "entries": entries}))
    material = gather([one, other][::order])
    assert {run.name: run.finished for run in material.runs} == {finished.name: True, alone.name: True}
    assert material.missing == ()
    assert {one.state for one in gather([other]).missing} == {"interrupted", "not begun"}
