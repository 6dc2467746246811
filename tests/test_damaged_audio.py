"""Files that are cut short, damaged or no sound at all: a reason each."""

import os
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sounds import PCM_16_STEP, RATE_HZ, noise, settings, stretch, whole, write

from at_data import streams
from at_data.errors import AudioError
from at_data.stages import audio
from at_data.stages.audio import decode, load

VORBIS_PAGES_CUT = 0.6  # of the file's bytes


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"a\.wav: no such file"):
        load(tmp_path, whole(), settings())


@pytest.mark.parametrize(
    ("asked", "there", "shown"),
    [
        ("a.wav", "a.WAV", "a.WAV"),
        ("\u00e9.wav", "e\u0301.wav", r"e\u0301.wav"),
        ("e\u0301.wav", "\u00e9.wav", r"\xe9.wav"),
        ("Zo\u00eb/a.wav", "Zoe\u0308/a.wav", r"Zoe\u0308/a.wav"),
    ],
)
def test_a_missing_file_is_told_with_the_one_that_is_called_alike(tmp_path, asked, there, shown):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    write(tmp_path, there, noise(), format="WAV")
    with pytest.raises(AudioError, match=re.escape(f"no such file, though '{shown}' is there")):
        load(tmp_path, whole(asked), settings())
    with pytest.raises(AudioError, match=r"no such file; expected"):
        load(tmp_path, whole("\u00e9" * 120 + ".wav"), settings())


def test_an_impossible_name_is_refused(tmp_path):
    with pytest.raises(AudioError, match="cannot be opened"):
        load(tmp_path, whole("a\0.wav"), settings())


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(AudioError, match="folder, pipe or device"):
        load(tmp_path, whole(), settings())


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="folder, pipe or device"):
        load(tmp_path, whole(), settings())


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.raw", "a.au"])
def test_what_is_not_audio_is_refused_in_the_librarys_words(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(AudioError, match=r"cannot be decoded \(.+\)"):
        load(tmp_path, whole(name), settings())
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(AudioError, match="0 bytes"):
        load(tmp_path, whole(name), settings())


def test_a_file_without_samples_is_refused(tmp_path):
    write(tmp_path, "a.wav", noise(0))
    with pytest.raises(AudioError, match="a header and no samples"):
        load(tmp_path, whole(), settings())


WAVS = [
    {"format": "WAV", "subtype": "PCM_16"},
    {"format": "WAV", "subtype": "FLOAT"},
    {"format": "WAVEX", "subtype": "PCM_24"},
    {"format": "RF64", "subtype": "PCM_16"},
]


@pytest.mark.parametrize("how", WAVS, ids=lambda how: f"{how['format']}-{how['subtype']}")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_wav_cut_short_is_refused_with_both_numbers(tmp_path, how, share):
    path = write(tmp_path, "a.wav", noise(), **how)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"cut short: \d+ frames held of the 16000 in the header"):
        load(tmp_path, whole(), settings())
    with pytest.raises(AudioError, match="cut short"):
        load(tmp_path, stretch(0.01, 0.01), settings())


OTHERS = [
    {"format": "AIFF", "subtype": "PCM_16"},
    {"format": "AIFF", "subtype": "FLOAT"},
    {"format": "AU", "subtype": "PCM_16"},
    {"format": "AU", "subtype": "PCM_16", "endian": "LITTLE"},
    {"format": "W64", "subtype": "PCM_16"},
]


@pytest.mark.parametrize("how", OTHERS, ids=lambda how: "-".join(how.values()))
def test_other_containers_are_read_whole_and_refused_cut_short(tmp_path, how):
    path = write(tmp_path, "a.bin", noise(1_001), **how)
    np.testing.assert_allclose(load(tmp_path, whole("a.bin"), settings()), noise(1_001), atol=PCM_16_STEP)
    content = path.read_bytes()
    for share in (0.3, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(AudioError, match=r"cut short: \d+ (frames|bytes) held of the \d+ in the header"):
            load(tmp_path, whole("a.bin"), settings())


def test_an_mp3_cut_short_is_refused(tmp_path):
    path = write(tmp_path, "a.mp3", noise(4 * RATE_HZ))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"cut short|cannot be decoded"):
        load(tmp_path, whole("a.mp3"), settings())


