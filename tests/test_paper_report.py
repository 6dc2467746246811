"""Reports of studies: the paper's tables and figures, the choice of layers and what choosing gains."""

import csv
import hashlib
import io
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from test_report import ANTI, INIT, PLAIN, Page, png_size, scores, write_run

from at_data.errors import CheckpointError, ConfigError
from at_train import results
from at_train.report import (
    biased,
    choice,
    comparison_text,
    folders,
    gather,
    groups,
    paper,
    paper_page,
    paper_tables,
    report,
    sweeps,
)

EXACT = 1e-12
LAYERS = ("conv1", "conv2", "conv5")
SEEDS = (0, 1, 2, 3, 4)
EMOTION = {"name": "iemocap_emotion_random", "target": "emotion", "corpus": "iemocap"}
SESSION = {"name": "iemocap_session", "target": "session", "corpus": "iemocap"}
WORD = {"name": "librispeech_words", "target": "word", "corpus": "librispeech"}
STUDIES = {  # name of a target's dataset -> names of orthogonal datasets, as the paper has them
    "gsc_words_clean": ("word", "gsc"),
    "good_sounds_goodness_random": ("goodness", "good_sounds"),
}


def data(name, target, corpus):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {"name": name, "target": target, "corpus": corpus, "digest": digest}


def entry(folder):
    facts = json.loads((folder / "run.json").read_text())
    return [{"name": facts["name"], "digest": facts["digest"], "target": facts["dataset"]["target"]}]


