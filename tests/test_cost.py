"""Cost: equation 4 as the paper has it, a row for every strategy, networks left as they were, errors told."""

import csv
import io
import json
import math
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict

import pytest
import torch
import toy
from test_steps import Again

from at_data.errors import ConfigError
from at_train import arithmetic, config, cost, networks
from at_train.config import STRATEGIES
from at_train.cost import Case, Work, memory, times, work
from at_train.memory_formula import compared_bytes, encoder_bytes, map_shapes
from at_train.steps import WARM_UP

pytestmark = pytest.mark.usefixtures("own_server")
FIRST, LAST = (64, 126, 129), (512, 7, 8)
MB = 1e6
WORK = Work(config.parse({"width": toy.WIDTH, "batch_size": 2}, "test"), toy.FRAMES, toy.BINS, 3, "cpu")


def outline(width=1.0):
    with torch.device("meta"):
        return networks.build("vgg16", 10, (126, 129), width)


def test_shapes_of_maps_are_those_the_paper_names():
    shapes = map_shapes(outline(), 126, 129)
    assert list(shapes) == [f"conv{number}" for number in range(1, 14)]
    assert (shapes["conv1"], shapes["conv2"], shapes["conv13"]) == (FIRST, FIRST, LAST)


@pytest.mark.parametrize(
    ("shape", "batch_size", "mixed", "expected"),
    [
        (FIRST, 1, False, 8.4),
        (LAST, 1, False, 2.3),
        (FIRST, 13, False, 109),
        (LAST, 13, False, 30),
        (FIRST, 13, True, 114),
        (LAST, 13, True, 357),
    ],
)
def test_equation_4_gives_what_its_text_gives(shape, batch_size, mixed, expected):
    found = compared_bytes(shape, batch_size, mixed=mixed) / MB
    assert round(found, 1 if expected < 10 else 0) == expected


def test_twice_the_mixed_matrix_is_the_papers_figure_for_the_last_layer():
    assert 2 * compared_bytes(LAST, 13, mixed=True) / MB == pytest.approx(714, rel=0.002)


def test_equation_4_counts_both_networks_maps_and_what_they_are_compared_by():
    assert compared_bytes((3, 5, 7), 2) == 2 * 4 * (2 * 3 * 3 + 2 * 3 * 5 * 7)
    assert compared_bytes((3, 5, 7), 2, vector=35) == 2 * 4 * (2 * 35 + 2 * 3 * 5 * 7)
    assert compared_bytes((3, 5, 7), 2, mixed=True) == 2 * 4 * (6 * 6 + 2 * 3 * 5 * 7)
    assert compared_bytes((3, 5, 7), 1, mixed=True) == compared_bytes((3, 5, 7), 1)


def test_the_encoder_is_its_convolutions():
    assert encoder_bytes(outline()) == 4 * 14_713_536  # 14,714,688 of the three-channel network, less 2 x 64 x 9
    assert round(encoder_bytes(outline()) / MB, 1) == 58.9


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    data = toy.dataset(tmp_path_factory.mktemp("data") / "words", digest="a" * 64)
    said = []
    settings = config.parse({"width": toy.WIDTH, "batch_size": 3}, "test")
    found = cost.cost(settings, ["conv2", "conv5"], data, steps=2, device="cpu", say=said.append)
    assert said[-1] == "memory of dann conv5"
    return found


def test_every_strategy_has_a_row(rows):
    assert [(row.strategy, row.layer, row.cached) for row in rows] == [
        ("none", None, False),
        ("init", None, False),
        ("freeze", "conv5", False),
        ("anti", "conv2", False),
        ("anti", "conv5", False),
        ("anti", "conv5", True),
        ("dual", "conv5", False),
        ("dann", "conv5", False),
    ]
    assert {row.strategy for row in rows} == set(STRATEGIES)


def test_figures_are_measured_and_in_order(rows):
    for row in rows:
        assert row.step_s > 0
        assert 0 < row.step_ratio_least <= row.step_ratio <= row.step_ratio_greatest
        assert row.peak_bytes is not None
        assert row.peak_bytes > 0
        assert row.peak_ratio == pytest.approx(row.peak_bytes / rows[0].peak_bytes)
        assert row.extra_bytes == row.peak_bytes - rows[0].peak_bytes
    assert (rows[0].peak_ratio, rows[0].extra_bytes) == (1.0, 0)


def test_equation_4_stands_beside_what_it_speaks_of(rows):
    expected = {(row.strategy, row.layer): row.equation_4_bytes for row in rows if row.equation_4_bytes is not None}
    assert set(expected) == {("anti", "conv2"), ("anti", "conv5"), ("dual", "conv5")}
    network = networks.build("vgg16", 3, (toy.FRAMES, toy.BINS), toy.WIDTH)
    shapes = map_shapes(network.to("meta"), toy.FRAMES, toy.BINS)
    for (_, layer), size in expected.items():
        assert size == encoder_bytes(network) + compared_bytes(shapes[layer], 3)


def test_rows_can_be_read_by_people_and_machines(rows):
    table = cost.shown(rows)
    assert table[0][0] == "strategy"
    assert {len(line) for line in table} == {len(table[0])}
    assert [line[0] for line in table[1:]] == ["none", "init", "freeze", "anti", "anti", "anti cached", "dual", "dann"]
    assert json.loads(json.dumps([asdict(row) for row in rows]))[3]["layer"] == "conv2"
    read = list(csv.DictReader(io.StringIO(cost.as_csv(rows))))
    assert float(read[4]["step_ratio"]) == rows[4].step_ratio
    assert (read[0]["layer"], read[0]["equation_4_bytes"]) == ("", "")


