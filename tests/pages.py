"""What a page and a picture hold."""

import struct
import zlib
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, cells, and open tags of a page."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1] += data


def png_size(content):
    """Width and height; every chunk's checksum holds and the pixels unpack."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    place, pixels = 8, b""
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        body = content[place + 4 : place + 8 + length]
        assert zlib.crc32(body) == struct.unpack(">I", content[place + 8 + length : place + 12 + length])[0]
        pixels += body[4:] if body[:4] == b"IDAT" else b""
        place += 12 + length
    width, height = struct.unpack(">II", content[16:24])
    assert len(zlib.decompress(pixels)) == height * (1 + 4 * width)
    return width, height
