"""Folders laid out as corpora unpack."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile

from at_data.corpora import Counting
from at_data.recordings import Recording

RATE_HZ = 16000
TONE = 0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ // 10) / RATE_HZ).astype(np.float32)


def lay_out(folder: Path, files: dict[str, str | None]) -> Path:
    """Folder with files of those texts; None stands for a tenth of a second of audio, as the suffix says or wav."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            kind = path.suffix[1:].upper()
            soundfile.write(path, TONE, RATE_HZ, format=kind if kind in soundfile.available_formats() else "WAV")
        else:
            path.write_text(text, encoding="utf-8")
    return folder


def audio(*names: str) -> dict[str, str | None]:
    """Files of audio, for `lay_out`."""
    return dict.fromkeys(names)


def listing(folder: Path, lines: list[str]) -> Path:
    """Folder with a list of recordings, a file of noise for every path in it."""
    folder.mkdir()
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    for number, line in enumerate(lines[1:]):
        samples = np.random.default_rng([number, 7]).normal(0, 0.1, 16000)
        soundfile.write(folder / line.partition(",")[0], samples, 16000)
    return folder


def other_counts(module: ModuleType, recordings: Iterable[Recording]) -> list[str]:
    """Lines for every published count that these recordings of a corpus do not have."""
    counting = Counting(module)
    for _ in counting.over(recordings):
        pass
    return list(counting.differences())
