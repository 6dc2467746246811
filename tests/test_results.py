"""What a run writes about itself comes back whole, and damage is told from a line that a kill tore."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import CheckpointError, ConfigError
from at_train import results
from at_train.results import Result

DIGEST = "c0ffee" * 10
FACTS = {
    "digest": DIGEST,
    "name": "plain",
    "settings": {"strategy": "none", "seed": 3},
    "dataset": {
        "name": "d",
        "digest": "ab",
        "content": "cd",
        "target": "word",
        "classes": ["a"],
        "counts": {"test": 1},
        "nuisances": [],
    },
    "orthogonal": [],
    "state": "running",
    "best_epoch": None,
    "epochs_run": 0,
    "stopped": None,
}
SCORES = {
    "run": DIGEST,
    "dataset": {"name": "d", "digest": "ab", "content": "cd"},
    "split": "test",
    "items": 1,
    "accuracy": 1.0,
    "macro_f1": 1.0,
    "task_loss": 0.25,
    "classes": ["a"],
    "confusion": [[1]],
    "groups": {},
    "worst_group": {},
}


def result(epoch, loss=0.5, split="train"):
    return Result(DIGEST, epoch, split, {"task_loss": loss, "at_loss": 0.0, "accuracy": 1.0})


@given(st.lists(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False))))
def test_every_float_and_every_name_comes_back_as_it_was_appended(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("run")
    written = [Result(DIGEST, epoch, "train", named) for epoch, named in enumerate(values, start=1)]
    for one in written:
        results.append(folder, one)
    assert results.read(folder) == written


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_refused_and_nothing_is_written(tmp_path, value):
    with pytest.raises(ConfigError, match=r"epoch 2, train task_loss: got .*finite"):
        results.append(tmp_path, result(2, value))
    assert results.read(tmp_path) == []


def test_wherever_a_kill_tears_the_last_line_the_others_are_read_and_the_next_is_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    results.append(tmp_path, result(1))
    first = path.read_bytes()
    results.append(tmp_path, result(2))
    whole = path.read_bytes()
    for length in range(len(first), len(whole)):
        path.write_bytes(whole[:length])
        assert results.read(tmp_path) == [result(1)]
        results.append(tmp_path, result(2))
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", ['{"run": "c0f', "", "[]", '{"run": "a", "epoch": 1, "split": "train", "values": {"x": NaN}}']
)
def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path, damage):
    results.append(tmp_path, result(1))
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + damage + "\n")
    results.append(tmp_path, result(3))
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl, line 2: cannot be read"):
        results.read(tmp_path)


def test_truncate_keeps_the_results_up_to_an_epoch_and_drops_a_torn_line(tmp_path):
    for epoch in (1, 2, 3):
        results.append(tmp_path, result(epoch))
        results.append(tmp_path, result(epoch, split="valid"))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"run"')
    results.truncate(tmp_path, 2)
    assert [(one.epoch, one.split) for one in results.read(tmp_path)] == [
        (epoch, split) for epoch in (1, 2) for split in ("train", "valid")
    ]
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n")


def test_truncate_of_a_run_without_results_leaves_the_folder_empty(tmp_path):
    results.truncate(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_run_loads_as_it_was_written(tmp_path):
    results.write_run(tmp_path, FACTS)
    results.write_scores(tmp_path, "test", SCORES, [("x, y", "a", "a")])
    results.append(tmp_path, result(1))
    run = results.load_run(tmp_path)
    found = {"orthogonal": (), "state": "interrupted", "epochs_run": 1}  # no process is at it, one epoch has results
    assert {name: getattr(run, name) for name in FACTS} == FACTS | found
    assert run.scores == {"test": SCORES}
    assert run.results == (result(1),)
    assert not run.finished
    assert (tmp_path / "scores" / "test.csv").read_text() == 'id,target,predicted\n"x, y",a,a\n'


def test_scores_on_another_dataset_are_no_part_of_the_run(tmp_path):
    results.write_run(tmp_path, FACTS)
    results.write_scores(tmp_path, "test", SCORES, [])
    results.replace(tmp_path / "scores" / "other-12345678" / "test.json", json.dumps(SCORES | {"items": 2}).encode())
    assert results.load_run(tmp_path).scores["test"]["items"] == 1


def test_a_finished_file_replaces_the_earlier_one_and_leaves_no_other_behind(tmp_path):
    results.write_run(tmp_path, FACTS)
    results.write_run(tmp_path, FACTS | {"state": "diverged"})
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert results.load_run(tmp_path).state == "diverged"


def test_a_finished_run_has_scores_of_every_split_with_items_or_is_refused(tmp_path):
    counts = {"train": 1, "valid": 0, "test": 1}
    results.write_run(tmp_path, FACTS | {"state": "finished", "dataset": FACTS["dataset"] | {"counts": counts}})
    for split, lost in (("train", "train and test"), ("test", "test")):
        told = f"nothing of {lost}; expected the scores of every split.*--split {split}"
        with pytest.raises(CheckpointError, match=told):
            results.load_run(tmp_path)
        results.write_scores(tmp_path, split, SCORES | {"split": split}, [])
    assert results.load_run(tmp_path).finished


@pytest.mark.parametrize("confusion", [[], [[1], [2]], [[1, 2]], [1]])
def test_a_confusion_of_another_size_is_refused_with_its_file(tmp_path, confusion):
    results.write_run(tmp_path, FACTS)
    results.write_scores(tmp_path, "test", SCORES | {"confusion": confusion}, [])
    with pytest.raises(CheckpointError, match=r"test\.json: a confusion of another size; expected 1 rows of 1 counts"):
        results.load_run(tmp_path)


def test_facts_that_are_no_json_leave_the_earlier_file_alone(tmp_path):
    results.write_run(tmp_path, FACTS)
    with pytest.raises(ValueError, match="JSON compliant"):
        results.write_run(tmp_path, FACTS | {"best_epoch": float("nan")})
    assert results.load_run(tmp_path).best_epoch is None


def test_a_folder_that_is_no_run_is_told_from_one_that_is_absent(tmp_path):
    with pytest.raises(CheckpointError, match=r"no run\.json in it; expected a run folder"):
        results.load_run(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        results.load_run(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", r"run\.json: cannot be read"),
        ("run.json", "[]", r"run\.json: digest, name, .* missing or of another type"),
        ("run.json", json.dumps(FACTS | {"epochs_run": "4"}), "epochs_run missing or of another type"),
        ("run.json", json.dumps(FACTS | {"settings": {"strategy": "none"}}), "settings: seed missing"),
        ("run.json", json.dumps(FACTS | {"orthogonal": ["speaker"]}), "orthogonal: name, digest, target missing"),
        ("scores/test.json", json.dumps(SCORES | {"confusion": None}), r"test\.json: confusion missing"),
        (
            "scores/test.json",
            json.dumps(SCORES | {"run": "1234567890"}),
            "scores of run 12345678; expected of run c0ffeec0",
        ),
        ("scores/test.json", json.dumps(SCORES).replace("0.25", "NaN"), "NaN is no number"),
    ],
)
def test_a_damaged_run_folder_is_an_error_that_names_the_file_and_the_part(tmp_path, name, content, message):
    results.write_run(tmp_path, FACTS)
    results.write_scores(tmp_path, "test", SCORES, [])
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        results.load_run(tmp_path)
