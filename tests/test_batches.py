"""Batches: every item once, in an order of seed and epoch alone, as the reader holds it."""

import threading
from functools import partial

import numpy as np
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import CheckpointError, ConfigError
from at_data.shards import open_dataset
from at_train.batches import (
    Data,
    Runs,
    ahead,
    channels_last,
    devices,
    epoch_batches,
    maps,
    order,
    sequential_batches,
    windows,
)

CPU = torch.device("cpu")
SCALED = 1e-5  # float32 rounding of a shift and a factor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "words")


@given(st.integers(0, 2**63 - 1), st.integers(1, 10_000), st.integers(0, 300))
def test_order_is_a_permutation_and_pure(seed, epoch, n):
    first = order(seed, epoch, n)
    assert sorted(first.tolist()) == list(range(n))
    np.testing.assert_array_equal(order(seed, epoch, n), first)


def test_order_is_the_same_on_every_machine():
    # Philox 4x64 is fixed by its definition: this must never change, or old runs cannot be carried on
    assert order(7, 3, 8).tolist() == [2, 5, 7, 3, 0, 6, 4, 1]


def test_order_differs_by_seed_and_epoch():
    orders = {tuple(order(seed, epoch, 50)) for seed in range(3) for epoch in range(1, 4)}
    assert len(orders) == 9


@pytest.mark.parametrize("batch_size", [1, 5, 23, 24, 100])
def test_an_epoch_holds_every_item_once_as_the_reader_has_it(folder, batch_size):
    split = Data.open(folder).splits["train"]
    reader = open_dataset(folder).split("train")
    seen = []
    for batch in epoch_batches(split, batch_size, 3, 1, CPU):
        rows = np.array([reader.ids.index(item) for item in batch.ids])
        np.testing.assert_array_equal(batch.values[:, 0].numpy(), reader.read(rows))
        np.testing.assert_array_equal(batch.target.numpy(), reader.codes("word")[rows])
        np.testing.assert_array_equal(batch.nuisances["speaker"].numpy(), reader.codes("speaker")[rows])
        seen += batch.ids
    assert sorted(seen) == sorted(reader.ids)
    assert [split.ids[place] for place in order(3, 1, len(split))] == seen


def test_the_last_batch_may_hold_one_item(folder):
    sizes = [len(batch.ids) for batch in sequential_batches(Data.open(folder).splits["train"], 23, CPU)]
    assert sizes == [23, 1]


def test_sequential_batches_keep_the_order(folder):
    split = Data.open(folder).splits["test"]
    assert [item for batch in sequential_batches(split, 5, CPU) for item in batch.ids] == split.ids


def test_items_without_a_target_are_left_out_and_counted(tmp_path):
    split = Data.open(toy.dataset(tmp_path / "d", unknown={"train": 4})).splits["train"]
    assert (len(split), split.left_out) == (20, 4)
    assert all((batch.target >= 0).all() for batch in sequential_batches(split, 7, CPU))


def test_another_target_makes_the_manifests_own_a_nuisance(folder):
    data = Data.open(folder, "speaker")
    assert data.classes == toy.SPEAKERS
    assert list(data.splits["train"].nuisances) == ["word"]


def test_an_unknown_target_lists_the_known(folder):
    with pytest.raises(ConfigError, match=r"no attribute 'wrod'; expected one of: word, speaker"):
        Data.open(folder, "wrod")


def test_a_class_that_train_lacks_is_refused_with_advice(tmp_path):
    folder = toy.dataset(tmp_path / "d", speakers={"train": ("ada", "bea"), "valid": ("cyd",), "test": ("dov",)})
    assert Data.open(folder, "word").classes == toy.WORDS
    with pytest.raises(ConfigError, match=r"speaker cyd in valid but not in train.*not split by speaker"):
        Data.open(folder, "speaker")


def test_a_dataset_without_train_items_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no training item with a known word"):
        Data.open(toy.dataset(tmp_path / "d", takes={"test": 1}))


def test_a_task_of_one_class_is_refused(tmp_path):
    # the paper's instrument network was trained on a constant label (ORIGINAL E2)
    with pytest.raises(ConfigError, match="every training item has word 'yes'"):
        Data.open(toy.dataset(tmp_path / "d", words=("yes",)))


