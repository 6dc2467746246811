"""Corpora of made sounds for the benches, kept under `bench/work`: a list for the corpus `table`, and its manifest."""

import csv
import multiprocessing
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import yaml

WORK = Path(__file__).parent / "work"
RATE_HZ = 16000  # of every dataset
SPEAKERS, WORDS = 40, 2
FEWER = 4  # the short list of a corpus holds every fourth part of it
SHARDS = 16  # a dataset has about so many: workers end together, as they do with a large corpus
ITEMS = {0.5: 3000, 1.0: 3000, 4.0: 800, 15.0: 240}  # by seconds of a file: a second or two of work each
WORD_S, WORDS_A_FILE, FILE_S = 0.3, 5, 15.0


@dataclass(frozen=True, slots=True)
class Kind:
    """How libsndfile writes a sound, and at which rate."""

    name: str
    suffix: str
    container: str
    codec: str
    rate_hz: int


KINDS = {
    kind.name: kind
    for kind in (
        Kind("wav8", "wav", "WAV", "PCM_16", 8000),
        Kind("wav16", "wav", "WAV", "PCM_16", 16000),
        Kind("wav44", "wav", "WAV", "PCM_16", 44100),
        Kind("wav48", "wav", "WAV", "PCM_16", 48000),
        Kind("flac16", "flac", "FLAC", "PCM_16", 16000),
        Kind("ogg44", "ogg", "OGG", "VORBIS", 44100),
        Kind("mp3_44", "mp3", "MP3", "MPEG_LAYER_III", 44100),
    )
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """A folder of sounds with two lists of them, and the manifest that makes one item of every entry."""

    folder: Path
    manifest: Path
    items: int
    fewer: int
    length_s: float

    @property
    def whole(self) -> Path:
        """Mark that all files are there."""
        return self.folder / ".whole"

    @property
    def full(self) -> Path:
        """List of everything."""
        return self.folder / "full.csv"

    @property
    def short(self) -> Path:
        """List of a part."""
        return self.folder / "short.csv"


def files(kind: Kind, length_s: float, count: int | None = None) -> Corpus:
    """Corpus of files that are one item each; half a second is padded to one."""
    count = count or ITEMS[length_s]
    name = f"{kind.name}_{length_s:g}s_{count}"
    rows = [(f"{number:06d}.{kind.suffix}", "", "", number) for number in range(count)]
    return _corpus(name, kind, length_s, count, rows, max(1.0, length_s))


def words(item_s: float, count: int = 3000) -> Corpus:
    """Corpus of words of 0.3 s in FLAC files of 15 s, as in LibriSpeech; their padding is not stored, as shipped."""
    kind, rows = KINDS["flac16"], []
    for number in range(count):
        file, place = number % (count // WORDS_A_FILE), number // (count // WORDS_A_FILE)
        start_s = round(1.0 + 2.7 * place + 0.001 * (file % 997), 3)
        rows.append((f"{file:06d}.flac", f"{start_s}", f"{WORD_S}", file))
    return _corpus(f"words_{item_s:g}s_{count}", kind, FILE_S, count // WORDS_A_FILE, rows, item_s, "implicit")


def _corpus(
    name: str,
    kind: Kind,
    length_s: float,
    count: int,
    rows: list[tuple[str, str, str, int]],
    item_s: float,
    padding: str = "stored",
) -> Corpus:
    """Corpus of this name: made now, or found whole."""
    folder = WORK / "prepare" / name
    made = Corpus(folder, folder / "manifest.yaml", len(rows), len(rows) // FEWER, item_s)
    if not made.whole.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            pool.starmap(make_sound, [(folder, number, kind, length_s) for number in range(count)], chunksize=16)
        made.whole.touch()
    write_list(made.full, rows)
    write_list(made.short, rows[: made.fewer])
    settings = manifest(name.replace(".", "_"), RATE_HZ, item_s, max(8, made.items // SHARDS), padding)
    made.manifest.write_text(yaml.safe_dump(settings))
    return made


def write_list(path: Path, rows: list[tuple[str, str, str, int]]) -> None:
    """`recordings.csv` of path, start, length and the number that decides the speaker."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "start_s", "length_s", "word", "speaker"))
        for number, (name, start_s, length_s, group) in enumerate(rows):
            word = (number // SPEAKERS + number) % WORDS
            writer.writerow((name, start_s, length_s, f"word{word}", f"speaker{group % SPEAKERS:02d}"))


def make_sound(folder: Path, number: int, kind: Kind, length_s: float) -> None:
    """One file: coloured noise that swells and fades, and a tone, all of its own; like no other file's."""
    dice = np.random.default_rng([7, number])
    samples = round(length_s * kind.rate_hz)
    time_s = np.arange(samples) / kind.rate_hz
    swell = np.interp(time_s, np.linspace(0, length_s, round(8 * length_s) + 2), dice.random(round(8 * length_s) + 2))
    noise = scipy.signal.lfilter([1.0], [1.0, -dice.uniform(0.5, 0.95)], dice.standard_normal(samples))
    tone = np.sin(2 * np.pi * dice.uniform(200, 3000) * time_s + dice.uniform(0, 6))
    mixed = (swell + 0.05) * (noise / (4 * noise.std()) + 0.2 * tone)
    soundfile.write(
        folder / f"{number:06d}.{kind.suffix}",
        (0.5 * mixed / np.abs(mixed).max()).astype(np.float32),
        kind.rate_hz,
        format=kind.container,
        subtype=kind.codec,
    )


def manifest(name: str, rate_hz: int, item_s: float, shard: int, padding: str = "stored") -> dict[str, object]:
    """Settings that make items of a length from the corpus `table`: which word is said, split by speaker."""
    return {
        "name": name,
        "corpus": "table",
        "target": "word",
        "keep": {},
        "nuisances": ["speaker"],
        "balance": "none",
        "subset": "none",
        "seed": 1,
        "audio": {"sample_rate_hz": rate_hz, "resampler": "soxr_hq"},
        "segment": {"length_s": item_s, "hop_s": item_s, "shorter": "pad_end", "tail": "drop"},
        "quiet": "keep",
        "noise": "none",
        "stft": {"window": "hamming", "window_s": 256 / rate_hz, "hop_s": 128 / rate_hz},
        "scaling": {"kind": "standard", "measured_on": "train"},
        "split": {"by": "speaker", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2},
        "bias": "none",
        "shared": [],
        "duplicates": {"exact": "drop", "near": "drop"},
        "store": {"dtype": "float16", "recordings_per_shard": shard, "compression": "none", "padding": padding},
    }
