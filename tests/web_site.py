"""A server of this machine, and corpora to be fetched from it."""

import hashlib
import io
import re
import tarfile
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType

from at_data import fetch
from at_data.corpora import Archive

NOISE = hashlib.shake_256(b"noise").digest(300_000)


@dataclass
class Site:
    """What the server has, how it misbehaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    breaks: list[int] = field(default_factory=list)  # bytes after which each of the next answers breaks off
    statuses: list[int] = field(default_factory=list)  # of the next answers
    led_to: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """A server with ranges, unless the site has it misbehave."""

    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        site = self.site
        site.asked.append(dict(self.headers))
        if site.led_to and not self.path.startswith("/there"):
            return self.head(302, 0, Location=site.led_to)
        status = site.statuses.pop(0) if site.statuses else 200
        body = site.files.get(self.path.rpartition("/")[2])
        if status != 200 or body is None:
            return self.head(status if status != 200 else 404, 0)
        start = self.start_of(body)
        if start is None:
            return self.head(416, 0)
        more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        self.head(206 if start else 200, len(body) - start, **more)
        body = body[start:]
        if site.breaks:
            body = body[: site.breaks.pop(0)]
            self.close_connection = True
        self.wfile.write(body)
        site.sent.append(len(body))
        return None

    def start_of(self, body):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same_if = self.headers.get("If-Range")
        if not asked or not self.site.ranges:
            return 0
        if self.site.heeds_if_range and same_if and same_if not in {self.site.etag, self.site.modified}:
            return 0
        return int(asked[1]) if int(asked[1]) < len(body) else None

    def head(self, status, size, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        for name, value in ({"ETag": self.site.etag, "Last-Modified": self.site.modified} | headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()


def packed(files: dict[str, bytes], kind: str = "tar") -> bytes:
    """Archive of files."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive_of(site: Site, subset: str, raw: bytes, into: str = "Corpus", strip: int = 1, kind: str = "sha256"):
    """Archive that the site serves, with its true checksum."""
    site.files[f"{subset}.tgz"] = raw
    digest = hashlib.new(kind, raw).hexdigest()
    return Archive(subset, f"{site.url}/{subset}.tgz", f"{kind}:{digest}", len(raw), into, strip)


def module_of(*archives: Archive, access: str = ""):
    module = ModuleType("at_data.corpora.toy")
    module.ARCHIVES, module.ACCESS, module.UNPACKS_TO = archives, access, ("Corpus", "corpus")
    return module


class Waits(list):
    """Pauses that were asked for, none of which is made."""

    def __call__(self, seconds):
        self.append(seconds)


def get(module, to, *subsets, **options):
    return fetch.fetch(module, to, subsets, pause=options.pop("pause", lambda _: None), **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of every file below a folder but receipts."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != fetch.RECEIPT
    }
