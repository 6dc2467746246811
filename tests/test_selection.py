from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.selection import Cap, MostFrequent, Undersample, balance, keep


def made(**counts: int) -> list[Recording]:
    return [Recording(f"{w}{i}", "made", f"{w}{i}.wav", {"word": w}) for w, n in counts.items() for i in range(n)]


def words(recordings: list[Recording]) -> Counter[str]:
    return Counter(r.attributes["word"] for r in recordings)


def test_keep_holds_to_every_attribute() -> None:
    recordings = [Recording(f"{w}{s}", "made", "x", {"word": w, "sex": s}) for w in "ab" for s in "fm"]
    assert [r.id for r in keep(recordings, {"word": ("a",), "sex": ("m",)}).recordings] == ["am"]


def test_keep_without_wishes_keeps_all() -> None:
    assert len(keep(made(a=2, b=3), {}).recordings) == 5


def test_a_recording_that_cannot_be_judged_is_unlabelled_and_one_of_another_value_is_not_asked_for() -> None:
    unknown = Recording("x", "made", "x", {"sex": "f"})
    other = Recording("y", "made", "y", {"sex": "m"})
    labelled = [Recording("a", "made", "a", {"word": "a", "sex": "f"})]
    found = keep([*labelled, unknown, other], {"sex": ("f",), "word": ("a",)})
    assert found.recordings == labelled
    assert found.unlabelled == {"x": "word"}


def test_a_recording_without_a_needed_attribute_is_unlabelled() -> None:
    found = keep([*made(a=1), Recording("x", "made", "x")], {}, needed=("word",))
    assert found.recordings == made(a=1)
    assert found.unlabelled == {"x": "word"}


def test_an_attribute_that_nothing_has_is_told_with_the_nearest_whatever_its_case() -> None:
    with pytest.raises(ManifestError, match=r"no recording has 'Word', did you mean 'word'\?"):
        keep(made(a=1), {}, needed=("Word",))


def test_an_attribute_that_nothing_has_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(ManifestError, match=r"mood: no recording has 'mood'; expected attributes of the corpus: word"):
        keep(made(a=1), {}, needed=("mood",))
    with pytest.raises(ManifestError, match=r"keep\.mood: no recording has 'mood'; expected attributes of .*: word"):
        keep(made(a=1), {"mood": ("a",)})


def test_a_misspelt_value_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ManifestError, match=r"no recording has seven.*expected.*a, b"):
        keep(made(a=1, b=1), {"word": ("a", "seven")})


def test_values_can_be_merged_under_a_new_name() -> None:
    found = keep(made(happy=2, excited=3, sad=1, bored=4), {"word": {"happy": ("happy", "excited"), "low": ("sad",)}})
    assert words(found.recordings) == {"happy": 5, "low": 1}
    assert [r.id for r in found.recordings] == ["happy0", "happy1", "excited0", "excited1", "excited2", "sad0"]


def test_a_value_cannot_be_merged_into_two() -> None:
    with pytest.raises(ManifestError, match=r"keep\.word: 'a' becomes both 'x' and 'y'"):
        keep(made(a=1), {"word": {"x": ("a",), "y": ("a",)}})


@pytest.mark.parametrize("there", ["n\u00e9", "ne\u0301"])
@pytest.mark.parametrize("asked", ["n\u00e9", "ne\u0301"])
def test_a_value_typed_on_another_system_is_the_one_that_is_wanted(there: str, asked: str) -> None:
    recordings = made(**{there: 2, "yes": 1})
    assert words(keep(recordings, {"word": (asked,)}).recordings) == {"n\u00e9": 2}
    assert words(keep(recordings, {"word": {asked: (asked, "yes")}}).recordings) == {"n\u00e9": 3}


def stretches(**lengths_s: list[float]) -> list[Recording]:
    return [
        Recording(f"{word}{number}", "made", "x", {"word": word}, 0.0, length_s)
        for word, held in lengths_s.items()
        for number, length_s in enumerate(held)
    ]


def test_the_most_frequent_are_counted_among_stretches_of_fitting_length() -> None:
    wish = MostFrequent(most_frequent=2, shortest_s=0.1, longest_s=1.0)
    spoken = stretches(a=[0.5, 0.5, 0.5], b=[0.5, 0.1, 2.0], c=[2.0, 2.0, 2.0, 2.0, 0.5], d=[0.05] * 9)
    assert words(keep(spoken, {"word": wish}).recordings) == {"a": 3, "b": 2}


def test_of_equally_frequent_values_the_first_in_the_alphabet_stay() -> None:
    wish = MostFrequent(most_frequent=2, shortest_s=0.0, longest_s=1.0)
    assert words(keep(made(c=2, b=2, a=2), {"word": wish}).recordings) == {"a": 2, "b": 2}


@given(st.permutations(made(a=3, b=2, c=2, d=1)))
def test_what_is_most_frequent_does_not_depend_on_the_order(shuffled: list[Recording]) -> None:
    wish = MostFrequent(most_frequent=2, shortest_s=0.0, longest_s=1.0)
    assert words(keep(shuffled, {"word": wish}).recordings) == {"a": 3, "b": 2}


def test_cap_limits_each_value_and_leaves_small_ones_alone() -> None:
    assert words(balance(made(a=50, b=7), Cap(by="word", method="cap", at=10), 1)) == {"a": 10, "b": 7}


def test_undersample_takes_the_rarest_count_of_each() -> None:
    assert words(balance(made(a=50, b=7, c=9), Undersample(by="word", method="undersample"), 1)) == {
        "a": 7,
        "b": 7,
        "c": 7,
    }


def test_what_is_chosen_depends_on_the_seed_and_not_on_what_else_is_there() -> None:
    rule = Cap(by="word", method="cap", at=10)
    alone = balance(made(a=50), rule, 1)
    assert alone == [r for r in balance(made(a=50, b=20), rule, 1) if r.attributes["word"] == "a"]
    assert alone != balance(made(a=50), rule, 2)


def test_balancing_by_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ManifestError, match="no attribute 'mood'"):
        balance(made(a=1), Undersample(by="mood", method="undersample"), 1)


def test_two_counts_of_what_is_most_frequent_are_refused() -> None:
    wish = MostFrequent(most_frequent=1, shortest_s=0.0, longest_s=1.0)
    with pytest.raises(ManifestError, match="most_frequent of sex and of word"):
        keep(made(a=1), {"word": wish, "sex": wish})


def test_what_an_unlabelled_recording_lacks_does_not_depend_on_the_order_of_the_wishes() -> None:
    recordings = [
        *made(a=1),
        Recording("b", "made", "b", {"sex": "f", "age": "3"}),
        Recording("x", "made", "x", {"z": "z"}),
    ]
    lines = {"word": ("a",), "sex": ("f",), "age": ("3",)}
    first = keep(recordings, lines).unlabelled
    assert first == keep(recordings, dict(reversed(lines.items()))).unlabelled
