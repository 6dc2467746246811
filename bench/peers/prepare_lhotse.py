"""lhotse: recordings listed, cut, resampled, and its own spectrogram computed and stored by two jobs.

    python prepare_lhotse.py LIST OUT

LIST names one file a line. The extractor is lhotse's `Spectrogram` with windows of 16 ms every 8 ms; features are
stored as its default has it.
"""

import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import lhotse
import torch

RATE_HZ, JOBS = 16000, 2


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    paths = Path(sys.argv[1]).read_text().split("\n")
    settings = lhotse.SpectrogramConfig(
        sampling_rate=RATE_HZ, frame_length=0.016, frame_shift=0.008, window_type="hamming", use_fft_mag=True
    )
    began = time.perf_counter()
    recordings = lhotse.RecordingSet.from_recordings(lhotse.Recording.from_file(path) for path in paths)
    cuts = lhotse.CutSet.from_manifests(recordings=recordings).resample(RATE_HZ).to_eager()
    with ProcessPoolExecutor(JOBS, initializer=torch.set_num_threads, initargs=(1,)) as jobs:
        stored = cuts.compute_and_store_features(
            lhotse.Spectrogram(settings), sys.argv[2], num_jobs=JOBS, executor=jobs, progress_bar=False
        )
    stored.to_file(f"{sys.argv[2]}.jsonl.gz")
    print(json.dumps({"seconds": time.perf_counter() - began, "items": len(stored)}))
