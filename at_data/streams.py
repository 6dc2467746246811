"""Streams of frames that a file holds, MP3, FLAC or Ogg, held against what the decoder quietly passes over."""

import mmap
import os
import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

from at_data.errors import AudioError

OGG_PAGE = struct.Struct("<4sBB16x4sB")
OGG_BEGINS = re.compile(b"OggS")
OGG_SUM = slice(22, 26)  # of a page
OGG_PAGE_BYTES = 27 + 255 + 255 * 255  # the longest page there can be
OGG_FIRST_PAGE, OGG_LAST_PAGE = 0x02, 0x04  # of a stream
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits the other way round

FLAC_BEGINS = re.compile(rb"fLaC[\0\x80]\0\0\x22")  # and goes on with a STREAMINFO of 34 bytes
FLAC, FLAC_BLOCK = b"fLaC", struct.Struct(">I")  # before blocks of metadata: whether the last, kind, and size
READ_AHEAD_BYTES = 1 << 14  # twice what libFLAC has at hand of a file
LONGEST_BYTES, LOOKED_AT_BYTES = 8, 1 << 20  # of what is looked for, and at a time

MP3_FRAME = 1152  # samples
MP3_GUESSED_FRAMES = 2  # by which a guess from the size of the sound misses
MP3_COUNTS = re.compile(b"Xing|Info|VBRI")  # begins what an encoder says of its frames, in the first of them
XING_FLAGS, XING_HAS_FRAMES, XING_HAS_BYTES = struct.Struct(">4xI"), 1, 2
VBRI_BYTES_AT = 10
MP3_SYNC = 0x7FF
MP3_KBPS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_KBPS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_RATES_HZ = (44_100, 48_000, 32_000)
MOST_FRAMES = 100_000  # looked at: most of an hour
ID3 = struct.Struct(">3sxxx4B")  # before the sound: size in groups of seven bits
ID3_BEHIND, ID3_BEHIND_BYTES = b"TAG", 128


def ends_as_ogg(file: int) -> bool:
    """Whether the last page is complete and says that it is the last (RFC 3533, section 6)."""
    size = os.fstat(file).st_size
    tail = os.pread(file, OGG_PAGE_BYTES, max(0, size - OGG_PAGE_BYTES))
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < OGG_PAGE.size:
        return False
    _, _, flags, _, lacings = OGG_PAGE.unpack_from(page)
    whole = OGG_PAGE.size + lacings + sum(page[OGG_PAGE.size : OGG_PAGE.size + lacings])
    return bool(flags & OGG_LAST_PAGE) and len(page) >= whole


