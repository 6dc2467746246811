"""Hugging Face datasets and librosa: `Dataset.map` in two processes, float32 magnitudes written as Arrow.

    python prepare_datasets.py LIST OUT

LIST names one file a line.
"""

import json
import sys
import time
from pathlib import Path

import datasets
import librosa
import numpy as np

RATE_HZ = 16000


def spectrum(row: dict[str, str]) -> dict[str, np.ndarray]:
    """Frames and bins of a file."""
    samples, _ = librosa.load(row["path"], sr=RATE_HZ)
    samples = librosa.util.fix_length(samples, size=RATE_HZ)
    values = librosa.stft(samples, n_fft=256, hop_length=128, window="hamming", pad_mode="constant")
    return {"spectrum": np.abs(values).T}


if __name__ == "__main__":
    datasets.disable_caching()
    datasets.disable_progress_bars()
    paths = Path(sys.argv[1]).read_text().split("\n")
    spectrum({"path": paths[0]})
    began = time.perf_counter()
    listed = datasets.Dataset.from_dict({"path": paths})
    listed.map(spectrum, num_proc=2, writer_batch_size=256).save_to_disk(sys.argv[2])
    print(json.dumps({"seconds": time.perf_counter() - began, "items": len(paths)}))
