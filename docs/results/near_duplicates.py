"""How far copies of a recording lie from it, and other recordings: where the threshold of near-duplicates stands.

    python docs/results/near_duplicates.py --data ../shared/data

Copies are made of real recordings, at their own rate, and looked for with `duplicates.near`. Every corpus is then
searched for pairs by itself. Writes `docs/results/near_duplicates.md`.
"""

import argparse
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from at_data.build import hearing
from at_data.stages import spectra
from at_data.stages.duplicates import THRESHOLD, near

HERE = Path(__file__).parent
Samples = NDArray[np.float32]
RATE = 16000  # of the datasets that these corpora become
CORPORA = {
    "speech_commands": "speech_commands/[a-z]*/*.wav",
    "FSDD": "free-spoken-digit-dataset/recordings/*.wav",
    "Arabic Speech Commands": "arabic-speech-commands-dataset/dataset/*/*.wav",
    "RAVDESS (16 kHz)": "RAVDESS_16k/**/*.flac",
    "EmoDB": "emodb/wav/*.wav",
    "NSynth test": "nsynth-test/audio/*.wav",
    "ESC-10": "ESC-10/*/*.ogg",
    "good-sounds": "good-sounds/good-sounds/**/*.wav",
    "instrument notes": "instrument-notes/**/*.wav",
}
WORDS = "LibriSpeech stretches"  # of 0.2 to 0.6 s, as words are
COPIED = 150  # recordings of a corpus that copies are made of
MP3_LEVEL = {8000: 0.0, 16000: 0.6, 44100: 0.89, 48000: 0.89}  # what libsndfile takes as 64 kbit/s
BLOCK = 4096  # libsndfile fails on long ogg files written in one call
THRESHOLDS = (0.15, 0.20, 0.25, 0.30)
PAGE = """# Near-duplicates: what is found, and what is taken for one

Written by

    python docs/results/near_duplicates.py --data ../shared/data

A recording has a fingerprint (`at_data/stages/fingerprints.py`): one word of 32 bits every 16 ms, after Haitsma and
Kalker (ISMIR 2002). Two fingerprints are laid over each other where they agree best (`at_data/stages/duplicates/`).
Their distance is the number of bits set in one alone, divided by the bits set in both together: 0 for equal
fingerprints, about 0.5 for words set at random. A pair no further apart than **{threshold}** is a near-duplicate.

## Why this kind

Kinds were compared on about 300 recordings of these corpora before the choice, by a script that was not kept. The
original bits, signs of a difference from one frame to the next, could not tell sustained notes as their own copies:
where nothing changes, the signs are those of the codec's noise. Counting a bit only where something grows by 3e-5 of
the loudest band, and comparing over 64 ms, mended most of that. Signs of cosine transforms of the spectrogram did no
better. Not measured: fingerprints of spectral peaks (Wang, ISMIR 2003; Panako), of which 0.3 s of speech holds few,
and Chromaprint, which folds all octaves into twelve notes.

## Copies found

Up to {copied} recordings of each corpus, looked for among as many originals of it. A stretch of LibriSpeech is 0.2 to
0.6 s of read speech. Originals and copies are brought to 16 kHz, as a build does.

{recall}

All together, at other thresholds:

{swept}

## Pairs among different recordings

Every corpus searched by itself, by threshold. What is not the same waveform is a false alarm, or worth a look: the
nearest are the same speaker saying the same word again in the same way, or a synthesised note at another
velocity. Pairs are compared by candidates, so numbers above {threshold} are of those the search led to.

{alarms}

## Cost

A fingerprint of one second at 16 kHz, whose spectra the dataset has made already, takes {cost} microseconds on one
core, and 4 bytes for every 16 ms: 252 bytes for one second, never more than 2 KiB. Searching between three splits,
recordings of one second made up of pieces of real fingerprints with 6 % of the bits flipped, in seconds of processor
time on one core:

| recordings | number | time | pairs | recordings in a pair |
|:--|--:|--:|--:|--:|
{scale}

## What is missed

- Very short recordings that lose a part: of 0.3 s, 50 ms off both ends are a third of it.
- Sounds that do not change: a hum, or a note without onset and end, has hardly a bit.
- Mistaken for each other: notes of one pitch of which little but the onset changes, and a speaker who says a short word
  twice in the same way. A manifest that splits at random within a speaker has to expect such pairs.
- Copies at another speed or pitch beyond about 1 %. Mixtures with other sounds and reverberation were not measured.
- Of a recording longer than 8.2 s only pieces of one second are kept: two cuts of it that begin at other times are not
  sought, nor are those that begin together where one is more than twice as long.
- Sounds above 3.4 kHz over digital silence leave their rhythm alone: chirps of one rhythm are mistaken for each other.
- Of many recordings that share one sound, not every pair is named: 16 recordings of each split for every word, and 32
  for each recording and key.
"""