def trained(root, dataset, seed=0, **how):
    return write_run(root / "orthogonal", seed, dataset=dataset, **how)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Emotion, plain and unlike two networks at three layers, five seeds; a torn, a failed and a planned run."""
    root = tmp_path_factory.mktemp("study")
    others = [trained(root, SESSION), trained(root, WORD)]
    for seed in SEEDS:
        write_run(root / "runs", seed, dataset=EMOTION)
        for other in others:
            write_run(root / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **INIT)
            for layer in LAYERS:
                how = ANTI | {"layers": [layer]}
                write_run(root / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **how)
    (root / "runs" / "torn").mkdir()
    (root / "failed").mkdir()
    (root / "failed" / "gone.json").write_text('{"error": "out of <memory>"}')
    (root / "studies").mkdir()
    cells = [{"run": name} for name in ("gone", "planned", *names_in(root / "runs"))]
    facts = {"name": "table4_emotion", "entries": [{"name": "anti", "runs": cells}]}
    facts["orthogonal"] = [{"run": other.name} for other in others]
    facts["select"] = {"rule": "best_validation_accuracy", "over": "layers", "entries": []}
    (root / "studies" / "table4_emotion.json").write_text(json.dumps(facts))
    return root


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """The report of that study."""
    return report([study], tmp_path_factory.mktemp("out") / "report")


def sections_of(study):
    material = gather([study])
    return groups.sections(material.runs, material.others)


def emotion_of(study):
    (section,) = (one for one in sections_of(study) if one.target == "emotion")
    return section


def choices_of(study):
    return {line.row.title: choice.choose(line) for line in choice.lines(emotion_of(study))}


def accuracies(group, split="test"):
    return {run.settings["seed"]: run.scores[split]["accuracy"] for run in group.runs}


def t_interval(numbers):
    low, high = stats.t.interval(0.95, len(numbers) - 1, loc=np.mean(numbers), scale=stats.sem(numbers))
    return pytest.approx((np.mean(numbers), low, high), abs=EXACT)


def told(number):
    return number.mean, number.low, number.high


# --- folders


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
    shutil.copytree(study, tmp_path / "copy")
    assert report([tmp_path / "copy"]) == tmp_path / "copy" / "report" / "index.html"
    with pytest.raises(ConfigError, match="no folder to write to"):
        report([next((study / "runs").glob("none-*"))])


def test_a_study_and_its_runs_named_again_count_once(study):
    runs = [path for path in sorted((study / "runs").iterdir()) if path.name != "torn"]
    assert {run.digest for run in gather([study, *runs]).runs} == {run.digest for run in gather([study]).runs}
    assert len(gather([study, *runs]).runs) == len(gather([study]).runs)


# --- rows


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


# --- choice of layer


def test_the_rule_takes_the_layer_with_the_best_mean_validation_accuracy(study):
    for title in ("anti: session (iemocap)", "anti: word (librispeech)"):
        one = choices_of(study)[title]
        means = [np.mean([*accuracies(group, "valid").values()]) for group in one.line.candidates]
        chosen = one.line.candidates[int(np.argmax(means))]
        assert one.chosen is chosen
        assert told(one.test) == t_interval([*accuracies(chosen).values()])
        none = accuracies(one.line.baseline)
        assert told(one.difference) == t_interval([number - none[seed] for seed, number in accuracies(chosen).items()])


def test_the_mean_over_layers_is_taken_seed_by_seed(study):
    one = choices_of(study)["anti: word (librispeech)"]
    by_layer = [accuracies(group) for group in one.line.candidates]
    mean = [np.mean([layer[seed] for layer in by_layer]) for seed in SEEDS]
    assert told(one.mean_test) == t_interval(mean)
    none = accuracies(one.line.baseline)
    assert told(one.mean_difference) == t_interval([mean[seed] - none[seed] for seed in SEEDS])


def test_several_layers_at_once_are_no_candidate(tmp_path):
    for layers in (["conv1"], ["conv2"], ["conv1", "conv2"]):
        write_run(tmp_path / "runs", 0, dataset=EMOTION, **(ANTI | {"layers": layers}))
    lines = {line.row.title: len(line.candidates) for line in choice.lines(emotion_of(tmp_path))}
    assert lines == {"anti: speaker": 2, "anti: speaker, layers conv1+conv2": 1}


def brute_force(valid, test, candidates, seeds):
    """Every way to draw runs for every candidate, one after the other; equal ones share the choice."""
    gains = []
    for drawn in itertools.product(range(len(valid)), repeat=candidates * seeds):
        means = np.array(drawn).reshape(candidates, seeds)
        theirs = np.round(np.array(valid)[means].mean(axis=1), 9)
        best = theirs == theirs.max()
        gains.append(np.array(test)[means].mean(axis=1)[best].mean())
    return (np.mean(gains) - np.mean(test)) * np.sqrt(len(valid) / (len(valid) - 1))


@pytest.mark.parametrize(("runs", "candidates", "seeds"), [(4, 1, 1), (4, 3, 1), (5, 2, 2), (3, 2, 3), (3, 4, 2)])
def test_selection_bias_agrees_with_every_draw(runs, candidates, seeds):
    dice = np.random.default_rng(runs)
    valid = np.round(dice.uniform(0.6, 0.7, runs), 2)  # so that some are equal
    test = valid + dice.normal(0, 0.02, runs)
    found = choice.selection_bias(list(valid), list(test), candidates, seeds)
    assert found.mean == pytest.approx(brute_force(valid, test, candidates, seeds), abs=1e-10)
    rest = [np.delete(np.stack([valid, test]), run, axis=1) for run in range(runs)]
    if runs > 3:
        without = [brute_force(*pairs, candidates, seeds) for pairs in rest]
        error = np.sqrt((runs - 1) / runs * np.sum((without - np.mean(without)) ** 2))
        half = stats.t.ppf(0.975, runs - 1) * error
        assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=1e-10)


def test_selection_bias_is_that_of_normal_numbers_where_there_are_many():
    valid = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    best = np.random.default_rng(0).standard_normal((200_000, 13)).max(axis=1).mean()
    assert choice.selection_bias(list(valid), list(valid), 13).mean == pytest.approx(best, abs=0.02)
    apart = choice.selection_bias(list(valid), [0.5] * 400, 13)
    assert apart.mean == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("runs", "seeds", "told"), [(5, 1, 0.75), (10, 1, 0.88), (20, 1, 0.94), (5, 3, 0.92)])
def test_of_few_runs_selection_bias_tells_the_part_of_the_gain_that_the_page_says(runs, seeds, told):
    dice = np.random.default_rng(runs)
    gain = dice.standard_normal((100_000, 13)).max(axis=1).mean() / np.sqrt(seeds)
    samples = dice.standard_normal((800, runs))
    found = np.mean([choice._gain(np.stack([one, one]), 13, seeds, 0) for one in samples])
    assert found / gain == pytest.approx(told, abs=0.05)


def test_selection_bias_that_is_sampled_agrees_with_the_counted_one(monkeypatch):
    dice = np.random.default_rng(3)
    valid = list(dice.uniform(0.6, 0.7, 6))
    test = [number + 0.01 * dice.standard_normal() for number in valid]
    counted = choice.selection_bias(valid, test, 13, 4)
    monkeypatch.setattr(choice, "EXACT", 1)
    sampled = choice.selection_bias(valid, test, 13, 4)
    assert sampled.mean == pytest.approx(counted.mean, abs=0.001)
    assert sampled == choice.selection_bias(valid, test, 13, 4)


def test_selection_bias_says_when_it_cannot_be_told(study, tmp_path):
    assert choices_of(study)["anti: word (librispeech)"].bias.count == 5
    for seed in (0, 1):
        write_run(tmp_path / "runs", seed, dataset=EMOTION)
        for layer in LAYERS:
            write_run(tmp_path / "runs", seed, dataset=EMOTION, **(ANTI | {"layers": [layer]}))
    one = choices_of(tmp_path)["anti: speaker"]
    assert (one.bias, one.why) == (None, "too few runs of strategy none: 2, at least 5 are needed")
    page = report([tmp_path]).read_text()
    assert one.why in page
    assert choices_of(tmp_path)["none"].why == "one candidate"


# --- tables in the paper's shape


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


# --- the paper itself


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


# --- figures


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


def biased_run(root, seed, strength, **how):
    name = f"synth_word_biased_s{round(100 * strength):03d}"
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


def test_headers_that_are_not_there_say_nothing(tmp_path):
    run = results.load_run(write_run(tmp_path, 0))
    assert folders.header(run) == {}
    assert biased.bias(run) is None
    assert PLAIN["strategy"] == run.settings["strategy"]