def test_another_dataset_comes_scaled_and_coded_as_the_network_knows_it(tmp_path):
    words = toy.WORDS[::-1]
    plain = toy.dataset(tmp_path / "plain")
    other = toy.dataset(tmp_path / "other", scaling=(2.0, 5.0), words=words)
    own = Data.open(plain).splits["test"]
    seen = Data.open_as(other, "word", toy.WORDS, (0.0, 1.0)).splits["test"]
    theirs = next(sequential_batches(seen, 100, CPU))
    ours = next(sequential_batches(own, 100, CPU))
    assert set(theirs.ids) == set(ours.ids)
    places = [theirs.ids.index(item) for item in ours.ids]
    torch.testing.assert_close(theirs.values[places], ours.values, atol=SCALED, rtol=SCALED)
    assert torch.equal(theirs.target[places], ours.target)


def test_a_class_the_network_does_not_know_is_refused(folder):
    with pytest.raises(CheckpointError, match="does not know: yes"):
        Data.open_as(folder, "word", ("no", "stop"), (0.0, 1.0))


def equal(ours, theirs):
    return all(
        a.ids == b.ids and torch.equal(a.values.cpu(), b.values.cpu()) and torch.equal(a.target.cpu(), b.target.cpu())
        for a, b in zip(ours, theirs, strict=True)
    )


def test_a_split_held_on_the_device_gives_the_same_batches(folder, monkeypatch):
    split = Data.open(folder).splits["train"]
    read = list(epoch_batches(split, 5, 1, 2, CPU))
    monkeypatch.setattr(devices, "stays_on_disk", lambda *_: False)
    assert equal(epoch_batches(split, 5, 1, 2, CPU), read)
    assert list(split.held) == ["cpu"]
    assert equal(sequential_batches(split, 7, CPU), [*sequential_batches(Data.open(folder).splits["train"], 7, CPU)])


def test_what_the_device_holds_is_not_read_ahead(folder, monkeypatch):
    split, runs = Data.open(folder).splits["train"], Runs(3, 9)
    read = list(epoch_batches(split, 5, 1, 2, CPU, runs))
    monkeypatch.setattr(devices, "stays_on_disk", lambda *_: False)
    monkeypatch.setattr("at_data.shards.SplitReader.ask_for", lambda *_: pytest.fail("asked for"))
    assert equal(epoch_batches(split, 5, 1, 2, CPU, runs), read)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: run it where there is one")
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["copied as needed", "held on the GPU"])
def test_a_gpu_gets_the_batches_that_a_cpu_gets(folder, monkeypatch, share):
    monkeypatch.setattr(devices, "GPU_SHARE", share)
    split, device = Data.open(folder).splits["train"], torch.device("cuda")
    assert equal(epoch_batches(split, 5, 1, 2, device), [*epoch_batches(split, 5, 1, 2, CPU)])
    assert bool(split.held) == (share > 0)


@given(st.integers(0, 2**63 - 1), st.integers(1, 100), st.integers(0, 300), st.integers(1, 20), st.integers(1, 60))
def test_windows_hold_every_item_once_and_are_pure(seed, epoch, n, run, buffer):
    found = windows(seed, epoch, n, Runs(run, buffer))
    assert sorted(place for window in found for place in window.tolist()) == list(range(n))
    assert all(len(window) <= max(run, buffer) for window in found)
    again = windows(seed, epoch, n, Runs(run, buffer))
    assert [window.tolist() for window in again] == [window.tolist() for window in found]


def test_windows_are_the_same_on_every_machine():
    # as the order of items: this must never change
    found = [window.tolist() for window in windows(7, 3, 12, Runs(2, 5))]
    assert found == [[8, 9, 3, 2], [5, 10, 4, 11], [0, 6, 7, 1]]


def same_run(places, run):
    """How many items are followed by one that lies less than a run away."""
    return int((np.abs(np.diff(places)) < run).sum())


