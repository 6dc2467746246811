import json
import re
import runpy
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


def partners(orthogonal: manifest.Manifest) -> list[str]:
    """Shipped manifests whose training part an orthogonal one is drawn from: recordings and split to the letter."""
    return [
        name
        for name in SHIPPED
        for target in [manifest.load(name)]
        if target.subset == "none"
        and (target.corpus, target.seed, target.keep, target.balance, target.target, target.split, target.bias)
        == (
            orthogonal.corpus,
            orthogonal.seed,
            orthogonal.keep,
            orthogonal.balance,
            orthogonal.subset.target,
            orthogonal.subset.split,
            orthogonal.subset.bias,
        )
    ]


@pytest.mark.parametrize("name", [name for name in SHIPPED if manifest.load(name).subset != "none"])
def test_an_orthogonal_dataset_is_drawn_from_the_training_part_of_a_shipped_target(name: str) -> None:
    # the partition is a function of what is compared here, so nothing the target tests on is ever trained on
    orthogonal = manifest.load(name)
    assert partners(orthogonal)
    assert orthogonal.subset.part == "train"
    assert orthogonal.target != orthogonal.subset.target


def test_every_corpus_has_one_seed() -> None:
    seeds = {(made.corpus, made.seed) for made in map(manifest.load, SHIPPED)}
    assert len(seeds) == len({corpus for corpus, _ in seeds})


def test_the_levels_of_the_paper_and_their_twins_share_one_partition() -> None:
    levels = [manifest.load(name) for name in SHIPPED if name.startswith("gsc_words")]
    assert len({(m.seed, str(m.split), str(m.keep), str(m.balance)) for m in levels}) == 1


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.endswith("_as_released")])
def test_a_twin_differs_from_its_dataset_and_shares_its_target_and_split(name: str) -> None:
    twin, faithful = manifest.load(name), manifest.load(name.removesuffix("_as_released"))
    shared = ("corpus", "target", "subset", "seed", "split")
    assert [getattr(twin, key) for key in shared] == [getattr(faithful, key) for key in shared]
    changed = {key for key in type(twin).model_fields if getattr(twin, key) != getattr(faithful, key)}
    assert changed & {"noise", "segment", "quiet"}


PAPER = {
    "gsc_words_clean": 1.0,
    "gsc_words_low_noise": 1.0,
    "gsc_words_high_noise": 1.0,
    "ms_snsd_noise_type": 1.0,
    "librispeech_words": 4.0,
    "iemocap_emotion_random": 4.0,
    "iemocap_emotion_by_speaker": 4.0,
    "iemocap_emotion_by_session": 4.0,
    "iemocap_emotion_1s": 1.0,
    "iemocap_speaker": 4.0,
    "iemocap_session": 4.0,
    "nsynth_family": 6.0,
    "good_sounds_goodness_random": 6.0,
    "good_sounds_goodness_by_instrument": 6.0,
    "good_sounds_instrument": 6.0,
}


@pytest.mark.parametrize(("name", "length_s"), PAPER.items())
def test_every_dataset_of_the_paper_is_shipped_at_its_length_and_spectrum(name: str, length_s: float) -> None:
    made = manifest.load(name)
    assert made.segment.length_s == length_s
    assert (made.audio.sample_rate_hz, made.stft.window) == (16000, "hamming")
    assert (made.stft.window_s, made.stft.hop_s) == (0.016, 0.008)


def test_what_the_page_about_corpora_builds_of_parts_of_them_are_manifests() -> None:
    page = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "results" / "corpora.py"))
    for name, changes in page["CHANGES"].items():
        raw = yaml.safe_load(manifest.shipped()[name].read_text())
        assert manifest.parse(page["with_changes"](raw, changes), name).name == name


FIDELITY = (Path(__file__).parents[1] / "docs" / "fidelity.md").read_text()
SAID = [text for text in re.findall(r"`([a-z]+: [^`]+)`", FIDELITY) if "..." not in text]


@pytest.mark.parametrize("text", [text for text in SAID if text.partition(":")[0] in manifest.Manifest.model_fields])
def test_every_setting_that_the_page_about_fidelity_tells_to_write_can_be_written(text: str) -> None:
    manifest.parse(plain() | yaml.safe_load(f"{{{text}}}"), "fidelity.md")