@pytest.mark.parametrize(
    ("before", "behind"), [(b"", b""), (b"ID3\x04\0\0\0\0\x20\0" + bytes(4096), b"TAG" + bytes(125))]
)
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100])
def test_an_mp3_whose_encoder_did_not_count_its_frames_is_whole_and_where_it_is_damaged_refused(
    tmp_path, rate_hz, before, behind
):
    how = {
        "format": "MP3",
        "bitrate_mode": "CONSTANT",
        "compression_level": 0.99,
    }  # so few bits that none are spent on it
    path = write(tmp_path, "a.mp3", noise(4 * rate_hz), rate_hz, **how)
    content = path.read_bytes()
    assert not streams.MP3_COUNTS.search(content[:2000])
    path.write_bytes(before + content + behind)
    with soundfile.SoundFile(path) as sound:
        claimed, there = sound.frames, len(sound.read())
    assert rate_hz == 16_000 or there < claimed
    samples, _ = decode(path, whole("a.mp3"))
    assert samples.size == there
    assert decode(path, stretch(3.5, 0.5, "a.mp3"))[0].size == rate_hz // 2
    damaged = bytearray(content)
    damaged[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(before + damaged + behind)
    with pytest.raises(AudioError, match=r"cut short|cannot be decoded"):
        decode(path, whole("a.mp3"))


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
@pytest.mark.parametrize("before", [b"", b"ID3\x04\0\0\0\0\x20\0" + bytes(4096)])
def test_an_mp3_of_several_bitrates_that_were_not_counted_is_refused_and_a_counted_one_whole(tmp_path, rate_hz, before):
    samples = noise(6 * rate_hz) * np.repeat([0.01, 1], 3 * rate_hz).astype(np.float32)
    path = write(tmp_path, "a.mp3", samples, rate_hz, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
    content = path.read_bytes()
    assert decode(path, whole("a.mp3"))[0].size == samples.size
    path.write_bytes(before + content)
    assert decode(path, whole("a.mp3"))[0].size == samples.size
    second = content.index(content[:2], 4)
    path.write_bytes(before + content[second:])  # less the frame that counts
    assert not streams.MP3_COUNTS.search(content[second : second + 2000])
    for recording in (whole("a.mp3"), stretch(1.0, 0.5, "a.mp3")):
        with pytest.raises(AudioError, match="an MP3 of several bitrates whose encoder did not count its frames"):
            decode(path, recording)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_one_bit_flipped_anywhere_in_an_ogg_is_seen(tmp_path, codec, seed):
    path = write(tmp_path, "a.ogg", noise(2 * RATE_HZ), format="OGG", subtype=codec)
    content = bytearray(path.read_bytes())
    assert decode(path, whole("a.ogg"))[0].size == 2 * RATE_HZ
    bit = int(np.random.default_rng(seed).integers(8 * len(content)))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    for recording in (whole("a.ogg"), stretch(0.1, 0.2, "a.ogg")):
        with pytest.raises(AudioError):
            decode(path, recording)


ID3 = b"ID3\x04\0\0\0\0\x20\0" + bytes(4096)


@pytest.mark.parametrize("between", [b"", b"TAG" + bytes(125), ID3], ids=["at once", "TAG", "ID3"])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("name", "form"),
    [("a.ogg", "OGG"), ("a.opus", "OGG"), ("a.flac", "FLAC"), ("a.mp3", "MP3")],
)
def test_files_joined_in_one_are_not_taken_for_the_first(tmp_path, name, form, again, between):
    codec = {"subtype": "OPUS"} if name == "a.opus" else {}
    path = write(tmp_path, name, noise(RATE_HZ), format=form, **codec)
    other = path if again else write(tmp_path, f"other {name}", noise(2 * RATE_HZ), format=form, **codec)
    alone = decode(path, whole(name))[0]
    path.write_bytes(path.read_bytes() + between + other.read_bytes())
    with pytest.raises(AudioError, match=r"several files joined in one: .*the first alone is decoded"):
        decode(path, whole(name))
    if form != "OGG":
        assert (decode(path, stretch(0.25, 0.5, name))[0] == alone[RATE_HZ // 4 : 3 * RATE_HZ // 4]).all()


@pytest.mark.parametrize("seconds", [1, 70])
@pytest.mark.parametrize("start_s", [None, 0.5])
def test_a_second_flac_is_found_however_far_ahead_the_decoder_reads(tmp_path, seconds, start_s):
    path = write(tmp_path, "a.flac", noise(seconds * RATE_HZ))
    behind = write(tmp_path, "b.flac", noise(20 * RATE_HZ)).read_bytes()
    recording = whole("a.flac") if start_s is None else stretch(start_s, seconds - start_s, "a.flac")
    alone = decode(path, recording)[0]
    content = path.read_bytes()
    path.write_bytes(content + bytes(100_000))
    assert np.array_equal(decode(path, recording)[0], alone)
    path.write_bytes(content + bytes(100_000) + behind)
    with pytest.raises(AudioError, match="several files joined in one"):
        decode(path, recording)
    path.write_bytes(content + content)
    with pytest.raises(AudioError, match=f"several files joined in one: more sound from byte {len(content)};"):
        decode(path, recording)


def test_tags_before_a_flac_and_what_its_metadata_hold_are_no_other_file(tmp_path):
    path = write(tmp_path, "a.flac", noise(RATE_HZ))
    content = path.read_bytes()
    alone = decode(path, whole("a.flac"))[0]
    held = b"test" + content[:100]  # of an application, which may be anything
    block = bytes([2]) + len(held).to_bytes(3, "big") + held
    stream = 4 + 4 + 34  # its name and its first block
    for changed in (ID3 + content, content[:stream] + block + content[stream:], content + b"TAG" + bytes(125)):
        path.write_bytes(changed)
        assert np.array_equal(decode(path, whole("a.flac"))[0], alone)


@pytest.mark.parametrize("variant", [{}, {"bitrate_mode": "VARIABLE"}, {"bitrate_mode": "AVERAGE"}])
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(3000)])
def test_tags_behind_an_mp3_are_no_further_sound(tmp_path, behind, variant):
    path = write(tmp_path, "a.mp3", noise(2 * RATE_HZ), format="MP3", **variant)
    path.write_bytes(path.read_bytes() + behind)
    assert decode(path, whole("a.mp3"))[0].size == 2 * RATE_HZ


def test_streams_of_an_ogg_that_begin_together_may_lie_between_each_other(tmp_path):
    path = write(tmp_path, "a.ogg", noise(RATE_HZ))
    content = path.read_bytes()
    second = content.index(b"OggS", 4)
    before = decode(path, whole("a.ogg"))[0]
    beside = b"OggS\0\x06" + bytes(8) + b"else" + bytes(4) + b"0000" + b"\x01\x05hello"
    beside = beside[:22] + streams._ogg_sum(beside) + beside[26:]
    path.write_bytes(content[:second] + beside + content[second:])
    assert np.array_equal(decode(path, whole("a.ogg"))[0], before)


def test_tags_behind_an_ogg_are_passed_over(tmp_path):
    path = write(tmp_path, "a.ogg", noise(RATE_HZ))
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert decode(path, whole("a.ogg"))[0].size == RATE_HZ


@pytest.mark.parametrize("kind", ["NIST", "CAF", "SVX", "VOC", "AVR", "PAF", "IRCAM", "MAT5"])
def test_containers_whose_length_cannot_be_checked_are_refused(tmp_path, kind):
    write(tmp_path, "a.bin", noise(100), format=kind, subtype="PCM_16")
    with pytest.raises(AudioError, match=f"a {kind} container .*; expected WAV .*; convert it to wav or flac"):
        load(tmp_path, whole("a.bin"), settings())


def test_a_big_endian_wav_is_refused(tmp_path):
    write(tmp_path, "a.wav", noise(100), subtype="PCM_16", endian="BIG")
    with pytest.raises(AudioError, match=r"a WAV container that begins with b'RIFX'"):
        load(tmp_path, whole(), settings())


@pytest.mark.parametrize("share", [0.3, VORBIS_PAGES_CUT, 0.99])
def test_an_ogg_cut_short_is_refused(tmp_path, share):
    path = write(tmp_path, "a.ogg", noise(4 * RATE_HZ))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"cut short|cannot be decoded"):
        load(tmp_path, whole("a.ogg"), settings())


