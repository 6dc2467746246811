"""Rolls are the recordings they were made of, and an assignment is the mapping it was made of, whatever the size."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data import scratch
from at_data.recordings import Recording
from at_data.rolls import ABSENT, Ids, Roll, Texts, columns, joined, texts
from at_data.rolls.assignment import Assignment

# letters of one to four bytes: the order of strings is that of their code points
words = st.text("ab\u00e9\u20ac\U0001f600", max_size=4)
seconds = st.none() | st.floats(0, 1e6)
recordings = st.lists(
    st.builds(
        Recording,
        id=words,
        corpus=st.sampled_from(["gsc", "table"]),
        path=words,
        attributes=st.dictionaries(st.sampled_from(["word", "speaker", "take"]), words, max_size=3),
        start_s=seconds,
        length_s=seconds,
        published_split=st.sampled_from([None, "train", "valid", "test"]),
    ),
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module", params=["in one piece", "in many pieces, in files"])
def pieces(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "in one piece":
            patch.setattr(scratch, "SMALL_BYTES", 16)
            patch.setattr(scratch, "BUFFER_BYTES", 8)
            for module in (texts, columns):
                patch.setattr(module, "CHUNK", 3)
            patch.setattr("at_data.rolls.CHUNK", 3)
            patch.setattr("at_data.rolls.assignment.CHUNK", 3)
        yield


@given(recordings, st.data())
def test_a_roll_is_the_sequence_it_was_made_of(made, data):
    roll = Roll.of(iter(made))
    assert roll == made
    assert list(roll) == made
    assert len(roll) == len(made)
    assert Roll.of(roll) is roll
    assert list(roll.ids) == [recording.id for recording in made]
    assert pickle.loads(pickle.dumps(roll)) == tuple(made)  # noqa: S301 - our own
    places = data.draw(st.lists(st.integers(0, len(made) - 1), max_size=8)) if made else []
    some = roll.take(np.array(places, np.int64))
    assert list(some) == [made[place] for place in places]
    assert [roll[place] for place in places] == list(some)
    assert [roll.ids[place] for place in places] == list(some.ids)
    start, stop, step = data.draw(st.slices(max(1, len(made)))).indices(len(made))
    assert roll[start:stop:step] == made[start:stop:step]
    assert joined([some, roll, some]) == [*some, *made, *some]
    out = {place for place in range(len(made)) if place not in places}
    assert list(roll.without(some)) == [made[place] for place in sorted(out)]


@given(recordings)
def test_a_roll_knows_the_values_of_its_attributes(made):
    roll = Roll.of(made)
    assert roll.attributes == sorted({name for recording in made for name in recording.attributes})
    for name in ("word", "speaker", "nothing has this"):
        expected = [recording.attributes.get(name) for recording in made]
        values = [*roll.values(name), None]
        assert [values[code] for code in roll.codes(name)] == expected
        assert roll.held(name) == sorted({value for value in expected if value is not None})
    labelled = [recording for recording in made if {"word", "speaker"} <= recording.attributes.keys()]
    pairs = [(recording.attributes["word"], recording.attributes["speaker"]) for recording in labelled]
    assert list(Roll.of(labelled).each(["word", "speaker"])) == pairs


@given(st.lists(words, max_size=14))
def test_texts_are_in_order_and_found(made):
    found = Texts.of(made)
    numbers = np.arange(len(made))
    assert found.at(numbers) == list(found.each(numbers)) == made
    assert found.order.tolist() == sorted(range(len(made)), key=made.__getitem__)
    places = {text: place for place, text in enumerate(sorted(set(made)))}
    assert found.ranks.tolist() == [places[text] for text in made]
    assert sorted(found.repeated()) == [n for n, text in enumerate(made) if text in made[:n]]
    among = np.arange(len(made)) % 3 > 0
    some = [text for text, there in zip(made, among, strict=True) if there]
    twins = [(n, made[n]) for n in np.flatnonzero(among).tolist() if made[n] in [made[m] for m in range(n) if among[m]]]
    assert sorted(found.repeated(among)) == [n for n, _ in twins]
    assert len(twins) == len(some) - len(set(some))
    for text in {*made, "", "b", "not there"}:
        assert found.find(text) == (made.index(text) if text in made else None)
    assert list(Ids.of_all(found).sorted()) == sorted(made)


@given(recordings, st.data())
def test_an_assignment_is_the_mapping_it_was_made_of(made, data):
    made = list({recording.id: recording for recording in made}.values())
    roll = Roll.of(made)
    splits = {r.id: s for r in made if (s := data.draw(st.sampled_from(["train", "valid", "test", None])))}
    found = Assignment.over(roll, splits)
    assert found == splits
    assert dict(found) == splits
    assert len(found) == len(splits)
    assert "not there" not in found
    assert Counter(found.values()) == Counter(splits.values())
    for name in ("train", "valid", "test"):
        assert list(found.part(roll, name).ids) == [r.id for r in made if splits.get(r.id) == name]
    assert found.as_dict() == splits
    held = roll.take(found.parts(roll) != ABSENT)
    assert list(found.each(held)) == [splits[item] for item in held.ids]
    assert found.some(held.rows) == splits
    others = roll.without(held)
    if others:  # who is in no split is not taken for one of the last
        with pytest.raises(KeyError):
            list(found.each(roll))
    assert found.beside(others, "held out") == splits | dict.fromkeys(others.ids, "held out")
    assert Assignment.over(roll, found) is found
    again = Assignment.over(Roll.of(made), found)
    assert (again is found, again == splits) == (False, True)
