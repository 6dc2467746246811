"""Samples of a plain 16-bit WAV whose bytes are in memory already, as libsndfile would give them."""

import struct

import numpy as np
from jaxtyping import Float32

# RIFF, size, WAVE; "fmt ", 16, codec, channels, frames a second, bytes a second, bytes a frame, bits; "data", size
HEADER = struct.Struct("<4s4x4s4sIHHIIHH4sI")
FORMAT_BYTES, PCM, BITS = 16, 1, 16
STEP = np.float32(2**-15)


def decode(data: bytes) -> tuple[Float32[np.ndarray, "frames channels"], int] | None:
    """Samples and rate in Hz of a whole file's bytes; None where the file is not as plain as can be.

    Plain is a RIFF of one format, 16-bit integers whose numbers agree, then the samples, to the file's last byte, and
    nothing else. Whatever has more in it goes to libsndfile, which has its own mind about what it may be.
    """
    if len(data) < HEADER.size:
        return None
    riff, wave, fmt, size, codec, channels, rate_hz, bytes_a_second, frame_bytes, bits, name, held = HEADER.unpack_from(
        data
    )
    marks = (riff, wave, fmt, size, codec, bits, name) == (b"RIFF", b"WAVE", b"fmt ", FORMAT_BYTES, PCM, BITS, b"data")
    agreed = frame_bytes == 2 * channels and bytes_a_second == rate_hz * frame_bytes
    if not marks or not agreed or not channels or not held or held % frame_bytes or HEADER.size + held != len(data):
        return None
    samples = np.frombuffer(data, "<i2", held // 2, HEADER.size).astype(np.float32)
    samples *= STEP
    return samples.reshape(-1, channels), rate_hz
