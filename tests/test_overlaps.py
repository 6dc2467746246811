"""Stretches of one file that share samples do not stand in two splits."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
from conftest import by_speaker
from finished import quarantine
from hypothesis import given
from hypothesis import strategies as st

from at_data import manifest
from at_data.build import build
from at_data.errors import CorpusError
from at_data.stages import overlaps
from at_data.verify import verify

times = st.integers(0, 30).map(lambda tenths: tenths / 10)
stretches = st.lists(st.tuples(st.integers(0, 2), times, times.map(lambda s: s + 0.1), st.integers(0, 3)), max_size=14)


def shares(one, other):
    return one[0] == other[0] and min(one[1] + one[2], other[1] + other[2]) - max(one[1], other[1]) > overlaps.ROUNDED_S


@given(stretches, st.booleans())
def test_nothing_that_stays_shares_samples_with_another_rank_and_nobody_goes_without_need(made, endless):
    made = [(*one[:2], np.inf if endless and place % 5 == 0 else one[2], one[3]) for place, one in enumerate(made)]
    files, starts, lengths, ranks = (np.array([one[k] for one in made]) for k in range(4))
    kinds = (np.int32, np.float64, np.float64, np.int8)
    files, starts, lengths, ranks = (a.astype(t) for a, t in zip((files, starts, lengths, ranks), kinds, strict=True))
    found = overlaps.losers(files, starts, starts + lengths, ranks)
    stay = [place for place, keeper in enumerate(found) if keeper == overlaps.NOBODY]
    assert not [(a, b) for a in stay for b in stay if made[a][3] < made[b][3] and shares(made[a], made[b])]
    for place, keeper in enumerate(found.tolist()):
        if keeper != overlaps.NOBODY:
            assert keeper in stay
            assert made[keeper][3] < made[place][3]
            assert shares(made[keeper], made[place])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Thirty files of noise of their own, of each the whole, a part of it, and a stretch that touches that."""
    folder = tmp_path_factory.mktemp("stretches")
    rows = []
    for number in range(30):
        path = f"{number}.wav"
        samples = 0.1 * np.random.default_rng(number).standard_normal(48_000)
        soundfile.write(folder / path, samples, 16_000, subtype="PCM_16")
        times = [(0, 2), (1, 1)] + [(2, 1)] * (number % 2)
        rows += [(f"{number}@{start}+{length}", path, start, length, "ab"[number % 2]) for start, length in times]
    with (folder / "recordings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "path", "start_s", "length_s", "word"), *rows])
    return folder


BY_CHANCE = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}


def built(corpus, out, near, split=BY_CHANCE):
    settings = by_speaker() | {"name": "overlapping", "corpus": "table", "keep": {}, "nuisances": [], "shared": []}
    settings |= {
        "split": split,
        "duplicates": {"exact": "drop", "near": near},
    }
    return build(manifest.parse(settings, "here"), corpus, out, max_bad=1.0).folder


def across(folder):
    """Pairs of stretches of one file that share samples and stand in two splits."""
    with (folder / "splits.csv").open(newline="") as file:
        rows = [(*row["id"].split("@"), row["split"]) for row in csv.DictReader(file)]
    found = []
    for number, (path, mark, split) in enumerate(rows):
        for other, its, where in rows[:number]:
            (a, b), (c, d) = (map(int, m.split("+")) for m in (mark, its))
            if path == other and split != where and min(a + b, c + d) > max(a, c):
                found.append((path, mark, its))
    return found


def test_of_stretches_that_share_samples_the_less_protected_goes_to_quarantine(corpus, tmp_path):
    folder = built(corpus, tmp_path, "drop")
    assert across(folder) == []
    gone = [entry for entry in quarantine(folder) if entry["reason"].startswith("shares samples with")]
    assert gone
    assert {entry["kind"] for entry in gone} == {"near-duplicate"}
    assert verify(folder) == []
    kept = built(corpus, tmp_path / "kept", "keep")
    assert len(across(kept)) >= len(gone)
    assert not quarantine(kept)
    assert verify(kept) == []


def test_stretches_of_two_copies_of_a_file_share_its_samples(corpus, tmp_path):
    copied = shutil.copytree(corpus, tmp_path / "copied")
    shutil.copy(copied / "0.wav", copied / "copy.wav")
    splits = ["train", "valid", "test"] * 10
    rows = [(f"{number}", f"{number}.wav", 0, 1, "ab"[number // 3 % 2], splits[number]) for number in range(30)]
    rows += [("early", "0.wav", 0.5, 1, "a", "train"), ("late", "copy.wav", 1.4, 0.6, "a", "test")]
    with (copied / "recordings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "path", "start_s", "length_s", "word", "split"), *rows])
    published = {"by": "published", "valid_from_train": 0, "missing_classes": "fail"}
    gone = quarantine(built(copied, tmp_path / "out", "drop", published))
    assert [entry["reason"] for entry in gone] == ["shares samples with late in test"]


def test_where_the_manifest_says_so_they_end_the_build(corpus, tmp_path):
    with pytest.raises(CorpusError, match="recordings share samples with one in another split"):
        built(corpus, tmp_path, "fail")