def read(path: Path) -> tuple[Samples, int]:
    """Mono samples and their rate."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def fingerprint(samples: Samples, rate: int) -> NDArray[np.uint32]:
    """Fingerprint as a build takes it: of a recording brought to the rate of its dataset."""
    brought = samples if rate == RATE else soxr.resample(samples, rate, RATE, quality="HQ")
    return hearing.fingerprint(np.asarray(brought, np.float32), RATE)


def stretches(data: Path) -> dict[str, tuple[Samples, int]]:
    """Short pieces of read speech that do not overlap."""
    dice = np.random.default_rng(1)
    found = {}
    for path in sorted(data.glob("LibriSpeech/**/*.flac")):
        samples, rate = read(path)
        start = rate // 2
        for _ in range(4):
            end = start + int(dice.uniform(0.2, 0.6) * rate)
            if end < samples.size:
                found[f"{path.name} at {start / rate:.2f} s"] = (samples[start:end], rate)
            start = end + rate // 4
    return found


def recoded(samples: Samples, rate: int, kind: str, subtype: str, **settings: object) -> Samples:
    """Samples after a way through a file format."""
    memory = io.BytesIO()
    with soundfile.SoundFile(memory, "w", rate, 1, format=kind, subtype=subtype, **settings) as file:
        for start in range(0, samples.size, BLOCK):
            file.write(samples[start : start + BLOCK])
    memory.seek(0)
    decoded: Samples = soundfile.read(memory, dtype="float32")[0]
    return decoded


def copies(samples: Samples, rate: int, dice: np.random.Generator) -> Iterator[tuple[str, Samples, int]]:
    """What may be done to a recording that stays the same recording."""

    def at(other: int) -> Samples:
        return soxr.resample(samples, rate, other).astype(np.float32) if other != rate else samples

    def silence(seconds: float) -> Samples:
        return np.zeros(int(seconds * rate), np.float32)

    yield "FLAC, 16 bits", recoded(samples, rate, "FLAC", "PCM_16"), rate
    yield "20 dB quieter, 16 bits", recoded(samples * np.float32(0.1), rate, "WAV", "PCM_16"), rate
    mp3 = recoded(samples, rate, "MP3", "MPEG_LAYER_III", compression_level=MP3_LEVEL[rate], bitrate_mode="CONSTANT")
    yield "mp3, 64 kbit/s", mp3, rate
    yield "mp3, 64 kbit/s, 25 to 50 ms late", np.concatenate([silence(dice.uniform(0.025, 0.05)), mp3]), rate
    yield "Ogg Vorbis, lowest quality", recoded(samples, rate, "OGG", "VORBIS", compression_level=0.99), rate
    yield "8-bit mu-law", recoded(samples, rate, "WAV", "ULAW"), rate
    yield "at 8 kHz", at(8000), 8000
    yield "at 44.1 kHz", at(44100), 44100
    yield "at 8 kHz, mu-law, 12 ms cut off", recoded(at(8000), 8000, "WAV", "ULAW")[96:], 8000
    yield "8 ms cut off (half a hop)", samples[int(0.008 * rate) :], rate
    yield "10 ms before, 300 ms of silence after", np.concatenate([silence(0.01), samples, silence(0.3)]), rate
    edge = int(0.05 * rate)
    yield "50 ms cut off both ends", samples[edge:-edge], rate
    yield "first half alone", samples[: samples.size // 2], rate
    noise = dice.normal(size=samples.size)
    noise *= 10**-1.5 * np.sqrt(np.mean(samples**2) / np.mean(noise**2))
    yield "white noise 30 dB below", (samples + noise).astype(np.float32), rate
    yield "1 % slower", soxr.resample(samples, 100, 101).astype(np.float32), rate


def recall(corpora: dict[str, dict[str, tuple[Samples, int]]]) -> tuple[list[str], list[str]]:
    """Tables of copies found: by corpus at the threshold, and together at others."""
    found: dict[str, dict[str, list[float]]] = {}
    for corpus, recordings in corpora.items():
        chosen = sorted(recordings)[:: max(1, len(recordings) // COPIED)][:COPIED]
        dice = np.random.default_rng(2)
        marked: dict[str, dict[str, NDArray[np.uint32]]] = {}
        originals = {name: fingerprint(*recordings[name]) for name in chosen}
        for name in chosen:
            for what, samples, rate in copies(*recordings[name], dice):
                marked.setdefault(what, {})[f"copy of {name}"] = fingerprint(samples, rate)
        for what, made in marked.items():
            sides = dict.fromkeys(originals, "a") | dict.fromkeys(made, "b")
            pairs = near(originals | made, sides, threshold=max(THRESHOLDS))
            distances = {pair.other: pair.distance for pair in pairs if pair.other == f"copy of {pair.one}"}
            distances |= {pair.one: pair.distance for pair in pairs if pair.one == f"copy of {pair.other}"}
            found.setdefault(what, {})[corpus] = [distances.get(name, np.inf) for name in made]
    table = ["| copy | " + " | ".join(corpora) + " |", "|:--|" + "--:|" * len(corpora)]
    swept = ["| copy | median distance | 95 % below | " + " | ".join(f"{at:.2f}" for at in THRESHOLDS) + " |"]
    swept.append("|:--|--:|--:|" + "--:|" * len(THRESHOLDS))
    for what, by_corpus in found.items():
        shares = [100 * np.mean(np.array(d) <= THRESHOLD) for d in by_corpus.values()]
        table.append(f"| {what} | " + " | ".join(f"{share:.0f} %" for share in shares) + " |")
        every = np.concatenate(list(by_corpus.values()))
        ranks = [np.quantile(every, share, method="lower") for share in (0.5, 0.95)]
        told = ["not found" if np.isinf(rank) else f"{rank:.3f}" for rank in ranks]
        told += [f"{100 * np.mean(every <= at):.1f} %" for at in THRESHOLDS]
        swept.append(f"| {what} | " + " | ".join(told) + " |")
    return table, swept


def alarms(corpora: dict[str, dict[str, tuple[Samples, int]]]) -> list[str]:
    """Table of the pairs found among the recordings of a corpus, and the nearest of them."""
    lines = ["| corpus | recordings | pairs | same waveform | " + " | ".join(f"{at:.2f}" for at in THRESHOLDS) + " |"]
    lines.append("|:--|--:|--:|--:|" + "--:|" * len(THRESHOLDS))
    named = []
    for corpus, recordings in corpora.items():
        prints = {name: fingerprint(*recordings[name]) for name in recordings}
        pairs = sorted(near(prints, threshold=max(THRESHOLDS)), key=lambda pair: (pair.distance, pair))
        counts = [str(sum(pair.distance <= at for pair in pairs)) for at in THRESHOLDS]
        number = len(prints)
        same = sum(np.array_equal(recordings[pair.one][0], recordings[pair.other][0]) for pair in pairs)
        every = [f"{number:,}", f"{number * (number - 1) // 2:,}", str(same), *counts]
        lines.append(f"| {corpus} | " + " | ".join(every) + " |")
        named += [f"| {corpus} | {pair.one} | {pair.other} | {pair.distance:.3f} |" for pair in pairs[:6]]
    head = [
        "",
        "The nearest of each corpus, up to six:",
        "",
        "| corpus | one | other | distance |",
        "|:--|:--|:--|--:|",
    ]
    return [*lines, *head, *named]


def cost(recordings: dict[str, tuple[Samples, int]]) -> str:
    """Microseconds of a fingerprint of one second's spectra: the least of many, for the machine may be shared."""
    taken = []
    for samples, _ in [value for value in recordings.values() if value[0].size == value[1] == RATE][:200]:
        whole = spectra.magnitude(samples, hearing.heard_in(RATE), RATE)
        for _ in range(10):
            start = time.perf_counter()
            hearing.fingerprint(samples, RATE, whole)
            taken.append(time.perf_counter() - start)
    return f"{1e6 * np.quantile(taken, 0.05):.0f}"


