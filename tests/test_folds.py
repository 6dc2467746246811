from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from conftest import write_digits
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from at_data import folds, manifest
from at_data.build import plan
from at_data.build.chosen import fold_count
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.splits import Folds, assign, group_names, kept_whole

PLAIN = {"by": "speaker", "method": "balanced", "valid": 0.2, "missing_classes": "allow"}


def folded(fold: str, **changes: Any) -> Folds:
    return Folds(**(PLAIN | {"fold": fold} | changes))


@st.composite
def tables(draw: st.DrawFn) -> list[Recording]:
    """Recordings of two words, each said by every speaker, who are of every size."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=8, max_size=25))
    return [
        Recording(f"{s}/{w}/{n}", "made", "x", {"speaker": f"s{s:02}", "word": f"w{w}", "room": f"r{s % 9}"})
        for s, size in enumerate(sizes)
        for w in range(2)
        for n in range(size)
    ]


METHODS = st.sampled_from(["balanced", "stable"])


@given(recordings=tables(), k=st.integers(3, 6), seed=st.integers(0, 999), method=METHODS, data=st.data())
def test_all_folds_together_test_on_everything_once_and_keep_speakers_whole(
    recordings: list[Recording], k: int, seed: int, method: str, data: st.DataObject
) -> None:
    valid = data.draw(st.sampled_from([0, 0.3, "next_fold"]))
    by = data.draw(st.sampled_from(["speaker", ["speaker"], ["room", "speaker"]]))
    by = by if isinstance(by, str) else tuple(by)
    tested: Counter[str] = Counter()
    for number in range(1, k + 1):
        split = folded(f"{number}/{k}", valid=valid, method=method, by=by)
        try:
            assigned = assign(recordings, split, seed, "word")
        except ManifestError as error:
            # a hash may leave a part empty
            assert method == "stable"
            assert "nothing is in" in str(error)  # noqa: PT017 - why it may fail
            if "nothing is in fold" in str(error):
                return  # then it is so whichever fold tests
            continue
        tested.update(item for item, part in assigned.items() if part == "test")
        for name in kept_whole(split):
            where = defaultdict(set)
            for r in recordings:
                where[r.attributes[name]].add(assigned[r.id])
            assert all(len(parts) == 1 for parts in where.values())
        assert set(assigned.values()) == ({"train", "test"} if valid == 0 else {"train", "valid", "test"})
    assert set(tested.values()) == {1}
    assert len(tested) == len(recordings) or method == "stable"


@hypothesis_settings(max_examples=20)  # each deals twice for every fold
@given(recordings=tables(), k=st.integers(3, 6), seed=st.integers(0, 999))
def test_the_next_fold_validates_and_the_folds_do_not_depend_on_which_one_tests(
    recordings: list[Recording], k: int, seed: int
) -> None:
    found = [assign(recordings, folded(f"{i}/{k}", valid="next_fold"), seed, "word") for i in range(1, k + 1)]
    for here, there in zip(found, found[1:] + found[:1], strict=True):
        assert {item for item, part in here.items() if part == "valid"} == {
            item for item, part in there.items() if part == "test"
        }
    other = [assign(recordings, folded(f"{i}/{k}", valid=0.1), seed, "word") for i in range(1, k + 1)]
    for one, same in zip(found, other, strict=True):
        assert {item for item, part in one.items() if part == "test"} == {
            item for item, part in same.items() if part == "test"
        }


@given(recordings=tables(), k=st.integers(2, 6), seed=st.integers(0, 999))
def test_folds_are_as_even_as_those_of_another_library(recordings: list[Recording], k: int, seed: int) -> None:
    # scikit-learn's GroupKFold puts the largest groups first, whatever the seed: no worse than one group apart
    names = [r.attributes["speaker"] for r in recordings]
    theirs = [len(test) for _, test in GroupKFold(k).split(names, groups=names)]
    ours = [
        Counter(assign(recordings, folded(f"{i}/{k}", valid=0), seed, "word").values())["test"] for i in range(1, k + 1)
    ]
    assert sum(ours) == sum(theirs) == len(recordings)
    assert max(ours) - min(ours) <= max(theirs) - min(theirs) + max(Counter(names).values())


@hypothesis_settings(max_examples=20)  # each deals once for every group
@given(recordings=tables(), seed=st.integers(0, 99))
def test_leaving_one_group_out_is_what_another_library_does(recordings: list[Recording], seed: int) -> None:
    names = [r.attributes["speaker"] for r in recordings]
    for number, (_, test) in enumerate(LeaveOneGroupOut().split(names, groups=names), start=1):
        assigned = assign(recordings, folded(f"{number}/groups", valid=0), seed, "word")
        assert {item for item, part in assigned.items() if part == "test"} == {recordings[n].id for n in test}


@given(recordings=tables(), k=st.integers(2, 5), seed=st.integers(0, 99), more=st.integers(1, 40))
def test_a_stable_fold_keeps_what_it_had_when_a_corpus_grows(
    recordings: list[Recording], k: int, seed: int, more: int
) -> None:
    grown = [*recordings, *(Recording(f"new{n}", "made", "x", {"speaker": f"n{n}", "word": "w0"}) for n in range(more))]
    try:
        before, after = (
            assign(found, folded(f"1/{k}", method="stable"), seed, "word") for found in (recordings, grown)
        )
    except ManifestError as error:
        assert "nothing is in" in str(error)  # noqa: PT017 - a hash may leave a part empty
        return
    assert all(after[item] == part for item, part in before.items())


def speakers(**words: str) -> list[Recording]:
    """Recordings of speakers who say the letters of a text."""
    return [
        Recording(f"{name}/{letter}", "made", "x", {"speaker": name, "word": letter})
        for name, said in words.items()
        for letter in said
    ]


def test_folds_bring_every_class_into_every_fold_where_groups_allow_it() -> None:
    recordings = speakers(**{f"s{n}": "ab" if n < 4 else "b" for n in range(16)})
    for number in range(1, 5):
        assigned = assign(recordings, folded(f"{number}/4", missing_classes="fail", valid="next_fold"), 3, "word")
        for part in ("train", "valid", "test"):
            assert {r.attributes["word"] for r in recordings if assigned[r.id] == part} == {"a", "b"}


def test_random_folds_have_every_class_of_as_many_recordings() -> None:
    recordings = speakers(**{f"s{n}": "abcdefghijklmnopqrstuvwxyz" for n in range(6)})
    tested: Counter[str] = Counter()
    for number in range(1, 6):
        split = folded(f"{number}/5", by="random", missing_classes="fail", valid=0.25)
        assigned = assign(recordings, split, 3, "word")
        for part in ("train", "valid", "test"):
            assert len({r.attributes["word"] for r in recordings if assigned[r.id] == part}) == 26
        tested.update(item for item, part in assigned.items() if part == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == len(recordings)


def test_a_class_that_folds_lack_is_named_and_may_be_allowed_but_not_in_train() -> None:
    recordings = speakers(a="xy", b="xy", c="x", d="x", e="x", f="x")
    for number in (1, 2, 3):
        with pytest.raises(ManifestError, match=r"fold \d lacks y \(.*6 groups\).*too few groups hold y; set missing"):
            assign(recordings, folded(f"{number}/3", missing_classes="fail"), 1, "word")
        assert set(assign(recordings, folded(f"{number}/3"), 1, "word").values()) == {"train", "valid", "test"}
    with pytest.raises(ManifestError, match=r"train lacks y \(fold 1/groups"):
        assign(speakers(a="xy", b="x", c="x"), folded("1/groups", valid=0), 1, "word")


def test_valid_takes_no_class_away_from_train_that_it_may_lack_itself() -> None:
    recordings = speakers(a="xy", b="xy", **{f"s{n}": "x" for n in range(8)})
    for number in range(1, 11):
        for seed in range(5):
            assigned = assign(recordings, folded(f"{number}/groups", valid=0.5), seed, "word")
            assert "train" in {assigned[r.id] for r in recordings if r.attributes["word"] == "y"}


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        ("4/9", r"split\.fold: got 4/9 and there are 6 groups; expected 9 groups or more"),
        ("7/groups", r"got 7/groups and there are 6 groups; expected 7"),
    ],
)
def test_more_folds_than_groups_are_refused(fold: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        assign(speakers(a="x", b="x", c="x", d="x", e="x", f="x"), folded(fold), 1, "word")


def test_a_fold_by_the_target_is_refused() -> None:
    with pytest.raises(ManifestError, match="both the target and kept whole"):
        assign(speakers(a="xy", b="xy"), folded("1/2"), 1, "speaker")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fold": "0/5"}, r"split\.fold: got '0/5', expected i/k with i from 1 to k and k from 2, or i/groups"),
        ({"fold": "6/5"}, r"split\.fold: got '6/5'"),
        ({"fold": "1/1"}, r"split\.fold: got '1/1'"),
        ({"fold": "all"}, r"split\.fold: got 'all'"),
        ({"fold": "/"}, r"split\.fold: got '/'"),
        ({"fold": "+1/5"}, r"split\.fold"),
        ({"fold": "1/" + "9" * 5000}, r"split\.fold"),
        ({"fold": 2}, r"split\.fold: got 2, .*string"),
        ({"valid": "next"}, r"split\.valid: got 'next'"),
        ({"valid": 1}, r"split\.valid: got 1, .*less than 1"),
        ({"valid": None}, r"split\.valid: got None"),
        ({"fold": "1/2", "valid": "next_fold"}, r"expected 3 folds or a share"),
        ({"fold": "1/groups", "method": "stable"}, r"expected method: balanced"),
        ({"method": "random"}, r"split\.method: got 'random', .*balanced"),
        ({"train": 0.6}, r"split\.train: unknown key \(known here: by, fold, method, missing_classes, valid\)"),
        ({"by": "published"}, r"split\.fold: unknown key \(known here: by, missing_classes, valid_from_train\)"),
        ({"by": ["speaker", "speaker"]}, r"split\.by: .*stands twice"),
    ],
)
def test_a_wrong_fold_is_named(changes: dict[str, Any], message: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=message):
        manifest.parse(settings | {"split": PLAIN | {"fold": "1/5"} | changes}, "here")


@pytest.mark.parametrize("key", ["by", "method", "valid", "missing_classes"])
def test_a_key_that_a_fold_lacks_is_named(key: str, settings: dict[str, Any]) -> None:
    split = {name: value for name, value in (PLAIN | {"fold": "1/5"}).items() if name != key}
    with pytest.raises(ManifestError, match=rf"split\.{key}: key is missing"):
        manifest.parse(settings | {"split": split}, "here")


def target(settings: dict[str, Any], fold: str) -> manifest.Manifest:
    return manifest.parse(settings | {"name": "words", "split": PLAIN | {"fold": fold}}, "here")


def twin(settings: dict[str, Any], fold: str) -> manifest.Manifest:
    """The orthogonal dataset: who speaks, among what the words are trained on."""
    subset = {"split": PLAIN | {"fold": fold}, "bias": "none", "target": "word", "part": "train"}
    split = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    changes = {"name": "voices", "target": "speaker", "nuisances": ["word"], "subset": subset, "split": split}
    changes["shared"] = ["speaker"]
    return manifest.parse(settings | changes, "here")


@pytest.mark.parametrize("of", ["3", "groups"])
def test_a_fold_and_its_orthogonal_dataset_agree_and_their_manifests_are_written(
    settings: dict[str, Any], digits: Path, tmp_path: Path, of: str
) -> None:
    first, second = target(settings, f"1/{of}"), twin(settings, f"1/{of}")
    count = 3 if of == "3" else 6
    assert [fold_count(made, folds.folded(made), digits) for made in (first, second)] == [count, count]
    tested: Counter[str] = Counter()
    pairs = zip(folds.all_folds(first, count), folds.all_folds(second, count), strict=True)
    for number, (words, voices) in enumerate(pairs, start=1):
        for one in (words, voices):
            manifest.write(one, tmp_path / f"{one.name}.yaml", "a comment")
            assert manifest.load(tmp_path / f"{one.name}.yaml") == one
        assert (words.name, voices.name) == (f"words_fold{number}of{count}", f"voices_fold{number}of{count}")
        inner, outer = plan(words, digits), plan(voices, digits)
        trained = {item for item, part in inner.assigned.items() if part == "train"}
        assert set(outer.assigned) == trained
        tested.update(item for item, part in inner.assigned.items() if part == "test")
        assert {line.verdict for line in inner.proof if line.key == "speaker"} == {"disjoint"}
    assert len(tested) == 120
    assert set(tested.values()) == {1}


def test_a_manifest_without_folds_or_with_two_has_no_all_folds(settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"neither split nor subset\.split has a fold"):
        folds.folded(manifest.parse(settings, "here"))
    raw = twin(settings, "1/3").model_dump(mode="json") | {"split": PLAIN | {"fold": "1/3", "by": "random"}}
    with pytest.raises(ManifestError, match=r"both have a fold"):
        folds.folded(manifest.parse(raw, "here"))


def test_groups_of_one_corpus_are_left_out_in_their_sorted_order(tmp_path: Path, settings: dict[str, Any]) -> None:
    source = write_digits(tmp_path / "made" / "speech_commands", speakers=4, takes=1)
    made = plan(target(settings, "3/groups"), source)
    names = dict(zip(made.recordings.ids, group_names(made.recordings, made.manifest.split), strict=True))
    tested = {names[item] for item, part in made.assigned.items() if part == "test"}
    assert tested == {sorted(set(names.values()))[2]}