@pytest.mark.parametrize(("run", "buffer"), [(16, 256), (64, 1024), (100, 5000)])
def test_neighbours_in_a_run_are_seldom_neighbours_in_the_order(run, buffer):
    """Pairs that stand side by side and lie within a run: as many as chance makes in a window, within 5 deviations.

    Of two items of a window that come one after the other, (run - 1) / (window - 1) are of one run; others at most
    a run apart are of neighbouring runs, which stand in one window by chance: at most twice run / n more.
    """
    n, epochs = 20_000, 5
    orders = [np.concatenate(windows(1, epoch, n, Runs(run, buffer))) for epoch in range(1, epochs + 1)]
    held = buffer // run * run
    most = (run - 1) / (held - 1) + 4 * run / n
    pairs = epochs * (n - 1)
    bound = pairs * most + 5 * np.sqrt(pairs * most * (1 - most))
    assert sum(same_run(places, run) for places in orders) < bound
    least = sum(same_run(order(1, epoch, n), run) for epoch in range(1, epochs + 1))
    assert least < bound  # a permutation has fewer, or none would be lost
    assert bound < epochs * same_run(np.arange(n), run) / 5  # and runs as they lie would break it


@pytest.mark.parametrize(("run", "buffer"), [(16, 256), (64, 1024)])
def test_where_an_item_comes_says_little_of_where_it_lies(run, buffer):
    n = 20_000
    places = np.concatenate(windows(1, 1, n, Runs(run, buffer)))
    # of n / buffer windows: their means differ by chance, about the deviation of a mean of buffer / run draws
    correlation = np.corrcoef(np.arange(n), places)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(n / run)
    others = np.concatenate(windows(1, 2, n, Runs(run, buffer)))
    assert abs(np.corrcoef(places, others)[0, 1]) < 5 / np.sqrt(n / run)


def test_runs_begin_elsewhere_in_every_epoch():
    partners = [{frozenset(window.tolist()) for window in windows(1, epoch, 64, Runs(8, 8))} for epoch in range(1, 9)]
    assert len(frozenset.union(*map(frozenset, partners))) > 4 * 8


@pytest.mark.parametrize("batch_size", [1, 5, 24])
def test_an_epoch_by_runs_holds_every_item_once(folder, batch_size, monkeypatch):
    asked = []
    monkeypatch.setattr("at_data.shards.SplitReader.ask_for", lambda _, rows: asked.append(rows.tolist()))
    split = Data.open(folder).splits["train"]
    seen = [item for batch in epoch_batches(split, batch_size, 3, 1, CPU, Runs(3, 9)) for item in batch.ids]
    expected = windows(3, 1, len(split), Runs(3, 9))
    assert seen == [split.ids[place] for window in expected for place in window.tolist()]
    assert asked == [split.rows[window].tolist() for window in expected]


def test_reading_ahead_changes_nothing(tmp_path):
    split = Data.open(toy.dataset(tmp_path / "d")).splits["train"]
    before = split.reader.read(np.arange(24))
    split.reader.ask_for(np.array([5, 3, 4, 20]))
    np.testing.assert_array_equal(split.reader.read(np.arange(24)), before)


@given(st.integers(0, 20), st.integers(1, 4))
def test_ahead_gives_every_result_in_order(count, depth):
    assert list(ahead((partial(int, number) for number in range(count)), depth)) == list(range(count))


def test_ahead_raises_what_a_task_raised_after_the_results_before_it():
    results = ahead([lambda: 1, lambda: 1 // 0, lambda: 3])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_ahead_early_ends_its_thread():
    results = ahead(partial(int, number) for number in range(1000))
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches ahead")]


def test_maps_of_one_channel_are_laid_out_as_networks_are_on_a_gpu():
    torch.manual_seed(0)
    items = torch.randn(3, 40, 33)
    laid_out, usual = channels_last(items), maps(items)
    assert laid_out.data_ptr() == items.data_ptr()
    assert torch.equal(laid_out, usual)
    # what torch makes of maps where both layouts are true
    assert torch.ops.aten.cat([laid_out, laid_out], 1).is_contiguous(memory_format=torch.channels_last)
    assert torch.ops.aten.cat([usual, usual], 1).is_contiguous()
