"""Word times made here: what is written, what is left out, and carrying on; the model is a stand-in."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from trees import lay_out

from at_data import alignment
from at_data.alignment import Aligned, align, spell, widen, write_line
from at_data.corpora import librispeech
from at_data.errors import AtError, CorpusError

LABELS = ("-", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
SPEAKERS = "19 | F | train-clean-100 | 25.19 | A reader\n84 | F | dev-clean | 8.02 | Another\n"
HOME, OTHER = "train-clean-100/19/198/", "dev-clean/84/121123/"
LINES = f"{HOME}19-198.alignment.txt"
FILES = {
    "SPEAKERS.TXT": SPEAKERS,
    f"{HOME}19-198.trans.txt": "19-198-0000 NORTHANGER ABBEY\n19-198-0001 DON'T\n",
    f"{HOME}19-198-0000.flac": None,
    f"{HOME}19-198-0001.flac": None,
    f"{OTHER}84-121123.trans.txt": "84-121123-0000 GO\n",
    f"{OTHER}84-121123-0000.flac": None,
    f"{OTHER}cough.flac": None,
}


class Evenly:
    """Aligner that gives every letter one frame of ten milliseconds, evenly spaced; it remembers what it was asked."""

    sample_rate_hz = 16000

    def __init__(self, *, labels=LABELS, refuse=(), short=False):
        self.labels, self.refuse, self.short = labels, set(refuse), short
        self.asked = []

    def spans(self, samples, tokens):
        text = "".join(self.labels[token] for token in tokens)
        self.asked.append(text)
        if text in self.refuse:
            raise RuntimeError("targets length is too long for CTC.\nFound targets length: 9")
        frames = samples.size // 160
        starts = np.linspace(0, frames - 1, len(tokens)).astype(int).tolist()
        return [(start, start + 1) for start in starts][: -1 if self.short else None], frames


@pytest.fixture
def corpus(tmp_path):
    return lay_out(tmp_path / "LibriSpeech", FILES)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.alignment.txt*"))


# what is written


def test_every_chapter_gets_a_file_that_the_reader_reads(corpus):
    assert align(corpus, aligner=Evenly()) == Aligned(chapters=2, already=0, utterances=3, words=4, left_out=())
    assert files(corpus) == [f"{OTHER}84-121123.alignment.txt", LINES]
    found = list(librispeech.recordings(corpus))
    assert [r.attributes.get("word") for r in found] == ["go", None, "northanger", "abbey", "don't"]
    assert all(0 <= r.start_s < r.start_s + r.length_s <= 0.1 for r in found if r.start_s is not None)


def test_a_line_begins_and_ends_with_a_silence_and_ends_with_the_file(corpus):
    align(corpus, aligner=Evenly())
    first, second = (corpus / LINES).read_text().splitlines()
    assert first == '19-198-0000 ",NORTHANGER,ABBEY," "0.000,0.060,0.100,0.100"'
    assert second == '19-198-0001 ",DON\'T," "0.000,0.100,0.100"'


def test_the_model_is_asked_for_letters_and_the_marks_between_words(corpus):
    aligner = Evenly()
    align(corpus, aligner=aligner)
    assert aligner.asked == ["GO", "NORTHANGER|ABBEY", "DON'T"]


def test_a_model_without_a_mark_between_words_is_asked_for_letters(corpus):
    aligner = Evenly(labels=("-", *"abcdefghijklmnopqrstuvwxyz'"))
    assert align(corpus, aligner=aligner).words == 4
    assert aligner.asked == ["go", "northangerabbey", "don't"]


def test_files_go_to_another_folder_in_the_same_tree(corpus, tmp_path):
    align(corpus, out=tmp_path / "mine", aligner=Evenly())
    assert files(corpus) == []
    assert files(tmp_path / "mine") == [f"{OTHER}84-121123.alignment.txt", LINES]
    (tmp_path / "mine").rename(corpus / "mine")
    assert len(list(librispeech.recordings(corpus))) == 5


# what is left out


@pytest.mark.parametrize(
    ("aligner", "change", "reason"),
    [
        (Evenly(refuse=["DON'T"]), {}, "targets length is too long for CTC. Found targets length: 9"),
        (Evenly(), {f"{HOME}19-198.trans.txt": "19-198-0000 NORTHANGER ABBEY\n"}, "no words in the transcript"),
        (Evenly(), {f"{HOME}19-198.trans.txt": "19-198-0000 A B\n19-198-0001 1843\n"}, "the word '1843'"),
        (Evenly(), {f"{HOME}19-198.trans.txt": '19-198-0000 A B\n19-198-0001 A,B "C"\n'}, "the word 'A,B'"),
        (Evenly(), {f"{HOME}19-198-0001.flac": "no sound"}, "cannot be decoded"),
        (Evenly(), {f"{HOME}19-198-0001.flac": ""}, "an empty file"),
    ],
)
def test_a_bad_utterance_is_reported_and_ends_nothing(corpus, aligner, change, reason):
    lay_out(corpus, change)
    done = align(corpus, aligner=aligner)
    assert (done.chapters, done.utterances, len(done.left_out)) == (2, 2, 1)
    assert done.left_out[0].startswith("19-198-0001: ")
    assert reason in done.left_out[0]
    assert [line.split()[0] for line in (corpus / LINES).read_text().splitlines()] == ["19-198-0000"]
    assert list(librispeech.recordings(corpus))[-1].id == "19-198-0001"


def test_a_chapter_of_which_nothing_was_aligned_has_no_file_and_is_tried_again(corpus):
    done = align(corpus, aligner=Evenly(short=True))
    assert (done.chapters, len(done.left_out)) == (0, 3)
    assert "1 of 2 letters found" in done.left_out[0]
    assert files(corpus) == []
    assert align(corpus, aligner=Evenly()).chapters == 2


def test_a_chapter_without_transcript_is_left_out_utterance_by_utterance(corpus):
    (corpus / f"{HOME}19-198.trans.txt").unlink()
    done = align(corpus, aligner=Evenly())
    assert (done.chapters, len(done.left_out)) == (1, 2)
    assert all("19-198.trans.txt: no such file" in reason for reason in done.left_out)


# carrying on


def test_a_chapter_that_has_its_file_is_not_aligned_again(corpus):
    (corpus / LINES).write_text('19-198-0000 ",MINE," "0.01,0.05,0.1"\n')
    aligner = Evenly()
    assert align(corpus, aligner=aligner) == Aligned(chapters=1, already=1, utterances=1, words=1, left_out=())
    assert aligner.asked == ["GO"]
    assert "MINE" in (corpus / LINES).read_text()


def test_a_run_that_was_killed_leaves_whole_chapters_and_carries_on(corpus):
    class Killed(Evenly):
        def spans(self, samples, tokens):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().spans(samples, tokens)

    with pytest.raises(KeyboardInterrupt):
        align(corpus, aligner=Killed())
    assert files(corpus) == [f"{OTHER}84-121123.alignment.txt"]
    done = align(corpus, aligner=Evenly())
    assert (done.chapters, done.already) == (1, 1)


def test_nothing_is_loaded_where_nothing_is_to_be_done(corpus, monkeypatch):
    align(corpus, aligner=Evenly())
    monkeypatch.setattr(alignment, "_Torchaudio", lambda _: pytest.fail("loaded"))
    assert align(corpus).already == 2


def test_progress_counts_utterances_and_bad_ones(corpus):
    told = []
    align(corpus, aligner=Evenly(refuse=["DON'T"]), progress=lambda *state: told.append(state))
    assert told == [("align", 1, 3, 0), ("align", 2, 3, 0), ("align", 3, 3, 1)]


# folders


def test_a_folder_without_chapters_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no chapter of LibriSpeech in it"):
        align(lay_out(tmp_path, {"train-clean-100/cough.flac": None}), aligner=Evenly())
    with pytest.raises(CorpusError, match="no such folder"):
        align(tmp_path / "nowhere", aligner=Evenly())


def test_a_file_where_a_folder_should_be_written_is_named(corpus, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(AtError, match=r"84-121123\.alignment\.txt: cannot be written .*--out"):
        align(corpus, out=tmp_path / "mine", aligner=Evenly())


# words, letters and times


def test_letters_lose_accents_and_curls_and_take_the_case_of_the_labels():
    assert spell("u", ["caf\u00e9", "don\u2019t"], ("-", *"acdefnot'")) == [[2, 1, 5, 4], [3, 7, 6, 9, 8]]


def test_the_blank_and_the_mark_between_words_are_no_letters():
    assert spell("u", ["A-B|"], ("-", "|", "A", "B", "E")) == [[2, 3]]


def test_words_are_widened_by_half_a_gap_and_no_further_than_the_reach():
    stretches = [(0.01, 0.1), (0.12, 0.2), (0.2, 0.3), (0.9, 0.98)]
    assert widen(stretches, 1.0) == [(0.0, 0.11), (0.11, 0.2), (0.2, 0.35), (0.85, 1.0)]


def test_a_silence_is_written_only_where_there_is_one():
    line = write_line("u", ["A", "B", "C"], [(0.1, 0.2), (0.2, 0.3), (0.5, 0.6)], 0.7)
    assert line == 'u ",A,B,,C," "0.100,0.200,0.300,0.500,0.600,0.700"'


def test_times_never_lie_beyond_the_end_of_the_file():
    assert write_line("u", ["A"], [(0.1, 0.123999)], 0.123999).endswith('"0.100,0.123,0.123"')


# torchaudio


def imported(**modules):
    """Stand-in for `import_module` that knows these modules, or what importing them raises."""

    def import_module(name):
        found = modules[name.replace(".", "_")]
        if isinstance(found, Exception):
            raise found
        return found

    return import_module


def torch_like(**more):
    return SimpleNamespace(hub=SimpleNamespace(get_dir=lambda: "/cache"), device=lambda name: name, **more)


def torchaudio_like(get_model):
    bundle = SimpleNamespace(sample_rate=16000.0, get_labels=lambda: LABELS, get_model=get_model)
    return SimpleNamespace(pipelines=SimpleNamespace(**{alignment.MODEL: bundle}))


@pytest.mark.parametrize(
    "error",
    [ModuleNotFoundError("No module named 'torchaudio'"), OSError("Could not load this library"), RuntimeError()],
)
def test_without_torchaudio_the_extra_is_named(corpus, monkeypatch, error):
    monkeypatch.setattr(alignment, "import_module", imported(torch=torch_like(), torchaudio=error))
    with pytest.raises(AtError, match=r"torchaudio cannot be imported .*pip install 'anti-transfer\[torchaudio\]'"):
        align(corpus)
    assert files(corpus) == []


@pytest.mark.parametrize(
    "error", [OSError("Name or service not known"), RuntimeError("invalid hash value"), EOFError()]
)
def test_without_weights_their_file_is_named(corpus, monkeypatch, error):
    def get_model():
        raise error

    modules = imported(torch=torch_like(), torchaudio=torchaudio_like(get_model), torchaudio_functional=None)
    monkeypatch.setattr(alignment, "import_module", modules)
    with pytest.raises(AtError, match=r"weights of WAV2VEC2_ASR_BASE_960H cannot be had .*/cache/checkpoints/wav2vec2"):
        align(corpus)


def test_a_device_that_is_none_is_named(corpus, monkeypatch):
    def to(_):
        raise AssertionError("Torch not compiled with CUDA enabled")

    modules = imported(
        torch=torch_like(), torchaudio=torchaudio_like(lambda: SimpleNamespace(to=to)), torchaudio_functional=None
    )
    monkeypatch.setattr(alignment, "import_module", modules)
    with pytest.raises(AtError, match=r"device: got 'cuda' \(Torch not compiled with CUDA enabled\)"):
        align(corpus, device="cuda")


def test_the_model_s_output_is_normalised_and_its_letters_become_spans(corpus, monkeypatch):
    torch = pytest.importorskip("torch", reason="the extra train brings torch")
    seen = {}

    class Model:
        def to(self, _):
            return self

        def __call__(self, waveform):
            return torch.zeros(1, waveform.shape[1] // 320, len(LABELS)), None

    def forced_align(likelihood, targets, blank):
        seen.update(total=likelihood[0, 0].exp().sum().item(), targets=targets.dtype, blank=blank)
        return targets, likelihood[:, : targets.shape[1], 0]

    def merge_tokens(path, scores, blank):  # noqa: ARG001
        return [SimpleNamespace(start=place, end=place + 1) for place in range(len(path))]

    modules = imported(
        torch=torch,
        torchaudio=torchaudio_like(Model),
        torchaudio_functional=SimpleNamespace(forced_align=forced_align, merge_tokens=merge_tokens),
    )
    monkeypatch.setattr(alignment, "import_module", modules)
    done = align(corpus)
    assert (done.utterances, done.words) == (3, 4)
    assert seen == {"total": pytest.approx(1), "targets": torch.int32, "blank": 0}


def test_neither_torch_nor_torchaudio_is_imported_before_it_is_needed():
    code = "import sys, at_data.alignment; sys.exit(bool({'torch', 'torchaudio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# the real ones


@pytest.mark.real
def test_real_utterances_are_aligned_word_by_word(real_data, tmp_path):
    source = real_data / "LibriSpeech"
    done = align(source, out=tmp_path, aligner=Evenly())
    assert done == Aligned(chapters=4, already=0, utterances=69, words=2067, left_out=())
    for path in tmp_path.rglob("*.alignment.txt"):
        for line in path.read_text().splitlines():
            utterance, words, ends = line.split()
            home = source / path.relative_to(tmp_path).parent
            length_s = soundfile.info(home / f"{utterance}.flac").duration
            times = [float(end) for end in ends.strip('"').split(",")]
            assert times == sorted(times)
            assert 0 <= length_s - times[-1] < 0.001
            assert len(times) == len(words.split(","))
