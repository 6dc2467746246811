import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association
from sklearn.metrics import mutual_info_score

from at_data import manifest
from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages import bias, splits
from at_data.stages.leaks import prove, shared_waveforms
from at_data.synth import corpus as synthetic

SPEAKER = {"with": "speaker", "favoured": 3, "strength": 0.9}
GRID = ("_s030", "_s050", "_s070", "", "_s100")  # of shipped manifests, by strength


def rule(strength: float, favoured: int = 3, attribute: str = "speaker") -> bias.Bias:
    return bias.Bias.model_validate({"with": attribute, "favoured": favoured, "strength": strength})


def crossed(speakers: int, words: int, takes: Sequence[int]) -> list[Recording]:
    """Every speaker says every word; how often is taken from `takes` in turn."""
    return [
        Recording(f"{w}/{s}_{t}", "made", "x", {"word": f"w{w}", "speaker": f"s{s:02d}"})
        for s in range(speakers)
        for w in range(words)
        for t in range(takes[(s * words + w) % len(takes)])
    ]


def by_thirds(recordings: Sequence[Recording], held_out: int = 2) -> dict[str, str]:
    """The first speakers test, the next validate, the others train."""
    names = sorted({r.attributes["speaker"] for r in recordings})
    where = dict.fromkeys(names, "train") | dict.fromkeys(names[:held_out], "test")
    where |= dict.fromkeys(names[held_out : 2 * held_out], "valid")
    return {r.id: where[r.attributes["speaker"]] for r in recordings}


def sizes(recordings: Sequence[Recording], assigned: Mapping[str, str]) -> Counter[tuple[str, str]]:
    return Counter(
        (assigned[r.id], r.attributes["speaker"]) for r in recordings if assigned.get(r.id) in ("train", "valid")
    )


def pairs(recordings: Sequence[Recording], assigned: Mapping[str, str], split: str) -> list[tuple[str, str]]:
    return [(r.attributes["speaker"], r.attributes["word"]) for r in recordings if assigned.get(r.id) == split]


