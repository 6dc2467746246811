"""Datasets built with a bias: what they hold is what they say."""

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from conftest import NOISE, by_speaker, write_digits, write_noises
from finished import quarantine, rows
from test_bias import GRID, SPEAKER, oracle

from at_data import cards, headers, manifest, shards
from at_data.build import build, plan
from at_data.errors import ManifestError
from at_data.stages import splits
from at_data.verify import verify


def proof(folder: Path) -> dict[tuple[str, str, str], str]:
    return {(*line.splits, line.key): line.verdict for line in cards.read_proof(folder)}


def assert_said_as_it_is(folder: Path, header: headers.Header) -> None:
    """Counts and dependences of the header are those of the index."""
    assert header.bias is not None
    found = defaultdict(list)
    for row in rows(folder):
        found[row["split"]].append((row[f"attribute.{header.bias.nuisance}"], row[f"attribute.{header.bias.target}"]))
    assert header.counts == {name: len(found[name]) for name in header.counts}
    for split, said in header.bias.splits.items():
        expected = oracle(found[split]) if found[split] else (0, 0)
        assert (said["mutual_information_bits"], said["cramers_v"]) == pytest.approx(expected, abs=1e-6)
    for split, favoured in header.bias.favoured.items():
        hits = [word in favoured[speaker] for speaker, word in found[split]]
        assert header.bias.splits[split]["favoured_share"] == pytest.approx(sum(hits) / len(hits))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 clips in the layout of gsc: eight speakers, ten words."""
    return write_digits(tmp_path_factory.mktemp("crossed") / "speech_commands", speakers=8, takes=3)


def biased_settings(**changes: Any) -> dict[str, Any]:
    return by_speaker() | {"name": "word_biased", "bias": SPEAKER} | changes


@pytest.fixture(scope="module")
def biased(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips built with a bias."""
    return build(manifest.parse(biased_settings(), "here"), corpus, tmp_path_factory.mktemp("out")).folder


def test_a_biased_dataset_has_two_tests_and_says_what_was_reached(biased: Path, corpus: Path) -> None:
    header = headers.read(biased)
    assert list(header.counts) == ["train", "valid", "test", "test_conflicting"]
    assert verify(biased) == []
    assert_said_as_it_is(biased, header)
    said = header.bias
    assert said is not None
    assert said.splits["train"]["cramers_v"] > 0.5
    assert said.splits["test"] == {"mutual_information_bits": pytest.approx(0), "cramers_v": 0}
    assert sum(header.counts.values()) + sum(said.unused.values()) == 240
    whole = plan(manifest.parse(by_speaker(), "here"), corpus).assigned
    found = rows(biased)
    assert {r["recording"] for r in found if r["split"] == "test"} == {i for i, part in whole.items() if part == "test"}
    for row in found:
        if row["split"] == "test_conflicting":
            assert whole[row["recording"]] == "train"
            assert row["attribute.word"] not in said.favoured["train"][row["attribute.speaker"]]
    reader = shards.open_dataset(biased).split("test_conflicting")
    assert len(reader) == header.counts["test_conflicting"] == sum(header.class_counts["test_conflicting"].values()) > 0


def test_the_proof_lets_the_conflicting_test_share_speakers_with_train_alone(biased: Path) -> None:
    verdicts = proof(biased)
    assert verdicts.pop(("train", "test_conflicting", "speaker")) == "shared by design"
    assert set(verdicts.values()) == {"disjoint"}
    assert len(verdicts) == 3 * 6 - 1


def test_card_and_summary_tell_of_the_bias(biased: Path, dataset: Path) -> None:
    header = headers.read(biased)
    card, summary = (biased / "README.md").read_text(), cards.summary(header, cards.read_proof(biased))
    for text in (card, summary):
        assert "speaker predicts word, on purpose: each speaker of train and valid favours 3 values of word" in text
        assert "test_conflicting" in text
        assert f"{header.bias.splits['train']['cramers_v']:.3f}" in text if header.bias else False
    plain = headers.read(dataset)
    assert plain.bias is None
    assert list(plain.counts) == ["train", "valid", "test"]
    assert "on purpose" not in (dataset / "README.md").read_text() + cards.summary(plain, [])


