from collections import Counter, defaultdict

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.splits import Fractions, Published, assign, group_names


def crossed(speakers: int, words: int, takes: int = 1, published: str | None = None) -> list[Recording]:
    return [
        Recording(
            f"{w}/{s}_{t}", "made", f"{w}/{s}_{t}.wav", {"word": f"w{w}", "speaker": f"s{s}"}, published_split=published
        )
        for w in range(words)
        for s in range(speakers)
        for t in range(takes)
    ]


def fractions(by: str | tuple[str, ...], train: float = 0.6, valid: float = 0.2, test: float = 0.2) -> Fractions:
    return Fractions(by=by, train=train, valid=valid, test=test)


@given(speakers=st.integers(3, 30), words=st.integers(2, 5), takes=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_no_speaker_in_two_splits_and_every_word_in_each(speakers: int, words: int, takes: int, seed: int) -> None:
    recordings = crossed(speakers, words, takes)
    assigned = assign(recordings, fractions("speaker"), seed, "word")
    where = defaultdict(set)
    for r in recordings:
        where[r.attributes["speaker"]].add(assigned[r.id])
    assert all(len(splits) == 1 for splits in where.values())
    for split in ("train", "valid", "test"):
        assert len({r.attributes["word"] for r in recordings if assigned[r.id] == split}) == words


@given(seed=st.integers(0, 1000), speakers=st.integers(10, 60))
def test_shares_are_met_as_closely_as_whole_groups_allow(seed: int, speakers: int) -> None:
    recordings = crossed(speakers, 2, 3)
    counts = Counter(assign(recordings, fractions("speaker"), seed, "word").values())
    for split, share in (("train", 0.6), ("valid", 0.2), ("test", 0.2)):
        assert abs(counts[split] - share * len(recordings)) <= 6  # one speaker


def test_random_split_cuts_at_the_exact_shares() -> None:
    counts = Counter(assign(crossed(50, 10, 2), fractions("random", 0.7, 0.2, 0.1), 3, "word").values())
    assert counts == {"train": 700, "valid": 200, "test": 100}


@given(
    pairs=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=30, max_size=80, unique=True),
    seed=st.integers(0, 99),
)
def test_two_keys_keep_connected_components_whole(pairs: list[tuple[int, int]], seed: int) -> None:
    recordings = [
        Recording(str(i), "made", f"{i}.wav", {"speaker": f"s{s}", "sentence": f"t{t}", "word": f"w{i % 2}"})
        for i, (s, t) in enumerate(pairs)
    ]
    graph = nx.Graph((f"s{s}", f"t{t}") for s, t in pairs)
    try:
        assigned = assign(recordings, fractions(("speaker", "sentence")), seed, "word")
    except ManifestError:
        return  # a giant component can make three parts impossible
    for component in nx.connected_components(graph):
        splits = {assigned[r.id] for r in recordings if r.attributes["speaker"] in component}
        assert len(splits) == 1


def test_the_partition_does_not_depend_on_the_order_of_listing_speakers() -> None:
    recordings = crossed(12, 3, 2)
    first = assign(recordings, fractions("speaker"), 5, "word")
    again = assign(recordings, fractions("speaker"), 5, "word")
    other = assign(recordings, fractions("speaker"), 6, "word")
    assert first == again
    assert first != other


def test_unequal_groups_do_not_end_in_the_same_partition_for_every_seed() -> None:
    recordings = [
        Recording(f"{s}/{i}", "made", f"{s}/{i}.wav", {"speaker": f"s{s}", "word": f"w{i % 2}"})
        for s in range(7)
        for i in range(10 + 6 * s)
    ]
    tests = {
        frozenset(r.attributes["speaker"] for r in recordings if assigned[r.id] == "test")
        for seed in range(20)
        if (assigned := assign(recordings, fractions("speaker"), seed, "word"))
    }
    assert len(tests) > 3