def oracle(found: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Bits and Cramer's V by two libraries."""
    rows, columns = zip(*found, strict=True)
    names = (sorted(set(rows)), sorted(set(columns)))
    table = np.zeros((len(names[0]), len(names[1])), int)
    for row, column in found:
        table[names[0].index(row), names[1].index(column)] += 1
    v = association(table, method="cramer", correction=False) if min(table.shape) > 1 else 0.0
    return mutual_info_score(rows, columns) / np.log(2), float(v)


def crossings(least: int = 4) -> st.SearchStrategy[tuple[list[Recording], int]]:
    """Crossed recordings, even or not, and a number of favoured classes that their training speakers can share."""
    return st.tuples(
        st.integers(8, 14),
        st.integers(3, 8),
        st.lists(st.integers(least, 12), min_size=1, max_size=7),
        st.integers(2, 4),
    ).map(lambda drawn: (crossed(*drawn[:3]), min(drawn[3], drawn[1] - 1)))


@given(crossings(), st.integers(0, 99))
def test_how_many_a_value_keeps_does_not_depend_on_the_strength(made: tuple[list[Recording], int], seed: int) -> None:
    recordings, favoured = made
    assigned = by_thirds(recordings)
    chance = favoured / len({r.attributes["word"] for r in recordings})
    found = [
        sizes(recordings, bias.draw(recordings, assigned, rule(strength, favoured), seed, "word").assigned)
        for strength in (chance, (1 + chance) / 2, 0.99, 1.0)
    ]
    assert all(other == found[0] for other in found)
    assert set(found[0]) == {(s, r.attributes["speaker"]) for r in recordings if (s := assigned[r.id]) != "test"}


@given(crossings(), st.floats(0, 1), st.integers(0, 99))
def test_every_recording_is_used_once_or_counted_and_the_test_is_whole(
    made: tuple[list[Recording], int], share: float, seed: int
) -> None:
    recordings, favoured = made
    assigned = by_thirds(recordings)
    chance = favoured / len({r.attributes["word"] for r in recordings})
    drawn = bias.draw(recordings, assigned, rule(chance + share * (1 - chance), favoured), seed, "word")
    assert len(drawn.assigned) + sum(drawn.unused.values()) == len(recordings)
    for r in recordings:
        now = drawn.assigned.get(r.id)
        if assigned[r.id] == "test":
            assert now == "test"
        elif assigned[r.id] == "valid":
            assert now in ("valid", None)
        else:
            mine = drawn.favoured["train"][r.attributes["speaker"]]
            assert now in (("train", None) if r.attributes["word"] in mine else ("train", bias.CONFLICTING))


@hypothesis.settings(max_examples=20)
@given(st.integers(8, 11), st.integers(3, 6), st.integers(1, 3), st.integers(0, 99))
def test_dependence_rises_with_strength_from_nothing_at_chance_level(
    speakers: int, words: int, favoured: int, seed: int
) -> None:
    # so many takes that no share is rounded
    favoured = min(favoured, words - 1)
    recordings = crossed(speakers, words, [4 * words])
    assigned = by_thirds(recordings)
    if (speakers - 4) * favoured < words:
        return
    before = (0.0, 0.0)
    chance = favoured / words
    for step in range(5):
        strength = chance + (1 - chance) * step / 4
        drawn = bias.draw(recordings, assigned, rule(strength, favoured), seed, "word")
        for split in ("train", "valid"):
            measured = bias.dependence(pairs(recordings, drawn.assigned, split))
            now = (measured["mutual_information_bits"], measured["cramers_v"])
            assert now == pytest.approx(oracle(pairs(recordings, drawn.assigned, split)), abs=1e-6)
            if split == "train":
                assert now == (0, 0) if not step else now > before
                before = now
            elif step == 4:
                assert now[0] > 0.1 or drawn.favoured["valid"]["s02"] == drawn.favoured["valid"]["s03"]


@given(crossings(), st.integers(0, 99))
def test_a_weaker_bias_shares_what_it_can_with_a_stronger_one(made: tuple[list[Recording], int], seed: int) -> None:
    recordings, favoured = made
    assigned = by_thirds(recordings)
    chance = favoured / len({r.attributes["word"] for r in recordings})
    weak, strong = (
        bias.draw(recordings, assigned, rule(strength, favoured), seed, "word")
        for strength in ((1 + 2 * chance) / 3, (2 + chance) / 3)
    )
    assert weak.favoured == strong.favoured
    for r in recordings:
        split = assigned[r.id]
        if split == "test":
            continue
        likes = r.attributes["word"] in weak.favoured[split][r.attributes["speaker"]]
        fewer, more = (weak, strong) if likes else (strong, weak)
        assert fewer.assigned.get(r.id) != split or more.assigned.get(r.id) == split
        # so an orthogonal network of the weaker bias' training items, or a weaker one's, never saw this test
        if strong.assigned.get(r.id) == "train":
            assert weak.assigned.get(r.id) != bias.CONFLICTING


@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 11), st.integers(0, 99))
def test_favoured_classes_are_dealt_as_evenly_as_can_be(values: int, classes: int, favoured: int, seed: int) -> None:
    favoured = min(favoured, classes - 1)
    dealt = bias.deal([f"s{n}" for n in range(values)], [f"w{n}" for n in range(classes)], favoured, seed, "train")
    times = Counter({f"w{n}": 0 for n in range(classes)})
    for order in dealt.values():
        assert len(set(order)) == classes
        times.update(order[:favoured])
    assert max(times.values()) - min(times.values()) <= 1


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.integers(1, 11), st.floats(0, 1))
def test_shares_never_ask_for_more_than_is_there(there: list[int], favoured: int, share: float) -> None:
    favoured = min(favoured, len(there) - 1)
    chance = favoured / len(there)
    kept = bias.shares(there, favoured, chance + share * (1 - chance))
    assert all(0 <= number <= most for number, most in zip(kept, there, strict=True))
    assert sum(kept) == sum(bias.shares(there, favoured, 1.0)) == sum(kept[:favoured]) + sum(kept[favoured:])
    even = bias.shares(there, favoured, chance)
    assert max(even) - min(even) <= 1


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=1, max_size=60))
def test_dependence_is_what_two_libraries_say(found: list[tuple[str, str]]) -> None:
    measured = bias.dependence(found)
    assert (measured["mutual_information_bits"], measured["cramers_v"]) == pytest.approx(oracle(found), abs=1e-6)