def test_without_a_bias_the_plan_is_the_split(digits: Path, settings: dict[str, Any]) -> None:
    made = plan(manifest.parse(settings, "here"), digits)
    assert made.assigned == splits.assign(made.recordings, made.manifest.split, made.manifest.seed, "word")
    assert {task.split for task in made.tasks} == {"train", "valid", "test"} == set(made.splits)


@pytest.mark.parametrize("phase", ["read", "scale"])
def test_a_stopped_build_carries_on_to_the_same_bytes(corpus: Path, biased: Path, tmp_path: Path, phase: str) -> None:
    told: list[int] = []

    def interrupted(name: str, done: int, _all: int, _bad: int) -> None:
        if name == phase:
            told.append(done)
        if len(told) > 4:
            raise KeyboardInterrupt

    made = manifest.parse(biased_settings(), "here")
    with pytest.raises(KeyboardInterrupt):
        build(made, corpus, tmp_path, progress=interrupted)
    built = build(made, corpus, tmp_path)
    assert {p.name: p.read_bytes() for p in built.folder.rglob("*.*") if p.is_file()} == {
        p.name: p.read_bytes() for p in biased.rglob("*.*") if p.is_file()
    }
    assert not build(made, corpus, tmp_path).fresh


def test_what_was_left_out_does_not_count_in_what_was_reached(biased: Path, corpus: Path, tmp_path: Path) -> None:
    mine = tmp_path / "made" / "speech_commands"
    shutil.copytree(corpus, mine)
    table = rows(biased)
    trained = [row for row in table if row["split"] == "train"]
    (mine / trained[0]["path"]).write_bytes(b"")
    other = next(row for row in table if row["split"] == "test_conflicting")
    shutil.copy(mine / other["path"], mine / trained[1]["path"])
    built = build(manifest.parse(biased_settings(), "here"), mine, tmp_path / "out")
    assert built.header.left_out == {"bad": 1, "duplicate": 1}
    assert built.header.counts["train"] == len(trained) - 2
    assert_said_as_it_is(built.folder, built.header)
    assert {verdict for key, verdict in proof(built.folder).items() if key[2] == "waveform"} == {"disjoint"}


