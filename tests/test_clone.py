"""Commits of git repositories, fetched from one in a folder: hostile, gone, broken off; and no settings of the user."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from at_data import fetch
from at_data.corpora import Archive
from at_data.errors import CorpusError
from at_data.fetch import clone

NOISE = hashlib.shake_256(b"noise").digest(100_000)
SETTINGS = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main")

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="install git to fetch from repositories")


class Repository:
    """Repository in a folder, and the corpus of its newest commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")
        self.write("data/a.wav", NOISE)
        self.write("run.sh", b"#!/bin/sh")
        (folder / "run.sh").chmod(0o755)
        self.commit()

    def git(self, *words: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *SETTINGS, *words], cwd=self.folder, env=environment, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def write(self, name: str, content: bytes) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "more")

    def corpus(self, commit: str = "", size_bytes: int = 100_000, url: str = "") -> ModuleType:
        module = ModuleType("at_data.corpora.toy")
        checksum = f"git-commit:{commit or self.git('rev-parse', 'HEAD')}"
        url = url or f"{self.folder.as_uri()}/.git"
        module.ARCHIVES = (Archive("all", url, checksum, size_bytes, "Corpus", size_is_exact=False),)
        module.ACCESS, module.UNPACKS_TO = "", ("Corpus",)
        return module


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(clone, "PROTOCOLS", ("file",))
    return Repository(tmp_path / "repository")


@pytest.fixture
def to(tmp_path):
    """Where it goes, with what a user had there, to be there whatever happens."""
    (tmp_path / "to" / "Corpus").mkdir(parents=True)
    (tmp_path / "to" / "Corpus" / "mine.wav").write_bytes(b"mine")
    return tmp_path / "to"


MINE = {"Corpus/mine.wav": b"mine"}
ALL = {"Corpus/data/a.wav": NOISE, "Corpus/run.sh": b"#!/bin/sh", **MINE}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != fetch.RECEIPT
    }


def get(module, to, **options):
    return fetch.fetch(module, to, (), pause=options.pop("pause", lambda _: None), **options)


@pytest.fixture
def calls(monkeypatch):
    """What git was asked to do."""
    seen = []
    start = subprocess.Popen

    def noted(words, **options):
        if words[1].startswith("--git-dir"):  # else a test's own
            seen.append(next(word for word in words[1:] if not word.startswith("-") and "=" not in word))
        return start(words, **options)

    monkeypatch.setattr(clone.subprocess, "Popen", noted)
    return seen


# what is right


def test_a_commit_is_put_in_place_with_its_receipt_and_leaves_nothing_else(repository, to):
    module = repository.corpus()
    assert get(module, to) == [to / "Corpus"]
    assert contents(to) == ALL
    receipt = json.loads((to / "Corpus" / fetch.RECEIPT).read_text())["all"]
    assert (receipt["url"], receipt["checksum"]) == (module.ARCHIVES[0].url, module.ARCHIVES[0].checksum)
    assert receipt["entries"] == ["data", "run.sh"]
    assert not (to / "Corpus" / "run.sh").stat().st_mode & 0o111


def test_a_second_call_does_nothing(repository, to, calls):
    module = repository.corpus()
    get(module, to)
    calls.clear()
    get(module, to)
    assert not calls


def test_the_commit_that_was_pinned_comes_and_not_the_newest(repository, to):
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    pinned = repository.git("rev-parse", "HEAD")
    repository.write("data/a.wav", b"newer")
    repository.commit()
    get(repository.corpus(pinned), to)
    assert contents(to) == ALL


def test_a_kept_archive_is_enough_without_git(repository, to, monkeypatch):
    get(repository.corpus(), to, keep=True)
    shutil.rmtree(to / "Corpus" / "data")
    module = repository.corpus()
    monkeypatch.setenv("PATH", "")
    get(module, to, keep=True)
    assert contents(to)["Corpus/data/a.wav"] == NOISE


def test_progress_never_says_more_than_all(repository, to):
    seen = []
    get(repository.corpus(), to, progress=lambda *words: seen.append(words))
    assert list(dict.fromkeys(phase for phase, _, _ in seen)) == ["download all", "unpack all"]
    assert all(done <= total for _, done, total in seen)


