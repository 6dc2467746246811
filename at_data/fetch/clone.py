"""Corpora that lie in git repositories: one commit, fetched with git, becomes an archive like those of other corpora.

Trusted is the commit's id alone. The archive is a plain tar, and beside it lies the commit as git stores it: its hash
is that id, and it names the tree whose id the unpacked files have to have. So neither the server nor git can bring
something else unseen. Git works in a bare repository, with no settings, hooks, filters or credentials of the user, and
checks nothing out; links and submodules are refused. A fetch that broke off is begun anew: git cannot go on with one.
"""

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from at_data.errors import CorpusError
from at_data.files import write_whole

PROTOCOLS = ("https",)
ATTEMPTS = 3
PAUSE_S = 2.0  # before the second attempt; twice as long before each one after it
POLL_S = 0.5
SLACK_BYTES = 1 << 20
MODES = frozenset(("100644", "100755"))
ODD = {"120000": "a link", "160000": "a submodule"}
# what git says where another attempt would bring no more
FINAL = re.compile(r"not our ref|unadvertised object|[Nn]ot found|does not appear to be|could not read Username")
NOT_SERVED = re.compile(r"not our ref|unadvertised object")
FULL = ("No space left on device", "Disk quota exceeded")
# over what a repository says of its own files: as they are stored they are wanted, all of them
ATTRIBUTES = "* -text !eol !ident !filter !working-tree-encoding !export-ignore !export-subst\n"
SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "credential.helper="),
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "fetch.recurseSubmodules=no"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"),
)

Progress = Callable[[int], None]  # is told how many bytes are there


class _GitError(Exception):
    """What git said when it failed."""


