"""Reports compare like with like: no order of arguments, missing seed, other setting or repeated data decides."""

import json

import numpy as np
import pytest
from made_runs import ANTI, INIT, without, write_run
from made_studies import EMOTION, SESSION, WORD, choices_of, data, emotion_of, entry, trained
from scipy import stats

from at_train.report import choice, estimates, gather, groups, paper_tables, report, sweeps, tables


def rated(folder, **accuracies):
    """A run folder whose accuracies are those given by split."""
    for split, accuracy in accuracies.items():
        path = folder / "scores" / f"{split}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": accuracy}))
    return folder


def families_of(folders):
    material = gather(folders)
    return paper_tables.families(paper_tables.target_sections(groups.sections(material.runs, material.others)))


def test_which_settings_are_usual_does_not_depend_on_the_order_of_runs(tmp_path):
    other = trained(tmp_path, SESSION)
    fast, slow = (
        [
            write_run(tmp_path / rate, seed, dataset=EMOTION, learning_rate=float(rate), **how)
            for seed in (0, 1)
            for how in ({}, {**ANTI, "orthogonal": entry(other)})
        ]
        for rate in ("5e-4", "5e-5")
    )
    tables = [
        [shown.table for family in families_of(folders) for shown in paper_tables.shown(family)]
        for folders in ([*fast, *slow], [*slow, *fast])
    ]
    assert tables[0] == tables[1]
    rows = [row[0] for row in tables[0][0][1:]]
    assert len(rows) == 4
    assert all("learning rate" in row for row in rows)  # neither is commoner
    more = write_run(tmp_path / "5e-4", 2, dataset=EMOTION)
    rows = [row[0] for row in paper_tables.shown(families_of([*slow, *fast, more])[0])[0].table[1:]]
    assert [("learning rate" in row) for row in rows] == [False, True, False, True]


def test_a_row_has_the_same_settings_in_every_column(tmp_path):
    for name, rate in (("iemocap_emotion_random", 5e-4), ("iemocap_emotion_by_session", 5e-5)):
        for seed in (0, 1, 2) if rate == 5e-4 else (0, 1):
            write_run(tmp_path / "runs", seed, dataset=EMOTION | {"name": name}, learning_rate=rate)
    (family,) = families_of([tmp_path])
    assert [row.title for row in family.rows] == ["none", "none, learning rate 5e-05"]
    assert [len(choices) for _, choices in family.columns.values()] == [1, 1]


def test_sweeps_and_table_6_keep_apart_what_differs_in_more_than_they_show(tmp_path):
    other = trained(tmp_path, SESSION)
    for variant, betas in (("paper", (0.5, 1.0, 2.0)), ("as_released", (0.5, 1.0, 4.0))):
        for beta in betas:
            how = ANTI | {"beta": beta, "variant": variant}
            folder = write_run(tmp_path / "runs", 0, dataset=EMOTION, orthogonal=entry(other), **how)
            rated(folder, test=(0.8 if variant == "paper" else 0.5) + beta / 100)
        how = ANTI | {"variant": variant, "aggregation": "mean"}
        write_run(tmp_path / "runs", 0, dataset=EMOTION, orthogonal=entry(other), **how)
    section = emotion_of(tmp_path)
    drawn = {sweep.name: sweep for sweep in sweeps.betas(section)}
    expected = {
        "anti: session (iemocap), conv5": ((0.5, 1, 2), 0.8),
        "anti: session (iemocap), conv5, variant as_released": ((0.5, 1, 4), 0.5),
    }
    assert drawn.keys() == expected.keys()
    for name, (places, base) in expected.items():
        sweep = drawn[name]
        assert sweep.places == places
        found = [point.mean for point in sweep.series["squared_cosine, gram"]]
        assert found == pytest.approx([base + beta / 100 for beta in places])
    shown = sweeps.aggregations(section)
    assert sorted("as_released" in table.title for table in shown) == [False, True]


def layered(root, other, layers, seeds, **accuracies):
    for seed in seeds:
        how = ANTI | {"layers": [layers]}
        rated(write_run(root, seed, dataset=EMOTION, orthogonal=entry(other), **how), **accuracies)


def test_the_luckiest_seed_of_a_layer_that_lacks_the_others_is_not_chosen(tmp_path):
    other = trained(tmp_path, SESSION)
    for seed in range(5):
        rated(write_run(tmp_path / "runs", seed, dataset=EMOTION), valid=0.5, test=0.5)
        lucky = 0.3 * (seed == 3)
        layered(tmp_path / "runs", other, "conv1", [seed], valid=0.6 + lucky, test=0.6 + lucky)
    layered(tmp_path / "runs", other, "conv2", [3], valid=0.8, test=0.8)
    one = choices_of(tmp_path)["anti: session (iemocap)"]
    assert one.line.seeds == (1, 5)
    assert one.layers == ("conv1",)  # 0.66 on all its seeds, 0.9 on the one that both have
    assert one.test.count == 5


