"""The report says what run folders say: numbers as scipy's, pictures that decode, a page that needs nothing else."""

import base64
import csv
import html
import io
import json
import re
from contextlib import nullcontext

import matplotlib as mpl
import numpy as np
import pytest
from made_runs import ANTI, INIT, ITEMS, SPEAKER_NETWORK, SPEAKERS, WORDS, without, write_run
from pages import Page, png_size
from scipy import stats

from at_data.errors import CheckpointError, ConfigError
from at_train import run_folder
from at_train.report import comparison_text, estimates, figures, formats, groups, report, tables
from at_train.results import load_run

EXACT = 1e-12


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Nine runs: without, with the weights of, and unlike a speaker network; three seeds each."""
    root = tmp_path_factory.mktemp("runs")
    return [write_run(root, seed, **how) for how in ({}, INIT, ANTI) for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def written(folders, tmp_path_factory):
    """The report of those runs."""
    return report(folders, tmp_path_factory.mktemp("out") / "report")


def section_of(folders):
    (section,) = groups.sections(map(load_run, folders))
    return section


def rows_of(folders):
    return tables.comparison(section_of(folders))


def labels_of(folders):
    return [group.label for group in section_of(folders).groups]


def accuracy_of(folder, split="test"):
    return json.loads((folder / "scores" / f"{split}.json").read_text())["accuracy"]


def test_means_and_intervals_over_seeds_agree_with_scipy(folders):
    for row, runs in zip(rows_of(folders), (folders[:3], folders[3:6], folders[6:]), strict=True):
        for split, found in (("train", row.train), ("valid", row.valid), ("test", row.test)):
            numbers = [accuracy_of(run, split) for run in runs]
            low, high = stats.t.interval(0.95, 2, loc=np.mean(numbers), scale=stats.sem(numbers))
            assert (found.mean, found.low, found.high) == pytest.approx((np.mean(numbers), low, high), abs=EXACT)
        assert row.seeds == 3
        assert row.best_epoch.mean == pytest.approx(5)


def test_differences_to_none_agree_with_a_paired_t_test(folders):
    rows = rows_of(folders)
    none = [accuracy_of(run) for run in folders[:3]]
    for row, runs in zip(rows[1:], (folders[3:6], folders[6:]), strict=True):
        ours = [accuracy_of(run) for run in runs]
        expected = stats.ttest_rel(ours, none).confidence_interval(0.95)
        assert row.difference.mean == pytest.approx(np.mean(ours) - np.mean(none), abs=EXACT)
        assert (row.difference.low, row.difference.high) == pytest.approx((expected.low, expected.high), abs=EXACT)
        assert (row.difference.count, row.baseline) == (3, "none")
    assert rows[0].difference is rows[0].baseline is None


def test_runs_are_paired_by_seed_whatever_their_order_and_only_where_both_exist(tmp_path):
    none = {seed: write_run(tmp_path, seed) for seed in (4, 1, 2)}
    anti = {seed: write_run(tmp_path, seed, **ANTI) for seed in (2, 9, 4)}
    difference = rows_of([*anti.values(), *none.values()])[1].difference
    expected = [accuracy_of(anti[seed]) - accuracy_of(none[seed]) for seed in (2, 4)]
    assert (difference.count, difference.mean) == (2, pytest.approx(np.mean(expected), abs=EXACT))


def test_runs_with_other_settings_or_other_data_are_no_pair(tmp_path):
    none = write_run(tmp_path, 0, learning_rate=1e-3)
    anti = write_run(tmp_path, 0, **ANTI)
    other = write_run(tmp_path, 0, dataset={"digest": "e" * 64})
    assert [row.difference for row in rows_of([none, anti])] == [None, None]
    assert [row.difference for row in rows_of([anti, other])] == [None, None]
    rebuilt = write_run(tmp_path, 0, dataset={"content": "f" * 64})  # from another source, by the same manifest
    assert [row.difference for row in rows_of([anti, rebuilt])] == [None, None]


def test_a_single_seed_has_no_interval(tmp_path):
    row = rows_of([write_run(tmp_path, 0)])[0]
    assert (row.test.low, row.test.high) == (None, None)
    shown = dict(zip(*tables.comparison_shown([row]), strict=True))
    assert shown["95 % interval"] == "-"


def test_equal_scores_have_an_interval_of_no_width():
    found = estimates.estimate([0.5, 0.5, 0.5])
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_a_run_given_twice_counts_once(folders):
    assert rows_of([*folders, folders[0]]) == rows_of(folders)


def test_worst_group_is_the_mean_over_seeds_of_each_runs_worst(folders):
    lowest = [
        json.loads((run / "scores" / "test.json").read_text())["worst_group"]["speaker"]["accuracy"]
        for run in folders[:3]
    ]
    assert rows_of(folders)[0].worst["speaker"].mean == pytest.approx(np.mean(lowest), abs=EXACT)


def test_accuracy_by_group_is_a_mean_over_seeds_and_its_lowest_is_marked(folders):
    values = [value for value in tables.values(section_of(folders), "speaker") if value.setting == "none"]
    assert [value.value for value in values] == ["s1", "s2", "s10"]
    for value in values:
        numbers = [
            json.loads((run / "scores" / "test.json").read_text())["groups"]["speaker"][value.value]["accuracy"]
            for run in folders[:3]
        ]
        assert value.accuracy.mean == pytest.approx(np.mean(numbers), abs=EXACT)
        assert value.items == (ITEMS, ITEMS)
    assert [value.worst for value in values].count(True) == 1
    assert min(values, key=lambda value: value.accuracy.mean).worst


def test_confusion_sums_over_seeds_by_class_name(tmp_path):
    one = write_run(tmp_path, 0)
    other = write_run(tmp_path, 1, words=WORDS[::-1], dataset={"digest": "e" * 64})
    classes, total = tables.confusion(section_of([one, other]).groups[0])
    first, second = (
        np.array(json.loads((run / "scores" / "test.json").read_text())["confusion"]) for run in (one, other)
    )
    if classes != list(WORDS):
        first, second = second, first
    np.testing.assert_array_equal(total, first + second[::-1, ::-1])


def test_labels_say_what_differs_in_words_and_in_natural_order(tmp_path):
    runs = [
        write_run(tmp_path, 0, **how)
        for how in (
            ANTI | {"layers": ["conv13"]},
            ANTI | {"layers": ["conv5"], "beta": 0.5},
            ANTI,
            {"strategy": "freeze", "layers": ["conv2"]},
            INIT,
            {},
        )
    ]
    expected = ["none", "init", "freeze conv2", "anti conv5 beta 0.5", "anti conv5 beta 1", "anti conv13 beta 1"]
    assert labels_of(runs) == expected


def test_labels_name_any_other_setting_only_where_it_differs(tmp_path):
    one = write_run(tmp_path, 0, **ANTI)
    assert labels_of([one, write_run(tmp_path, 0, patience=None)]) == [
        "none, patience none",
        "anti conv5 beta 1, patience 5",
    ]
    assert labels_of([one, write_run(tmp_path, 0, **ANTI, aggregation="sum")]) == [
        "anti conv5 beta 1, aggregation gram",
        "anti conv5 beta 1, aggregation sum",
    ]
    gender = [{"name": "gender", "digest": "6" * 64, "target": "gender"}]
    assert labels_of([one, write_run(tmp_path, 0, **ANTI, orthogonal=gender)]) == [
        "anti conv5 beta 1, orthogonal gender (gender)",
        "anti conv5 beta 1, orthogonal speaker (speaker)",
    ]


def test_two_orthogonal_networks_of_one_name_and_one_seed_are_rows_of_their_own(tmp_path):
    other = [SPEAKER_NETWORK | {"digest": "6" * 64}]
    ours, theirs = (
        [write_run(tmp_path, seed, **ANTI, orthogonal=orthogonal) for seed in (0, 1)] for orthogonal in (None, other)
    )
    found = [(row.setting, row.seeds, row.test.mean) for row in rows_of([*theirs, *ours])]
    assert found == [
        (f"anti conv5 beta 1, orthogonal network {digest}", 2, pytest.approx(np.mean([*map(accuracy_of, runs)])))
        for digest, runs in (("55555555", ours), ("66666666", theirs))
    ]


def test_seeds_with_an_orthogonal_network_each_stay_one_row(tmp_path):
    runs = [
        write_run(tmp_path, seed, **ANTI, orthogonal=[SPEAKER_NETWORK | {"digest": str(seed) * 64}]) for seed in (0, 1)
    ]
    assert [(row.setting, row.seeds) for row in rows_of(runs)] == [("anti conv5 beta 1", 2)]


def test_settings_that_a_strategy_does_not_use_part_no_group(tmp_path):
    runs = [write_run(tmp_path, seed, beta=float(seed), aggregation=["sum", "mean"][seed]) for seed in (0, 1)]
    assert [(row.setting, row.seeds) for row in rows_of(runs)] == [("none", 2)]


def test_datasets_and_targets_make_sections_of_their_own(tmp_path):
    runs = [
        write_run(tmp_path, 0),
        write_run(tmp_path, 0, dataset={"target": "gender"}),
        write_run(tmp_path, 0, dataset={"name": "commands"}),
        write_run(tmp_path, 1, dataset={"digest": "e" * 64}),
    ]
    found = groups.sections(map(load_run, runs))
    assert [(one.dataset, one.target, len(one.runs)) for one in found] == [
        ("commands", "word", 1),
        ("digits", "gender", 1),
        ("digits", "word", 2),
    ]
    rows = [row for section in found for row in tables.comparison(section)]
    cells = csv.DictReader(io.StringIO(tables.comparison_csv(rows)))
    assert [(row["dataset"], row["target"]) for row in cells] == [(one.dataset, one.target) for one in found]


def test_the_page_holds_every_number_of_the_tables(folders, written):
    cells = Page(written.read_text()).cells
    section = section_of(folders)
    shown = [tables.comparison_shown(rows_of(folders)), tables.values_shown(tables.values(section, "speaker"))]
    for cell in (cell for table in shown for row in table for cell in row):
        assert cell in cells


def test_the_page_says_what_its_intervals_leave_out(written):
    text = " ".join(written.read_text().split())
    for said in ("where all seeds of a setting use one orthogonal network", "one has such an interval by chance"):
        assert said in text


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere(written):
    page = Page(written.read_text())
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert attributes.get("src", "data:").startswith("data:")
        assert "/" not in attributes.get("href", "")
        if "href" in attributes:
            assert (written.parent / attributes["href"]).is_file()
    assert not re.search(r"url\(|@import|https?:", written.read_text())


def test_the_pages_pictures_are_the_files_beside_it_and_decode(written):
    page = Page(written.read_text())
    inside = {
        base64.b64decode(attributes["src"].partition("base64,")[2]) for tag, attributes in page.tags if tag == "img"
    }
    beside = {path.read_bytes() for path in written.parent.glob("*.png")}
    assert inside == beside
    assert len(beside) == 6  # comparison, curves, speakers, and a confusion for each of three settings
    for content in beside:
        width, height = png_size(content)
        assert 300 < width < 1600
        assert 150 < height < 1600


def test_names_are_escaped(folders, written):
    text = written.read_text()
    assert "&lt;up&gt;" in text
    assert "<up>" not in text
    for folder in folders:
        assert html.escape(load_run(folder).digest) in text


def test_the_same_runs_give_the_same_bytes(folders, written, tmp_path):
    again = report(folders, tmp_path / "again")
    names = sorted(path.name for path in written.parent.iterdir())
    assert names == sorted(path.name for path in again.parent.iterdir())
    for name in names:
        assert (written.parent / name).read_bytes() == (again.parent / name).read_bytes()


def test_csv_files_hold_every_digit(folders, written):
    rows = list(csv.DictReader(io.StringIO((written.parent / "comparison.csv").read_text())))
    assert [row["setting"] for row in rows] == ["none", "init", "anti conv5 beta 1"]
    for row, expected in zip(rows, rows_of(folders), strict=True):
        assert float(row["test_accuracy"]) == expected.test.mean
        assert float(row["test_worst_speaker_accuracy"]) == expected.worst["speaker"].mean
    assert rows[0]["difference"] == rows[0]["pairs"] == ""
    values = list(csv.DictReader(io.StringIO((written.parent / "groups.csv").read_text())))
    assert len(values) == 3 * len(SPEAKERS)
    confusion = csv.DictReader(io.StringIO((written.parent / "confusion.csv").read_text()))
    assert sum(int(row["items"]) for row in confusion) == 9 * ITEMS * len(SPEAKERS)


def test_markdown_is_a_table_even_with_bars_in_names():
    lines = formats.markdown([["a|b", "n"], ["x_y", "1"]]).splitlines()
    assert lines == [r"| a\|b | n |", "|:--|--:|", r"| x\_y | 1 |"]


def test_a_warning_stands_where_the_orthogonal_network_saw_held_out_items(tmp_path):
    """Of every fold that it was used on, whichever comes last."""
    seen = {"a" * 64: {"valid": 0, "test": 0}, "b" * 64: {"valid": 3, "test": 12}, "c" * 64: {"valid": 0, "test": 0}}
    runs = [write_run(tmp_path, 0, **ANTI, dataset={"content": fold}, seen=counts) for fold, counts in seen.items()]
    page = report(runs, tmp_path / "out").read_text()
    assert "it, or a network that it used, was trained on 3 valid and 12 test items of content bbbbbbbb" in page
    assert page.count("or a network that it used") == 1


def test_a_page_has_a_part_for_each_section_with_pictures_of_its_own(tmp_path):
    runs = [write_run(tmp_path, 0, dataset={"target": target}) for target in ("word", "gender")]
    page = report(runs, tmp_path / "out").read_text()
    assert re.findall("<h2>(.*?: .*?)</h2>", page) == ["digits: gender", "digits: word"]
    assert all((tmp_path / "out" / f"{number}-comparison.png").is_file() for number in (1, 2))


def test_unfinished_runs_are_named_and_left_out(tmp_path):
    done, begun = write_run(tmp_path, 0), write_run(tmp_path, 1, state="running", epochs_run=0)
    for state in ("interrupted", "running"):
        with run_folder.locked(begun) if state == "running" else nullcontext():
            page = report([done, begun], tmp_path / "out").read_text()
            text = comparison_text([load_run(done), load_run(begun)])
        assert "1 finished run in one comparison" in page
        assert f"<li>{begun.name}: {state}, 7 epochs</li>" in page
        assert f"not finished, left out:\n  {begun.name} ({state}, 7 epochs)" in text
    assert rows_of([done, begun]) == rows_of([done])


def test_a_page_of_unfinished_runs_alone_says_so(tmp_path):
    page = report([write_run(tmp_path, 0, state="running")], tmp_path / "out").read_text()
    assert "0 finished runs" in page
    assert Page(page).open == []


def test_a_run_without_a_test_split_shows_what_it_has(tmp_path):
    run = write_run(tmp_path, 0)
    without(run, "test")
    row = rows_of([run])[0]
    assert (row.test, row.macro_f1, row.worst) == (None, None, {"speaker": None})
    assert row.valid.mean == accuracy_of(run, "valid")
    assert Page(report([run], tmp_path / "out").read_text()).open == []


def test_terminal_text_has_a_line_for_each_setting(folders):
    text = comparison_text([load_run(folder) for folder in folders])
    lines = text.splitlines()
    assert lines[0] == "digits: word"
    assert [line.split("  ")[0] for line in lines[2:]] == ["none", "init", "anti conv5 beta 1"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_a_second_report_replaces_the_first_and_leaves_other_files_alone(folders, tmp_path):
    out = tmp_path / "report"
    report(folders, out)
    (out / "notes.txt").write_text("mine")
    (out / "1-confusion-9.png").write_text("mine too")
    report(folders[:1], out)
    assert sorted(path.name for path in out.iterdir()) == [
        "1-comparison.png",
        "1-confusion-1.png",
        "1-confusion-9.png",
        "1-curves.png",
        "1-groups-1.png",
        "comparison.csv",
        "comparison.md",
        "confusion.csv",
        "groups.csv",
        "index.html",
        "notes.txt",
        "paper_tables.csv",
        "paper_tables.md",
    ]


def test_a_page_that_is_no_report_is_not_overwritten(folders, tmp_path):
    (tmp_path / "index.html").write_text("<p>my site</p>")
    with pytest.raises(ConfigError, match="is no report"):
        report(folders, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_run_folder_or_a_file_is_not_taken_for_the_report(folders, tmp_path):
    with pytest.raises(ConfigError, match="is a run folder"):
        report(folders, folders[0])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        report(folders, tmp_path / "file")


def test_a_folder_that_is_no_run_and_no_runs_at_all_are_errors(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        report([tmp_path / "absent"], tmp_path / "out")
    with pytest.raises(ConfigError, match="no run folders"):
        report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_curves_draw_the_anti_transfer_loss_only_where_there_is_one(folders):
    with_anti = png_size(figures.curves(section_of(folders)))
    without = png_size(figures.curves(section_of(folders[:3])))
    assert with_anti[1] > 1.5 * without[1]


@pytest.mark.parametrize("classes", [2, 20, 21, 150])
def test_confusions_of_any_size_and_any_name_can_be_drawn(classes):
    total = np.eye(classes, dtype=np.int64) * 3
    total[0] = 0  # a class without items
    names = [f"$klass_{number}" for number in range(classes - 2)] + ["字", "a name of many letters" * 20]
    width, height = png_size(figures.confusion(names, total, "anti"))
    assert max(width, height) < 1600


def test_many_values_are_drawn_as_the_worst_of_them():
    def value(number):
        accuracy = estimates.estimate([number / 200])
        return tables.Value("none", "speaker", f"s{number}", (9, 9), accuracy, worst=number == 1)

    counts = (figures.SHOWN + 1, 200)
    few, many = (figures.groups([value(number) for number in range(1, count)], {}) for count in counts)
    assert few == many


def test_the_users_own_matplotlib_style_changes_no_byte(folders):
    before = figures.curves(section_of(folders[:1]))
    with mpl.rc_context({"axes.facecolor": "black", "savefig.dpi": 30, "font.size": 30}):
        assert figures.curves(section_of(folders[:1])) == before
