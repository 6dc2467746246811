"""Compact mappings are the mappings they were made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.build.compact import Hashes, Words

ids = st.text("abc", min_size=1, max_size=3)
# few of them, and half of a hash is often that of another: what agrees in half of it is not the same
halves = st.sampled_from(["00" * 8, "0f" * 8, "f0" * 8, "a1" * 8])
hashes = st.dictionaries(ids, st.tuples(halves, halves).map("".join), max_size=12)
words = st.dictionaries(ids, st.lists(st.integers(0, 2**32 - 1), max_size=5), max_size=12)


@given(hashes)
def test_hashes_are_the_hashes_they_were_made_of(made: dict[str, str]) -> None:
    found = Hashes.of(made)
    assert dict(found) == made
    assert len(found) == len(made)
    assert found.hexed(list(made)) == list(made.values())
    assert "none" not in found
    with pytest.raises(KeyError):
        found["none"]


@given(hashes)
def test_several_are_those_whose_hash_another_one_has(made: dict[str, str]) -> None:
    every = list(made.values())
    assert Hashes.of(made).several() == [item for item, value in made.items() if every.count(value) > 1]


@given(words, st.data())
def test_words_are_those_they_were_made_of_and_some_can_be_left_out(
    made: dict[str, list[int]], data: st.DataObject
) -> None:
    found = Words.of({item: np.array(some, np.uint32) for item, some in made.items()})
    assert {item: some.tolist() for item, some in found.items()} == made
    out = data.draw(st.sets(st.sampled_from(sorted(made)))) if made else set()
    left = found.only(found.without(out))
    assert {item: some.tolist() for item, some in left.items()} == {i: w for i, w in made.items() if i not in out}
    for item in out:
        assert item not in left
        with pytest.raises(KeyError):
            left[item]
    assert len(found) == len(made)
