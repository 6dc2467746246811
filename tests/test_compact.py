"""Hashes and fingerprints behind each other are those that were put there, by number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from at_data.build import compact
from at_data.build.compact import Hashes, Words

# few of them, and a quarter of a hash is often that of another: what agrees in a quarter of it is not the same
quarters = st.sampled_from(["00" * 4, "0f" * 4, "f0" * 4, "a1" * 4])
hashes = st.lists(st.none() | st.tuples(quarters, quarters, quarters, quarters).map("".join), max_size=12)
words = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=5), max_size=12)


def noted(made: list[str | None]) -> tuple[Hashes, np.ndarray]:
    found, there = Hashes(len(made)), np.array([number for number, value in enumerate(made) if value], np.int64)
    found.note(there, "".join(value for value in made if value))
    found.there[there] = True
    return found, there


@given(hashes)
def test_hashes_are_those_that_were_noted(made):
    found, there = noted(made)
    assert found.hexed(there) == [value for value in made if value]
    assert found.hexed(there[::-1]) == [value for value in reversed(made) if value]


@given(hashes, st.integers(1, 5))
def test_several_are_those_whose_hash_another_one_has(made, chunk):
    found, there = noted(made)
    expected = [number for number in there.tolist() if made.count(made[number]) > 1]
    assert found.several().tolist() == expected
    whole, compact.CHUNK = compact.CHUNK, chunk
    try:
        assert found.several().tolist() == expected
    finally:
        compact.CHUNK = whole


@given(words, st.data())
def test_words_are_those_they_were_made_of_and_some_can_be_left_out(made, data):
    sizes = np.array([len(some) for some in made], np.int32)
    held = np.array([word for some in made for word in some], np.uint32)
    found = Words(held, np.cumsum(sizes, dtype=np.int64) - sizes, sizes, np.ones(len(made), bool))
    assert [found.of(number).tolist() for number in range(len(made))] == made
    out = data.draw(st.sets(st.integers(0, len(made) - 1))) if made else set()
    left = found.without(np.array(sorted(out), np.int64))
    assert np.flatnonzero(~left.there).tolist() == sorted(out)
    assert found.there.all()