EMOTIONAL = ("crema_d", "emodb", "emovo", "ravdess", "savee", "tess")


@pytest.mark.parametrize("corpus", EMOTIONAL)
def test_every_emotion_corpus_has_its_target_and_its_orthogonal_dataset(corpus: str) -> None:
    assert manifest.load(f"{corpus}_emotion_by_speaker").target == "emotion"
    assert manifest.load(f"{corpus}_speaker").target == "speaker"


def test_the_digest_sees_settings_and_not_how_they_are_written() -> None:
    raw = plain()
    shuffled = dict(reversed(list(raw.items())))
    assert manifest.parse(raw, "a").digest == manifest.parse(shuffled, "b").digest
    assert manifest.parse(raw | {"seed": 2}, "a").digest != manifest.parse(raw, "a").digest


def test_a_manifest_is_the_same_text_however_its_free_keys_were_ordered() -> None:
    keep = {"word": {"low": ["one", "two"], "high": ["eight", "nine"]}, "speaker": ["x", "y"]}
    mixed = {"corpus": "ms_snsd", "keep": {"noise_type": ["Babble"], "kind": ["noise"]}, "speech_level_dbfs": -25}
    mixed |= {"level_dbfs": [-40, -20], "offset": "random", "crossfade_s": 0.01, "clipping": "none"}
    mixed |= {"split": {"train": 0.4, "valid": 0.3, "test": 0.3}}

    def backwards(value: Any) -> Any:
        return {k: backwards(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    raw = plain() | {"keep": keep, "noise": mixed}
    one, other = manifest.parse(raw, "a"), manifest.parse(backwards(raw), "b")
    assert one.model_dump_json() == other.model_dump_json()
    assert one.digest == other.digest


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
            {"by": "random", "method": "balanced", "train": 0.8, "test": 0.2},
            r"yaml: split\.valid: key is missing; expected every",
        ),
        (
            ("split",),
            {"by": [], "method": "balanced", "train": 0.8, "valid": 0.1, "test": 0.1},
            r"yaml: split\.by: got \[\], .*at least 1",
        ),
        (
            ("split",),
            {"by": ["speaker"] * 2, "method": "balanced", "train": 0.8, "valid": 0.1, "test": 0.1},
            r"split\.by: .*stands twice",
        ),
        (
            ("split",),
            {"by": 3, "method": "balanced", "train": 0.8, "valid": 0.1, "test": 0.1},
            r"yaml: split\.by: got 3, expected 'random'",
        ),
        (("split", "method"), "random", r"split\.method: got 'random', .*'balanced' or 'stable'"),
        (
            ("split",),
            {"by": "word", "train": 0.8, "valid": 0.1, "test": 0.1},
            r"yaml: split\.method: key is missing; expected every",
        ),
        (("split",), {"train": 0.8}, r"yaml: split\.by: key is missing; expected every"),
        (("split",), "random", r"split: got 'random', expected a mapping of by, method, train"),
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
        (
            ("keep",),
            {"word": [1]},
            r"yaml: keep\.word\.0: got 1, .*string \(YAML takes that for a number: put quotes .*\); expected every",
        ),
        (
            ("keep",),
            {"word": [True, False]},
            r"got True, .*string \(YAML takes yes, no, on and off for truth",
        ),
        (("stft", "hop_s"), "8e-3", r"got '8e-3', .*number \(YAML takes that for text: .* as 1\.0e-9"),
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


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ManifestError, match=r"a name of `at-prepare list`, as .*gsc_words_clean"):
        manifest.load("gsc_wrods_clean")
    with pytest.raises(ManifestError, match=r"a name of `at-prepare list`; correct the path"):
        manifest.load("zzz/zzz.yaml")


def test_what_is_wrong_with_all_keys_together_does_not_repeat_them_all() -> None:
    raw = plain()
    with pytest.raises(ManifestError) as caught:
        manifest.parse(raw | {"nuisances": [raw["target"]]}, "here.yaml")
    expected = f"here.yaml: nuisances: got the target '{raw['target']}', expected other attributes; expected every key"
    assert str(caught.value).startswith(expected)


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
        ("keep: &k {word: *k}\n", "inside itself"),
        ("keep: &k [*k]\n", "inside itself"),
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