def guessed(file: int, kind: str, frames: int, where: str) -> int:
    """How many of its frames an open file may lack, as their number is a guess: of some MP3 a few, of others none.

    For an MP3 whose encoder did not count them the decoder takes those that the bytes of the file would hold at the
    bitrate of the first, the tags before and behind the sound among them. AudioError where bitrates differ: the decoder
    would end too early, and say nothing.
    """
    if kind != "MP3":
        return 0
    tag_bytes = _tag_bytes(file, 0)
    if MP3_COUNTS.search(os.pread(file, MP3_FRAME, tag_bytes)):
        return 0
    if len(set(islice(_bitrates(file, tag_bytes), MOST_FRAMES))) > 1:
        came = "an MP3 of several bitrates whose encoder did not count its frames, so that nobody knows its length"
        raise AudioError(where, came, "a count of frames (Xing, Info or VBRI)", "convert it to wav or flac")
    size = os.fstat(file).st_size
    if os.pread(file, len(ID3_BEHIND), max(0, size - ID3_BEHIND_BYTES)) == ID3_BEHIND:
        tag_bytes += ID3_BEHIND_BYTES
    return MP3_GUESSED_FRAMES * MP3_FRAME + -(-frames * min(tag_bytes, size) // size)


def check_end(file: int, kind: str, where: str) -> None:
    """Pass an open file, decoded to its end, behind whose sound there is none that was not: files joined in one.

    Of an Ogg `check_pages` tells. AudioError where there is more.
    """
    if kind == "FLAC":
        behind = _begins_again(file)
    elif kind == "MP3":
        behind = _goes_on(file)
    else:
        return
    if behind:
        raise _joined(where, f"more sound from byte {behind}")


def check_pages(file: int, where: str) -> None:
    """Pass an open Ogg whose pages are undamaged, and which is no chain of several; all of it is read.

    The decoder passes over a page whose sum is another (RFC 3533, section 6), and ends with the first of a chain; and
    says nothing. Streams that begin together may lie between each other. AudioError where it would.
    """
    size, place, begun, flags = os.fstat(file).st_size, 0, False, 0
    while place < size:
        head = os.pread(file, OGG_PAGE.size + 255, place)
        if len(head) < OGG_PAGE.size or not head.startswith(b"OggS"):
            if not flags & OGG_LAST_PAGE:
                came = f"no Ogg page at byte {place}"
                raise AudioError(where, came, "an undamaged file", "restore it from the corpus")
            behind = _found(file, OGG_BEGINS, place)  # tags of somebody else, if there are no more pages
            if behind is not None:
                raise _joined(where, f"more pages from byte {behind}")
            return
        _, _, flags, stated, lacings = OGG_PAGE.unpack_from(head)
        page = os.pread(file, OGG_PAGE.size + lacings + sum(head[OGG_PAGE.size : OGG_PAGE.size + lacings]), place)
        if _ogg_sum(page) != stated:
            came = f"an Ogg page damaged at byte {place}"
            raise AudioError(where, came, "pages of the sum they state", "restore it from the corpus")
        if begun and flags & OGG_FIRST_PAGE:
            raise _joined(where, f"another stream of sound from byte {place}")
        begun, place = begun or not flags & OGG_FIRST_PAGE, place + len(page)


def _ogg_sum(page: bytes) -> bytes:
    """Sum of a page as it stands in it: of all else, by zlib's polynomial, highest bits first and from 0."""
    others = page[: OGG_SUM.start] + bytes(4) + page[OGG_SUM.stop :]
    mirrored = zlib.crc32(others.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(MIRRORED)


def _begins_again(file: int) -> int | None:
    """Where a second FLAC begins in a file of which the decoder has read the first.

    It is looked for behind the metadata, in which pictures may hold anything, and what the decoder has passed.
    """
    place = 0 if os.pread(file, len(FLAC), 0) == FLAC else _found(file, FLAC_BEGINS, 0)
    if place is None:
        return None
    place += len(FLAC)
    last = False
    while not last:
        head = os.pread(file, FLAC_BLOCK.size, place)
        if len(head) < FLAC_BLOCK.size:
            return None
        (told,) = FLAC_BLOCK.unpack(head)
        last, place = bool(told >> 31), place + FLAC_BLOCK.size + (told & 0xFFFFFF)
    return _found(file, FLAC_BEGINS, max(place, os.lseek(file, 0, os.SEEK_CUR) - READ_AHEAD_BYTES))


def _found(file: int, wanted: re.Pattern[bytes], place: int) -> int | None:
    """Where a pattern of up to eight bytes stands first, from a place on."""
    size = os.fstat(file).st_size
    while place < size:  # each read sets memory aside: no more of it than there is to read
        block = os.pread(file, min(LOOKED_AT_BYTES, size - place), place)
        found = wanted.search(block)
        if found:
            return place + found.start()
        if len(block) < LOOKED_AT_BYTES:
            return None
        place += len(block) - LONGEST_BYTES + 1
    return None


def _goes_on(file: int) -> int | None:
    """Where frames follow those of an MP3 that its encoder counted, but for one or two; it has to tell their bytes."""
    start = _tag_bytes(file, 0)
    head = os.pread(file, MP3_FRAME, start)
    count = MP3_COUNTS.search(head)
    if count is None:
        return None
    said = head[count.start() :].ljust(VBRI_BYTES_AT + 4, b"\0")
    if said.startswith(b"VBRI"):
        at: int | None = VBRI_BYTES_AT
    else:
        (flags,) = XING_FLAGS.unpack_from(said)
        at = (XING_FLAGS.size + 4 * (flags & XING_HAS_FRAMES)) if flags & XING_HAS_BYTES else None
    counted_bytes = 0 if at is None else int.from_bytes(said[at : at + 4], "big")
    if not counted_bytes:
        return None
    end = start + counted_bytes
    if os.pread(file, len(ID3_BEHIND), end) == ID3_BEHIND:
        end += ID3_BEHIND_BYTES
    end += _tag_bytes(file, end)
    return end if len(list(islice(_bitrates(file, end), MP3_GUESSED_FRAMES + 1))) > MP3_GUESSED_FRAMES else None


def _tag_bytes(file: int, place: int) -> int:
    """Bytes of the ID3 tag that begins at a place, if one does."""
    magic, *groups = ID3.unpack(os.pread(file, ID3.size, place).ljust(ID3.size, b"\0"))
    bits = "".join(f"{group:07b}" for group in groups)
    return ID3.size + int(bits, 2) if magic == b"ID3" else 0


def _bitrates(file: int, start: int) -> Iterator[int]:
    """Kilobits a second of every frame of an MP3 from here on, while one follows the other (ISO 11172-3, 13818-3)."""
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
        place = start
        while place + 4 <= len(content):
            (head,) = struct.unpack_from(">I", content, place)
            version, layer, bitrate, rate = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
            if head >> 21 != MP3_SYNC or version == 1 or layer != 1 or bitrate in {0, 15} or rate == 3:  # noqa: PLR2004
                return
            first = version == 3  # noqa: PLR2004 - MPEG 1; 2 and 2.5 have half as many samples and their own bitrates
            kbps = (MP3_KBPS_1 if first else MP3_KBPS_2)[bitrate - 1]
            rate_hz = MP3_RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
            yield kbps
            place += (144 if first else 72) * 1000 * kbps // rate_hz + (head >> 9 & 1)


def _joined(where: str, came: str) -> AudioError:
    return AudioError(
        where, f"several files joined in one: {came}", "one, as the first alone is decoded", "take them apart"
    )
