"""What an audio file's container promises, held against what the file holds: libsndfile quietly takes what is left."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from at_data import streams
from at_data.errors import AudioError

ACCEPTED = "WAV (RIFF, RF64), FLAC, Ogg, MP3, AIFF, AU or W64"
DECODED = ("FLAC", "MP3")  # their frames are counted by the decoder

# A writer that cannot go back to fill in the length leaves 0 or a number near the top of 31 or 32 bits.
STREAMED_BYTES = 0x7FFF_0000
MOST_CHUNKS = 64  # a WAV file holds a handful

FORMAT = struct.Struct("<HHIIH")  # fmt: codec, channels, frames a second, bytes a second, bytes a frame
DATA_SIZE = struct.Struct("<8xQ")  # ds64: size of the file, then that of the data
PLAIN_CODECS = (1, 3, 0xFFFE)  # integers, floats, and either with channel places: frames of one size
AU_BYTES = 12  # magic, first byte of the data, size of the data


@dataclass(frozen=True, slots=True)
class Layout:
    """How a container lines up its chunks: name and size, then so many bytes."""

    header: struct.Struct
    first: int  # where the first chunk stands
    counted: int  # bytes of its own header that a size counts
    step: int  # chunks start at multiples of it
    data: bytes  # name of the chunk that holds the sound


LAYOUTS = {
    b"RIFF": Layout(struct.Struct("<4sI"), 12, 0, 2, b"data"),
    b"RF64": Layout(struct.Struct("<4sI"), 12, 0, 2, b"data"),
    b"riff": Layout(struct.Struct("<4s12xQ"), 40, 24, 8, b"data"),
    b"FORM": Layout(struct.Struct(">4sI"), 12, 0, 2, b"SSND"),
}
BEGINNINGS = {
    "WAV": (b"RIFF",),
    "WAVEX": (b"RIFF",),
    "RF64": (b"RF64",),
    "W64": (b"riff",),
    "AIFF": (b"FORM",),
    "AU": (b".snd", b"dns."),
    "OGG": (b"OggS",),
}


def check(file: int, kind: str, where: str) -> None:
    """Pass an open file whose container keeps its promises; `kind` is libsndfile's name of the container.

    A length near the top of its bits promises nothing: a streamed file is read to its end. So does a length of zero in
    an AIFF or AU, where the decoder reads on.

    Raises
    ------
    AudioError
        The container promises more than the file holds; a WAV or W64 states a rate in frames that contradicts its
        rate in bytes; the container is one whose length cannot be checked.

    """
    if kind in DECODED:
        return
    magic = os.pread(file, 4, 0)
    if magic not in BEGINNINGS.get(kind, ()):
        came = f"a {kind} container that begins with {magic!a}, whose length cannot be checked"
        raise AudioError(where, came, ACCEPTED, "convert it to wav or flac")
    if magic == b"OggS":
        if not streams.ends_as_ogg(file):
            raise _cut_short(where, "no last Ogg page")
    elif kind == "AU":
        _check_au(file, magic, where)
    else:
        _check_chunks(file, LAYOUTS[magic], where)


def _cut_short(where: str, came: str) -> AudioError:
    return AudioError(where, f"cut short: {came}", "a whole file", "restore it from the corpus")


def _check_chunks(file: int, layout: Layout, where: str) -> None:
    """Compare the size of the sound's chunk with what follows it; in frames, or blocks where the codec packs frames."""
    frame_bytes, wide_bytes = 0, 0
    for name, stated_bytes, position, body in _chunks(file, layout):
        if name == layout.data:
            promised = wide_bytes or stated_bytes
            held = os.fstat(file).st_size - position
            streamed = not wide_bytes and layout.header.size == 8 and promised >= STREAMED_BYTES  # noqa: PLR2004 - 32 bits
            if held < promised and not streamed:
                unit = "frames" if frame_bytes else "bytes"
                size = frame_bytes or 1
                raise _cut_short(where, f"{held // size} {unit} held of the {promised // size} in the header")
            return
        if name == b"fmt " and len(body) >= FORMAT.size:
            codec, _, rate_hz, bytes_a_second, frame_bytes = FORMAT.unpack_from(body)
            if codec in PLAIN_CODECS and bytes_a_second != rate_hz * frame_bytes:
                came = f"a header of {rate_hz} Hz and {bytes_a_second} bytes a second, {frame_bytes} bytes a frame"
                expected = f"{rate_hz * frame_bytes} bytes a second at that rate"
                raise AudioError(where, came, expected, "find out the true rate and mend the header")
        elif name == b"ds64" and len(body) >= DATA_SIZE.size:
            (wide_bytes,) = DATA_SIZE.unpack_from(body)


def _chunks(file: int, layout: Layout) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Name, size, place and first bytes of every chunk, in order."""
    position, head_bytes, end = layout.first, layout.header.size, os.fstat(file).st_size
    for _ in range(MOST_CHUNKS):
        if position >= end:  # a size may lead to places that no file can have
            return
        head = os.pread(file, head_bytes + DATA_SIZE.size, position)
        if len(head) < head_bytes:
            return
        name, size = layout.header.unpack_from(head)
        size = max(0, size - layout.counted)
        position += head_bytes
        yield name, size, position, head[head_bytes:]
        position += size + -size % layout.step


def _check_au(file: int, magic: bytes, where: str) -> None:
    head = os.pread(file, AU_BYTES, 0)
    if len(head) < AU_BYTES:
        raise _cut_short(where, "no whole header")
    first, promised = struct.unpack_from(">II" if magic == b".snd" else "<II", head, 4)
    held = os.fstat(file).st_size - first
    if held < promised < STREAMED_BYTES:
        raise _cut_short(where, f"{held} bytes held of the {promised} in the header")
