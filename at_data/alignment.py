"""Word times for LibriSpeech: its transcripts laid along its audio, chapter by chapter, with torchaudio.

What torchaudio is needed for is one object, an `Aligner`; everything else is here and needs none. The model is
`WAV2VEC2_ASR_BASE_960H`: letters of English, trained on LibriSpeech itself, MIT licence, 378 MB that torchaudio
downloads once. Beside it torchaudio offers `MMS_FA`, made for aligning, of many languages and under CC BY-NC 4.0.

A CTC model fires briefly: a letter often has one frame of 0.02 s however long it sounds. Each word is therefore widened
on both sides, by half of the gap to its neighbour and at most `REACH_S`. How far such times are from those of the
Montreal Forced Aligner was not measured here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, runtime_checkable
from unicodedata import normalize

import numpy as np
from jaxtyping import Float32

from at_data.corpora import need_folder, text_of, walk
from at_data.errors import AtError, CorpusError
from at_data.files import write_whole
from at_data.recordings import Recording
from at_data.stages.audio import Audio, load

MODEL, WEIGHTS = "WAV2VEC2_ASR_BASE_960H", "wav2vec2_fairseq_base_ls960_asr_ls960.pth"
BLANK, BETWEEN = 0, "|"  # number of the label for nothing; the label between words
REACH_S = 0.05
SUFFIX = ".alignment.txt"

FLAC = re.compile(r"((?:split/)?[\w-]+/(\d+)/(\d+))/(\2-\3-\d+)\.flac", re.ASCII | re.IGNORECASE)
APOSTROPHES = str.maketrans("\u2019\u02bc", "''")

Stretch = tuple[float, float]  # begin and end of a word in seconds


@runtime_checkable
class Aligner(Protocol):
    """What lays labels along a waveform. The first of `labels` is the blank, and one may be the mark between words."""

    sample_rate_hz: int
    labels: Sequence[str]

    def spans(self, samples: Float32[np.ndarray, "time"], tokens: list[int]) -> tuple[list[tuple[int, int]], int]:
        """First frame of each token and the one after its last, and the number of frames; RuntimeError if none fit."""
        ...


@dataclass(frozen=True, slots=True)
class Aligned:
    """What a run did: chapters written, chapters that had their file, utterances and words in those written.

    `left_out` says of each utterance that could not be aligned, or chapter without transcript, why.
    """

    chapters: int
    already: int
    utterances: int
    words: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A folder of flac files, from the root: utterance -> path."""

    folder: str
    files: dict[str, str]

    @property
    def name(self) -> str:
        """`<speaker>-<chapter>`."""
        return "-".join(self.folder.split("/")[-2:])


def align(
    root: Path,
    *,
    out: Path | None = None,
    device: str = "cpu",
    progress: Callable[[str, int, int, int], None] = lambda *_: None,
    aligner: Aligner | None = None,
) -> Aligned:
    """What was aligned: `<speaker>-<chapter>.alignment.txt` written for every chapter of a LibriSpeech folder.

    The files go beside the flac files, or below `out` in the same folders; one that is there is kept, so that a run
    carries on where another stopped. Each is written whole or not at all. An utterance that cannot be aligned has no
    line in it; a chapter without any has no file. `progress` is called as a `Bar` is, with utterances. Without an
    `aligner`, torchaudio's model is loaded onto `device`, where a chapter is to be aligned.

    Raises
    ------
    CorpusError
        The folder holds no chapter of LibriSpeech.
    AtError
        torchaudio or its weights cannot be had, the device is none, a file cannot be written.

    """
    need_folder(root)
    chapters = [(chapter, (out or root) / chapter.folder / f"{chapter.name}{SUFFIX}") for chapter in _chapters(root)]
    if not chapters:
        expected = "<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac"
        raise CorpusError(root, "no chapter of LibriSpeech in it", expected, "point at the folder LibriSpeech")
    todo = [(chapter, file) for chapter, file in chapters if not file.is_file()]
    total = sum(len(chapter.files) for chapter, _ in todo)
    written, lines, words, left_out = 0, 0, 0, list[str]()
    for chapter, file in todo:
        aligner = aligner or _Torchaudio(device)
        made: list[str] = []
        for utterance, line, count in _lines(root, chapter, aligner):
            if count:
                made.append(line)
                words += count
            else:
                left_out.append(f"{utterance}: {line}")
            progress("align", lines + len(made) + len(left_out), total, len(left_out))
        if made:
            _write(file, made)
            written, lines = written + 1, lines + len(made)
    return Aligned(written, len(chapters) - len(todo), lines, words, tuple(left_out))