@pytest.mark.parametrize(
    ("found", "bits", "v"),
    [
        ([], 0, 0),
        ([("a", "x")] * 3, 0, 0),
        ([("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")], 0, 0),
        ([("a", "x"), ("b", "y")] * 5, 1, 1),
        # three of four as tied: 1 - H(1/4) bits, and 2 x 3/4 - 1
        ([("a", "x"), ("b", "y")] * 3 + [("a", "y"), ("b", "x")], 1 - 0.8112781244591328, 0.5),
    ],
)
def test_dependence_of_tables_one_can_reckon_by_hand(found: list[tuple[str, str]], bits: float, v: float) -> None:
    assert bias.dependence(found) == {"mutual_information_bits": pytest.approx(bits), "cramers_v": pytest.approx(v)}


def test_a_draw_does_not_depend_on_the_order_of_listing() -> None:
    recordings = crossed(9, 5, [6])
    first = bias.draw(recordings, by_thirds(recordings), rule(0.8), 3, "word")
    turned = bias.draw(recordings[::-1], by_thirds(recordings), rule(0.8), 3, "word")
    other = bias.draw(recordings, by_thirds(recordings), rule(0.8), 4, "word")
    assert first.assigned == turned.assigned
    assert first.assigned != other.assigned


TABLE = crossed(8, 6, [6])
HOLE, HOLE_IN_VALID = (
    [r for r in TABLE if (r.attributes["speaker"], r.attributes["word"]) != pair]
    for pair in (("s07", "w5"), ("s03", "w1"))
)


@pytest.mark.parametrize(
    ("recordings", "held_out", "asked", "message"),
    [
        (TABLE, 2, rule(0.9, attribute="word"), r"bias\.with: 'word' is the target itself; expected another attribute"),
        (TABLE, 2, rule(0.9, 6), r"bias\.favoured: 6 of 6 classes; expected less than all 6"),
        (TABLE, 2, rule(0.4, 3), r"bias\.strength: 0\.4 is below chance level; expected 0\.5 \(3 of 6 classes"),
        (
            TABLE,
            3,
            rule(0.9, 2),
            r"bias\.favoured: 2 values of speaker in train favour 2 of 6 classes.*3 values or more",
        ),
        (HOLE, 2, rule(0.9), r"bias\.with: speaker 's07' in train has no word 'w5'; expected word and speaker crossed"),
        (HOLE_IN_VALID, 2, rule(0.9), r"bias\.with: speaker 's03' in valid has no word 'w1'"),
        (crossed(6, 4, [1]), 2, rule(0.5, 2), r"bias: train is left without word w\d"),
        (crossed(6, 2, [1, 2, 2, 1]), 2, rule(0.5, 1), r"bias: nothing is left for test_conflicting"),
    ],
)
def test_the_impossible_is_refused_with_the_reason(
    recordings: list[Recording], held_out: int, asked: bias.Bias, message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        bias.draw(recordings, by_thirds(recordings, held_out), asked, 1, "word")


def test_several_holes_in_a_crossing_are_counted() -> None:
    holes = [r for r in TABLE if r.attributes["speaker"] != "s06" or r.attributes["word"] == "w0"]
    with pytest.raises(
        ManifestError, match=r"subset\.bias\.with: .*'s06'.*no word 'w1' \(4 more combinations are absent"
    ):
        bias.draw(holes, by_thirds(holes), rule(0.9), 1, "word", "subset.bias")


def test_a_split_that_tears_speakers_apart_has_no_test_of_unseen_ones() -> None:
    at_random = splits.assign(
        TABLE, splits.Fractions(by="random", method="balanced", train=0.6, valid=0.2, test=0.2), seed=1, target="word"
    )
    with pytest.raises(ManifestError, match=r"bias: speaker 's0\d' stands in \w+ and \w+; expected a split that keeps"):
        bias.draw(TABLE, at_random, rule(0.9), 1, "word")


def test_chance_level_may_be_written_in_a_few_digits() -> None:
    recordings = crossed(12, 7, [8])
    drawn = bias.draw(recordings, by_thirds(recordings), rule(0.2857, 2), 1, "word")
    measured = bias.dependence(pairs(recordings, drawn.assigned, "train"))
    assert measured["mutual_information_bits"] < 0.05


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("yes", r"bias: got 'yes', expected 'none' or a mapping of with, favoured, strength"),
        ({"favoured": 3, "strength": 0.9}, r"bias\.with: key is missing"),
        (SPEAKER | {"by": "x"}, r"bias\.by: unknown key \(known here: favoured, strength, with\)"),
        ({"attribute": "speaker", "favoured": 3, "strength": 0.9}, r"bias\.attribute: unknown key"),
        (SPEAKER | {"favoured": 0}, r"bias\.favoured: got 0, .*greater than 0"),
        (SPEAKER | {"strength": 1.1}, r"bias\.strength: got 1\.1, .*less than or equal to 1"),
        (SPEAKER | {"strength": -0.1}, r"bias\.strength: got -0\.1"),
    ],
)
def test_a_wrong_bias_in_a_manifest_is_named(value: Any, message: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=message):
        manifest.parse(settings | {"bias": value}, "here")
    inner = {"split": settings["split"], "bias": value, "target": "word", "part": "train"}
    with pytest.raises(ManifestError, match=r"subset\." + message):
        manifest.parse(settings | {"subset": inner}, "here")