def test_an_ogg_cut_between_two_pages_is_refused(tmp_path):
    path = write(tmp_path, "a.ogg", noise(4 * RATE_HZ))
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    with pytest.raises(AudioError, match=r"cut short: no last Ogg page"):
        load(tmp_path, whole("a.ogg"), settings())


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_flac_cut_short_is_refused_but_its_undamaged_stretches_are_not(tmp_path, share):
    path = write(tmp_path, "a.flac", noise(10 * RATE_HZ))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"cut short|cannot be decoded"):
        load(tmp_path, whole("a.flac"), settings())
    assert load(tmp_path, stretch(0.0, 0.1, "a.flac"), settings()).size == RATE_HZ // 10


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("scale", [32768.0, -1e30])
def test_samples_far_beyond_full_scale_are_refused_with_what_may_be_wrong(tmp_path, scale, channels):
    samples = noise(channels=channels)
    samples[100] = 0.5
    write(tmp_path, "a.wav", samples * np.float32(scale), subtype="FLOAT")
    expected = f"up to {abs(scale) / 2:g}, where full scale is 1; expected at most 16"
    with pytest.raises(AudioError, match=re.escape(expected)):
        load(tmp_path, whole(), settings())


def test_samples_somewhat_beyond_full_scale_are_taken(tmp_path):
    samples = noise()
    samples[7], samples[9] = audio.LOUDEST, -audio.LOUDEST
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    np.testing.assert_array_equal(load(tmp_path, whole(), settings()), samples)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_with_its_place(tmp_path, value, channels):
    samples = noise(channels=channels)
    samples[4_000:4_002, 0] = value
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"2 samples that are NaN or infinite, the first at 0\.250 s"):
        load(tmp_path, whole(), settings())


def test_opposite_infinities_are_refused_without_a_warning(tmp_path):
    samples = noise(channels=2)
    samples[8_000] = np.inf, -np.inf
    write(tmp_path, "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match="1 samples that are NaN"):
        load(tmp_path, whole(), settings())


@given(st.binary(max_size=400), st.sampled_from(["RIFF", "fLaC", "OggS", "FORM", ""]))
def test_no_bytes_whatever_raise_anything_but_audio_errors(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(magic.encode() + content)
    with pytest.raises(AudioError):
        decode(path, whole("any.bin"))
