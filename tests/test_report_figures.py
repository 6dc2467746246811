"""Figures of reports: gains by layer, by beta and by strength of a bias; pictures on the page."""

import csv
import io
import json

import numpy as np
import pytest
from made_runs import ANTI, scores, write_run
from made_studies import (
    EMOTION,
    LAYERS,
    accuracies,
    choices_of,
    data,
    emotion_of,
    entry,
    sections_of,
    t_interval,
    told,
    trained,
)
from pages import png_size

from at_train import results
from at_train.report import biased, gather, groups, paper_tables, report, sweeps

pytest_plugins = ["study_fixtures"]

STUDIES = {  # name of a target's dataset -> names of orthogonal datasets, as the paper has them
    "gsc_words_clean": ("word", "gsc"),
    "good_sounds_goodness_random": ("goodness", "good_sounds"),
}


def test_average_gains_are_means_over_targets_of_paired_differences(tmp_path):
    noises = trained(tmp_path, data("ms_snsd_noise_type", "noise_type", "ms_snsd"))
    for name, (target, corpus) in STUDIES.items():
        dataset = data(name, target, corpus)
        other = trained(tmp_path, data(f"{corpus}_speaker", "speaker", corpus))
        for seed in (0, 1, 2):
            write_run(tmp_path / "runs", seed, dataset=dataset)
            for one in (other, noises):
                write_run(tmp_path / "runs", seed, dataset=dataset, orthogonal=entry(one), **ANTI)
    found = {gain.name: gain for gain in sweeps.gains(paper_tables.families(sections_of(tmp_path)))}
    assert found["all targets"].targets == 2
    by_seed = []
    for seed in (0, 1, 2):
        each = []
        for section in sections_of(tmp_path):
            if section.dataset in STUDIES:
                by_row = {group.row.title: accuracies(group)[seed] for group in section.groups}
                none = by_row.pop("none")
                assert len(by_row) == 2
                each.append(np.mean([number - none for number in by_row.values()]))
        by_seed.append(np.mean(each))
    assert told(found["all targets"].mean) == t_interval(by_seed)
    assert found["orthogonal task of the same corpus"].targets == 2
    assert "two orthogonal tasks" not in found


def test_published_gains_are_the_same_mean_of_the_papers_rows(study):
    (gain, *_) = sweeps.gains(paper_tables.families(paper_tables.target_sections(sections_of(study))))
    assert gain.published == pytest.approx((66.9 + 66.5) / 2 - 63.7)


def test_gains_by_layer_are_paired_with_the_baseline(study):
    sweep = {one.name: one for one in sweeps.layers(emotion_of(study))}["anti: session (iemocap)"]
    assert sweep.places == LAYERS
    line = choices_of(study)["anti: session (iemocap)"].line
    for split in ("train", "test"):
        none = accuracies(line.baseline, split)
        for group, number in zip(line.candidates, sweep.series[split], strict=True):
            assert told(number) == t_interval([one - none[seed] for seed, one in accuracies(group, split).items()])


def test_betas_and_ablations_take_what_differs_in_nothing_else(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path, seed)
        for beta in (-1.0, 0.5, 1.0, 20.0):
            write_run(tmp_path, seed, **(ANTI | {"beta": beta}))
        write_run(tmp_path, seed, strategy="freeze", layers=["conv5"])
        write_run(tmp_path, seed, strategy="freeze", layers=["conv1"])
    (section,) = groups.sections(gather([*tmp_path.iterdir()]).runs)
    (sweep,) = sweeps.betas(section)
    assert sweep.places == (0.5, 1.0, 20.0)
    assert all(sweep.series["squared_cosine, gram"])
    assert sweep.baseline.count == 2
    (ablation,) = sweeps.ablations([section])
    assert ablation.name == "digits, speaker, conv5"
    assert set(ablation.ways) == {"anti-transfer", "inverse beta", "frozen"}
    inverse = next(group for group in section.groups if group.settings.get("beta") == -1)
    none = accuracies(section.groups[0])
    differences = [number - none[seed] for seed, number in accuracies(inverse).items()]
    assert told(ablation.ways["inverse beta"]) == t_interval(differences)