def test_what_a_repository_says_of_its_files_changes_no_byte(repository, to):
    attributes = (
        b"*.txt text eol=crlf ident export-subst\n*.wav export-ignore filter=lfs\nu.csv working-tree-encoding=UTF-16\n"
    )
    files = {".gitattributes": attributes, "a.txt": b"$Id$ $Format:%H$\n", "u.csv": b"a,b\n"}
    (repository.folder / ".git" / "info").mkdir(exist_ok=True)
    (repository.folder / ".git" / "info" / "attributes").write_text(clone.ATTRIBUTES)
    for name, content in files.items():
        repository.write(name, content)
    repository.commit()
    get(repository.corpus(), to)
    assert contents(to) == ALL | {f"Corpus/{name}": content for name, content in files.items()}


def test_the_settings_of_the_user_are_not_used(repository, to, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[url "file:///nowhere/"]\n    insteadOf = file://\n[tar]\n    umask = 0777\n')
    for name, value in {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_DIR": str(home),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "url.file:///nowhere/.insteadOf",
        "GIT_CONFIG_VALUE_0": "file://",
    }.items():
        monkeypatch.setenv(name, value)
    get(repository.corpus(), to)
    assert contents(to) == ALL


# what cannot be had


def test_without_git_one_is_told_two_ways(repository, to, monkeypatch):
    module = repository.corpus()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match="install git, or clone it yourself: git clone") as caught:
        get(module, to)
    assert str(to / "Corpus") in str(caught.value)
    assert contents(to) == MINE


def test_a_commit_that_is_not_there_is_said_at_once(repository, to, calls):
    with pytest.raises(CorpusError, match=f"does not give that commit.*{'1' * 40}"):
        get(repository.corpus("1" * 40), to)
    assert calls.count("fetch") == 1
    assert contents(to) == MINE
    assert not (to / fetch.DOWNLOADS).exists()


def test_the_id_of_something_else_than_a_commit_brings_nothing(repository, to):
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    with pytest.raises(CorpusError):
        get(repository.corpus(repository.git("rev-parse", "HEAD^{tree}")), to)
    assert contents(to) == MINE


def test_a_network_that_fails_is_tried_again_and_then_given_up(repository, to, calls, monkeypatch):
    monkeypatch.setattr(clone, "PROTOCOLS", ("http",))
    waits = []
    with pytest.raises(CorpusError, match=r"could not fetch it in 3 attempts.*check the connection"):
        get(repository.corpus(url="http://127.0.0.1:9/x.git"), to, pause=waits.append)
    assert waits == [2, 4]
    assert calls.count("fetch") == clone.ATTEMPTS
    assert contents(to) == MINE


@pytest.mark.parametrize("url", ["http://x/y.git", "ssh://x/y.git", "git@x:y.git", "ext::sh -c id", "--upload-pack=id"])
def test_only_safe_addresses_are_asked(repository, to, calls, monkeypatch, url):
    monkeypatch.setattr(clone, "PROTOCOLS", ("https",))
    module = repository.corpus(url=url)
    with pytest.raises(CorpusError, match="no address git may use"):
        get(module, to)
    assert not calls


def test_git_itself_is_kept_to_them_too(repository, tmp_path):
    environment = clone._environment(tmp_path, ("https",))
    done = subprocess.run(
        ["git", "ls-remote", repository.folder.as_uri()], env=environment, capture_output=True, check=False
    )
    assert done.returncode
    assert b"not allowed" in done.stderr


# what is hostile


def test_a_link_is_refused(repository, to):
    (repository.folder / "data" / "passwd").symlink_to("/etc/passwd")
    repository.commit()
    with pytest.raises(CorpusError, match="data/passwd': a link"):
        get(repository.corpus(), to)
    assert contents(to) == MINE


def test_a_submodule_is_refused(repository, to):
    head = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    repository.git("commit", "-q", "-m", "sub")
    with pytest.raises(CorpusError, match="'sub': a submodule"):
        get(repository.corpus(), to)
    assert contents(to) == MINE


