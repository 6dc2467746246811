"""Reports in the paper's shape: its rows, its tables, its published numbers."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from made_runs import ANTI, write_run
from made_studies import EMOTION, SESSION, WORD, choices_of, data, emotion_of, entry, names_in, sections_of, trained
from pages import Page

from at_train.report import choice, paper, paper_page, paper_tables, sweeps

pytest_plugins = ["study_fixtures"]


def test_rows_are_strategies_and_tasks_in_the_papers_order(study):
    assert list(choices_of(study)) == [
        "none",
        "init: session (iemocap)",
        "init: word (librispeech)",
        "anti: session (iemocap)",
        "anti: word (librispeech)",
    ]


def test_networks_are_called_by_what_they_learnt_whatever_their_seed(tmp_path):
    for seed in (0, 1):
        other = trained(tmp_path, SESSION, seed)
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **ANTI)
    (row,) = (line.row for line in choice.lines(emotion_of(tmp_path)))
    assert row.title == "anti: session (iemocap)"


def test_controls_are_told_apart_by_name(tmp_path):
    kinds = [{}, {"epochs": 0, "selection": "last"}, {"labels": "shuffled", "selection": "last"}]
    others = [trained(tmp_path, SESSION, **how) for how in kinds] + [trained(tmp_path, EMOTION, 9)]
    for other in others:
        write_run(tmp_path / "runs", 0, dataset=EMOTION, orthogonal=entry(other), **ANTI)
    titles = {line.row.title for line in choice.lines(emotion_of(tmp_path))} - {"none"}
    assert titles == {
        "anti: session (iemocap)",
        "anti: untrained session (iemocap)",
        "anti: shuffled session (iemocap)",
        "anti: target emotion (iemocap)",
    }
    (family,) = paper_tables.families(paper_tables.target_sections(sections_of(tmp_path)))
    assert family.rows[0].title == "anti: session (iemocap)"
    table = paper_tables.pretraining(sections_of(tmp_path)).table
    assert {row[0] for row in table[1:]} == {
        "iemocap_session: session",
        "iemocap_session: session, untrained",
        "iemocap_session: session, shuffled",
    }


def test_dual_is_called_by_both_tasks_in_their_order(tmp_path):
    first, second = trained(tmp_path, SESSION), trained(tmp_path, WORD)
    between = write_run(tmp_path / "orthogonal", 0, dataset=EMOTION, orthogonal=entry(first), **ANTI)
    how = ANTI | {"strategy": "dual"}
    write_run(tmp_path / "runs", 0, dataset=EMOTION, orthogonal=entry(between) + entry(second), **how)
    titles = [line.row.title for line in choice.lines(emotion_of(tmp_path))]
    assert len(titles) == 1  # the network between is none of the rows
    assert "dual: session (iemocap) + word (librispeech)" in titles


def test_a_network_that_a_study_trained_for_others_is_no_seed_of_its_baseline(tmp_path):
    target = trained(tmp_path, EMOTION, 9)
    for seed in (0, 1):
        write_run(tmp_path / "runs", seed, dataset=EMOTION)
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(target), **ANTI)
    seeds = {line.row.title: line.seeds for line in choice.lines(emotion_of(tmp_path))}
    assert seeds == {"none": (2, 2), "anti: target emotion (iemocap)": (2, 2)}
    (tmp_path / "studies").mkdir()
    facts = {"entries": [{"runs": [{"run": name} for name in (target.name, *names_in(tmp_path / "runs"))]}]}
    (tmp_path / "studies" / "one.json").write_text(json.dumps(facts))
    seeds = {line.row.title: line.seeds for line in choice.lines(emotion_of(tmp_path))}
    assert seeds["none"] == (3, 3)  # where a row asks for it too, it is one


def test_networks_trained_alone_are_a_table_like_the_second(tmp_path):
    for name in ("synth_speaker", "synth_speaker_biased"):
        write_run(tmp_path / "runs", 0, dataset=data(name, "speaker", "synth"))
    table = paper_tables.pretraining(sections_of(tmp_path)).table
    assert table[0] == ["dataset: task", "classes", "hours", "seeds", "train (%)", "test (%)"]
    assert [row[0] for row in table[1:]] == ["synth_speaker: speaker", "synth_speaker_biased: speaker"]
    assert paper_tables.target_sections(sections_of(tmp_path)) == []


def test_dann_comes_last_and_tells_its_nuisance(tmp_path):
    for how in ({"strategy": "dann", "layers": ["conv5"], "nuisance": "speaker"}, ANTI, {}):
        write_run(tmp_path / "runs", 0, dataset=EMOTION, **how)
    titles = [line.row.title for line in choice.lines(emotion_of(tmp_path))]
    assert titles == ["none", "anti: speaker", "dann, nuisance speaker"]


def test_published_numbers_stand_beside_ours(study, written):
    rows = list(csv.DictReader(io.StringIO((written.parent / "paper_tables.csv").read_text())))
    by_row = {(row["strategy"], row["orthogonal"], row["split"]): row for row in rows}
    expected = {
        ("none", "", "train"): 69.0,
        ("none", "", "test"): 63.7,
        ("init", "word (librispeech)", "test"): 63.4,
        ("anti", "word (librispeech)", "test"): 66.9,
        ("anti", "session (iemocap)", "train"): 75.5,
    }
    for at, number in expected.items():
        assert float(by_row[at]["published"]) == pytest.approx(number / 100)
    one = choices_of(study)["anti: word (librispeech)"]
    row = by_row["anti", "word (librispeech)", "test"]
    assert (float(row["accuracy"]), float(row["accuracy_low"])) == (one.test.mean, one.test.low)
    assert (row["layers"], row["candidates"]) == (one.chosen.layers[0], "3")
    assert float(row["selection_bias"]) == one.bias.mean
    assert (by_row["anti", "word (librispeech)", "train"]["mean_over_layers"]) == ""


def test_the_page_and_the_markdown_hold_every_table(study, written):
    blocks = paper_page.part(sections_of(study)).text
    page = written.read_text()
    assert blocks in page
    for title in (
        "Table 2: accuracy of networks trained alone",
        "Table 4, iemocap_emotion: train accuracy",
        "Table 4, iemocap_emotion: test accuracy",
        "iemocap_emotion_random: choice of layer",
    ):
        assert f"<h3>{title}</h3>" in page
        assert f"## {title}" in (written.parent / "paper_tables.md").read_text()
    assert {"63.7", "66.9", "7.3", "91.8"} <= set(Page(page).cells)
    assert "best_validation_accuracy" in page
    assert Page(page).open == []


def test_numbers_of_table_2_are_those_of_the_other_networks(study):
    table = paper_tables.pretraining(sections_of(study)).table
    assert [row[0] for row in table] == ["dataset: task", "iemocap_session: session", "librispeech_words: word"]
    assert [table[1][place] for place in (3, 6, 8)] == ["7.3", "99.8", "96.5"]
    assert [table[2][place] for place in (3, 6, 8)] == ["100", "97.6", "91.8"]


def test_table_2_tells_that_the_papers_speakers_are_sessions(tmp_path):
    trained(tmp_path, data("iemocap_speaker", "speaker", "iemocap"))
    shown = paper_tables.pretraining(sections_of(tmp_path))
    assert shown.table[1][6] == "99.8"
    assert "five speakers are its five sessions" in shown.note
    assert "Good-Sounds" not in shown.note


def test_table_2_tells_what_its_hours_are_where_the_papers_stand_beside_them(tmp_path):
    write_run(tmp_path / "runs", 0, dataset=data("synth_speaker", "speaker", "synth"))
    assert paper_tables.pretraining(sections_of(tmp_path)).note == ""
    write_run(tmp_path / "runs", 0, dataset=WORD)
    assert "padding included" in paper_tables.pretraining(sections_of(tmp_path)).note


def test_numbers_of_table_2_stand_beside_its_own_settings_alone(tmp_path):
    kinds = [{}, {}, {"epochs": 0, "selection": "last"}, {"labels": "shuffled", "selection": "last"}, {"width": 0.5}]
    for seed, how in enumerate(kinds):
        trained(tmp_path, SESSION, seed, **how)
    table = paper_tables.pretraining(sections_of(tmp_path)).table
    beside = {row[0]: [row[place] for place in (3, 6, 8)] for row in table[1:]}
    assert beside.pop("iemocap_session: session") == ["7.3", "99.8", "96.5"]
    assert list(beside.values()) == [["-"] * 3] * 3, beside


def test_controls_of_a_network_do_not_take_the_papers_number_from_it(tmp_path):
    for how in ({}, {"epochs": 0, "selection": "last"}, {"labels": "shuffled", "selection": "last"}):
        trained(tmp_path, SESSION, **how)
    table = paper_tables.pretraining(sections_of(tmp_path)).table
    beside = {row[0]: [row[place] for place in (3, 6, 8)] for row in table[1:]}
    assert beside.pop("iemocap_session: session") == ["7.3", "99.8", "96.5"]
    assert list(beside.values()) == [["-"] * 3] * 2, beside


def test_no_number_of_the_paper_stands_beside_what_it_did_not_do(tmp_path):
    untrained = trained(tmp_path, SESSION, epochs=0, selection="last")
    twin = EMOTION | {"name": "ravdess_emotion_random", "corpus": "ravdess"}
    sex = EMOTION | {"target": "sex"}
    session = [{"name": "x", "digest": "6" * 64, "target": "session"}]
    for dataset, how in (
        (EMOTION, {"orthogonal": entry(untrained)}),
        (EMOTION, {"orthogonal": session, "beta": 2.0}),
        (twin, {"orthogonal": session}),
        (sex, {"orthogonal": session}),
    ):
        write_run(tmp_path / "runs", 0, dataset=dataset, **(ANTI | how))
    found = paper_tables.families(paper_tables.target_sections(sections_of(tmp_path)))
    rows = list(csv.DictReader(io.StringIO(paper_tables.targets_csv(found))))
    assert len(rows) == 8
    assert {row["published"] for row in rows} == {""}


def test_datasets_of_a_corpus_and_target_are_columns_of_one_table(tmp_path):
    names = ("synth_word_biased", "synth_word_biased_s050", "synth_word_by_speaker", "gsc_words_low_noise")
    names += ("gsc_words_clean", "gsc_words_low_noise_as_released")
    for name in names:
        write_run(tmp_path / "runs", 0, dataset={"name": name})
    found = {family.name: list(family.columns) for family in paper_tables.families(sections_of(tmp_path))}
    assert found == {
        "gsc_words": ["gsc_words_clean", "gsc_words_low_noise"],
        "gsc_words as released": ["gsc_words_low_noise_as_released"],
        "synth_word": ["synth_word_biased", "synth_word_biased_s050", "synth_word_by_speaker"],
    }


@pytest.mark.parametrize("known", ["iemocap_emotion_random", "iemocap_emotion_by_session"])
def test_folds_beside_a_dataset_of_the_paper_leave_it_its_table(tmp_path, known):
    for name in (known, *(f"iemocap_emotion_by_session_fold{fold}of5" for fold in (1, 2))):
        write_run(tmp_path / "runs", 0, dataset=data(name, "emotion", "iemocap"))
    published, folds = paper_tables.families(sections_of(tmp_path))
    assert (published.title, list(published.columns)) == ("Table 4, iemocap_emotion", [known])
    assert (folds.title, list(folds.columns)) == ("iemocap_emotion", ["iemocap_emotion_by_session_5folds"])


def test_table_6_has_a_row_for_each_aggregation(tmp_path):
    other = trained(tmp_path, WORD)
    for similarity in ("squared_cosine", "sigmoid_mse"):
        for aggregation in ("gram", "mean", "compressed_product"):
            how = ANTI | {"aggregation": aggregation, "similarity": similarity}
            write_run(tmp_path / "runs", 0, dataset=EMOTION, orthogonal=entry(other), **how)
    (shown,) = sweeps.aggregations(emotion_of(tmp_path))
    assert shown.title.startswith("Table 6")
    assert [row[0] for row in shown.table[1:]] == ["mean", "compressed_product", "gram"]
    gram = dict(zip(enumerate(shown.table[0]), shown.table[3], strict=True))
    papers = [cell for (_, title), cell in gram.items() if title == "paper"]
    assert papers == ["76.3", "65.9", "65.8", "72.5", "68.7", "66.9"]


@pytest.mark.real
def test_real_published_numbers_are_those_of_the_papers_text(real_data):
    (text,) = (
        one
        for path in Path(real_data).parent.glob("seeds/*.txt")
        if "Table 6: Accuracy results for different **channel aggregation**" in (one := path.read_text())
    )
    lines = [line.split("\t") for line in text.splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines]
    for one in paper.PRETRAINED:
        assert [
            one.dataset,
            one.task,
            *(f"{n:g}" for n in (one.classes, one.hours)),
            *map(str, (one.train, one.test)),
        ] in [line for line in cells if len(line) == 6]
    called = {"none": "None", "init": "WI", "anti": "AT", "dual": "Dual AT"}
    for table in paper.TABLES:
        decimals = 2 if table.number == 3 else 1
        for (strategy, tasks), row in table.rows.items():
            numbers = [f"{number:.{decimals}f}" for split in ("train", "test") for number in row[split]]
            (line,) = (line for line in cells if line[-len(numbers) :] == numbers and line[0] == called[strategy])
            assert (line[1] == "n/a") == (not tasks)
    for similarity, place in (("sigmoid_mse", 1), ("squared_cosine", 4)):
        names = {"Mean": "mean", "Sum": "sum", "Comp Mul": "compressed_product", "Max": "max", "Gram Matrix": "gram"}
        found = {names[line[0]]: line[place : place + 3] for line in cells if line[0] in names and len(line) == 7}
        assert found == {
            name: [f"{number:.1f}" for number in row] for name, row in paper.AGGREGATIONS[similarity].items()
        }
    said = re.search(r"improvement is of ([0-9.]+) pp for the test accuracy and of ([0-9.]+) pp for the train", text)
    assert [float(said[1]), float(said[2])] == [paper.AVERAGE_GAIN["test"], paper.AVERAGE_GAIN["train"]]


def test_the_papers_average_gain_is_a_slip_of_its_own_numbers():
    best = {"gsc": (1.28, 1.53, 0.94), "iemocap": (3.2, 4.1), "good_sounds": (2.5, 11.5)}
    gains = [gain for some in best.values() for gain in some]
    assert paper.mean_best_gain() == pytest.approx(np.mean(gains))
    assert round((sum(gains) - 0.4) / 6, 2) == paper.AVERAGE_GAIN["test"]  # 66.5 for 66.9, and six for seven


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("iemocap_session_of_by_session", "iemocap_session"),
        ("gsc_words_low_noise_as_released", "gsc_words_low_noise"),
        ("good_sounds_instrument_of_by_instrument", "good_sounds_instrument"),
        ("sounds_of_the_city", "sounds_of_the_city"),
    ],
)
def test_variants_of_a_dataset_stand_in_the_place_of_the_papers(dataset, expected):
    assert paper.plain(dataset) == expected
