"""Files from the web, in as many attempts as it takes: what came before a break is not asked for again.

A file grows as `<name>.part`; `<name>.part.json` beside it says of which version of the file it is a part. The server
is asked to go on after it (`Range`), and to send everything where the file has changed since (`If-Range`). One that
knows no ranges sends everything anyway. Nothing here looks at what the bytes are: that is the checksum's matter.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from at_data.errors import CorpusError
from at_data.files import write_whole

CHUNK_BYTES = 1 << 20
ATTEMPTS = 6  # in a row that bring nothing
PAUSE_S = 2.0  # before the second attempt; twice as long before each one after it
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = (30.0, 60.0)  # to be connected, and for each piece
WORTH_BYTES = 1 << 20  # an attempt that brings as much was a good one
SLACK_BYTES = 1 << 20
AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))  # a server that says so may answer later
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Progress = Callable[[int], None]  # is told how many bytes are there


class _BrokenError(Exception):
    """An attempt that ended early; the next may go on."""


@dataclass
class Downloader:
    """What `pooch.retrieve` calls to download a file: `size_bytes` of it, or about as many where not `exact`."""

    part: Path
    size_bytes: int
    exact: bool
    progress: Progress
    pause: Callable[[float], None] = time.sleep
    session: requests.Session = field(default_factory=requests.Session)

    def __call__(self, url: str, output_file: Any, _: Any, check_only: bool = False) -> bool | None:
        """Put the whole file under `output_file` too; CorpusError where it cannot be had."""
        if check_only:
            return None
        if urlsplit(url).scheme not in {"http", "https"}:
            raise CorpusError(url, "no address of the web", "http or https", "report it: the corpus module is wrong")
        self._whole(url)
        target = Path(output_file)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(self.part)  # the part stays until its bytes are known to be the right ones
        except OSError:
            self.part.replace(target)
        return None

    @property
    def note(self) -> Path:
        """File that says what the part is a part of."""
        return self.part.with_name(self.part.name + ".json")

    def forget(self) -> None:
        """Delete the part and what is known of it."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def here(self) -> int:
        """Bytes of the part."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def _whole(self, url: str) -> None:
        failed = 0
        while True:
            before = self.here()
            try:
                self._attempt(url)
            except (_BrokenError, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
                failed = 0 if self.here() - before >= WORTH_BYTES else failed + 1
                if isinstance(error, (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL)):
                    raise CorpusError(url, f"led elsewhere ({error})", "http or https", "report it") from error
                if failed >= ATTEMPTS:
                    raise CorpusError(
                        url,
                        f"broke off {ATTEMPTS} times in a row with {self.here():,} bytes here ({error})",
                        f"{self.size_bytes:,} bytes",
                        "check the connection and call again: it goes on from there",
                    ) from error
                self.pause(min(LONGEST_PAUSE_S, PAUSE_S * 2 ** max(0, failed - 1)))
            else:
                return

    def _attempt(self, url: str) -> None:
        """Ask for what is missing, and write it down as it comes."""
        known, here = self._known(url), self.here()
        if not known and here:
            self.forget()
            here = 0
        if self.exact and here == self.size_bytes:
            return
        # a packed stream would be unpacked on the way, and its bytes would not be those of the file
        headers = {"Accept-Encoding": "identity", "User-Agent": "at-prepare"}
        if here:
            headers |= {"Range": f"bytes={here}-"} | ({"If-Range": known["same_if"]} if known["same_if"] else {})
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            goes_on = self._goes_on(url, answer, here, known)
            if not goes_on:
                self.forget()
                self.part.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self.note, json.dumps({"url": url, "same_if": _same_if(answer), "etag": _etag(answer)}))
            self._write(url, answer, here if goes_on else 0)

    def _known(self, url: str) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return (
            known if isinstance(known, dict) and known.get("url") == url and {"same_if", "etag"} <= set(known) else {}
        )

    def _goes_on(self, url: str, answer: requests.Response, here: int, known: dict[str, str]) -> bool:
        """Tell whether what comes continues the part; CorpusError for an answer that will not change."""
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.forget()  # the part is longer than the file, so it is a part of something else
            raise _BrokenError("no more bytes than are here")
        if answer.status_code in AGAIN:
            raise _BrokenError(f"status {answer.status_code}")
        if answer.status_code == HTTPStatus.OK:
            return False
        if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
            raise CorpusError(
                url, f"the server answers {answer.status_code} {answer.reason}", "the file", "look for its new address"
            )
        span = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        same = not known.get("etag") or not _etag(answer) or known["etag"] == _etag(answer)
        if not (here and span and int(span[1]) == here and same):
            self.forget()
            raise _BrokenError("the file changed, or another part of it came")
        return True

    def _write(self, url: str, answer: requests.Response, here: int) -> None:
        declared = answer.headers.get("Content-Length", "")
        most = self.size_bytes if self.exact else 2 * self.size_bytes + SLACK_BYTES
        if declared.isdigit() and (here + int(declared) > most or (self.exact and here + int(declared) != most)):
            self._other_size(url, here + int(declared))
        with self.part.open("ab") as file:
            for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                here += len(chunk)
                if here > most:
                    break
                file.write(chunk)
                self.progress(here)
        if here > most:
            self._other_size(url, here)
        if self.exact and here != self.size_bytes:
            raise _BrokenError(f"ended after {here:,} bytes")

    def _other_size(self, url: str, came: int) -> None:
        self.forget()
        raise CorpusError(
            url,
            f"{came:,} bytes or more",
            f"{self.size_bytes:,} bytes",
            "another file lies there now: nothing of it was kept; report it",
        )


def _etag(answer: requests.Response) -> str:
    return str(answer.headers.get("ETag", ""))


def _same_if(answer: requests.Response) -> str:
    """Return what names the version of a file: a strong ETag, else when it was last changed, else nothing."""
    etag = _etag(answer)
    return etag if etag and not etag.startswith("W/") else str(answer.headers.get("Last-Modified", ""))
