"""Headers that lie about rates, lengths and channels: a reason each, and no memory for what is not there."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sounds import RATE_HZ, noise, settings, whole, write

from at_data.errors import AudioError
from at_data.sound_files import HIGHEST_RATE_HZ
from at_data.stages.audio import MOST_SAMPLES, decode, load


@pytest.mark.parametrize(("how", "place"), [({}, 24), ({"format": "WAVEX"}, 24), ({"format": "W64"}, 68)])
def test_a_wav_whose_rate_contradicts_its_bytes_a_second_is_refused(tmp_path, how, place):
    path = write(tmp_path, "a.wav", noise(), subtype="PCM_16", **how)
    content = bytearray(path.read_bytes())
    assert content[place : place + 4] == struct.pack("<I", RATE_HZ)
    content[place : place + 4] = struct.pack("<I", 8_000)
    path.write_bytes(content)
    came = "a header of 8000 Hz and 32000 bytes a second, 2 bytes a frame; expected 16000 bytes"
    with pytest.raises(AudioError, match=came):
        load(tmp_path, whole(), settings())


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW", "ALAW"])
def test_a_wav_of_another_codec_may_state_any_bytes_a_second(tmp_path, subtype):
    write(tmp_path, "a.wav", noise(), subtype=subtype)
    assert load(tmp_path, whole(), settings()).size >= RATE_HZ


def flac_with_total(content, total):
    """The 36-bit count of samples lies 13.5 bytes into STREAMINFO, which follows 8 bytes."""
    changed = bytearray(content)
    changed[21] = (changed[21] & 0xF0) | (total >> 32)
    changed[22:26] = struct.pack(">I", total & 0xFFFF_FFFF)
    return bytes(changed)


@pytest.mark.parametrize(
    ("total", "reason"),
    [
        (0, "does not say how long"),
        (
            2**36 - 1,
            "68719476735 samples at 16000 Hz .1193.0 hours.; expected at most 268435456 in one recording; cut the",
        ),
        (2**28, "cut short: 16000 frames decoded of the 268435456|cannot be decoded"),
        (20_000, "cut short: 16000 frames decoded of the 20000|cannot be decoded"),
    ],
)
def test_a_flac_whose_header_lies_about_its_length_is_refused(tmp_path, total, reason):
    path = write(tmp_path, "a.flac", noise())
    path.write_bytes(flac_with_total(path.read_bytes(), total))
    with pytest.raises(AudioError, match=reason):
        load(tmp_path, whole("a.flac"), settings())


@pytest.mark.parametrize("claim", [0, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF - 36])
def test_a_streamed_wav_without_a_length_is_read_to_its_end(tmp_path, claim):
    path = write(tmp_path, "a.wav", noise(), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", claim)
    path.write_bytes(content)
    if claim:
        assert load(tmp_path, whole(), settings()).size == RATE_HZ
    else:
        with pytest.raises(AudioError, match="a header and no samples"):
            load(tmp_path, whole(), settings())


def test_chunks_around_the_samples_do_not_matter(tmp_path):
    path = write(tmp_path, "a.wav", noise(), subtype="PCM_16")
    content = path.read_bytes()
    odd = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
    path.write_bytes(content[:12] + odd + content[12:] + b"LIST" + struct.pack("<I", 900) + b"cut")
    assert load(tmp_path, whole(), settings()).size == RATE_HZ


@pytest.mark.parametrize("rate_hz", [1, 999, HIGHEST_RATE_HZ + 1, 2_000_000_000])
def test_an_absurd_sample_rate_is_refused(tmp_path, rate_hz):
    path = write(tmp_path, "a.wav", noise())
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"a sample rate of {rate_hz} Hz"):
        load(tmp_path, whole(), settings())


@pytest.mark.parametrize("rate_hz", [0, 4_000_000_000])
def test_a_sample_rate_the_library_cannot_take_is_refused(tmp_path, rate_hz):
    path = write(tmp_path, "a.wav", noise())
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(content)
    with pytest.raises(AudioError):
        load(tmp_path, whole(), settings())


@given(st.integers(0, 43), st.integers(0, 255))
def test_no_damaged_wav_header_raises_anything_but_audio_errors(tmp_path_factory, position, value):
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    soundfile.write(path, noise(500), RATE_HZ, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    try:
        samples, _ = decode(path, whole("damaged.wav"))
    except AudioError:
        return
    assert np.isfinite(samples).all()


def test_more_channels_than_anybody_records_are_refused(tmp_path):
    write(tmp_path, "a.wav", np.zeros((100, 257), np.float32))
    with pytest.raises(AudioError, match="a header of 257 channels; expected at most 256"):
        load(tmp_path, whole(), settings())


def patched(content, place, form, *values):
    changed = bytearray(content)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


def ogg_with_length(content, granule):
    """Position of the last page, and the checksum over it (RFC 3533: CRC-32 of 0x04c11db7, not reflected, from 0)."""
    last = content.rfind(b"OggS")
    page = bytearray(patched(content, last + 6, "<q", granule)[last:])
    page[22:26] = bytes(4)
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFF_FFFF
    page[22:26] = struct.pack("<I", checksum)
    return content[:last] + bytes(page)


def liars(folder):
    """One second each, in files whose headers promise up to 2^62 samples, 65535 channels or frames of no bytes."""

    def made(**how):
        return write(folder, "made.bin", noise(), **how).read_bytes()

    wav, rf64, w64 = (made(format=kind, subtype="PCM_16") for kind in ("WAV", "RF64", "W64"))
    aiff, sun, flac = made(format="AIFF", subtype="PCM_16"), made(format="AU", subtype="PCM_16"), made(format="FLAC")
    mp3, data = made(format="MP3"), w64.find(b"data")
    frames, comm, sound = max(mp3.find(b"Info"), mp3.find(b"Xing")) + 8, aiff.find(b"COMM"), aiff.find(b"SSND")
    for claim in (2**31 - 2, 2**31, 2**32 - 2):
        yield f"wav {claim}", patched(patched(wav, 40, "<I", claim), 4, "<I", claim)
        yield f"au {claim}", patched(sun, 8, ">I", claim)
        yield f"mp3 {claim}", patched(mp3, frames, ">I", claim)
        yield f"aiff {claim}", patched(patched(aiff, comm + 10, ">I", claim), sound + 4, ">I", claim)
    for claim in (2**31, 2**32, 2**62, 2**63 + 1, 2**64 - 1):
        yield f"rf64 {claim}", patched(rf64, 20, "<QQQ", claim, claim, claim)
        yield f"w64 {claim}", patched(w64, data + 16, "<Q", claim)
        yield (
            f"w64 before {claim}",
            w64[:data] + b"junk" + w64[data + 4 : data + 16] + struct.pack("<Q", claim) + w64[data:],
        )
    for claim in (2**28, 2**31, 2**36 - 1):
        yield f"flac {claim}", flac_with_total(flac, claim)
    for subtype in ("VORBIS", "OPUS"):
        for claim in (2**28, 2**31, 2**62, 2**63 - 2):
            yield f"{subtype} {claim}", ogg_with_length(made(format="OGG", subtype=subtype), claim)
    for channels in (0, 1024, 65_535):
        yield f"wav of {channels} channels", patched(wav, 22, "<H", channels)
        yield f"aiff of {channels} channels", patched(aiff, comm + 8, ">H", channels)
        yield f"au of {channels} channels", patched(sun, 20, ">I", channels)
    yield "wav of frames without bytes", patched(wav, 28, "<IH", 0, 0)
    yield "wav of wide frames", patched(wav, 28, "<IH", RATE_HZ * 65_535, 65_535)
    yield "wav of samples of 65535 bits", patched(wav, 34, "<H", 65_535)


LIMITED = """
import resource, sys
from pathlib import Path
from at_data.errors import AudioError
from at_data.recordings import Recording
from at_data.stages.audio import decode
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]),) * 2)
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, decode(path, Recording("a", "made", path.name))[0].size, sep="\\t")
    except AudioError as error:
        print(path.name, "refused", error.came, sep="\\t")
