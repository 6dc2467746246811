from collections import Counter

import pytest

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.selection import Cap, Undersample, balance, keep


def made(**counts: int) -> list[Recording]:
    return [Recording(f"{w}{i}", "made", f"{w}{i}.wav", {"word": w}) for w, n in counts.items() for i in range(n)]


def words(recordings: list[Recording]) -> Counter[str]:
    return Counter(r.attributes["word"] for r in recordings)


def test_keep_holds_to_every_attribute() -> None:
    recordings = [Recording(f"{w}{s}", "made", "x", {"word": w, "sex": s}) for w in "ab" for s in "fm"]
    assert [r.id for r in keep(recordings, {"word": ["a"], "sex": ["m"]})] == ["am"]


def test_keep_without_wishes_keeps_all() -> None:
    assert len(keep(made(a=2, b=3), {})) == 5


def test_a_recording_without_the_attribute_is_left_out() -> None:
    assert keep([*made(a=1), Recording("x", "made", "x")], {"word": ["a"]}) == made(a=1)


def test_a_misspelt_value_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ManifestError, match=r"no recording has seven.*expected.*a, b"):
        keep(made(a=1, b=1), {"word": ["a", "seven"]})


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