def test_an_orthogonal_dataset_can_hold_the_very_training_items(biased: Path, corpus: Path, tmp_path: Path) -> None:
    target = biased_settings()
    orthogonal = biased_settings(
        name="speaker_biased",
        target="speaker",
        nuisances=["word"],
        bias="none",
        subset={"split": target["split"], "bias": SPEAKER, "target": "word", "part": "train"},
        split={"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2},
        shared=["speaker"],
    )
    built = build(manifest.parse(orthogonal, "here"), corpus, tmp_path)
    assert {row["recording"] for row in rows(built.folder)} == {
        row["recording"] for row in rows(biased) if row["split"] == "train"
    }
    assert list(built.header.counts) == ["train", "valid", "test"]
    assert_said_as_it_is(built.folder, built.header)
    assert "speaker predicts word in the dataset that these" in (built.folder / "README.md").read_text()
    assert verify(built.folder) == []


def test_the_conflicting_test_is_mixed_with_the_noise_of_the_test(corpus: Path, tmp_path: Path) -> None:
    noises = write_noises(tmp_path / "MS-SNSD")
    made = manifest.parse(biased_settings(noise=NOISE), "here")
    built = build(made, corpus, tmp_path / "out", noise_source=noises)
    where = defaultdict(set)
    for row in rows(built.folder):
        where[row["split"]].add(row["noise.noise"])
    assert where["test_conflicting"] | where["test"] <= {
        n.id for n in plan(made, corpus, noises).noise.by_split["test"]
    }
    assert not (where["test_conflicting"] | where["test"]) & (where["train"] | where["valid"])
    assert not [key for key, verdict in proof(built.folder).items() if verdict == "LEAK"]


def test_a_task_of_noise_has_nothing_to_bias(corpus: Path, tmp_path: Path) -> None:
    raw = manifest.load("ms_snsd_noise_type").model_dump(mode="json")
    with pytest.raises(ManifestError, match=r"bias: the task is the noise"):
        plan(manifest.parse(raw | {"bias": SPEAKER}, "here"), corpus, write_noises(tmp_path / "MS-SNSD"))


def test_an_attribute_the_corpus_lacks_is_refused_before_anything_is_read(corpus: Path) -> None:
    raw = biased_settings(bias=SPEAKER | {"with": "microphone"})
    with pytest.raises(ManifestError, match=r"microphone: no recording has 'microphone'; .*speaker"):
        plan(manifest.parse(raw, "here"), corpus)


@pytest.mark.real
def test_real_digits_at_every_strength_have_the_same_size_and_the_dependence_asked_for(
    real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "arabic-speech-commands-dataset"
    before, others = -1.0, set()
    for suffix, share in zip(GRID, (0.3, 0.5, 0.7, 0.9, 1.0), strict=True):
        built = build(manifest.load(f"arabic_digit_biased{suffix}"), source, tmp_path)
        header = built.header
        assert verify(built.folder) == []
        assert_said_as_it_is(built.folder, header)
        assert header.bias is not None
        assert header.bias.splits["train"]["favoured_share"] == header.bias.splits["valid"]["favoured_share"] == share
        assert header.bias.splits["train"]["cramers_v"] > before
        assert header.bias.splits["test"]["cramers_v"] == 0
        before = header.bias.splits["train"]["cramers_v"]
        assert [header.counts[split] for split in ("train", "valid", "test")] == [180, 90, 300]
        others = {row["attribute.speaker"] for row in rows(built.folder)}
    unbiased = build(manifest.load("arabic_speaker_others"), source, tmp_path)
    assert sum(unbiased.header.counts.values()) == 180  # as many as the biased training part
    assert not others & set(unbiased.header.classes)


@pytest.mark.real
@pytest.mark.parametrize(
    ("target", "orthogonal", "source"),
    [
        ("arabic_digit_biased", "arabic_speaker_biased", "arabic-speech-commands-dataset"),
        ("fsdd_digit_biased", "fsdd_speaker_biased", "free-spoken-digit-dataset"),
        ("ravdess_emotion_biased", "ravdess_speaker_biased", "RAVDESS_16k"),
    ],
)
def test_real_orthogonal_items_are_the_biased_ones(
    real_data: Path, tmp_path: Path, target: str, orthogonal: str, source: str
) -> None:
    biased, speaker = (build(manifest.load(name), real_data / source, tmp_path) for name in (target, orthogonal))
    assert verify(biased.folder) == verify(speaker.folder) == []
    assert_said_as_it_is(biased.folder, biased.header)
    held = {row["recording"] for row in rows(speaker.folder)}
    trained = {row["recording"] for row in rows(biased.folder) if row["split"] == "train"}
    assert held <= trained
    left_out = quarantine(speaker.folder)
    assert trained - held <= {entry["recording"] for entry in left_out}
    verdicts = proof(speaker.folder)
    copies = [key for key in verdicts if key[1] == "held out" and key[2] in ("waveform", "near-duplicate")]
    assert len(copies) == 6
    assert {verdicts[key] for key in copies} == {"disjoint"}
    verdicts = proof(biased.folder)
    assert "LEAK" not in verdicts.values()
    assert [key for key in verdicts if key[2] == "speaker" and verdicts[key] != "disjoint"] == [
        ("train", "test_conflicting", "speaker")
    ]