def _write(file: Path, lines: list[str]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise AtError(
            file, f"cannot be written ({error.strerror})", "a folder to write to", "make room, or name one with --out"
        ) from error


def _chapters(root: Path) -> Iterator[Chapter]:
    """Chapters of a LibriSpeech folder, in order of path."""
    chapter: Chapter | None = None
    for path in walk(root, ".flac"):
        parts = FLAC.fullmatch(path)
        if not parts:
            continue
        if chapter is None or chapter.folder != parts[1]:
            if chapter is not None:
                yield chapter
            chapter = Chapter(parts[1], {})
        chapter.files[parts[4]] = path
    if chapter is not None:
        yield chapter


def _lines(root: Path, chapter: Chapter, aligner: Aligner) -> Iterator[tuple[str, str, int]]:
    """Utterance, its line and how many words it has, for each of a chapter; or why it has none, and 0."""
    try:
        spoken = _transcript(root / chapter.folder / f"{chapter.name}.trans.txt")
        audio = Audio(sample_rate_hz=aligner.sample_rate_hz, resampler="soxr_hq")
    except AtError as error:
        yield from ((utterance, str(error), 0) for utterance in chapter.files)
        return
    for utterance, path in chapter.files.items():
        try:
            words = spoken.get(utterance, [])
            letters = spell(utterance, words, aligner.labels)
            samples = load(root, Recording(utterance, "librispeech", path), audio)
            duration_s = samples.size / audio.sample_rate_hz
            stretches = _stretches(aligner, samples, letters, duration_s)
            yield utterance, write_line(utterance, words, stretches, duration_s), len(words)
        # torch calls everything it cannot do a RuntimeError, too little memory among it
        except (AtError, RuntimeError, ValueError) as error:
            yield utterance, " ".join(str(error).split())[:300], 0


def _transcript(file: Path) -> dict[str, list[str]]:
    """Words of each utterance in the transcript of a chapter."""
    lines = (line.split() for line in text_of(file).split("\n"))
    return {cells[0]: cells[1:] for cells in lines if cells}


def spell(utterance: str, words: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """Numbers of the labels that spell each word; AtError where there is no word, or one the labels cannot spell.

    Letters lose their accents and take the case of the labels; what is no label is passed over.

    Examples
    --------
    >>> spell("1-2-0000", ["DON'T", "b\u00e9"], ["-", "|", "B", "D", "E", "N", "O", "T", "'"])
    [[3, 6, 5, 8, 7], [2, 4]]

    """
    numbers = {label: number for number, label in enumerate(labels) if number != BLANK and label != BETWEEN}
    capitals = "A" in numbers or "E" in numbers
    spelt = []
    for word in words:
        plain = normalize("NFKD", word).translate(APOSTROPHES)
        letters = [numbers[sign] for sign in (plain.upper() if capitals else plain.lower()) if sign in numbers]
        if not letters or {",", '"'} & set(word):
            raise AtError(utterance, f"the word {word!a}", "letters that the model knows", "leave this utterance out")
        spelt.append(letters)
    if not spelt:
        raise AtError(utterance, "no words in the transcript", "a line of words", "leave this utterance out")
    return spelt


def _stretches(
    aligner: Aligner, samples: Float32[np.ndarray, "time"], words: list[list[int]], duration_s: float
) -> list[Stretch]:
    """Begin and end of each word, in seconds."""
    between = [list(aligner.labels).index(BETWEEN)] if BETWEEN in aligner.labels else []
    tokens = [number for word in words for number in (*between, *word)][len(between) :]
    spans, frames = aligner.spans(samples, tokens)
    if len(spans) != len(tokens):
        raise RuntimeError(f"{len(spans)} of {len(tokens)} letters found")
    frame_s, at, found = duration_s / frames, 0, []
    for word in words:
        last = at + len(word) - 1
        found.append((spans[at][0] * frame_s, spans[last][1] * frame_s))
        at = last + 1 + len(between)
    return widen(found, duration_s)


def widen(words: Sequence[Stretch], duration_s: float) -> list[Stretch]:
    """Stretches with the room on both sides: half of the gap to the next, or all to an end of the file, to `REACH_S`.

    Examples
    --------
    >>> widen([(0.02, 0.2), (0.24, 0.5)], 1.0)
    [(0.0, 0.22), (0.22, 0.55)]

    """
    begins, ends = [begin for begin, _ in words], [end for _, end in words]
    before = [begins[0], *((begin - end) / 2 for end, begin in zip(ends, begins[1:], strict=False))]
    after = [*before[1:], duration_s - ends[-1]]
    return [
        (round(begin - min(left, REACH_S), 6), round(end + min(right, REACH_S), 6))
        for begin, end, left, right in zip(begins, ends, before, after, strict=True)
    ]


def write_line(utterance: str, words: Sequence[str], stretches: Sequence[Stretch], duration_s: float) -> str:
    """Line of an alignment file: words and when each ends, silences as empty words; one begins and one ends the line.

    Times are cut to whole milliseconds, so that none lies beyond the end of the file.

    Examples
    --------
    >>> write_line("1-2-0000", ["GO", "ON"], [(0.1, 0.3), (0.3, 0.6)], 0.6)
    '1-2-0000 ",GO,ON," "0.100,0.300,0.600,0.600"'

    """
    names, ends_ms = list[str](), list[int]()
    for word, stretch in zip(words, stretches, strict=True):
        begin_ms, end_ms = (int(second * 1000 + 1e-6) for second in stretch)
        if not names or begin_ms > ends_ms[-1]:
            names.append("")
            ends_ms.append(begin_ms)
        names.append(word)
        ends_ms.append(end_ms)
    names.append("")
    ends_ms.append(max(ends_ms[-1], int(duration_s * 1000 + 1e-6)))
    return f'{utterance} "{",".join(names)}" "{",".join(f"{end / 1000:.3f}" for end in ends_ms)}"'


class _Torchaudio:
    """The aligner that torchaudio's model is, on one device."""

    def __init__(self, device: str) -> None:
        try:
            # not import statements: at_data does without both, and so does whoever only builds datasets
            self.torch: Any = import_module("torch")
            torchaudio: Any = import_module("torchaudio")
            self.functional: Any = import_module("torchaudio.functional")
        except (ImportError, OSError, RuntimeError, AttributeError) as error:  # all but the first: for another torch
            came = f"torchaudio cannot be imported ({' '.join(str(error).split())})"
            todo = "pip install 'anti-transfer[torchaudio]', both of one release"
            raise AtError("align", came, "torch, and the torchaudio made for it", todo) from error
        bundle = getattr(torchaudio.pipelines, MODEL)
        self.sample_rate_hz = int(bundle.sample_rate)
        self.labels: Sequence[str] = bundle.get_labels()
        try:
            model = bundle.get_model()
        except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError) as error:
            folder = Path(self.torch.hub.get_dir()) / "checkpoints"
            came = f"the weights of {MODEL} cannot be had ({' '.join(str(error).split())[:300]})"
            todo = f"let torchaudio download them, or put {WEIGHTS} there yourself"
            raise AtError("align", came, f"{folder / WEIGHTS}", todo) from error
        try:
            self.device = self.torch.device(device)
            self.model = model.to(self.device)
        except (RuntimeError, AssertionError) as error:
            came = f"got '{device}' ({' '.join(str(error).split())[:300]})"
            raise AtError("device", came, "cpu, or a GPU that this torch can use, as cuda", "name another") from error

    def spans(self, samples: Float32[np.ndarray, "time"], tokens: list[int]) -> tuple[list[tuple[int, int]], int]:
        torch = self.torch
        with torch.inference_mode():
            emission, _ = self.model(torch.from_numpy(samples)[None].to(self.device))
            likelihood = torch.log_softmax(emission.float(), dim=-1).cpu()  # the model's own output is not normalised
            targets = torch.tensor([tokens], dtype=torch.int32)
            path, scores = self.functional.forced_align(likelihood, targets, blank=BLANK)
            found = self.functional.merge_tokens(path[0], scores[0].exp(), blank=BLANK)
        return [(span.start, span.end) for span in found], likelihood.shape[1]