def test_a_manifest_is_written_back_as_it_was_read(settings: dict[str, Any]) -> None:
    made = manifest.parse(settings | {"bias": SPEAKER}, "here")
    assert json.loads(made.model_dump_json())["bias"] == made.model_dump(mode="json")["bias"] == SPEAKER
    assert manifest.parse(made.model_dump(mode="json"), "again").digest == made.digest
    assert made.digest != manifest.parse(settings, "here").digest


def test_the_second_test_is_protected_like_the_first() -> None:
    assigned = {"a": "train", "b": "valid", "c": "test_conflicting", "d": "test"}
    same = dict.fromkeys("abc", "x")
    assert shared_waveforms(same, assigned) == {"a": "c", "b": "c"}
    assert shared_waveforms(same | {"d": "x"}, assigned) == {"a": "d", "b": "d", "c": "d"}


def test_speakers_of_the_conflicting_test_in_valid_or_test_would_be_a_leak() -> None:
    assigned = {"a": "train", "b": "valid", "c": "test_conflicting", "d": "test"}
    recordings = [Recording(item, "made", item, {"speaker": "s"}) for item in assigned]
    verdicts = {line.splits: line.verdict for line in prove(recordings, assigned, ["speaker"], [])}
    assert verdicts.pop(("train", "test_conflicting")) == "shared by design"
    assert set(verdicts.values()) == {"LEAK"}
    assert len(verdicts) == 5


BIASED = [name for name in manifest.shipped() if manifest.load(name).bias != "none"]


@pytest.mark.parametrize("family", ["arabic_digit_biased", "synth_word_biased"])
def test_a_grid_of_strengths_differs_in_nothing_else(family: str) -> None:
    grid = [manifest.load(family + suffix) for suffix in GRID]
    assert [made.bias.strength for made in grid if made.bias != "none"] == [0.3, 0.5, 0.7, 0.9, 1.0]
    assert len({made.model_copy(update={"name": "", "bias": "none"}).digest for made in grid}) == 1


@pytest.mark.parametrize("suffix", GRID)
def test_the_synthetic_corpus_is_large_enough_as_it_comes(suffix: str) -> None:
    clips, _ = synthetic.plan(10, 6, 1, 0.0)
    recordings = [Recording(clip.path, "made", "x", {"word": clip.word, "speaker": clip.speaker}) for clip in clips]
    made = manifest.load(f"synth_word_biased{suffix}")
    assert made.bias != "none"
    drawn = bias.draw(recordings, {clip.path: clip.split for clip in clips}, made.bias, made.seed, "word")
    assert Counter(drawn.assigned.values())["train"] == 6 * 18
    measured = bias.dependence(pairs(recordings, drawn.assigned, "train"))
    assert measured["cramers_v"] == pytest.approx(max(0, (made.bias.strength - 0.3) / 0.7 * 0.683), abs=0.1)


@pytest.mark.parametrize("name", [name for name in manifest.shipped() if name.endswith("speaker_biased")])
def test_a_shipped_orthogonal_dataset_is_of_the_items_of_a_biased_one(name: str) -> None:
    orthogonal = manifest.load(name)
    assert orthogonal.subset != "none"
    fits = [
        target.name
        for target in map(manifest.load, BIASED)
        if (target.corpus, target.keep, target.balance, target.seed, target.split, target.bias, target.target)
        == (
            orthogonal.corpus,
            orthogonal.keep,
            orthogonal.balance,
            orthogonal.seed,
            orthogonal.subset.split,
            orthogonal.subset.bias,
            orthogonal.subset.target,
        )
    ]
    assert len(fits) == 1
