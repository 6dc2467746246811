"""Synthetic voices and noise -> files on disk, in the layouts of gsc and ms_snsd."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32, Int64

from at_data import seeds
from at_data.errors import CorpusError
from at_data.synth import noises, voices
from at_data.synth.voices import SAMPLE_RATE_HZ, WORDS, Voice

MARK = "synthesised.json"  # says that a folder is ours, and what is to be in it
SPEECH, NOISE = "speech_commands", "MS-SNSD"
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NOISE_FILES = {"noise_train": range(1, 5), "noise_test": range(5, 8)}
BACKGROUND = ("pink_noise", "white_noise")
FEWEST = 4  # speakers: one to validate, one to test, two to train

Samples = Float32[np.ndarray, "time"]


@dataclass(frozen=True, slots=True)
class Made:
    """What stands on disk: the corpus folder for gsc, the one for ms_snsd, and the number of audio files in both."""

    speech: Path
    noise: Path
    files: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One word, said once."""

    word: str
    speaker: str
    take: int
    split: str

    @property
    def path(self) -> str:
        """Path from the corpus folder."""
        return f"{self.word}/{self.speaker}_nohash_{self.take}.wav"


def synthesise(
    folder: Path,
    *,
    speakers: int,
    takes: int,
    seed: int,
    correlation: float,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Corpus of spoken digits in `<folder>/speech_commands`, and noise in `<folder>/MS-SNSD`.

    One second a word, mono, 16 kHz, 16 bit. A fifth of the speakers (one at least) stands in `validation_list.txt`,
    another fifth in `testing_list.txt`: these say every word `takes` times, whatever the correlation. The others are
    the published training part, where `correlation` r ties words to voices. Of n training speakers and 10 words,
    speaker s says word w

        takes x ((1 - r) + r x |[10 s, 10 (s + 1)) intersected with [n w, n (w + 1))|)

    times, rounded so that each speaker says 10 x takes words in all. At 0 all is crossed; at 1 a speaker says its own
    words only: one or two of them where n is 10 or more. The bytes of a clip depend on seed, number of speakers,
    speaker, word and take, not on the correlation.

    The same arguments make the same bytes with the same versions of numpy and scipy. Each file is written whole or
    not at all, so a second call with the same arguments finishes what the first one did not. `progress` is called with
    files done and files in all. CorpusError for arguments out of range, for a folder that holds anything else, and
    where a file cannot be written.
    """
    _check(speakers, takes, seed, correlation)
    with _writing(folder):
        _claim(folder, {"speakers": speakers, "takes": takes, "seed": seed, "correlation": float(correlation)})
    clips, cast = plan(speakers, takes, seed, correlation)
    for split, name in LISTS.items():
        listed = sorted(clip.path for clip in clips if clip.split == split)
        _write_text(folder / SPEECH / name, "".join(f"{path}\n" for path in listed))
    total = len(clips) + len(BACKGROUND) + len(_noise_files())
    for done, (path, make) in enumerate(_audio(clips, cast, seed), start=1):
        _write_audio(folder / path, make)
        if progress:
            progress(done, total)
    return Made(folder / SPEECH, folder / NOISE, total)


def plan(speakers: int, takes: int, seed: int, correlation: float) -> tuple[list[Clip], dict[str, Voice]]:
    """Clips to say, in the order of speakers, and the voice of each speaker."""
    numbers = seeds.generator(seed, "speakers").choice(2**32, speakers, replace=False)
    names = [f"{number:08x}" for number in numbers.tolist()]
    held_out = max(1, speakers // 5)
    training = speakers - 2 * held_out
    crossed = np.full((held_out, len(WORDS)), takes)
    times = np.concatenate([counts(training, takes, correlation), crossed, crossed])
    splits = ["train"] * training + ["valid"] * held_out + ["test"] * held_out
    clips = [
        Clip(word, speaker, take, split)
        for speaker, split, row in zip(names, splits, times.tolist(), strict=True)
        for word, count in zip(WORDS, row, strict=True)
        for take in range(count)
    ]
    return clips, voices.draw(seed, names)


def counts(speakers: int, takes: int, correlation: float) -> Int64[np.ndarray, "speakers words"]:
    """How often each training speaker says each word; the formula stands with `synthesise`.

    Rows sum to takes x words exactly, columns to takes x speakers as nearly as whole clips allow.

    Examples
    --------
    >>> counts(5, 2, 1.0)[0].tolist()
    [10, 10, 0, 0, 0, 0, 0, 0, 0, 0]

    """
    words = len(WORDS)
    speaker, word = np.arange(speakers)[:, None], np.arange(words)
    first, last = np.maximum(words * speaker, speakers * word), np.minimum(words * (speaker + 1), speakers * (word + 1))
    shares = (1 - correlation) + correlation * (last - first).clip(0)
    # whole clips by systematic sampling: each speaker rounds from a place of its own, so no word is always favoured
    places = np.floor(np.cumsum(takes * shares, axis=1) + (speaker + 0.5) / speakers)
    return np.diff(places, axis=1, prepend=0).astype(np.int64)


def _audio(clips: list[Clip], cast: dict[str, Voice], seed: int) -> Iterator[tuple[str, Callable[[], Samples]]]:
    """Path of every audio file, and how it is made."""
    for clip in clips:
        yield (
            f"{SPEECH}/{clip.path}",
            lambda clip=clip: voices.say(cast[clip.speaker], clip.word, seeds.generator(seed, "say", clip.path)),
        )
    for name in BACKGROUND:
        path = f"{SPEECH}/_background_noise_/{name}.wav"
        yield path, lambda name=name, path=path: noises.make(name, seeds.generator(seed, "noise", path))
    for path, kind in _noise_files():
        yield path, lambda kind=kind, path=path: noises.make(kind, seeds.generator(seed, "noise", path))


def _noise_files() -> list[tuple[str, str]]:
    kinds = [kind for kind in noises.NOISES if kind not in BACKGROUND]
    return [
        (f"{NOISE}/{part}/{kind}_{number}.wav", kind)
        for part, numbers in NOISE_FILES.items()
        for kind in kinds
        for number in numbers
    ]


def _check(speakers: int, takes: int, seed: int, correlation: float) -> None:
    for name, value, least in (("speakers", speakers, FEWEST), ("takes", takes, 1), ("seed", seed, 0)):
        if value < least:
            raise CorpusError(name, f"got {value}", f"{least} or more", f"raise {name}")
    if not (math.isfinite(correlation) and 0 <= correlation <= 1):
        raise CorpusError("correlation", f"got {correlation}", "0 to 1", "choose 0 for crossed, 1 for tied")


def _claim(folder: Path, arguments: dict[str, int | float]) -> None:
    """Make the folder ours, or find that it is."""
    mark, text = folder / MARK, json.dumps(arguments) + "\n"
    if mark.is_file():
        found = mark.read_text(encoding="utf-8", errors="replace")
        if found != text:
            raise CorpusError(
                folder,
                f"it holds a corpus made with {found.strip()}",
                text.strip(),
                "take it away, or name another folder",
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError(
            folder, "it is in the way", "an empty folder, or none, or one of this command", "name another folder"
        )
    else:
        _write_text(mark, text)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """CorpusError where the disk does not take what is written."""
    try:
        yield
    except (OSError, soundfile.LibsndfileError) as error:
        reason = getattr(error, "strerror", None) or error
        todo = "make room or name another folder; the same command goes on where it stopped"
        raise CorpusError(path, f"cannot be written ({reason})", "a folder to write to, with room", todo) from error


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name once it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)


def _write_text(path: Path, text: str) -> None:
    with _whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _write_audio(path: Path, make: Callable[[], Samples]) -> None:
    """The file, unless it is there: only whole files bear their names."""
    if path.is_file():
        return
    samples = np.round(make() * 32767).astype(np.int16)  # here, not in the library, so that its version has no say
    with _whole(path) as partial:
        soundfile.write(partial, samples, SAMPLE_RATE_HZ, "PCM_16", format="WAV")