def test_without_validation_no_layer_is_chosen_of_several(tmp_path):
    other = trained(tmp_path, SESSION)
    layered(tmp_path / "runs", other, "conv1", [0, 1], test=0.5)
    layered(tmp_path / "runs", other, "conv5", [0, 1], test=0.9)
    rated(write_run(tmp_path / "runs", 0, dataset=EMOTION), test=0.6)
    for folder in (tmp_path / "runs").iterdir():
        without(folder, "valid")
    one = choices_of(tmp_path)["anti: session (iemocap)"]
    assert (one.chosen, one.layers, one.valid, one.test, one.difference) == (None, (), None, None, None)
    assert one.mean_test.mean == pytest.approx(0.7)
    assert one.bias is None
    (family,) = families_of([tmp_path])
    (table,) = (shown.table for shown in paper_tables.shown(family) if "test accuracy" in shown.title)
    row = next(row for row in table if row[0].startswith("anti"))
    assert row[1] == "-"
    assert row[-1] == "-, of 2"
    text = paper_tables.targets_csv([family])
    (line,) = (line for line in text.splitlines() if ",anti," in line)
    assert ",0.7," in line
    alone = choices_of(tmp_path)["none"]
    assert alone.chosen is not None


def test_orthogonal_networks_trained_in_other_ways_are_rows_of_their_own_with_all_their_seeds(tmp_path):
    for seed in (0, 1, 2):
        for epochs in (5, 50):
            other = write_run(tmp_path / "orthogonal", 1000 + seed, dataset=SESSION, epochs=epochs)
            write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **ANTI)
    lines = {line.row.title: line.seeds for line in choice.lines(emotion_of(tmp_path))}
    assert lines == {
        "anti: session (iemocap), orthogonal epochs 5": (3, 3),
        "anti: session (iemocap), orthogonal epochs 50": (3, 3),
    }
    (family,) = families_of([tmp_path])
    for choices in family.columns["iemocap_emotion_random"][1:]:
        for one in choices.values():  # neither is what the paper did
            assert paper_tables.published(one, "test") is None
    for seed in (3, 4):
        other = write_run(tmp_path / "orthogonal", 1000 + seed, dataset=SESSION, epochs=50, beta=0.5)  # no matter
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **ANTI)
    lines = {line.row.title: line.seeds for line in choice.lines(emotion_of(tmp_path))}
    assert lines == {
        "anti: session (iemocap)": (5, 5),
        "anti: session (iemocap), orthogonal epochs 5": (3, 3),
    }


def test_the_first_networks_of_dual_are_told_apart_by_their_layer(tmp_path):
    first, second = trained(tmp_path, SESSION), trained(tmp_path, WORD)
    for layer in ("conv3", "conv5"):
        how = ANTI | {"layers": [layer]}
        between = write_run(tmp_path / "orthogonal", 0, dataset=EMOTION, orthogonal=entry(first), **how)
        for seed in (0, 1):
            how = ANTI | {"strategy": "dual"}
            write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(between) + entry(second), **how)
    lines = {line.row.title: line.seeds for line in choice.lines(emotion_of(tmp_path))}
    assert lines == {
        f"dual: session (iemocap) + word (librispeech), first layers {layer}": (2, 2) for layer in ("conv3", "conv5")
    }


def test_the_papers_gain_is_of_the_rows_that_ours_is_of(tmp_path):
    word, session = trained(tmp_path, WORD), trained(tmp_path, SESSION)
    for seed in (0, 1):
        write_run(tmp_path / "runs", seed, dataset=EMOTION)
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(word), **ANTI)
        how = ANTI | {"layers": [f"conv{5 - 2 * seed}"]}  # no seed has both layers, so none is chosen
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(session), **how)
    families = families_of([tmp_path])
    choices = list(families[0].columns["iemocap_emotion_random"][1].values())
    by_title = {one.line.row.title: one for one in choices}
    assert by_title["anti: session (iemocap)"].chosen is None
    known = {name: paper_tables.published(one, "test") for name, one in by_title.items()}
    (everything,) = (gain for gain in sweeps.gains(families) if gain.name == "all targets")
    assert everything.published == pytest.approx(known["anti: word (librispeech)"] - known["none"])