def test_a_class_of_one_speaker_is_named_when_it_cannot_be_everywhere() -> None:
    recordings = [*crossed(9, 2, 2), Recording("rare", "made", "rare.wav", {"word": "only-here", "speaker": "s0"})]
    with pytest.raises(ManifestError, match="only-here"):
        assign(recordings, fractions("speaker"), 1, "word")


def test_splitting_by_the_target_is_refused() -> None:
    with pytest.raises(ManifestError, match="both the target and kept whole"):
        assign(crossed(6, 3), fractions("speaker"), 1, "speaker")


def test_a_missing_group_attribute_is_refused() -> None:
    recordings = [*crossed(6, 3), Recording("x", "made", "x.wav", {"word": "w0"})]
    with pytest.raises(ManifestError, match=r"1 of 19 recordings have no 'speaker'"):
        assign(recordings, fractions("speaker"), 1, "word")


def test_the_published_split_is_taken_as_published() -> None:
    recordings = [
        r
        for part in ("train", "valid", "test")
        for r in (Recording(f"{part}{q.id}", "made", q.path, q.attributes, published_split=part) for q in crossed(4, 2))
    ]
    assigned = assign(recordings, Published(by="published", valid_from_train=0, missing_classes="fail"), 1, "word")
    assert all(assigned[r.id] == r.published_split for r in recordings)


def test_a_published_split_without_valid_takes_it_from_train_alone() -> None:
    recordings = [
        Recording(f"{part}{q.id}", "made", q.path, q.attributes, published_split=part)
        for part in ("train", "test")
        for q in crossed(20, 2)
    ]
    assigned = assign(recordings, Published(by="published", valid_from_train=0.25, missing_classes="fail"), 1, "word")
    assert Counter(assigned.values()) == {"train": 30, "valid": 10, "test": 40}
    assert all(assigned[r.id] == "test" for r in recordings if r.published_split == "test")


def test_a_recording_without_published_split_is_refused() -> None:
    with pytest.raises(ManifestError, match="no published split"):
        assign(crossed(4, 2), Published(by="published", valid_from_train=0, missing_classes="fail"), 1, "word")


def test_group_names_join_what_is_kept_whole() -> None:
    assert group_names(crossed(1, 1), fractions(("word", "speaker"))) == ["w0/s0"]
    assert group_names(crossed(1, 1), fractions("random")) == [""]


def published(train: str, valid: str, test: str) -> list[Recording]:
    parts = {"train": train, "valid": valid, "test": test}
    return [
        Recording(f"{part}/{word}{number}", "made", "x", {"word": word}, published_split=part)
        for part, held in parts.items()
        for number, word in enumerate(held)
    ]


def test_a_published_part_may_lack_classes_where_the_manifest_allows_it() -> None:
    rule = Published(by="published", valid_from_train=0, missing_classes="allow")
    assert Counter(assign(published("aabb", "a", "b"), rule, 1, "word").values()) == {"train": 4, "valid": 1, "test": 1}
    with pytest.raises(ManifestError, match="the published valid split has no b"):
        assign(published("aabb", "a", "ab"), rule.model_copy(update={"missing_classes": "fail"}), 1, "word")


@pytest.mark.parametrize(
    ("parts", "message"), [(("aa", "ab", "ab"), "train split has no b"), (("ab", "", "ab"), "valid")]
)
def test_no_permission_covers_an_empty_part_or_a_class_nobody_trains(parts: tuple[str, str, str], message: str) -> None:
    rule = Published(by="published", valid_from_train=0, missing_classes="allow")
    with pytest.raises(ManifestError, match=message):
        assign(published(*parts), rule, 1, "word")


def test_without_a_target_only_the_shares_count() -> None:
    recordings = [Recording(str(n), "made", "x", {"voice": f"v{n % 10}"}) for n in range(100)]
    assigned = assign(recordings, fractions("voice", 0.7, 0.2, 0.1), 1, None)
    assert Counter(assigned.values()) == {"train": 70, "valid": 20, "test": 10}