def test_without_layers_anti_transfer_is_measured_at_each(monkeypatch):
    seen = []
    monkeypatch.setattr(cost, "seconds", lambda _work, chosen, _steps, _say: [[(1.0, 2.0)]] * len(chosen))
    monkeypatch.setattr(cost, "peak_alone", lambda work, case, _say: seen.append((work, case)))
    found = cost.cost(device="cpu")
    compared = [row.layer for row in found if row.strategy == "anti" and not row.cached]
    assert compared == [f"conv{number}" for number in range(1, 14)]
    assert {row.layer for row in found if row.strategy in {"freeze", "dual", "dann"} or row.cached} == {"conv13"}
    assert {(work.frames, work.bins, work.settings.batch_size) for work, _ in seen} == {(126, 129, 13)}
    measured = {(row.step_ratio, row.peak_bytes, row.peak_ratio, row.extra_bytes) for row in found}
    assert measured == {(0.5, None, None, None)}
    megabytes = {row.layer: row.equation_4_bytes / MB for row in found if row.strategy == "anti" and not row.cached}
    assert (round(megabytes["conv1"]), round(megabytes["conv13"])) == (109 + 59 - 1, 30 + 59)  # 108.6 and 58.9
    assert cost.shown(found)[1][6:] == ["", "", "", ""]


def test_what_cannot_be_kept_has_no_row_and_the_released_matrix_its_own_prediction(monkeypatch):
    monkeypatch.setattr(cost, "seconds", lambda _work, chosen, _steps, _say: [[(1.0, 1.0)]] * len(chosen))
    monkeypatch.setattr(cost, "peak_alone", lambda *_: 1)
    found = cost.cost(config.parse({"variant": "as_released"}, "test"), ["conv13"], device="cpu")
    assert not any(row.cached for row in found)
    (anti,) = (row for row in found if row.strategy == "anti")
    assert round(anti.equation_4_bytes / MB) == 357 + 59


@pytest.mark.parametrize("case", [Case("none"), Case("freeze", "conv3"), Case("anti", "conv3"), Case("dann", "conv3")])
def test_a_case_leaves_the_network_as_it_was(case):
    network, batch = WORK.network(), WORK.batch()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    penalty = work.penalty_of(WORK, case, network, WORK.network(), batch)
    learning = dict(network.named_parameters())
    frozen = ("features.conv1.", "features.conv2.", "features.conv3.") if case.strategy == "freeze" else ()
    with work.applied(case, network, penalty):
        optimiser = arithmetic.adam(network.parameters(), 0.0, torch.device("cpu"))
        work.take(network, optimiser, work.step_of(WORK, network, optimiser, penalty, None), batch, 2)
        inside = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert inside == {name for name in learning if not name.startswith(frozen)}
    assert all(weight.requires_grad for weight in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_every_case_is_recorded_where_runs_are(monkeypatch):
    recorder = Again()
    monkeypatch.setattr(times, "recorder_of", lambda _work: recorder)
    monkeypatch.setattr(times, "BATCHES_PER_TURN", {"cpu": WARM_UP + 2})
    chosen = cost.cases(["conv3"])
    pairs = times.seconds(WORK, chosen, 1, str)
    assert recorder.recorded == len(chosen)
    assert [len(found) for found in pairs] == [1] * len(chosen)
    turns = 2 * 2 * len(chosen)  # plain and not, the first to warm up
    assert recorder.replayed == turns * (WARM_UP + 2) - WARM_UP * len(chosen)


def test_kept_vectors_spare_the_pass_of_the_frozen_network():
    network, frozen, batch = WORK.network(), WORK.network(), WORK.batch()
    passes = []
    penalties = [
        work.penalty_of(WORK, Case("anti", "conv4", cached), network, frozen, batch) for cached in (True, False)
    ]
    frozen.features.conv1.register_forward_pre_hook(lambda *_: passes.append(1))
    losses = []
    for penalty in penalties:
        with work.applied(Case("anti", "conv4"), network, penalty):
            network(batch.values)
            losses.append(penalty(batch)[0])
    assert len(passes) == 1
    assert torch.equal(*losses)


def test_what_cannot_be_measured_is_told():
    for given, layers, steps, message in (
        ({}, ["conv14"], 1, "unknown layer 'conv14'"),
        ({}, None, 0, "steps: got 0"),
        ({"network": "vgg"}, None, 1, "unknown network 'vgg'"),
        ({"aggregation": "grams"}, None, 1, "unknown name 'grams'"),
    ):
        with pytest.raises(ConfigError, match=message):
            cost.cost(config.parse(given, "test"), layers, steps=steps, device="cpu")
    with pytest.raises(ConfigError, match="device"):
        cost.cost(device="tpu")


def test_a_killed_process_is_told(monkeypatch):
    class Killed:
        def __init__(self, *_):
            raise BrokenProcessPool

    monkeypatch.setattr(memory, "ProcessPoolExecutor", Killed)
    with pytest.raises(ConfigError, match="memory of anti conv3: the process that trained was killed"):
        memory.peak_alone(WORK, Case("anti", "conv3"), lambda _text: None)


def test_memory_rises_with_what_is_trained():
    said = []
    small, large = (
        Work(config.parse({"width": 1 / 8, "batch_size": size}, "test"), 64, 64, 3, "cpu") for size in (1, 32)
    )
    peaks = [memory.peak_alone(work, Case("none"), said.append) for work in (small, large)]
    assert said == ["memory of none"] * 2
    numbers = sum(math.prod(shape) for shape in map_shapes(large.outline(), 64, 64).values())
    maps = 31 * 4 * numbers  # backward needs them all; gradients and what convolutions work with come on top
    assert 0.8 * maps < peaks[1] - peaks[0] < 5 * maps
