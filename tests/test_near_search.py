"""The search for near-duplicates, in parts, in processes and in crowds; and work without the search for cycles."""

import gc
import sys

import numpy as np
import pytest

from at_data.build.alike import spread
from at_data.build.pool import Pool
from at_data.stages.duplicates import laid, near, search
from at_data.unswept import imports, unswept


def copied(count: int, words: np.ndarray, dice: np.random.Generator) -> dict[str, np.ndarray]:
    """Recordings of such words, and of a quarter of them a copy with a few bits the other way round."""
    made = {f"{item:05d}": dice.choice(words, 61) for item in range(count)}
    flips = np.left_shift(np.uint32(1), dice.integers(0, 32, (count, 61)).astype(np.uint32))
    flips[dice.random(flips.shape) < 0.7] = 0
    copies = {f"copy of {item}": made[item] ^ flips[int(item)] for item in list(made)[::4]}
    return made | copies


def sides(words: dict[str, np.ndarray]) -> dict[str, str]:
    return {item: "test" if item.startswith("copy") else ("train", "valid")[int(item) % 2] for item in words}


@pytest.fixture(scope="module")
def words() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(3)
    return copied(300, dice.integers(0, 2**32, 5000, dtype=np.uint32), dice)


def test_the_order_of_the_parts_changes_nothing(words):
    def backwards(laid, parts, threshold):
        return (search(laid, part, threshold) for part in reversed(parts))

    found = near(words, sides(words))
    assert len(found) >= 75
    assert near(words, sides(words), run=backwards) == found


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_find_what_one_process_finds(words, workers, tmp_path):
    (tmp_path / "parts").mkdir()
    fewer = {item: held for item, held in words.items() if item[-1] in "048"}
    with Pool(workers) as pool:
        run = spread(tmp_path, pool)
        assert near(words, sides(words), run=run) == near(words, sides(words))
        # a second search in the same work folder is of what it is given, not of what the first one was
        assert near(fewer, sides(fewer), run=run) == near(fewer, sides(fewer))
        assert near({}, {}, run=run) == []


def test_a_copy_is_found_where_every_word_is_in_a_crowd():
    dice = np.random.default_rng(4)
    crowd = copied(2000, dice.integers(0, 2**32, 60, dtype=np.uint32), dice)
    found = {(pair.one, pair.other) for pair in near(crowd, sides(crowd))}
    copies = [item for item in crowd if item.startswith("copy")]
    told = [item for item in copies if (item.removeprefix("copy of "), item) in found]
    assert len(told) >= 0.98 * len(copies)


@pytest.mark.parametrize("passes", [1, 3, 64])
def test_how_much_one_pass_looks_for_changes_nothing(words, monkeypatch, passes):
    monkeypatch.setattr(laid, "AT_ONCE", 2000)
    monkeypatch.setattr(laid, "BLOCK", 1000)
    expected = near(words, sides(words))
    assert len(expected) >= 75
    monkeypatch.setattr(laid, "PASSES", passes)
    monkeypatch.setattr(laid, "RECORDINGS", 10)
    assert near(words, sides(words)) == expected


def test_bits_are_counted_without_numpy_2(words, monkeypatch):
    expected = near(words, sides(words))
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert near(words, sides(words)) == expected


def test_cycles_are_looked_for_again_afterwards():
    assert gc.isenabled()
    with unswept():
        with unswept():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), unswept():
        _ = 1 / 0
    assert gc.isenabled()


def test_what_was_imported_is_never_searched_and_what_comes_later_is(monkeypatch):
    with imports():
        assert not gc.isenabled()
        kept = [[]]
        monkeypatch.setitem(sys.modules, "imported_now", sys)
    try:
        assert gc.isenabled()
        with imports():  # of nothing
            later = [[]]
        searched = {id(found) for found in gc.get_objects()}
        assert id(later) in searched
        assert id(kept) not in searched
    finally:
        gc.unfreeze()
