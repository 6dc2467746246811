"""A noise task is made of speech and noise that were divided before they met."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at_data.errors import ManifestError
from at_data.recordings import Recording
from at_data.stages.mixtures import NOISE, SPEECH, mixtures


def speech(split: str, number: int) -> list[Recording]:
    return [Recording(f"{split}/{n}", "made", f"{split}/{n}.wav", {"voice": f"{split}{n}"}) for n in range(number)]


def noises(split: str, types: str = "abc", files: int = 2) -> list[Recording]:
    return [
        Recording(f"{kind}_{split}{n}", "made", f"{kind}_{split}{n}.wav", {"noise_type": kind})
        for kind in types
        for n in range(files)
    ]


def made(numbers: dict[str, int], voices: int = 5, seed: int = 1) -> dict[str, list[Recording]]:
    return mixtures(
        {split: speech(split, voices) for split in numbers},
        {split: noises(split) for split in numbers},
        "noise_type",
        numbers,
        seed,
    )


@given(train=st.integers(3, 60), test=st.integers(3, 60), seed=st.integers(0, 2**32))
def test_labels_are_balanced_and_no_file_of_another_split_is_used(train: int, test: int, seed: int) -> None:
    for split, recordings in made({"train": train, "test": test}, seed=seed).items():
        counts = Counter(r.attributes["noise_type"] for r in recordings)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len({r.id for r in recordings}) == len(recordings) == {"train": train, "test": test}[split]
        for r in recordings:
            assert r.attributes[NOISE].startswith(f"{r.attributes['noise_type']}_{split}")
            assert r.attributes[SPEECH] == r.path.removesuffix(".wav")
            assert r.attributes["voice"].startswith(split)


def test_all_speech_is_used_before_any_is_used_again() -> None:
    used = [r.attributes[SPEECH] for r in made({"train": 12}, voices=4)["train"]]
    assert [len(set(used[start : start + 4])) for start in (0, 4, 8)] == [4, 4, 4]


def test_more_hours_move_no_mixture_that_was_there() -> None:
    few, many = made({"train": 10})["train"], made({"train": 40})["train"]
    assert many[:10] == few


@pytest.mark.parametrize(("numbers", "voices"), [({"train": 2}, 5), ({"train": 9}, 0)])
def test_too_few_mixtures_and_absent_speech_are_refused(numbers: dict[str, int], voices: int) -> None:
    with pytest.raises(ManifestError, match=r"noise\.hours: \d mixtures for train, of \d speech recordings and 3"):
        made(numbers, voices)


@pytest.mark.parametrize("name", ["noise_type", SPEECH, NOISE])
def test_an_attribute_of_the_speech_that_would_be_lost_is_refused(name: str) -> None:
    voices = [Recording("a", "made", "a.wav", {"voice": "v", name: "mine"})]
    with pytest.raises(ManifestError, match=f"noise: the speech has an attribute {name} of its own"):
        mixtures({"train": voices}, {"train": noises("train")}, "noise_type", {"train": 3}, 1)


def test_a_noise_without_the_label_is_named() -> None:
    bare = {"train": [Recording("hum", "made", "hum.wav", {"kind": "noise"})]}
    with pytest.raises(ManifestError, match=r"noise\.label: hum has no 'noise_type'; .*kind"):
        mixtures({"train": speech("train", 1)}, bare, "noise_type", {"train": 3}, 1)
