"""Counts, hours and a picture of every corpus that lies in a folder, and the datasets built of them.

    python docs/results/corpora.py --sources ../shared/data --out runs/corpora

Every corpus found is listed, its files measured, and its shipped manifests built. Where only a part of a corpus is at
hand, a manifest that wants more is changed as `CHANGES` says, and the table names the change. Writes
`docs/results/corpora.md` and the pictures beside it.
"""

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import soundfile
import yaml

mpl.use("Agg")
from matplotlib import pyplot as plt

from at_data import corpora, manifest
from at_data.build import build
from at_data.errors import AtError
from at_data.recordings import Recording
from at_data.stages.audio import Audio, load
from at_data.stages.spectra import Stft, magnitude

HERE = Path(__file__).parent
AUDIO = Audio(sample_rate_hz=16000, resampler="soxr_hq")
STFT = Stft(window="hamming", window_s=0.016, hop_s=0.008)
DRAWN = 4  # recordings in a picture
RANGE_DB = 70.0  # shown below the loudest value
FOLDERS = {"ravdess": "RAVDESS_16k"}  # of two folders of one corpus, that which holds more of it
LONGEST = 90  # characters of a reason in the table

# what a part of a corpus cannot fill, and what is asked for in its place: manifest -> keys
CHANGES: dict[str, dict[str, Any]] = {
    "librispeech_words": {
        "keep": {"word": {"most_frequent": 20, "shortest_s": 0.1, "longest_s": 4.0}},
        "split": {"by": "random", "method": "balanced", "train": 0.7, "valid": 0.2, "test": 0.1},
        "shared": ["chapter", "speaker"],
    },
    "nsynth_family": {
        "keep": {"family": ["bass", "brass", "guitar", "organ", "reed"]},
        "split": {"by": "random", "method": "balanced", "train": 0.4, "valid": 0.3, "test": 0.3},
        "balance": "none",
    },
    "esc10_class": {
        "split": {"by": "random", "method": "balanced", "train": 0.5, "valid": 0.0, "test": 0.5},
        "shared": ["fold", "source"],
        "nuisances": [],
    },
}
FOUR = ["angry", "happy", "neutral", "sad"]
for NAME in ("emodb_emotion_by_speaker", "emodb_speaker"):
    CHANGES[NAME] = {"keep": {"emotion": FOUR}}
for NAME in (
    "gsc_words_low_noise",
    "gsc_words_high_noise",
    "gsc_words_low_noise_as_released",
    "gsc_words_high_noise_as_released",
):
    # the noise at hand has lost its types
    CHANGES[NAME] = {"noise": {"keep": {"kind": ["noise"]}}}


def with_word_times(root: Path, out: Path) -> Path:
    """The LibriSpeech folder linked, and beside its files word times made up: words as long as they are spelt."""
    for script in sorted(root.rglob("*.trans.txt")):
        folder = out / script.parent.relative_to(root)
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for line in script.read_text().splitlines():
            utterance, *words = line.split()
            flac = script.parent / f"{utterance}.flac"
            if not flac.is_file():
                continue
            link = folder / flac.name
            link.unlink(missing_ok=True)
            link.symlink_to(flac.resolve())
            letters = [len(word) + 1 for word in words]
            second = soundfile.info(flac).duration / sum(letters)
            ends = ",".join(f"{sum(letters[: place + 1]) * second:.3f}" for place in range(len(words)))
            lines.append(f'{utterance} "{",".join(words)}" "{ends}"\n')
        (folder / script.name.replace(".trans.txt", ".alignment.txt")).write_text("".join(lines))
    (out / "SPEAKERS.TXT").write_text((root / "SPEAKERS.TXT").read_text())
    return out


def hours(root: Path, recordings: list[Recording]) -> tuple[float, Counter[str]]:
    """Hours of audio, and how many files there are of each rate."""
    seconds, rates = 0.0, Counter[str]()
    for recording in recordings:
        try:
            info = soundfile.info(root / recording.path)
        except (soundfile.SoundFileError, OSError):
            rates["unreadable"] += 1
            continue
        seconds += info.duration if recording.length_s is None else recording.length_s
        rates[f"{info.samplerate / 1000:g} kHz"] += 1
    return seconds / 3600, rates


