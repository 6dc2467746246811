"""The paper's way: librosa's Kaiser resampling, SciPy's STFT, one pickled dictionary of float64, in one process.

    python prepare_paper.py LIST OUT

LIST names one file a line. Written anew from a description of what the authors' code does: `librosa.load` at 16 kHz
with the resampler that was librosa's default then, zeros to one second, `scipy.signal.stft` of 256 samples every 128,
magnitudes, last frame first, everything kept in one dictionary until it is saved.
"""

import json
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import scipy.signal

RATE_HZ = 16000


def spectrum(path: str) -> np.ndarray:
    """Frames and bins of a file."""
    samples, _ = librosa.load(path, sr=RATE_HZ, res_type="kaiser_best")
    samples = np.pad(samples, (0, max(0, RATE_HZ - samples.size)))
    _, _, values = scipy.signal.stft(samples.astype(np.float64), window="hamming", nperseg=256, noverlap=128)
    return np.rot90(np.abs(values))


paths = Path(sys.argv[1]).read_text().split("\n")
spectrum(paths[0])  # what is compiled at the first call
began = time.perf_counter()
np.save(sys.argv[2], np.array({path: np.stack([spectrum(path)]) for path in paths}), allow_pickle=True)
print(json.dumps({"seconds": time.perf_counter() - began, "items": len(paths)}))
