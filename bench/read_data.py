"""Datasets made for the benches that read: shards and header alone, of values that are given."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from at_data import headers, shards
from at_data.stages import spectra

WORK = Path(__file__).parent / "work" / "read"
RATE_HZ = 16000
STFT = spectra.Stft(window="hamming", window_s=0.016, hop_s=0.008)
WORD_S = 4.0  # an item of a word: the paper's


@dataclass(frozen=True, slots=True)
class Store:
    """How items lie on disk, as in a manifest."""

    compression: str = "none"
    padding: str = "stored"
    per_shard: int = 512


def spectrogram(dice: np.random.Generator, length_s: float, item_s: float) -> np.ndarray:
    """Magnitudes of noise with a few resonances that come and go, and silence up to the length of an item."""
    times = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    samples = np.zeros(int(item_s * RATE_HZ), np.float32)
    swell = np.interp(times, np.linspace(0, length_s, 6), dice.uniform(0, 1, 6) ** 2)
    tones = sum(np.sin(2 * np.pi * hz * times) for hz in dice.uniform(100, 3000, 5))
    samples[: times.size] = swell * (tones + dice.normal(0, 0.02, times.size)) / 10
    return spectra.magnitude(samples, STFT, RATE_HZ)


def words(folder: Path | None, count: int = 1000) -> np.ndarray:
    """Items of 4 s with a word each: out of LibriSpeech or of wav files in a folder, or made, 0.42 s in the mean."""
    dice = np.random.default_rng(4)
    if folder is None:
        lengths = np.clip(dice.lognormal(np.log(0.38), 0.45, count), 0.05, WORD_S)  # as many short and long ones
        return np.stack([spectrogram(dice, length, WORD_S) for length in lengths])
    found = [word for script in sorted(folder.rglob("*.trans.txt")) for word in _spoken(script)]
    if found:
        found = [found[place] for place in dice.permutation(len(found))[:count]]
    else:
        found = [_recorded(path) for path in sorted(folder.rglob("*.wav"))[:count]]
    return np.stack([_item(*word) for word in found])


def _spoken(script: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Every word of a chapter of LibriSpeech that is at hand, and its rate; each is as long as it is spelt.

    LibriSpeech says what is read and not when: from the first to the last sound of an utterance words share the time by
    their letters, and one more for what comes between two. What they share is real, and so are the lengths in the mean.
    """
    for line in script.read_text(encoding="utf-8").splitlines():
        utterance, *said = line.split()
        path = script.parent / f"{utterance}.flac"
        if path.is_file():
            samples, rate_hz = _recorded(path)
            heard = _without_silent_ends(samples, rate_hz)
            ends = np.cumsum([len(word) + 1 for word in said])
            yield from ((word, rate_hz) for word in np.split(heard, ends[:-1] * heard.size // ends[-1]))


def _without_silent_ends(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """What lies between the first and the last hundredth of a second that is less than 40 dB below the loudest one."""
    step = rate_hz // 100
    powers = np.square(samples[: samples.size // step * step].reshape(-1, step)).mean(1)
    heard = np.flatnonzero(powers > powers.max() / 1e4)
    return samples[heard[0] * step : (heard[-1] + 1) * step]


def _recorded(path: Path) -> tuple[np.ndarray, int]:
    """First channel of a file, and its rate."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return samples[:, 0], rate_hz


def _item(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Magnitudes of an item of 4 s that begins with these samples."""
    item = np.zeros(int(WORD_S * rate_hz), np.float32)
    item[: samples.size] = samples[: item.size]
    return spectra.magnitude(item, STFT, rate_hz)


def write(name: str, values: np.ndarray, store: Store) -> Path:
    """Dataset of these items, all in train, of two classes; magnitude 0 is 0, so nothing is scaled."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    listed = []
    total = -(-len(values) // store.per_shard)
    for number in range(total):
        items = values[number * store.per_shard : (number + 1) * store.per_shard]
        sounding = [spectra.trimmed(item) for item in items]
        places = np.array([(frames.start, len(frames)) for frames in sounding])
        real = shards.Extents(*places.T) if store.padding == "implicit" else None
        ids = [f"{number}/{row}" for row in range(len(items))]
        file = f"shards/train-{number:05d}-of-{total:05d}.h5"
        sha256 = shards.write_shard(
            folder / file,
            "0" * 64,
            [items] if real is None else (item[frames] for item, frames in zip(items, sounding, strict=True)),
            items.shape,
            {"word": np.arange(len(items)) % 2},
            ids,
            ids,
            target="word",
            dtype=values.dtype.name,
            compression=store.compression,
            real=real,
        )
        listed.append(headers.Shard(file=file, split="train", items=len(items), sha256=sha256))
    headers.write(folder, _header(name, values, store, listed))
    return folder


def _header(name: str, values: np.ndarray, store: Store, listed: list[headers.Shard]) -> headers.Header:
    texts = dict.fromkeys(("content", "listing", "licence", "source", "citation"), "none")
    empty = ("class_counts", "hours", "recordings", "left_out", "duplicates", "files", "versions")
    nothing: dict[str, dict[str, str]] = {key: {} for key in empty}
    return headers.Header.model_validate(
        {
            **texts,
            **nothing,
            "format": headers.FORMAT,
            "name": name,
            "digest": "0" * 64,
            "manifest": {},
            "target": "word",
            "nuisances": [],
            "attributes": {"word": ["no", "yes"]},
            "frames": values.shape[1],
            "bins": values.shape[2],
            "dtype": values.dtype.name,
            "compression": store.compression,
            "padding": store.padding,
            "scaling": {"mean": 0.0, "std": 1.0},
            "counts": {"train": len(values)},
            "noise": None,
            "bias": None,
            "shards": listed,
        }
    )