"""


def decoded_within(folder, limit_bytes):
    """What became of every file of a folder in a process that can have so much more memory, and no more."""
    command = [sys.executable, "-c", LIMITED, str(folder), str(limit_bytes)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return {line.split("\t")[0]: line.split("\t")[1] for line in ended.stdout.splitlines()}


@pytest.mark.skipif(sys.platform != "linux", reason="run this on Linux: memory is limited and measured as it does")
def test_no_header_can_ask_for_memory(tmp_path):
    (tmp_path / "liars").mkdir()
    for name, content in liars(tmp_path):
        (tmp_path / "liars" / name).write_bytes(content)
    found = decoded_within(tmp_path / "liars", 64 << 20)
    assert len(found) > 40
    odd = {name: what for name, what in found.items() if what not in {"refused", str(RATE_HZ)}}
    assert not odd
    assert {name for name, what in found.items() if "channels" in name and what != "refused"} == set()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="run this on Linux: memory is limited and measured as it does")
def test_the_longest_recording_takes_its_samples_and_a_block(tmp_path):
    (tmp_path / "long").mkdir()
    for name, length in (("most", MOST_SAMPLES), ("too much", MOST_SAMPLES + 1)):
        with soundfile.SoundFile(tmp_path / "long" / name, "w", RATE_HZ, 1, format="FLAC") as file:
            for start in range(0, length, 1 << 22):
                file.write(np.zeros(min(1 << 22, length - start), np.int16))
    assert (tmp_path / "long" / "too much").stat().st_size < 2_000_000  # of 512 MiB: a bomb
    found = decoded_within(tmp_path / "long", 4 * MOST_SAMPLES + (32 << 20))
    assert found == {"most": str(MOST_SAMPLES), "too much": "refused"}
