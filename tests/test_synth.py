"""A made corpus can be read, learnt from and trusted: same arguments, same bytes."""

import errno
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from at_data.corpora import gsc, ms_snsd
from at_data.errors import CorpusError
from at_data.synth import corpus, counts, noises, synthesise, voices
from at_data.synth.corpus import MARK, plan

QUIETEST_DBFS = -40.0  # RMS of a clip
LOUDEST = 0.9  # peak of any file
FAINTEST = 0.05  # peak of a clip: below it the original work drops a file
CHANCE = 0.1  # ten words; ten training speakers
TINY = {"speakers": 4, "takes": 1, "seed": 3, "correlation": 1.0}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("tied") / "corpus", **TINY)


def dbfs(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


# on disk


def test_gsc_reads_the_voices_and_ms_snsd_the_noises(tied):
    speech, noise = list(gsc.recordings(tied.speech)), list(ms_snsd.recordings(tied.noise))
    assert len(speech) + len(noise) == tied.files
    said = [r for r in speech if r.attributes["word"] != gsc.NOISE]
    assert len(said) == 4 * 10 * 1
    assert all(set(r.attributes) == {"word", "speaker", "take"} for r in said)
    assert {r.attributes["word"] for r in said} == set(voices.WORDS)
    assert all(len(r.attributes["speaker"]) == 8 and int(r.attributes["speaker"], 16) >= 0 for r in said)
    files = Counter((r.attributes["folder"], r.attributes["noise_type"]) for r in noise)
    assert len(files) == 12
    assert min(files.values()) >= 3


def test_every_published_split_has_speakers_of_its_own(tied):
    speakers = defaultdict(set)
    for recording in gsc.recordings(tied.speech):
        speakers[recording.published_split].add(recording.attributes.get("speaker"))
    assert {split: len(found) for split, found in speakers.items()} == {"train": 2, "valid": 1, "test": 1, None: 1}
    assert len(set().union(*(speakers[split] for split in ("train", "valid", "test")))) == 4


def test_lists_name_files_that_are_there(tied):
    for name in gsc.LISTS.values():
        lines = (tied.speech / name).read_text(encoding="utf-8").splitlines()
        assert len(lines) == 10
        assert all((tied.speech / line).is_file() for line in lines)


def test_files_are_16_khz_mono_16_bit_and_no_file_clips_or_is_silent(tied):
    for recording in gsc.recordings(tied.speech):
        info = soundfile.info(tied.speech / recording.path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        samples, _ = soundfile.read(tied.speech / recording.path)
        if recording.attributes["word"] != gsc.NOISE:
            assert len(samples) == 16000
        assert samples.max() > FAINTEST
        assert np.abs(samples).max() <= LOUDEST
        assert dbfs(samples) > QUIETEST_DBFS


def test_noises_last_seconds_and_none_falls_silent(tied):
    for recording in ms_snsd.recordings(tied.noise):
        samples, rate_hz = soundfile.read(tied.noise / recording.path)
        assert rate_hz == 16000
        assert len(samples) >= 5 * rate_hz
        assert np.abs(samples).max() <= LOUDEST
        assert dbfs(samples) > QUIETEST_DBFS
        quarters = samples[: len(samples) // 4000 * 4000].reshape(-1, 4000)
        assert np.abs(quarters).max(axis=1).min() > 0


def test_the_same_arguments_make_the_same_bytes(tied, tmp_path):
    again = synthesise(tmp_path / "again", **TINY)
    assert hashes(again.speech.parent) == hashes(tied.speech.parent)


def test_another_seed_makes_other_voices():
    (clips, cast), (others, other_cast) = plan(6, 1, 1, 0.0), plan(6, 1, 2, 0.0)
    assert not {clip.speaker for clip in clips} & {clip.speaker for clip in others}
    assert not {voice.pitch_hz for voice in cast.values()} & {voice.pitch_hz for voice in other_cast.values()}


def test_a_second_call_finishes_an_interrupted_one_and_leaves_the_rest_alone(tied):
    folder = tied.speech.parent
    before = hashes(folder)
    gone = min(tied.speech.glob("six/*.wav"))
    kept = min(tied.speech.glob("one/*.wav"))
    gone.unlink()
    written_ns = kept.stat().st_mtime_ns
    synthesise(folder, **TINY)
    assert hashes(folder) == before
    assert kept.stat().st_mtime_ns == written_ns


def test_progress_counts_every_file(tied):
    seen = []
    synthesise(tied.speech.parent, **TINY, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, tied.files) for done in range(1, tied.files + 1)]


# what it refuses


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speakers", 3),
        ("takes", 0),
        ("seed", -1),
        ("correlation", 1.01),
        ("correlation", -0.5),
        ("correlation", float("nan")),
    ],
)
def test_an_argument_out_of_range_is_named_and_nothing_is_written(tmp_path, name, value):
    with pytest.raises(CorpusError, match=f"^{name}: got {value}"):
        synthesise(tmp_path / "corpus", **TINY | {name: value})
    assert not (tmp_path / "corpus").exists()


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(CorpusError, match="in the way"):
        synthesise(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_where_the_folder_should_be_is_left_alone(tmp_path):
    (tmp_path / "corpus").write_text("a file", encoding="utf-8")
    with pytest.raises(CorpusError, match="in the way"):
        synthesise(tmp_path / "corpus", **TINY)


def test_a_corpus_of_other_arguments_is_left_alone(tied):
    before = hashes(tied.speech.parent)
    with pytest.raises(CorpusError, match=r'made with .*"takes": 1'):
        synthesise(tied.speech.parent, **TINY | {"takes": 2})
    assert hashes(tied.speech.parent) == before
    assert MARK in before


# who says what


@given(speakers=st.integers(1, 60), takes=st.integers(1, 12))
def test_without_correlation_everyone_says_everything(speakers, takes):
    assert (counts(speakers, takes, 0.0) == takes).all()


@given(speakers=st.integers(1, 60), takes=st.integers(1, 12), correlation=st.floats(0, 1))
def test_no_correlation_gives_a_speaker_more_clips_or_a_word_many_more(speakers, takes, correlation):
    made = counts(speakers, takes, correlation)
    assert (made >= 0).all()
    assert (made.sum(axis=1) == 10 * takes).all()
    rounding = speakers  # less than one clip per speaker
    assert np.abs(made.sum(axis=0) - takes * speakers).max() <= rounding


@given(speakers=st.sampled_from([1, 2, 5, 10, 20, 30]), takes=st.integers(1, 12))
def test_tied_speakers_say_their_own_words_alone_and_words_stay_balanced(speakers, takes):
    made = counts(speakers, takes, 1.0)
    assert ((made > 0).sum(axis=1) == max(1, 10 // speakers)).all()
    assert (made.sum(axis=0) == takes * speakers).all()


@pytest.mark.parametrize("correlation", [0.25, 0.5, 0.9])
def test_counts_follow_the_formula(correlation):
    made = counts(10, 20, correlation)
    own = np.eye(10, dtype=bool)
    assert (made[~own] == round(20 * (1 - correlation))).all()
    assert (made[own] == round(20 * (1 - correlation + 10 * correlation))).all()


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_held_out_speakers_say_everything_whatever_the_correlation(correlation):
    clips, _ = plan(15, 3, 7, correlation)
    for split in ("valid", "test"):
        cells = Counter((clip.speaker, clip.word) for clip in clips if clip.split == split)
        assert len(cells) == 3 * 10
        assert set(cells.values()) == {3}


def guess_by_speaker(clips):
    """Share of clips whose word one who knows only the speaker guesses right."""
    said = defaultdict(Counter)
    for clip in clips:
        said[clip.speaker][clip.word] += 1
    return sum(max(words.values()) for words in said.values()) / len(clips)


def test_correlation_lets_the_voice_tell_the_word_in_training_and_not_beyond():
    for correlation, expected in ((0.0, CHANCE), (0.5, 0.55), (1.0, 1.0)):
        clips, _ = plan(14, 4, 1, correlation)
        told = guess_by_speaker([clip for clip in clips if clip.split == "train"])
        assert told == pytest.approx(expected, abs=0.01)
        assert guess_by_speaker([clip for clip in clips if clip.split != "train"]) == pytest.approx(CHANCE)


def test_a_clip_is_the_same_whatever_the_correlation(tied, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "NOISE_FILES", {})  # only the voices matter here
    crossed = synthesise(tmp_path / "crossed", **TINY | {"correlation": 0.0})
    before, after = hashes(tied.speech), hashes(crossed.speech)
    shared = [path for path in before.keys() & after.keys() if path.endswith(".wav")]
    assert len(shared) >= 30
    assert all(before[path] == after[path] for path in shared)


@pytest.mark.parametrize("failure", [soundfile.LibsndfileError(2, "x: "), OSError(errno.ENOSPC, "No space left")])
def test_a_full_disk_is_one_error_and_no_half_file(tmp_path, monkeypatch, failure):
    def full(*_args, **_how):
        raise failure

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(CorpusError, match=r"\.wav: cannot be written \(.+\); expected .*make room"):
        synthesise(tmp_path / "corpus", **TINY)
    assert not list(tmp_path.rglob("*.wav"))


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cannot be written"):
        synthesise(tmp_path / "file" / "corpus", **TINY)


# what can be learnt


@pytest.fixture(scope="module")
def crossed():
    """Clips of fourteen speakers, and what stands in them: log energies in bands, over time."""
    clips, cast = plan(14, 3, 5, 0.0)
    audio = [voices.say(cast[c.speaker], c.word, np.random.default_rng([i, 5])) for i, c in enumerate(clips)]
    _, _, spectra = scipy.signal.stft(np.array(audio), 16000, nperseg=400)
    bands = np.stack([np.abs(part).mean(axis=1) for part in np.array_split(spectra, 40, axis=1)], axis=1)
    return np.array([c.word for c in clips]), np.array([c.speaker for c in clips]), np.log(bands + 1e-4)


def fit(features, labels):
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1)).fit(features, labels)


def test_words_are_recognised_in_voices_never_heard(crossed):
    words, speakers, bands = crossed
    pieces = np.array_split(bands, 6, axis=2)
    features = np.stack([piece.mean(axis=2) for piece in pieces], axis=2).reshape(len(words), -1)
    heard = np.isin(speakers, list(dict.fromkeys(speakers))[:10])
    assert fit(features[heard], words[heard]).score(features[~heard], words[~heard]) > 5 * CHANCE


def test_voices_are_recognised_in_words_never_heard(crossed):
    words, speakers, bands = crossed
    features = bands.mean(axis=2)
    known = np.isin(speakers, list(dict.fromkeys(speakers))[:10])
    features, words, speakers = features[known], words[known], speakers[known]
    heard = ~np.isin(words, ["seven", "eight", "nine"])
    assert fit(features[heard], speakers[heard]).score(features[~heard], speakers[~heard]) > 4 * CHANCE


def test_pitch_of_a_clip_is_near_the_pitch_of_its_voice():
    cast = voices.draw(11, [str(place) for place in range(6)])
    for name, voice in cast.items():
        samples = voices.say(voice, "nine", np.random.default_rng(int(name)))
        ac = scipy.signal.correlate(samples, samples, method="fft")[len(samples) - 1 :]
        lags = np.arange(16000 // 400, 16000 // 50)
        measured_hz = 16000 / lags[np.argmax(ac[lags])]
        assert abs(12 * np.log2(measured_hz / voice.pitch_hz)) < 5  # semitones; the melody moves it


def test_kinds_of_noise_sound_different():
    kinds = [kind for kind in noises.NOISES if not kind.endswith("_noise")]
    made = [(kind, noises.make(kind, np.random.default_rng([i, n]))) for i, kind in enumerate(kinds) for n in range(5)]
    labels = np.array([kind for kind, _ in made])
    _, _, spectra = scipy.signal.stft(np.array([samples for _, samples in made]), 16000, nperseg=512)
    energy = np.log(np.stack([np.abs(p).mean(axis=1) for p in np.array_split(spectra, 20, axis=1)], axis=1) + 1e-6)
    features = np.concatenate([energy.mean(axis=2), energy.std(axis=2)], axis=1)
    training = np.tile(np.arange(5) < 3, len(kinds))
    assert fit(features[training], labels[training]).score(features[~training], labels[~training]) > 0.8