def picture(root: Path, recordings: list[Recording], label: str, path: Path) -> None:
    """Spectrograms of a few recordings, one of each value of the label, as far as there are so many."""
    chosen: dict[str, Recording] = {}
    for recording in recordings:
        chosen.setdefault(recording.attributes.get(label, "?"), recording)
    shown = sorted(chosen.items())[:: max(1, math.ceil(len(chosen) / DRAWN))][:DRAWN]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.6 * len(shown), 2.2), squeeze=False, layout="constrained")
    for axis, (value, recording) in zip(axes[0], shown, strict=True):
        samples = load(root, recording, AUDIO)[: 4 * AUDIO.sample_rate_hz]
        values = magnitude(samples, STFT, AUDIO.sample_rate_hz).T
        levels = 20 * np.log10(np.maximum(values, 1e-12))
        axis.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=levels.max() - RANGE_DB,
            extent=(0, samples.size / AUDIO.sample_rate_hz, 0, AUDIO.sample_rate_hz / 2000),
        )
        axis.set_title(f"{label}: {value}", fontsize=8)
        axis.set_xlabel("s", fontsize=7)
        axis.tick_params(labelsize=6)
    axes[0][0].set_ylabel("kHz", fontsize=7)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def with_changes(raw: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Manifest with other values under some keys; of noise the other keys stay."""
    return raw | {key: raw[key] | value if key == "noise" else value for key, value in changes.items()}


def datasets(corpus: str, root: Path, sources: Path, out: Path) -> list[list[str]]:
    """A row for every shipped manifest of the corpus: what came of it."""
    rows = []
    for name, path in manifest.shipped().items():
        raw = yaml.safe_load(path.read_text())
        if raw["corpus"] != corpus:
            continue
        changes = CHANGES.get(name, {})
        noise = corpora.find(raw["noise"]["corpus"], sources) if raw["noise"] != "none" else None
        try:
            made = manifest.parse(with_changes(raw, changes), name)
            header = build(made, root, out, noise_source=noise, workers=2, max_bad=0.02).header
        except AtError as error:
            came = error.came if len(error.came) < LONGEST else error.came[:LONGEST] + " ..."
            rows.append([f"`{name}`", "not built", "", "", f"{error.where}: {came}"])
            continue
        counts = " / ".join(str(number) for number in header.counts.values())
        left_out = ", ".join(f"{number} {kind}" for kind, number in header.left_out.items())
        changed = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in changes.items())
        note = "; ".join(
            filter(None, [f"changed: {changed}" if changed else "", f"left out: {left_out}" if left_out else ""])
        )
        rows.append([f"`{name}`", counts, f"{sum(header.hours.values()):.2f}", str(len(header.classes)), note])
    return rows


def section(corpus: str, sources: Path, out: Path) -> list[str] | None:
    """Lines about one corpus, None where it is not there or has nothing to show."""
    module, root = corpora.load(corpus), corpora.find(corpus, sources)
    if (sources / FOLDERS.get(corpus, "-")).is_dir():
        root = sources / FOLDERS[corpus]
    if root is None:
        return None
    lines = [f"## {corpus}", "", (module.__doc__ or "").splitlines()[0], ""]
    if corpus == "librispeech":
        root = with_word_times(root, out / "LibriSpeech")
        lines += ["No word times were at hand: these are made up, every word as long as it is spelt.", ""]
    try:
        counting = corpora.Counting(module)
        found = list(counting.over(module.recordings(root)))
    except AtError as error:
        return [*lines, f"Refused: {error.came}; expected {error.expected}.", ""]
    start = corpora.root(module, root)
    total, rates = hours(start, found)
    names = sorted({name for recording in found for name in recording.attributes})
    values = ", ".join(f"{name} ({len({r.attributes[name] for r in found if name in r.attributes})})" for name in names)
    at = ", ".join(f"{number:,} at {rate}" for rate, number in sorted(rates.items()))
    lines += [
        f"{len(found):,} recordings, {total:.2f} hours; {at}.",
        f"Attributes and how many values each has here: {values}.",
        "",
        *(f"- {line}" for line in counting.differences()),
        "",
    ]
    readable = [r for r in found if (start / r.path).is_file()]
    shipped = [manifest.load(name) for name in manifest.shipped()]
    label = next((made.target for made in shipped if made.corpus == corpus), "kind")
    (HERE / "corpora").mkdir(exist_ok=True)
    picture(start, readable, label, HERE / "corpora" / f"{corpus}.png")
    lines += [f"![{corpus}](corpora/{corpus}.png)", ""]
    rows = datasets(corpus, root, sources, out)
    if rows:
        lines += [
            "| dataset | items train / valid / test (/ conflicting) | hours | classes | note |",
            "|:--|--:|--:|--:|:--|",
        ]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        lines.append("")
    return lines


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sections = {name: section(name, arguments.sources, arguments.out) for name in corpora.names()}
    absent = [name for name, lines in sections.items() if lines is None and corpora.load(name).UNPACKS_TO]
    page = (
        "# The corpora, as far as they were at hand\n\n"
        "Parts of real corpora, as they unpack. Hours are of the recordings for a corpus, and of the items, padding\n"
        "included, for a dataset. A list item names a published count that the part at hand does not reach. Where a\n"
        "part cannot fill a shipped manifest, the note says what was changed, or why it was not built. Written by\n\n"
        "    python docs/results/corpora.py --sources ../shared/data --out runs/corpora\n\n"
        f"Not at hand, and tried on files made in their exact layouts only: {', '.join(absent)}.\n\n"
    )
    page += "\n".join(line for lines in sections.values() if lines for line in lines)
    (HERE / "corpora.md").write_text(page.rstrip() + "\n")


if __name__ == "__main__":
    main()