def biased_run(root, seed, strength, name=None, **how):
    name = name or f"synth_word_biased_s{round(100 * strength):03d}"
    run = write_run(root, seed, dataset=data(name, "word", "synth"), **how)
    facts = json.loads((run / "run.json").read_text())
    rates = np.random.default_rng(seed).uniform(0.3, 0.5, 3)
    held_out = scores(facts["digest"], facts["dataset"], "test_conflicting", rates)
    results.write_scores(run, "test_conflicting", held_out, [])
    header = {
        "hours": {"train": 1.0},
        "manifest": {"bias": {"with": "speaker", "favoured": 3, "strength": strength}},
        "bias": {"splits": {"train": {"cramers_v": 0.61}}},
    }
    (run / "data.json").write_text(json.dumps(header))
    return run


def test_biased_data_show_both_tests_and_the_strength(tmp_path):
    for strength in (0.5, 0.9):
        for seed in (0, 1):
            biased_run(tmp_path / "runs", seed, strength)
            biased_run(tmp_path / "runs", seed, strength, **ANTI)
    page = report([tmp_path])
    names = {path.name for path in page.parent.iterdir()}
    assert {"1-conflicting.png", "2-conflicting.png", "strength-1.png", "conflicting.csv"} <= names
    assert "each speaker favours 3 word classes, strength 0.9; Cramer&#x27;s V in train 0.61" in page.read_text()
    rows = list(csv.DictReader(io.StringIO((page.parent / "comparison.csv").read_text())))
    sections = sections_of(tmp_path)
    group = sections[0].groups[1]
    expected = [*accuracies(group, "test_conflicting").values()]
    assert float(rows[1]["test_conflicting_accuracy"]) == pytest.approx(np.mean(expected))
    (family,) = paper_tables.families(sections)
    test, conflicting = biased.by_strength(family)
    assert test.places == conflicting.places == (0.5, 0.9)
    assert conflicting.series["anti: speaker"][0].mean == pytest.approx(np.mean(expected))
    assert test.series["none"][1].mean == pytest.approx(np.mean([*accuracies(sections[1].groups[0]).values()]))


def test_two_datasets_of_one_strength_are_averaged_in_the_sweep(tmp_path):
    for name, strength in (("words_s050", 0.5), ("words_s090", 0.9), ("words_s090_again", 0.9)):
        for seed in (0, 1):
            biased_run(tmp_path / "runs", seed, strength, name=name)
            biased_run(tmp_path / "runs", seed, strength, name=name, **ANTI)
    sections = {section.dataset: section for section in sections_of(tmp_path)}
    (family,) = paper_tables.families(list(sections.values()))
    test, _ = biased.by_strength(family)
    assert test.places == (0.5, 0.9)
    both = [
        number
        for name in ("words_s090", "words_s090_again")
        for number in accuracies(sections[name].groups[0]).values()
    ]
    assert test.series["none"][1].mean == pytest.approx(np.mean(both))
    assert test.series["none"][1].count == 4


def test_no_picture_and_no_column_without_data_for_it(tmp_path):
    write_run(tmp_path, 0)
    page = report([*tmp_path.iterdir()], tmp_path / "out")
    names = {path.name for path in page.parent.glob("*.png")}
    assert names == {"1-comparison.png", "1-curves.png", "1-confusion-1.png", "1-groups-1.png"}
    assert "test_conflicting" not in page.read_text()
    assert "paper" not in (page.parent / "paper_tables.md").read_text()


def test_pictures_of_a_study_decode_and_are_named_on_the_page(written):
    names = {path.name for path in written.parent.glob("*.png")}
    assert any(name.endswith("-layers.png") for name in names)
    for path in written.parent.glob("*.png"):
        width, height = png_size(path.read_bytes())
        assert 300 < width < 1600
        assert 100 < height < 2600
    page = written.read_text()
    assert "Gain by layer, as figure 6" in page
    assert "Learning curves, as figure 7" in page


def test_of_many_groups_the_chosen_ones_have_curves_and_confusions(tmp_path):
    for number in range(1, 14):
        write_run(tmp_path / "runs", 0, dataset=EMOTION, **(ANTI | {"layers": [f"conv{number}"]}))
    write_run(tmp_path / "runs", 0, dataset=EMOTION)
    page = report([tmp_path])
    assert len([*page.parent.glob("1-confusion-*.png")]) == 2
    assert "Of 14 settings, the usual ones are drawn" in page.read_text()
    rows = csv.DictReader(io.StringIO((page.parent / "confusion.csv").read_text()))
    assert len({row["setting"] for row in rows}) == 14