def test_a_pointer_of_lfs_is_refused(repository, to):
    repository.write("data/b.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    repository.commit()
    with pytest.raises(CorpusError, match="a pointer of Git LFS"):
        get(repository.corpus(), to)
    assert contents(to) == MINE


def test_names_that_some_file_systems_take_for_one_are_refused(repository, to):
    blob = repository.git("rev-parse", "HEAD:run.sh")
    repository.git("update-index", "--add", "--cacheinfo", f"100644,{blob},RUN.sh")
    repository.git("commit", "-q", "-m", "twice")
    with pytest.raises(CorpusError, match="the same as"):
        get(repository.corpus(), to)
    assert contents(to) == MINE


def test_hooks_are_not_run(repository, to, tmp_path):
    for hooks in (repository.folder / ".git" / "hooks", to / fetch.DOWNLOADS / "toy-all-.tar.git" / "hooks"):
        hooks.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "post-merge"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            (hooks / name).chmod(0o755)
    get(repository.corpus(), to)
    assert not (tmp_path / "ran").exists()
    assert contents(to) == ALL


def test_a_repository_far_larger_than_told_is_not_kept(repository, to, monkeypatch):
    monkeypatch.setattr(clone, "SLACK_BYTES", 0)
    repository.write("b.wav", NOISE[::-1])
    repository.commit()
    with pytest.raises(CorpusError, match="20,000 at most"):
        get(repository.corpus(size_bytes=10_000), to)
    assert contents(to) == MINE


def test_an_archive_that_was_exchanged_is_known_by_its_tree(repository, to):
    module = repository.corpus()
    get(module, to, keep=True)
    shutil.rmtree(to / "Corpus" / "data")
    archive = to / fetch.DOWNLOADS / "toy-all-.tar"
    archive.write_bytes(archive.read_bytes().replace(NOISE, NOISE[::-1]))
    with pytest.raises(CorpusError, match="git tree"):
        get(module, to)
    assert not archive.exists()
    get(module, to)
    assert contents(to) == ALL


# what broke off


class Stop(Exception):  # noqa: N818 - what a user does
    """A call that ends."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop])
@pytest.mark.parametrize("phase", ["download", "unpack"])
def test_an_interrupted_call_never_looks_finished(repository, to, error, phase):
    def stop(now, *_):
        if now.startswith(phase):
            raise error

    module = repository.corpus()
    with pytest.raises(error):
        get(module, to, progress=stop)
    here = contents(to)
    assert {name for name in here if name.startswith("Corpus/")} == set(MINE)
    get(module, to)
    assert contents(to) == ALL


def test_what_had_come_whole_is_not_fetched_again(repository, to, calls):
    def stop(*_):
        raise Stop

    module = repository.corpus()
    with pytest.raises(Stop):
        get(module, to, progress=stop)
    calls.clear()
    get(module, to)
    assert "fetch" not in calls


def test_what_came_in_half_is_begun_anew(repository, to, calls):
    half = to / fetch.DOWNLOADS / "toy-all-.tar.git"
    half.mkdir(parents=True)
    (half / "HEAD").write_text("ref: refs/heads/main\n")
    (half / "config").write_text("[core]\n    bare = true\n[tar]\n    umask = 0777\n")
    get(repository.corpus(), to)
    assert "fetch" in calls
    assert contents(to) == ALL


def test_git_ends_with_the_call(repository, to, tmp_path, monkeypatch):
    """A git that never answers is not left behind."""
    monkeypatch.setattr(clone, "POLL_S", 0.05)
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *" fetch "*) echo $$ > {tmp_path}/pid; sleep 60;; esac\nexit 0\n')
    slow.chmod(0o755)
    module = repository.corpus()
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")

    def stop(*_):
        if (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text().strip():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(module, to, progress=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_disk_that_fills_up_is_said_as_that(repository, to, monkeypatch, tmp_path):
    full = tmp_path / "bin" / "git"
    full.parent.mkdir()
    full.write_text("#!/bin/sh\necho 'fatal: write error: No space left on device' >&2\nexit 128\n")
    full.chmod(0o755)
    module = repository.corpus()
    monkeypatch.setenv("PATH", f"{full.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CorpusError, match="the disk is full"):
        get(module, to)
    assert contents(to).items() >= MINE.items()


def test_room_is_asked_for_beforehand(repository, to, monkeypatch, calls):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 350_000}))
    with pytest.raises(CorpusError, match="GB free"):
        get(repository.corpus(), to)
    assert not calls