def test_what_starts_from_an_anti_trained_network_is_not_called_after_what_that_one_differed_from(tmp_path):
    other = trained(tmp_path, SESSION)
    between = write_run(tmp_path / "orthogonal", 7, dataset=EMOTION, orthogonal=entry(other), **ANTI)
    for seed, start in ((0, other), (1, between)):
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=entry(start), **INIT)
    titles = [line.row.title for line in choice.lines(emotion_of(tmp_path)) if line.row.strategy == "init"]
    assert titles == ["init: session (iemocap)", "init: target emotion (iemocap)"]


def test_seeds_on_the_same_data_are_one_number_of_several_data():
    dice = np.random.default_rng(0)
    numbers = dice.uniform(0.5, 0.9, (3, 4))
    scores = {(f"data {place}", seed): numbers[place, seed] for place in range(3) for seed in range(4)}
    found = estimates.average(scores)
    low, high = stats.t.interval(0.95, 2, loc=numbers.mean(), scale=stats.sem(numbers.mean(axis=1)))
    assert (found.count, found.mean, found.low, found.high) == pytest.approx((12, numbers.mean(), low, high))
    alone = {one: number for one, number in scores.items() if one[0] == "data 0"}
    assert estimates.average(alone) == estimates.estimate(numbers[0])
    assert estimates.average({}) is None


def test_how_often_an_interval_holds_the_truth_is_what_it_says_where_data_differ():
    dice = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        of_data = dice.normal(0, 3, 3)
        scores = {(str(d), s): of_data[d] + dice.normal(0, 2) for d in range(3) for s in range(5)}
        found = estimates.average(scores)
        held += found.low <= 0 <= found.high
    assert 0.92 < held / 400 < 0.98


def test_folds_of_one_dataset_are_averaged_over_and_told(tmp_path):
    runs = []
    for fold, test in ((1, 0.5), (2, 0.6), (3, 0.9)):
        digits, voices = (
            data(f"{name}_fold{fold}of3", target, "fsdd")
            for name, target in (("digits", "digit"), ("voices", "speaker"))
        )
        other = trained(tmp_path, voices, 9)
        runs.append(other)
        for seed in (0, 1):
            plain = write_run(tmp_path / "runs", seed, dataset=digits)
            anti = write_run(tmp_path / "runs", seed, dataset=digits, orthogonal=entry(other), **ANTI)
            runs += [rated(plain, test=test), rated(anti, test=test + 0.01 * fold + 0.02 * seed)]
    runs.append(write_run(tmp_path / "runs", 0, dataset=data("digits_fold1of5", "digit", "fsdd")))
    sections = {section.dataset: section for section in groups.sections(gather(runs).runs)}
    assert sorted(sections) == ["digits_3folds", "digits_5folds", "voices_3folds"]
    plain, anti = tables.comparison(sections["digits_3folds"])
    assert (plain.seeds, anti.seeds) == (6, 6)
    for number, folds in ((plain.test, [0.5, 0.6, 0.9]), (anti.difference, [0.02, 0.03, 0.04])):
        low, high = stats.t.interval(0.95, 2, np.mean(folds), stats.sem(folds))
        assert (number.mean, number.low, number.high) == pytest.approx((np.mean(folds), low, high))
    page = report(runs, tmp_path / "report").read_text()
    assert all(f"digits_fold{fold}of3 <code>" in page for fold in (1, 2, 3))


def remembered(folder):
    """What a run keeps of a network that it uses."""
    facts = json.loads((folder / "run.json").read_text())
    told = {name: facts[name] for name in ("settings", "dataset", "orthogonal")}
    return [one | {"trained": told} for one in entry(folder)]


def test_networks_are_told_by_what_they_learnt_where_their_folders_are_not_given(tmp_path):
    taught, again = (trained(tmp_path / "a", SESSION, seed) for seed in (0, 1))
    untaught = trained(tmp_path / "b", SESSION, epochs=0)
    for seed, other in enumerate([taught, again, untaught]):
        write_run(tmp_path / "runs", seed, dataset=EMOTION, orthogonal=remembered(other), **ANTI)
    runs = sorted((tmp_path / "runs").iterdir())
    alone, beside = (gather([*runs, *more]) for more in ((), (taught, again, untaught)))
    names = [
        {row.title: {run.settings["seed"] for run in group.runs} for group in section.groups for row in [group.row]}
        for material in (alone, beside)
        for section in groups.sections(material.runs, material.others)
        if section.target == "emotion"
    ]
    assert names[0] == names[1]
    assert sorted(map(len, names[0].values())) == [1, 2]
    assert any("untrained" in title for title in names[0])
