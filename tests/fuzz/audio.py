"""Sound files: every container that the decoder takes, changed in any byte."""

import struct
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from at_data.recordings import Recording
from at_data.stages.audio import decode
from fuzz import mutators
from fuzz.campaigns import Act, Campaign

CASES = {"wav": 2000, "flac": 1600, "ogg": 1600, "mp3": 1600, "aiff": 500, "au": 500, "w64": 500, "rf64": 500}
# container -> (format, subtype) of its sound inputs
KINDS = {
    "wav": (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "PCM_24"),
        ("WAVEX", "PCM_16"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
    ),
    "flac": (("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    "ogg": (("OGG", "VORBIS"), ("OGG", "OPUS")),
    "mp3": (("MP3", "MPEG_LAYER_III"),),
    "aiff": (("AIFF", "PCM_16"), ("AIFF", "FLOAT")),
    "au": (("AU", "PCM_16"), ("AU", "ULAW")),
    "w64": (("W64", "PCM_16"), ("W64", "FLOAT")),
    "rf64": (("RF64", "PCM_16"), ("RF64", "FLOAT")),
}
STRETCHES = ((None, None), (None, None), (0.0, 0.05), (0.02, 0.05), (0.1, None), (1e9, 1.0), (0.0, 1e300))


def _seeds(kind: str, folder: Path) -> list[bytes]:
    made = []
    for rate_hz, channels, length in ((16_000, 1, 3_000), (48_000, 2, 2_000), (8_000, 1, 300)):
        samples = np.random.default_rng(length).normal(0, 0.1, (length, channels)).astype(np.float32)
        for number, (container, subtype) in enumerate(KINDS[kind]):
            path = folder / f"{length}-{number}.{kind}"
            soundfile.write(path, samples, rate_hz, format=container, subtype=subtype)
            made.append(_settled(path.read_bytes()))
    return made


def _settled(content: bytes) -> bytes:
    """An Ogg whose stream has the number 1, and not one drawn when it was written; any other file as it is."""
    made, place = bytearray(content), 0
    while made[place : place + 4] == b"OggS":
        lacings = made[place + 26]
        end = place + 27 + lacings + sum(made[place + 27 : place + 27 + lacings])
        struct.pack_into("<II", made, place + 14, 1, struct.unpack_from("<I", made, place + 18)[0])
        struct.pack_into("<I", made, place + 22, 0)
        struct.pack_into("<I", made, place + 22, _ogg_checksum(bytes(made[place:end])))
        place = end
    return bytes(made)


def _checksum_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


TABLE = _checksum_table()


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFF_FFFF) ^ TABLE[(value >> 24) ^ byte]
    return value


def _mended(made: bytes) -> bytes:
    """An Ogg file whose pages have right checksums again, so that more than its first page is looked at."""
    whole = bytearray(made)
    place = whole.find(b"OggS")
    while place >= 0 and place + 27 < len(whole):
        lacings = whole[place + 26]
        end = place + 27 + lacings + sum(whole[place + 27 : place + 27 + lacings])
        if end <= len(whole):
            struct.pack_into("<I", whole, place + 22, 0)
            struct.pack_into("<I", whole, place + 22, _ogg_checksum(bytes(whole[place:end])))
        place = whole.find(b"OggS", place + 4)
    return bytes(whole)


def _lay(kind: str, seeds: list[bytes], dice: Random, folder: Path) -> Act:
    content = mutators.binary(seeds, dice)
    if kind == "ogg" and dice.random() < 0.7:
        content = _mended(content)
    (folder / f"a.{kind}").write_bytes(content)
    start_s, length_s = dice.choice(STRETCHES)
    return partial(_read, folder / f"a.{kind}", Recording("a", "fuzz", f"a.{kind}", {}, start_s, length_s))


def _read(path: Path, recording: Recording) -> None:
    samples, rate_hz = decode(path, recording)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()
    assert samples.size
    assert rate_hz > 0


# libsndfile may crash: a build decodes in workers that it can lose
CAMPAIGNS = tuple(
    Campaign(f"audio/{kind}", cases, partial(_seeds, kind), partial(_lay, kind), crashes=True)
    for kind, cases in CASES.items()
)
