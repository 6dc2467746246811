"""What the readers and datasets of acted emotions have in common, each over its whole published list of names."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from trees import lay_out, other_counts

from at_data import corpora, manifest
from at_data.build import build
from at_data.build.plan import Plan, plan
from at_data.errors import CorpusError
from at_data.manifest import Manifest
from at_data.verify import verify

NEEDS = {"emotion", "speaker"}
HOUSE = {"neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised", "bored"}


def emodb_names(speakers: int, prompts: int) -> list[str]:
    people = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")[:speakers]
    texts = [f"{letter}{number}" for letter in "ab" for number in ("01", "02", "04", "05", "07")][:prompts]
    return [f"wav/{who}{text}{emotion}a.wav" for who, text, emotion in product(people, texts, "WLEAFTN")]


def ravdess_names(speakers: int, prompts: int) -> list[str]:
    kinds = [("01", "01"), *product([f"0{n}" for n in range(2, 9)], ("01", "02"))]
    takes = list(product(("01", "02"), ("01", "02")))[:prompts]
    return [
        f"Actor_{actor:02d}/03-01-{emotion}-{intensity}-{statement}-{take}-{actor:02d}.wav"
        for actor, (emotion, intensity), (statement, take) in product(range(1, speakers + 1), kinds, takes)
    ]


def tess_names(speakers: int, prompts: int) -> list[str]:
    words = [first + second + "t" for first, second in product("bcdfghklmnprstvwxyzj", "aeiouyqhrl")][:prompts]
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    people = ("OAF", "YAF")[:speakers]
    return [f"{who}_{emotion}/{who}_{word}_{emotion}.wav" for who, word, emotion in product(people, words, emotions)]


def savee_names(speakers: int, prompts: int) -> list[str]:
    numbers = {emotion: prompts * (2 if emotion == "n" else 1) for emotion in ("a", "d", "f", "h", "n", "sa", "su")}
    return [
        f"AudioData/{who}/{emotion}{number:02d}.wav"
        for who in ("DC", "JE", "JK", "KL")[:speakers]
        for emotion, count in numbers.items()
        for number in range(1, count + 1)
    ]


def emovo_names(speakers: int, prompts: int) -> list[str]:
    texts = ("b1", "b2", "b3", "d1", "d2", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5")[:prompts]
    people = ("f1", "m1", "f2", "m2", "f3", "m3")[:speakers]
    emotions = ("dis", "gio", "neu", "pau", "rab", "sor", "tri")
    return [f"{who}/{emotion}-{who}-{text}.wav" for who, text, emotion in product(people, texts, emotions)]


def crema_d_names(speakers: int, prompts: int) -> list[str]:
    texts = ("DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")[:prompts]
    emotions = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    played = [f"{text}_{emotion}_XX" for text, emotion in product(texts, emotions)]
    played += [f"IEO_{emotion}_{level}" for emotion, level in product(set(emotions) - {"NEU"}, ("LO", "MD", "HI"))]
    return [
        f"AudioWAV/{actor}_{clip}.wav" for actor in range(1001, 1001 + speakers) for clip in [*played, "IEO_NEU_XX"]
    ]


class Case(NamedTuple):
    """How a corpus is laid out, how much of it makes the whole, and where its datasets come from."""

    names: Callable[[int, int], list[str]]
    whole: tuple[int, int]
    some: tuple[int, int]
    target: str
    prompt: str
    told: tuple[str, ...] = ()  # what differs from the published counts, where the names here are not all of them


CASES = {
    "emodb": Case(emodb_names, (10, 10), (10, 2), "emodb_emotion_by_speaker", "sentence", ("700 recordings",)),
    "ravdess": Case(ravdess_names, (24, 4), (6, 1), "ravdess_emotion_by_speaker", "sentence"),
    "tess": Case(tess_names, (2, 200), (2, 10), "tess_emotion_by_word", "word"),
    "savee": Case(savee_names, (4, 15), (4, 5), "savee_emotion_by_speaker", "sentence"),
    "emovo": Case(emovo_names, (6, 14), (6, 3), "emovo_emotion_by_speaker", "sentence"),
    # the eight clips that the authors lack are not made here
    "crema_d": Case(crema_d_names, (91, 11), (6, 1), "crema_d_emotion_by_speaker", "sentence", ("7,462 recordings",)),
}


@pytest.fixture(params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def corpus(name: str) -> ModuleType:
    return corpora.load(name)


@pytest.fixture
def case(name: str) -> Case:
    return CASES[name]


@pytest.fixture
def whole(case: Case, tmp_path: Path) -> Path:
    """Folder with every file of the corpus, all empty."""
    folders = {name.rpartition("/")[0] for name in case.names(*case.whole)}
    for folder in folders:
        (tmp_path / "whole" / folder).mkdir(parents=True)
    for path in case.names(*case.whole):
        (tmp_path / "whole" / path).touch()
    return tmp_path / "whole"


def sounding(names: list[str], folder: Path) -> Path:
    """Folder with these files, each of a noise of its own."""
    for number, path in enumerate(names):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, np.random.default_rng(number).normal(0, 0.1, 1600), 16000)
    return folder


def small(name: str, **changes: object) -> Manifest:
    """A shipped manifest with segments of a tenth of a second."""
    raw = yaml.safe_load(manifest.shipped()[name].read_text())
    raw["segment"] |= {"length_s": 0.1, "hop_s": 0.1}
    return manifest.parse(raw | changes, name)


# the readers


def test_every_name_of_the_whole_corpus_is_understood(corpus: ModuleType, case: Case, whole: Path) -> None:
    found = list(corpus.recordings(whole))
    assert len(found) == len(case.names(*case.whole))
    assert all({*NEEDS, case.prompt} <= set(recording.attributes) for recording in found)
    assert {recording.attributes["emotion"] for recording in found} == set(corpus.EMOTIONS.values()) <= HOUSE
    told = list(other_counts(corpus, found))
    assert len(told) == len(case.told)
    assert all(line.startswith(start) for line, start in zip(told, case.told, strict=True))


def test_the_id_is_the_name_wherever_the_file_lies(corpus: ModuleType, case: Case, tmp_path: Path) -> None:
    names = case.names(*case.some)
    lay_out(tmp_path / "as published", dict.fromkeys(names, ""))
    lay_out(tmp_path / "deeper", {f"unpacked/here/{path}": "" for path in names})
    ids = {recording.id for recording in corpus.recordings(tmp_path / "as published")}
    assert ids == {recording.id for recording in corpus.recordings(tmp_path / "deeper")}
    assert not any("/" in item for item in ids)


def test_a_corpus_that_lies_there_twice_is_refused(corpus: ModuleType, case: Case, tmp_path: Path) -> None:
    names = case.names(*case.some)
    lay_out(tmp_path, dict.fromkeys([*names, *(f"again/{path}" for path in names)], ""))
    with pytest.raises(CorpusError, match=r"stands twice: .*; expected .*; point at the folder of one copy") as caught:
        list(corpus.recordings(tmp_path))
    told = re.search(r"twice: (\S+) and (\S+);", str(caught.value))
    assert told
    first, second = told.groups()
    assert f"again/{first}" == second or first == f"again/{second}"


def test_suffixes_may_be_in_capitals(corpus: ModuleType, case: Case, tmp_path: Path) -> None:
    path = case.names(*case.some)[0]
    lay_out(tmp_path, {path.replace(".wav", ".WAV"): ""})
    (only,) = corpus.recordings(tmp_path)
    assert set(only.attributes) >= NEEDS


def test_names_that_break_the_rule_are_kept_without_attributes(corpus: ModuleType, case: Case, tmp_path: Path) -> None:
    path = case.names(*case.some)[0]
    odd = path.replace(".wav", " copy.wav")
    lay_out(tmp_path, dict.fromkeys([path, odd], ""))
    found = {recording.path: recording for recording in corpus.recordings(tmp_path)}
    assert found[odd].attributes == {}
    assert found[odd].id == odd.removesuffix(".wav")


def test_wav_files_of_others_are_no_corpus(corpus: ModuleType, tmp_path: Path) -> None:
    lay_out(tmp_path, {"wav/music.wav": "", "a/1.wav": ""})
    with pytest.raises(CorpusError, match=r"no recording of .* in it; expected .*such as"):
        list(corpus.recordings(tmp_path))


# the datasets


def planned(name: str, source: Path) -> Plan:
    return plan(manifest.load(name), source)


def test_every_emotion_is_kept(corpus: ModuleType, case: Case) -> None:
    kept = manifest.load(case.target).keep["emotion"]
    assert isinstance(kept, tuple)
    assert sorted(kept) == sorted(corpus.EMOTIONS.values())


def test_the_parts_share_no_group_and_hold_every_emotion(corpus: ModuleType, case: Case, whole: Path) -> None:
    made = planned(case.target, whole)
    cells = {(made.assigned[r.id], r.attributes["emotion"]) for r in made.recordings}
    assert len(cells) == 3 * len(set(corpus.EMOTIONS.values()))
    kept_whole = {"tess": "word"}.get(made.manifest.corpus, "speaker")
    verdicts = {(leak.key, leak.verdict) for leak in made.proof}
    shared = "speaker" if kept_whole == "word" else case.prompt
    assert verdicts == {(kept_whole, "disjoint"), (shared, "shared by design")}
    sizes = Counter(made.assigned.values())
    assert abs(sizes["train"] / sizes.total() - 0.6) < 0.11


def test_the_speaker_dataset_is_the_training_part_and_no_more(name: str, case: Case, whole: Path) -> None:
    assigned = planned(case.target, whole).assigned
    taught = {recording.id for recording in planned(f"{name}_speaker", whole).recordings}
    assert taught == {item for item, part in assigned.items() if part == "train"}


def test_recordings_become_datasets_that_share_no_item(name: str, case: Case, tmp_path: Path) -> None:
    source = sounding(case.names(*case.some), tmp_path / "corpus")
    emotion, speaker = (build(small(made), source, tmp_path) for made in (case.target, f"{name}_speaker"))
    assert verify(emotion.folder) == verify(speaker.folder) == []
    rows = pq.read_table(emotion.folder / "index.parquet").to_pylist()
    taught = {row["recording"] for row in pq.read_table(speaker.folder / "index.parquet").to_pylist()}
    assert len(rows) == len(case.names(*case.some))
    assert taught == {row["recording"] for row in rows if row["split"] == "train"}
