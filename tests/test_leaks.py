from at_data.recordings import Recording
from at_data.stages.leaks import prove, prove_disjoint, shared_waveforms

RECORDINGS = [
    Recording("a", "made", "a", {"speaker": "s1", "word": "w"}),
    Recording("b", "made", "b", {"speaker": "s2", "word": "w"}),
    Recording("c", "made", "c", {"speaker": "s1", "word": "w"}),
]


def test_disjoint_groups_are_proved_for_every_pair_of_splits() -> None:
    lines = prove(RECORDINGS, {"a": "train", "b": "valid", "c": "train"}, ["speaker"], ["speaker"])
    assert [(line.splits, line.key, line.verdict) for line in lines] == [(("train", "valid"), "speaker", "disjoint")]


def test_a_broken_promise_is_a_leak_and_an_unpromised_overlap_is_by_design() -> None:
    assigned = {"a": "train", "b": "valid", "c": "test"}
    broken = {line.splits: line for line in prove(RECORDINGS, assigned, ["speaker"], ["speaker"])}
    assert broken["train", "test"].verdict == "LEAK"
    assert broken["train", "test"].examples == ("s1",)
    assert broken["train", "valid"].verdict == "disjoint"
    unpromised = {line.splits: line.verdict for line in prove(RECORDINGS, assigned, ["speaker"], [])}
    assert unpromised["train", "test"] == "shared by design"


def test_attributes_that_identify_nobody_are_not_in_the_proof() -> None:
    assert {line.key for line in prove(RECORDINGS, {"a": "train", "b": "valid", "c": "test"}, ["speaker"], [])} == {
        "speaker"
    }


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
