import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from at_data import corpora, manifest
from at_data.errors import ManifestError

SHIPPED = sorted(manifest.shipped())


def plain() -> dict[str, Any]:
    return yaml.safe_load(manifest.shipped()["gsc_words_low_noise"].read_text())


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_manifest_is_named_after_its_file_and_known_corpora(name: str) -> None:
    made = manifest.load(name)
    assert made.name == name
    assert made.corpus in corpora.names()
    assert made.noise == "none" or made.noise.corpus in corpora.names()


def test_manifests_of_one_corpus_share_their_seed_and_partition() -> None:
    # an orthogonal network must never have seen a target test item: the subset repeats the target's split to the letter
    for orthogonal, target in (
        ("synth_speaker", "synth_word_by_speaker"),
        ("fsdd_speaker", "fsdd_digit_by_speaker"),
        ("arabic_speaker", "arabic_digit_by_speaker"),
    ):
        speaker, word = manifest.load(orthogonal), manifest.load(target)
        assert speaker.subset.split == word.split
        assert (speaker.seed, speaker.keep, speaker.subset.target) == (word.seed, word.keep, word.target)
    levels = [manifest.load(name) for name in SHIPPED if name.startswith("gsc_words")]
    assert len({(m.seed, str(m.split), str(m.keep), str(m.balance)) for m in levels}) == 1


def test_the_digest_sees_settings_and_not_how_they_are_written() -> None:
    raw = plain()
    shuffled = dict(reversed(list(raw.items())))
    assert manifest.parse(raw, "a").digest == manifest.parse(shuffled, "b").digest
    assert manifest.parse(raw | {"seed": 2}, "a").digest != manifest.parse(raw, "a").digest


def test_a_number_written_as_a_whole_number_or_with_a_point_is_the_same_setting() -> None:
    raw = plain()
    other = json.loads(json.dumps(raw))
    other["segment"]["length_s"] = 1
    assert manifest.parse(raw, "a").digest == manifest.parse(other, "a").digest


@pytest.mark.parametrize("key", sorted(plain()))
def test_a_missing_key_is_named(key: str) -> None:
    raw = plain()
    del raw[key]
    with pytest.raises(ManifestError, match=f"{key}: key is missing"):
        manifest.parse(raw, "here.yaml")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("colour",), "red", r"colour: unknown key \(known here: audio, balance"),
        (("stft", "hop"), 0.1, r"stft\.hop: unknown key \(known here: hop_s, window, window_s\)"),
        (("stft", "hop_s"), "fast", r"stft\.hop_s: got 'fast', .*number"),
        (("stft", "hop_s"), -1, r"stft\.hop_s: got -1, .*greater than 0"),
        (("audio", "sample_rate_hz"), 0, r"audio\.sample_rate_hz: got 0, .*greater than 0"),
        (("segment", "tail"), "bend", r"segment\.tail: got 'bend', .*drop"),
        (("split", "test"), 0.5, r"split.*is 1\.4, expected 1"),
        (("split", "tst"), 0.5, r"split\.tst: unknown key"),
        (("noise", "snr_db"), [0, 10], r"both level_dbfs and snr_db"),
        (("noise", "colour"), 1, r"noise\.colour: unknown key"),
        (("noise",), "some", r"noise: got 'some'"),
        (("balance",), {"by": "word", "method": "cap"}, r"balance\.at: key is missing"),
        (("store", "dtype"), "int8", r"store\.dtype: got 'int8', .*float16"),
        (("nuisances",), ["word"], r"the target 'word'"),
        (
            ("split",),
            {"by": "random", "train": 0.8, "test": 0.2},
            r"yaml: split\.valid: key is missing; expected every",
        ),
        (("split",), {"by": [], "train": 0.8, "valid": 0.1, "test": 0.1}, r"yaml: split\.by: got \[\], .*at least 1"),
        (("split",), {"by": ["speaker"] * 2, "train": 0.8, "valid": 0.1, "test": 0.1}, r"split\.by: .*stands twice"),
        (("split",), {"by": 3, "train": 0.8, "valid": 0.1, "test": 0.1}, r"yaml: split\.by: got 3, expected 'random'"),
        (("split",), {"train": 0.8}, r"yaml: split\.by: key is missing; expected every"),
        (("split",), "random", r"split: got 'random', expected a mapping of by, train"),
        (
            ("split",),
            {"by": "published", "train": 1},
            r"split\.train: unknown key \(known here: by, missing_classes, valid_from_train\)",
        ),
        (("balance",), {"by": "word", "method": "x"}, r"yaml: balance\.method: got 'x', expected .*'cap' \(by, at\)"),
        (("balance",), {"by": "word"}, r"yaml: balance\.method: key is missing; expected every"),
        (("balance",), "nope", r"balance: got 'nope', expected 'none', or a mapping with method"),
        (("noise",), "nope", r"noise: got 'nope', expected 'none' or a mapping of corpus"),
        (("subset",), ["x"], r"subset: got \['x'\], expected 'none' or a mapping of split"),
        (
            ("noise", "speech_level_dbfs"),
            "loud",
            r"speech_level_dbfs: got 'loud', expected a number of dBFS or 'leave'; ",
        ),
        (("noise", "level_dbfs"), {"one": [1]}, r"level_dbfs\.one: unknown key \(known here: one_of\)"),
        (("noise", "level_dbfs"), -20, r"level_dbfs: got -20, expected an interval .* \{one_of.* or \{each_of"),
        (("seed",), 1.5, r"seed: got 1\.5, .*integer"),
    ],
)
def test_a_wrong_key_is_named_with_what_came_and_what_was_expected(
    place: tuple[str, ...], value: Any, message: str
) -> None:
    raw = plain()
    inner = raw
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ManifestError, match=message) as caught:
        manifest.parse(raw, "here.yaml")
    assert str(caught.value).startswith("here.yaml: ")


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ManifestError, match="synth_speaker"):
        manifest.load("gsc_wrods")


def test_shipped_manifests_stay_the_datasets_they_were() -> None:
    # a change here is a change of somebody's dataset: it is made on purpose, in this list and in the change log
    pinned = (Path(__file__).parent / "shipped_digests.txt").read_text().split()
    assert [manifest.load(name).folder for name in SHIPPED] == pinned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "'seed' stands twice"),
        ("stft: {hop_s: 1, window: hann, hop_s: 2}\n", "'hop_s' stands twice"),
        ("2020-01-01: x\n", "the key '2020-01-01' is no string: put it in quotes"),
        ("keep: {yes: [a]}\n", "the key 'yes' is no string"),
        ("name: 2020-01-01\n", "no setting .*date is not JSON"),
        ("name: 2020-13-41\n", "cannot be read"),
        ("keep: &k {word: *k}\n", "no setting"),
        ("keep: &k [*k]\n", "no setting"),
        ("keep: " + "[" * 5000, "cannot be read"),
        ("? [a]\n: x\n", "is no string"),
    ],
)
def test_yaml_that_is_no_settings_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=rf"(?s)m\.yaml.*{message}"):
        manifest.load(path)


def test_yaml_may_merge_mappings_and_override_their_keys(tmp_path: Path) -> None:
    raw = plain()
    text = yaml.safe_dump({key: value for key, value in raw.items() if key != "audio"}) + (
        "audio:\n  <<: {sample_rate_hz: 8000, resampler: soxr_hq}\n  sample_rate_hz: 16000\n"
    )
    (tmp_path / "m.yaml").write_text(text)
    assert manifest.load(tmp_path / "m.yaml").digest == manifest.parse(raw, "a").digest


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"m\.yaml"):
        manifest.load(path)
