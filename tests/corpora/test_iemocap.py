"""IEMOCAP: whose turn it is, what its evaluation says of it, and partitions that agree."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from trees import audio, lay_out

from at_data import manifest
from at_data.build import build
from at_data.build.plan import Plan, plan
from at_data.corpora import iemocap
from at_data.errors import CorpusError
from at_data.manifest import Manifest
from at_data.verify import verify

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
WAV, LABELS = "Session1/sentences/wav/Ses01F_impro01/", "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
TARGETS = ("iemocap_emotion_random", "iemocap_emotion_by_speaker", "iemocap_emotion_by_session")
ORTHOGONAL = {
    "iemocap_speaker": "iemocap_emotion_random",
    "iemocap_session": "iemocap_emotion_random",
    "iemocap_speaker_of_by_speaker": "iemocap_emotion_by_speaker",
    "iemocap_speaker_of_by_session": "iemocap_emotion_by_session",
    "iemocap_session_of_by_session": "iemocap_emotion_by_session",
}


def line(turn: str, emotion: str = "neu") -> str:
    return f"[6.2901 - 8.2357]\t{turn}\t{emotion}\t[2.5000, 2.0000, 3.3333]\nC-E2:\tNeutral;\t()\n\n"


def one_dialog(folder: Path, labels: str | None, *turns: str) -> Path:
    files = audio(*(f"{WAV}{turn}.wav" for turn in turns or ("Ses01F_impro01_F000",)))
    return lay_out(folder, files | ({} if labels is None else {LABELS: labels}))


def write_corpus(folder: Path, *, seconds: float, takes: int = 2) -> Path:
    """Five sessions of one scripted and one improvised dialog; both speak with every emotion."""
    codes = ("neu", "ang", "hap", "sad", "exc", "xxx")
    for session in range(1, 6):
        for scene, wearer in (("impro01", "F"), ("script01_1", "M")):
            dialog = f"Ses0{session}{wearer}_{scene}"
            home = folder / f"Session{session}"
            text = HEADER
            (home / "sentences" / "wav" / dialog).mkdir(parents=True)
            for place, sex in enumerate("FM"):
                for number in range(takes * len(codes)):
                    turn = f"{dialog}_{sex}{number:03d}"
                    text += line(turn, codes[number % len(codes)])
                    dice = np.random.default_rng([session, len(scene), place, number])
                    level = 0.001 if number == 0 else 0.1
                    samples = dice.normal(0, level, int(seconds * 16000))
                    soundfile.write(home / "sentences" / "wav" / dialog / f"{turn}.wav", samples, 16000)
            lay_out(home, {f"dialog/EmoEvaluation/{dialog}.txt": text})
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release", seconds=0.1, takes=5)


def planned(name: str, corpus: Path) -> Plan:
    return plan(manifest.load(name), corpus)


def small(name: str, **changes: object) -> Manifest:
    raw = yaml.safe_load(manifest.shipped()[name].read_text())
    return manifest.parse(raw | changes, name)


# who speaks, and how


def test_the_speaker_is_who_speaks_and_not_who_wears_the_markers(corpus: Path) -> None:
    found = list(iemocap.recordings(corpus))
    for recording in found:
        turn = recording.id.rpartition("_")[2]
        assert recording.attributes["sex"] == {"F": "female", "M": "male"}[turn[0]]
        assert recording.attributes["speaker"] == f"{recording.attributes['session']}_{turn[0]}"
    assert len({r.attributes["speaker"] for r in found}) == 10
    markers_and_speech = {(r.attributes["dialog"][5], r.attributes["sex"]) for r in found}
    assert len(markers_and_speech) == 4


def test_every_category_has_its_name(tmp_path: Path) -> None:
    turns = {f"Ses01F_impro01_M{number:03d}": code for number, code in enumerate(sorted(iemocap.EMOTIONS))}
    labels = HEADER + "".join(line(turn, code) for turn, code in turns.items())
    found = iemocap.recordings(one_dialog(tmp_path, labels, *turns))
    assert [r.attributes["emotion"] for r in found] == [
        *("angry", "disgusted", "excited", "fearful", "frustrated", "happy", "neutral", "other", "sad"),
        *("surprised", "undecided"),
    ]


def test_dimensions_stay_as_they_are_written(tmp_path: Path) -> None:
    (only,) = iemocap.recordings(one_dialog(tmp_path, line("Ses01F_impro01_F000")))
    values = [only.attributes[name] for name in ("valence", "activation", "dominance")]
    assert values == ["2.5000", "2.0000", "3.3333"]


@pytest.mark.parametrize("scene", ["impro08b", "script01_1b", "impro05a"])
def test_scenes_may_be_played_in_two_parts(tmp_path: Path, scene: str) -> None:
    dialog = f"Ses05M_{scene}"
    turn = f"{dialog}_F003"
    lay_out(tmp_path, audio(f"Session5/sentences/wav/{dialog}/{turn}.wav"))
    lay_out(tmp_path, {f"Session5/dialog/EmoEvaluation/{dialog}.txt": line(turn, "sad")})
    (only,) = iemocap.recordings(tmp_path)
    assert (only.attributes["scene"], only.attributes["dialog"]) == (scene, dialog)
    assert (only.attributes["emotion"], only.attributes["line"]) == ("sad", "003")


def test_sessions_may_be_absent(tmp_path: Path) -> None:
    (only,) = iemocap.recordings(one_dialog(tmp_path, line("Ses01F_impro01_F000")))
    assert only.attributes["session"] == "Ses01"


def test_audio_of_whole_dialogs_is_no_recording(tmp_path: Path) -> None:
    one_dialog(tmp_path, line("Ses01F_impro01_F000"))
    lay_out(tmp_path, audio("Session1/dialog/wav/Ses01F_impro01.wav", "Session1/sentences/MOCAP_hand/a.wav"))
    assert len(list(iemocap.recordings(tmp_path))) == 1


# evaluations


def test_an_evaluation_is_read_once_for_all_turns_of_its_dialog(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Counter[Path] = Counter()
    read = iemocap.text_of

    def counting(file: Path) -> str:
        opened[file] += 1
        return read(file)

    monkeypatch.setattr(iemocap, "text_of", counting)
    assert len(list(iemocap.recordings(corpus))) == 600
    assert len(opened) == 10
    assert set(opened.values()) == {1}


def test_a_dialog_without_its_evaluation_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"EmoEvaluation/Ses01F_impro01\.txt: no such file.*whole corpus"):
        list(iemocap.recordings(one_dialog(tmp_path, None)))


@pytest.mark.parametrize("labels", ["", HEADER, "an excuse"])
def test_an_evaluation_without_a_turn_is_refused(tmp_path: Path, labels: str) -> None:
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt: it holds no turn"):
        list(iemocap.recordings(one_dialog(tmp_path, labels)))


@pytest.mark.parametrize(
    "broken",
    [
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tNeutral\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tjoy\t[2.5, 2.5, 2.5]",
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5, 2.5]",
        "[6.2901 - 8.23",
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path: Path, broken: str) -> None:
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt, line 3: got '\[6\.2901"):
        list(iemocap.recordings(one_dialog(tmp_path, HEADER + broken + "\n")))


@pytest.mark.parametrize(
    "broken",
    [
        "5000 - 3.2500]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.0000]",
        "% [1.5000 - 3.2500]\tSes01F_impro01_M001\tneu\t[2.5000, 2.0000, 3.0000]",
        "Ses01F_impro01_F000",
        "C-E1:\tNeutral;\t()[1.5 - 3.2]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.0000]",
        "C-E1:\tNeutral;\t()[1.5 - 3.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.0, 3.0]C-E2:\tNeutral;\t()",
    ],
)
def test_a_line_that_names_a_turn_but_is_no_label_is_not_passed_over(tmp_path: Path, broken: str) -> None:
    labels = HEADER + broken + "\n" + line("Ses01F_impro01_F007")
    with pytest.raises(CorpusError, match=r"Ses01F_impro01\.txt, line 3: got '"):
        list(iemocap.recordings(one_dialog(tmp_path, labels)))


def test_a_judge_may_remark_on_another_turn(tmp_path: Path) -> None:
    labels = line("Ses01F_impro01_F000", "sad") + "C-E1:\tNeutral;\t(as in Ses01F_impro01_F007)\n"
    (only,) = iemocap.recordings(one_dialog(tmp_path, labels))
    assert only.attributes["emotion"] == "sad"


def test_a_label_may_be_indented(tmp_path: Path) -> None:
    (only,) = iemocap.recordings(one_dialog(tmp_path, HEADER + " \t" + line("Ses01F_impro01_F000", "sad")))
    assert only.attributes["emotion"] == "sad"


def test_a_turn_with_two_labels_is_refused(tmp_path: Path) -> None:
    turn = "Ses01F_impro01_F000"
    with pytest.raises(CorpusError, match=rf"line 4: {turn} has another label"):
        list(iemocap.recordings(one_dialog(tmp_path, line(turn, "sad") + line(turn, "ang"))))


def test_a_turn_its_evaluation_does_not_name_has_what_its_name_says(tmp_path: Path) -> None:
    root = one_dialog(tmp_path, line("Ses01F_impro01_F000"), "Ses01F_impro01_M001")
    (only,) = iemocap.recordings(root)
    assert only.attributes["speaker"] == "Ses01_M"
    assert "emotion" not in only.attributes


def test_what_lies_beside_the_dialogs_needs_no_evaluation(tmp_path: Path) -> None:
    one_dialog(tmp_path, line("Ses01F_impro01_F000"))
    lay_out(tmp_path, audio("Session1/sentences/wav/spare/a.wav", "Session1/sentences/wav/b.wav", f"{WAV}more/c.wav"))
    found = {r.id.removeprefix("Session1/sentences/wav/"): r.attributes for r in iemocap.recordings(tmp_path)}
    assert list(found) == ["Ses01F_impro01/Ses01F_impro01_F000", "Ses01F_impro01/more/c", "b", "spare/a"]
    assert found["b"] == found["spare/a"] == {}
    assert "speaker" not in found["Ses01F_impro01/more/c"]


def test_sessions_without_a_turn_are_no_corpus(tmp_path: Path) -> None:
    lay_out(tmp_path, audio("Session1/sentences/wav/spare/a.wav"))
    with pytest.raises(CorpusError, match="no turn of IEMOCAP"):
        list(iemocap.recordings(tmp_path))


# partitions


@pytest.mark.parametrize(("name", "target"), ORTHOGONAL.items())
def test_an_orthogonal_dataset_holds_no_recording_its_target_validates_or_tests_on(
    corpus: Path, name: str, target: str
) -> None:
    assigned = planned(target, corpus).assigned
    taught = {r.id for r in planned(name, corpus).recordings}
    assert taught == {item for item, split in assigned.items() if split == "train"}


def test_as_released_twins_have_the_partition_of_theirs(corpus: Path) -> None:
    for name in ("iemocap_emotion_random", "iemocap_emotion_by_session"):
        assert planned(f"{name}_as_released", corpus).assigned == planned(name, corpus).assigned
    one_second = planned("iemocap_emotion_1s", corpus).assigned
    assert one_second == planned("iemocap_emotion_by_session", corpus).assigned


@pytest.mark.parametrize("name", TARGETS)
def test_four_emotions_are_kept_and_excited_is_not_counted_as_happy(corpus: Path, name: str) -> None:
    found = Counter(r.attributes["emotion"] for r in planned(name, corpus).recordings)
    assert found == {"neutral": 100, "angry": 100, "happy": 100, "sad": 100}


def test_a_manifest_may_count_excited_as_happy(corpus: Path) -> None:
    merged = {"neutral": ["neutral"], "angry": ["angry"], "happy": ["happy", "excited"], "sad": ["sad"]}
    made = plan(small("iemocap_emotion_random", keep={"emotion": merged}), corpus)
    found = Counter(r.attributes["emotion"] for r in made.recordings)
    assert found == {"neutral": 100, "angry": 100, "happy": 200, "sad": 100}


def shared(made: Plan, attribute: str) -> set[str]:
    """Verdicts of the leak proof on one attribute."""
    return {leak.verdict for leak in made.proof if leak.key == attribute}


def test_by_session_three_train_and_neither_speaker_nor_dialog_is_shared(corpus: Path) -> None:
    made = planned("iemocap_emotion_by_session", corpus)
    where = {(r.attributes["session"], made.assigned[r.id]) for r in made.recordings}
    assert sorted(split for _, split in where) == ["test", "train", "train", "train", "valid"]
    assert shared(made, "session") == shared(made, "speaker") == shared(made, "dialog") == {"disjoint"}


def test_by_speaker_six_train_and_sessions_may_be_shared(corpus: Path) -> None:
    made = planned("iemocap_emotion_by_speaker", corpus)
    where = {(r.attributes["speaker"], made.assigned[r.id]) for r in made.recordings}
    assert Counter(split for _, split in where) == {"train": 6, "valid": 2, "test": 2}
    assert shared(made, "speaker") == {"disjoint"}


def test_speakers_and_sessions_to_tell_apart(corpus: Path) -> None:
    classes = {
        name: len(made.attributes[made.manifest.target]) for name in ORTHOGONAL if (made := planned(name, corpus))
    }
    assert classes == {
        "iemocap_speaker": 10,
        "iemocap_session": 5,
        "iemocap_speaker_of_by_speaker": 6,
        "iemocap_speaker_of_by_session": 6,
        "iemocap_session_of_by_session": 3,
    }


# end to end


def test_turns_become_datasets_that_share_no_item(corpus: Path, tmp_path: Path) -> None:
    emotion, speaker = (
        build(small(name), corpus, tmp_path) for name in ("iemocap_emotion_by_session", "iemocap_speaker_of_by_session")
    )
    assert verify(emotion.folder) == verify(speaker.folder) == []
    rows = pq.read_table(emotion.folder / "index.parquet").to_pylist()
    held_out = {row["recording"] for row in rows if row["split"] != "train"}
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    assert (len(rows), len(held_out), len(taught)) == (400, 160, 240)
    assert not held_out & taught


def test_as_released_quiet_turns_are_left_out_and_segments_overlap(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "iemocap", seconds=1.75)
    # quarter lengths of the shipped manifest, so that turns of 1.75 s stand for 7 s
    released = small("iemocap_emotion_random_as_released")
    cut = {"length_s": 4.0, "hop_s": 2.0, "shorter": "pad_end", "tail": "overlap_after_two"}
    assert released.segment.model_dump() == cut
    quarter = {"length_s": 1.0, "hop_s": 0.5, "shorter": "pad_end", "tail": "overlap_after_two"}
    made = small("iemocap_emotion_random_as_released", segment=quarter)
    built = build(made, corpus, tmp_path / "out", max_bad=0.2)
    rows = pq.read_table(built.folder / "index.parquet").to_pylist()
    segments = Counter(row["recording"] for row in rows)
    quiet = {r.id for r in iemocap.recordings(corpus) if r.id.endswith("000")}
    assert len(quiet) == 20
    assert not quiet & set(segments)
    assert len(segments) == 140
    assert set(segments.values()) == {3}