@dataclass(frozen=True)
class Cloner:
    """What makes an archive of a commit, as `file`; a repository of about `size_bytes` packed is expected."""

    url: str
    commit: str
    file: Path
    size_bytes: int
    most_bytes: int  # of the archive
    folder: Path  # where the corpus belongs, to tell a user
    progress: Progress
    pause: Callable[[float], None] = time.sleep
    protocols: tuple[str, ...] = field(default_factory=lambda: PROTOCOLS)

    def __call__(self) -> None:
        """Write the archive, unless it is there; CorpusError where it cannot be had."""
        if urlsplit(self.url).scheme not in self.protocols:
            raise CorpusError(self.url, "no address git may use", " or ".join(self.protocols), "report it")
        if tree_of(self.file, self.commit):
            return
        git = shutil.which("git")
        if git is None:
            raise CorpusError(
                self.url, "git is not installed", "git, to fetch this corpus with", f"install git, or {self._by_hand()}"
            )
        raw = self._fetched(git)
        self._refuse_odd(git)
        words = ("archive", "--format=tar", f"--output={self._part}", self.commit)
        self._part.unlink(missing_ok=True)
        try:
            self._git(git, *words, watch=self._part, most=self.most_bytes)
        except _GitError as error:
            self._forget()
            raise self._failed(f"no archive could be made of it ({error})", "call again: it starts over") from error
        beside(self.file).write_bytes(raw)
        self._part.replace(self.file)
        self._forget()

    @property
    def _repository(self) -> Path:
        return self.file.with_name(f"{self.file.name}.git")

    @property
    def _part(self) -> Path:
        return self.file.with_name(f"{self.file.name}.part")

    def _forget(self) -> None:
        """Delete the repository, and an archive that is not whole."""
        shutil.rmtree(self._repository, ignore_errors=True)
        self._part.unlink(missing_ok=True)

    def _by_hand(self) -> str:
        return f"clone it yourself: git clone --depth 1 {self.url} {self.folder}"

    def _failed(self, came: str, todo: str) -> CorpusError:
        return CorpusError(self.url, came, f"commit {self.commit}", todo)

    def _fetched(self, git: str) -> bytes:
        """Bytes of the commit, which a repository beside the archive then holds with all its files."""
        if (self._repository / "HEAD").is_file():
            with suppress(_GitError):
                return self._commit(git)  # git adds a commit when everything of it has come
        for attempt in range(1, ATTEMPTS + 1):
            shutil.rmtree(self._repository, ignore_errors=True)
            self._repository.mkdir(parents=True)
            try:
                self._git(git, "init", "--quiet", "--bare", "--template=", str(self._repository))
                (self._repository / "info").mkdir(exist_ok=True)
                write_whole(self._repository / "info" / "attributes", ATTRIBUTES)
                words = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", self.url, self.commit)
                self._git(git, *words, watch=self._repository, most=2 * self.size_bytes + SLACK_BYTES)
                return self._commit(git)
            except _GitError as error:
                if attempt == ATTEMPTS or FINAL.search(str(error)):
                    self._forget()
                    raise self._not_fetched(str(error), attempt) from error
                self.pause(PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def _not_fetched(self, said: str, attempts: int) -> CorpusError:
        if NOT_SERVED.search(said):
            return self._failed(f"the server does not give that commit ({said})", f"report it, or {self._by_hand()}")
        return self._failed(
            f"git could not fetch it in {attempts} attempts ({said})",
            f"check the connection and call again: it starts over; or {self._by_hand()}",
        )

    def _commit(self, git: str) -> bytes:
        raw = self._git(git, "cat-file", "commit", self.commit)
        if commit_id(raw) != self.commit:
            raise _GitError("another commit came")
        return raw

    def _refuse_odd(self, git: str) -> None:
        """CorpusError where the commit holds more than files and folders."""
        for entry in self._git(git, "ls-tree", "-r", "-z", self.commit).split(b"\0"):
            facts, _, name = entry.decode("utf-8", "replace").partition("\t")
            mode = facts.partition(" ")[0]
            if mode and mode not in MODES:
                self._forget()
                raise CorpusError(
                    f"{self.url}, {name!r}",
                    ODD.get(mode, f"mode {mode}"),
                    "files and folders only",
                    "nothing was put in place; report it",
                )

    def _git(self, git: str, *words: str, watch: Path | None = None, most: int = 0) -> bytes:
        """What git answers; what it writes to `watch` meanwhile is told, and ends it beyond `most` bytes."""
        process = subprocess.Popen(  # noqa: S603 - git, with words of this module and of a corpus module
            (git, f"--git-dir={self._repository}", *SETTINGS, *words),
            env=_environment(self._repository, self.protocols),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its helpers end with it
        )
        with process:
            try:
                while True:
                    try:
                        answer, told = process.communicate(timeout=POLL_S)
                        break
                    except subprocess.TimeoutExpired:
                        self._watch(watch, most)
            finally:
                if process.returncode is None:
                    with suppress(OSError):  # it ended meanwhile
                        os.killpg(process.pid, signal.SIGKILL)
        said = " ".join(told.decode("utf-8", "replace").split())
        if any(full in said for full in FULL):
            raise OSError(errno.ENOSPC, said)
        if process.returncode:
            raise _GitError(said or f"git ended with {process.returncode}")
        self._watch(watch, most)
        return answer

    def _watch(self, watch: Path | None, most: int) -> None:
        if watch is None:
            return
        done = _bytes_of(watch)
        if done > most:
            self._forget()
            raise self._failed(f"{done:,} bytes or more, not {most:,} at most", "nothing of it was kept; report it")
        self.progress(done)


def beside(file: Path) -> Path:
    """File beside an archive that holds the commit it was made of."""
    return file.with_name(f"{file.name}.commit")


def forget(file: Path) -> None:
    """Delete an archive and its commit, where it has one."""
    file.unlink(missing_ok=True)
    beside(file).unlink(missing_ok=True)


def commit_id(raw: bytes) -> str:
    """Id that git gives a commit of these bytes."""
    return hashlib.sha1(b"commit %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def tree_of(file: Path, commit: str) -> str:
    """Id of the tree of a commit whose archive is there; empty where it is not, or where the commit is another."""
    try:
        raw = beside(file).read_bytes()
    except FileNotFoundError:
        return ""
    tree = re.match(rb"tree ([0-9a-f]{40})\n", raw)
    return tree[1].decode() if tree and file.is_file() and commit_id(raw) == commit else ""


def _environment(home: Path, protocols: tuple[str, ...]) -> Mapping[str, str]:
    """What git may know of this machine: how the web is reached, and nothing that its user set up for it."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
    return known | {
        "GIT_ALLOW_PROTOCOL": ":".join(protocols),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": str(home),  # passwords lie in the user's
        "LC_ALL": "C",
        "XDG_CONFIG_HOME": str(home),
    }


def _bytes_of(path: Path) -> int:
    """Bytes of a file, or of those below a folder, which may come and go meanwhile."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total
