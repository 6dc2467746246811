"""A dataset of a few small spectrograms, written straight into shards: bands of energy tell words and voices."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from at_data import headers, shards
from at_data.stages import spectra
from at_train.config import Settings, parse

FRAMES, BINS = 40, 33  # the smallest that VGG16 takes is 32 x 32
WIDTH = 1 / 32
SILENT = 3  # frames at the beginning, where padding is implicit
WORDS, SPEAKERS = ("no", "stop", "yes"), ("ada", "bea", "cyd", "dov")
STFT = {"window": "hamming", "window_s": 0.008, "hop_s": 0.004}
AUDIO = {"sample_rate_hz": 8000, "resampler": "soxr_hq"}


def settings(**given: Any) -> Settings:
    """Settings of a run that takes a second."""
    quick = {"width": WIDTH, "epochs": 2, "batch_size": 5, "patience": None, "learning_rate": 1e-3}
    return parse({**quick, **given}, "test")


def dataset(
    folder: Path,
    *,
    target: str = "word",
    takes: dict[str, int] | None = None,
    words: tuple[str, ...] = WORDS,
    speakers: dict[str, tuple[str, ...]] | None = None,
    unknown: dict[str, int] | None = None,
    scaling: tuple[float, float] = (0.0, 1.0),
    waveform_of: Callable[[str], str] | None = None,
    **header: Any,
) -> Path:
    """Finished dataset folder: every word by every speaker of a split, `takes` times.

    The first `unknown` items of a split have no word. `scaling` shifts and divides the same values. `waveform_of` makes
    the hash of a waveform from an item's id; without it no two datasets have one in common.
    """
    waveform_of = waveform_of or (lambda item: hashlib.sha256(f"{folder} {item}".encode()).hexdigest())
    takes = takes or {"train": 2, "valid": 1, "test": 1}
    folder.mkdir(parents=True)
    (folder / "shards").mkdir()
    listed, counts = [], {}
    for split, count in takes.items():
        voices = (speakers or {}).get(split, SPEAKERS)
        entries = [(word, voice, take) for take in range(count) for word in words for voice in voices]
        codes = {
            "word": np.array([words.index(word) for word, _, _ in entries]),
            "speaker": np.array([SPEAKERS.index(voice) for _, voice, _ in entries]),
        }
        codes["word"][: (unknown or {}).get(split, 0)] = shards.UNKNOWN
        ids = [f"{word}/{voice}_{split}{take}#0" for word, voice, take in entries]
        values = np.stack([_values(*entry, split) for entry in entries]).astype(np.float32)
        real = None
        if header.get("padding") == "implicit":
            values[:, :SILENT] = 0
            sounding = [spectra.trimmed(item) for item in values]
            real = shards.Extents(*np.array([(frames.start, len(frames)) for frames in sounding]).T)
            values = np.concatenate([item[frames] for item, frames in zip(values, sounding, strict=True)])
        values = (values - scaling[0]) / scaling[1]
        path = folder / "shards" / f"{split}-00000-of-00001.h5"
        sha256 = shards.write_shard(
            path,
            header.get("digest", "d" * 64),
            [values.astype(np.float32)],
            (len(ids), FRAMES, BINS),
            codes,
            ids,
            [waveform_of(item) for item in ids],
            target=target,
            dtype="float32",
            compression="none",
            real=real,
        )
        listed.append(headers.Shard(file=f"shards/{path.name}", split=split, items=len(ids), sha256=sha256))
        counts[split] = len(ids)
    facts: dict[str, Any] = {
        "format": headers.FORMAT,
        "name": folder.name,
        "digest": "d" * 64,
        "content": "",
        "listing": "l" * 64,
        "manifest": {"corpus": "toy", "audio": AUDIO, "stft": STFT},
        "licence": "CC0",
        "source": "made",
        "citation": "none",
        "target": target,
        "nuisances": ["speaker" if target == "word" else "word"],
        "attributes": {"word": list(words), "speaker": list(SPEAKERS)},
        "frames": FRAMES,
        "bins": BINS,
        "dtype": "float32",
        "compression": "none",
        "padding": "stored",
        "scaling": {"mean": scaling[0], "std": scaling[1]},
        "counts": counts,
        "class_counts": {},
        "hours": {},
        "recordings": {"listed": 0, "held": 0},
        "left_out": {},
        "bias": None,
        "duplicates": {"waveforms": 0, "recordings": 0, "with_several_labels": 0},
        "noise": None,
        "shards": listed,
        "files": {},
        "versions": {},
    }
    said = headers.Header.model_validate({**facts, **header})
    headers.write(folder, said.model_copy(update={"content": headers.content(said)}))
    return folder


def _values(word: str, voice: str, take: int, split: str) -> np.ndarray:
    """Noise, a band in time that tells the word and a band in frequency that tells the voice."""
    values = np.random.default_rng(abs(hash_of(f"{word}{voice}{take}{split}"))).normal(size=(FRAMES, BINS))
    start = 12 * sorted({*WORDS, word}).index(word)
    values[start : start + 8] += 3
    low = 8 * SPEAKERS.index(voice)
    values[:, low : low + 4] += 3
    return values


def hash_of(text: str) -> int:
    """Number that depends on the text alone, unlike Python's own hash."""
    return int.from_bytes(text.encode(), "big") % (1 << 62)