def scale(recordings: list[tuple[Samples, int]], number: int) -> list[str]:
    """Rows of the time a search among many made-up recordings of a second takes."""
    dice = np.random.default_rng(3)
    pool = np.concatenate([fingerprint(*value) for value in recordings])

    def flipped(words: NDArray[np.uint32], share: float) -> NDArray[np.uint32]:
        flips = np.packbits(dice.random((words.size, 32)) < share, axis=1).view(np.uint32)[:, 0]
        return np.asarray(words ^ flips, np.uint32)

    def made() -> NDArray[np.uint32]:
        runs = dice.integers(0, pool.size - 6, 10)
        return flipped(np.concatenate([pool[start : start + 6] for start in runs]), 0.06)

    rows = []
    one = made()
    many = {f"{item:07d}": made() for item in range(number)}
    hums = {f"{item:07d}": flipped(one, 0.02) for item in range(number // 10)}
    same = {f"{item:07d}": one for item in range(number // 10)}
    for what, prints in (("unlike", many), ("one sound, 2 % of bits flipped", hums), ("one sound", same)):
        sides = {name: ("train", "valid", "test")[int(name) % 3] for name in prints}
        start = time.process_time()
        pairs = near(prints, sides)
        taken = time.process_time() - start
        among = len({pair.one for pair in pairs} | {pair.other for pair in pairs})
        rows.append(f"| {what} | {len(prints):,} | {taken:.0f} s | {len(pairs):,} | {among:,} |")
    return rows


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--made-up", type=int, default=100_000, help="recordings of the search that is timed")
    arguments = parser.parse_args()
    corpora = {
        corpus: {str(path.relative_to(arguments.data)): read(path) for path in sorted(arguments.data.glob(pattern))}
        for corpus, pattern in CORPORA.items()
    }
    corpora[WORDS] = stretches(arguments.data)
    short = [value for name in ("speech_commands", "FSDD") for value in list(corpora[name].values())[:400]]
    table, swept = recall(corpora)
    filled = PAGE.format(
        threshold=THRESHOLD,
        copied=COPIED,
        recall="\n".join(table),
        swept="\n".join(swept),
        alarms="\n".join(alarms(corpora)),
        cost=cost(corpora["speech_commands"]),
        scale="\n".join(scale(short, arguments.made_up)),
    )
    (HERE / "near_duplicates.md").write_text(filled)


if __name__ == "__main__":
    main()
