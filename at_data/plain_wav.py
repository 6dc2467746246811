"""Samples of a plain 16-bit WAV whose bytes are in memory already, as libsndfile would give them."""

import struct

import numpy as np
from jaxtyping import Float32

HEAD = struct.Struct("<4sI4s")
CHUNK = struct.Struct("<4sI")
FORMAT = struct.Struct("<HHIIHH")  # codec, channels, frames a second, bytes a second, bytes a frame, bits
PCM, BITS = 1, 16
MOST_CHUNKS = 16  # before the samples
STEP = np.float32(2**-15)


def decode(data: bytes) -> tuple[Float32[np.ndarray, "frames channels"], int] | None:
    """Samples and rate in Hz of a whole file's bytes; None where the file is not as plain as can be.

    Plain is a RIFF with one format of 16-bit integers whose numbers agree, and samples that are there to the last
    byte. Whatever is not goes to libsndfile, which reads more, and is asked what is wrong with the rest.
    """
    if len(data) < HEAD.size or HEAD.unpack_from(data)[::2] != (b"RIFF", b"WAVE"):
        return None
    position, found = HEAD.size, None
    for _ in range(MOST_CHUNKS):
        if position + CHUNK.size > len(data):
            return None
        name, size = CHUNK.unpack_from(data, position)
        position += CHUNK.size
        if name == b"data":
            return _samples(data, position, size, found) if found else None
        if name == b"fmt ":
            if found or size < FORMAT.size or position + size > len(data):
                return None
            found = FORMAT.unpack_from(data, position)
        position += size + size % 2
    return None


def _samples(
    data: bytes, position: int, size: int, found: tuple[int, ...]
) -> tuple[Float32[np.ndarray, "frames channels"], int] | None:
    codec, channels, rate_hz, bytes_a_second, frame_bytes, bits = found
    agreed = (codec, bits) == (PCM, BITS) and frame_bytes == 2 * channels and bytes_a_second == rate_hz * frame_bytes
    if not agreed or not channels or not size or size % frame_bytes or position + size > len(data):
        return None
    samples = np.frombuffer(data, "<i2", size // 2, position).astype(np.float32)
    samples *= STEP
    return samples.reshape(-1, channels), rate_hz
