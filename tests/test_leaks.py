import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.leaks import less_protected, prove, prove_alike, prove_disjoint, refuse, shared_waveforms

RECORDINGS = [
    Recording("a", "made", "a", {"speaker": "s1", "word": "w"}),
    Recording("b", "made", "b", {"speaker": "s2", "word": "w"}),
    Recording("c", "made", "c", {"speaker": "s1", "word": "w"}),
]


def test_disjoint_groups_are_proved_for_every_pair_of_splits() -> None:
    lines = prove(RECORDINGS, {"a": "train", "b": "valid", "c": "train"}, ["speaker"], [])
    assert [(line.splits, line.key, line.verdict) for line in lines] == [(("train", "valid"), "speaker", "disjoint")]


def test_a_shared_group_is_a_leak_unless_it_is_waived_by_name() -> None:
    assigned = {"a": "train", "b": "valid", "c": "test"}
    lines = prove(RECORDINGS, assigned, ["speaker"], [])
    found = {line.splits: line for line in lines}
    assert found["train", "test"].verdict == "LEAK"
    assert found["train", "test"].examples == ("s1",)
    assert found["train", "valid"].verdict == "disjoint"
    with pytest.raises(ManifestError, match=r"m: splits that leak: 1 values of speaker in both train and test \(s1\)"):
        refuse(lines, "m")
    waived = prove(RECORDINGS, assigned, ["speaker"], ["speaker"])
    assert {line.splits: line.verdict for line in waived}["train", "test"] == "shared by design"
    refuse(waived, "m")


def test_near_duplicates_are_counted_in_pairs_across_splits() -> None:
    assigned = {"a": "train", "b": "test", "c": "train", "d": "valid"}
    lines = prove_alike([("b", "a"), ("c", "b"), ("a", "c")], assigned, {"train", "valid", "test"}, waived=False)
    assert {line.splits: (line.shared, line.verdict) for line in lines} == {
        ("train", "valid"): (0, "disjoint"),
        ("train", "test"): (2, "LEAK"),
        ("valid", "test"): (0, "disjoint"),
    }
    assert next(line.examples for line in lines if line.shared) == ("a = b", "b = c")


@given(pairs=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))), data=st.data())
def test_leaving_out_the_less_protected_ends_all_sharing(pairs, data) -> None:
    splits = st.sampled_from(["train", "valid", "test", "test_conflicting"])
    assigned = {item: data.draw(splits) for item in "abcdefgh"}
    losers = less_protected(pairs, assigned)
    assert "test" not in {assigned[item] for item in losers}
    assert all(assigned[item] != assigned[keeper] for item, keeper in losers.items())
    left = [pair for pair in pairs if not set(pair) & losers.keys()]
    assert all(assigned[first] == assigned[second] for first, second in left)
    assert less_protected([pair[::-1] for pair in reversed(pairs)], assigned) == losers


def test_attributes_that_identify_nobody_are_not_in_the_proof() -> None:
    assert {line.key for line in prove(RECORDINGS, {"a": "train", "b": "valid", "c": "test"}, ["speaker"], [])} == {
        "speaker"
    }


def test_the_proof_says_of_how_many_recordings_it_says_nothing() -> None:
    nobodys = [Recording(name, "made", f"{name}.wav", {}) for name in "xyz"]
    placed = {"a": "train", "b": "valid", "c": "test", "x": "train", "y": "test", "z": "test"}
    lines = {line.splits: line for line in prove([*RECORDINGS, *nobodys], placed, ["speaker"], [])}
    assert {splits: line.unknown for splits, line in lines.items()} == {
        ("train", "valid"): 1,
        ("train", "test"): 3,
        ("valid", "test"): 2,
    }
    assert lines["valid", "test"].told == "disjoint; speaker of 2 recordings unknown"


def test_shared_values_are_counted_whole_and_named_in_part() -> None:
    many = {f"n{i}" for i in range(50)}
    (line,) = prove_disjoint("noise file", {"train": many, "test": many})
    assert (line.shared, len(line.examples), line.verdict) == (50, 10, "LEAK")


def test_test_keeps_a_shared_waveform_and_train_gives_it_up() -> None:
    hashes = {"a": "x", "b": "x", "c": "x", "d": "y"}
    assigned = {"a": "train", "b": "valid", "c": "test", "d": "train"}
    assert shared_waveforms(hashes, assigned) == {"a": "c", "b": "c"}


def test_the_same_waveform_twice_in_one_split_is_no_leak() -> None:
    assert shared_waveforms({"a": "x", "b": "x"}, {"a": "train", "b": "train"}) == {}


def test_a_recording_in_no_split_is_not_passed_over_by_the_proof():
    with pytest.raises(KeyError, match="c"):
        prove(RECORDINGS, {"a": "train", "b": "valid"}, ["speaker"], [])
