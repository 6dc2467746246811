"""What of a dataset a run was trained on: lists of its own, and those of the runs behind it."""

import pytest

from at_data.errors import CheckpointError
from at_train.seen import forgetful, heard, seen

LISTS = ("train_ids.txt", "train_waveforms.txt", "inherited_ids.txt", "inherited_waveforms.txt")
ITEMS = {"test": [("yes/ada#0", "w1"), ("yes/bea#0", "w2"), ("no/ada#1", "w3")]}


def run_of(folder, corpus, *lists):
    """A run folder with these lists, each a text, and its facts."""
    for name, text in zip(LISTS, lists, strict=False):
        (folder / name).write_text(text, encoding="utf-8")
    return folder, {"dataset": {"corpus": corpus}, "orthogonal": [{}] if len(lists) > 2 else [], "epochs_run": 1}


@pytest.mark.parametrize(("corpus", "count"), [("toy", 2), ("other", 0), ("table", 0)])
def test_an_inherited_recording_is_known_by_its_id_within_its_own_corpus(tmp_path, corpus, count):
    lines = "toy\tno/ada#0\ntoy\tyes/bea#7\n"
    run = run_of(tmp_path, "voices", "yes/ada#0\n", "w9\n", lines, "w8\n")
    assert seen(*run, corpus, ITEMS) == {"test": count}


@pytest.mark.parametrize("corpus", ["toy", "other", "table"])
def test_an_inherited_waveform_is_known_in_every_corpus(tmp_path, corpus):
    run = run_of(tmp_path, "voices", "", "w1\n", "", "w3\n")
    assert seen(*run, corpus, ITEMS) == {"test": 2}


def test_ids_of_listed_recordings_mean_nothing_and_are_not_handed_on(tmp_path):
    run = run_of(tmp_path, "table", "yes/ada#0\n", "w9\n", "", "")
    assert seen(*run, "table", ITEMS) == {"test": 0}
    assert heard(*run) == (set(), {"w9"})


def test_an_item_counts_once_however_often_it_was_heard(tmp_path):
    run = run_of(tmp_path, "toy", "yes/ada#0\n", "w1\n", "toy\tyes/ada#0\n", "w1\n")
    assert seen(*run, "toy", ITEMS) == {"test": 1}


@pytest.mark.parametrize("separator", ["\u2028", "\r"])
def test_names_with_separators_in_them_are_one_line(tmp_path, separator):
    run = run_of(tmp_path, "toy", f"yes/a{separator}b#0\n", "w9\n")
    assert seen(*run, "toy", {"test": [(f"yes/a{separator}b#3", "w0")]}) == {"test": 1}


def test_an_untrained_run_has_heard_what_the_runs_that_it_used_heard_and_nothing_else(tmp_path):
    folder, facts = run_of(tmp_path, "toy", "yes/ada#0\n", "w2\n", "toy\tno/ada#0\n", "w8\n")
    assert seen(folder, facts, "toy", ITEMS) == {"test": 3}
    facts["epochs_run"] = 0
    assert seen(folder, facts, "toy", ITEMS) == {"test": 1}
    facts["orthogonal"] = []
    assert heard(folder, facts) == (set(), set())


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_gone_is_named(tmp_path, name):
    run = run_of(tmp_path, "toy", "a#0\n", "w1\n", "toy\tb#0\n", "w2\n")
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: cannot be read .*restore the file"):
        seen(*run, "toy", ITEMS)


def test_a_run_without_other_networks_needs_no_lists_of_theirs(tmp_path):
    assert heard(*run_of(tmp_path, "toy", "a#0\n", "w1\n")) == ({"toy\ta#0"}, {"w1"})


def test_a_run_that_ended_before_there_were_such_lists_is_forgetful(tmp_path):
    folder, facts = run_of(tmp_path, "toy", "yes/ada#0\n", "w9\n")
    assert not forgetful(folder, facts)
    facts["orthogonal"] = [{}]
    assert forgetful(folder, facts)
    assert seen(folder, facts, "toy", ITEMS) == {"test": 1}
