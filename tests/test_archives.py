"""Archives: what comes out of good ones, and that bad ones put nothing anywhere."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from at_data.errors import CorpusError
from at_data.fetch import archives
from at_data.fetch.archives import tree_id, unpack

FILES = {"set/readme.txt": b"hello", "set/one/a.wav": b"\x00" * 5000, "set/one/b.wav": os.urandom(70_000)}


def tar_of(path: Path, entries, mode: str = "w:gz") -> Path:
    """Tar file of (TarInfo or name, bytes) entries."""
    with tarfile.open(path, mode) as tar:
        for entry, content in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def zip_of(path: Path, entries) -> Path:
    """Zip file of (ZipInfo or name, bytes) entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


MAKERS = {"tar": tar_of, "zip": zip_of}


@pytest.fixture(params=sorted(MAKERS))
def make(request):
    """Maker of archives of one kind."""
    return MAKERS[request.param]


def out(archive: Path, folder: Path, strip: int = 0, most_bytes: int = 10**6, *, with_tree: bool = False):
    """What `unpack` says of an archive, unpacked to a new folder."""
    return unpack(archive, folder, strip=strip, most_bytes=most_bytes, with_tree=with_tree)


def contents(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, "/etc/passwd", mode
    return info


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


# good archives


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_of_tar_is_unpacked(tmp_path, mode):
    held = out(tar_of(tmp_path / "a.tar", FILES.items(), mode), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert (held.files, held.size_bytes, held.tree) == (3, sum(map(len, FILES.values())), None)


def test_a_zip_is_unpacked(tmp_path):
    out(zip_of(tmp_path / "a.zip", FILES.items()), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_leading_folders_are_dropped(tmp_path, make):
    out(make(tmp_path / "a", FILES.items()), tmp_path / "out", strip=1)
    assert contents(tmp_path / "out") == {name.removeprefix("set/"): content for name, content in FILES.items()}


def test_a_leading_dot_is_no_folder(tmp_path, make):
    out(make(tmp_path / "a", [("./set/x.wav", b"x")]), tmp_path / "out", strip=1)
    assert contents(tmp_path / "out") == {"x.wav": b"x"}


def test_what_a_packer_leaves_behind_is_left_out(tmp_path, make):
    out(make(tmp_path / "a", [("set/x.wav", b"x"), ("__MACOSX/set/._x.wav", b"y")]), tmp_path / "out", strip=1)
    assert contents(tmp_path / "out") == {"x.wav": b"x"}


def test_empty_files_folders_and_letters_of_all_sorts_are_kept(tmp_path, make):
    out(make(tmp_path / "a", [("set/leer/", b""), ("set/überrascht ñ.wav", b"")]), tmp_path / "out")
    assert (tmp_path / "out" / "set" / "überrascht ñ.wav").read_bytes() == b""


def test_long_names_of_tar_are_read(tmp_path):
    name = "/".join(["f" * 100] * 4)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / f"{form}.tar", "w", format=form) as tar:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        out(tmp_path / f"{form}.tar", tmp_path / f"out{form}")
        assert contents(tmp_path / f"out{form}") == {name: b""}


def test_nothing_unpacked_can_be_run_or_has_the_rights_of_another(tmp_path):
    tar_of(tmp_path / "a.tar", [(tar_entry("x", mode=0o6777), b"#!/bin/sh")])
    zip_of(tmp_path / "a.zip", [(zip_entry("x", 0o106777), b"#!/bin/sh")])
    for name in ("a.tar", "a.zip"):
        out(tmp_path / name, tmp_path / f"{name}.out")
        mode = (tmp_path / f"{name}.out" / "x").stat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def test_progress_counts_the_bytes_written(tmp_path, make):
    seen = []
    unpack(
        make(tmp_path / "a", FILES.items()),
        tmp_path / "out",
        strip=0,
        most_bytes=10**6,
        with_tree=False,
        progress=seen.append,
    )
    assert seen == sorted(seen)
    assert seen[-1] == sum(map(len, FILES.values()))


# bad ones


@pytest.mark.parametrize(
    "name",
    [
        "../x.wav",
        "set/../../x.wav",
        "set/..",
        "/x.wav",
        "C:/x.wav",
        "C:x.wav",
        "set\\..\\..\\x.wav",
        "\\\\host\\x.wav",
        "set/a\nb.wav",
        "set/.git/config",
        ".fetched.json",
        "n" * 256,
        "/".join(["ab"] * 500),
    ],
)
def test_a_name_that_leads_elsewhere_or_is_too_odd_is_refused(tmp_path, make, name):
    archive = make(tmp_path / "a", [("set/good.wav", b"x"), (name, b"y")])
    with pytest.raises(CorpusError):
        out(archive, tmp_path / "deep" / "out")
    assert set(contents(tmp_path)) <= {"a", "deep/out/set/good.wav"}
    assert not Path("/x.wav").exists()


def test_a_name_that_hides_behind_a_nul_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("set/goodXhidden", b"y")])
    archive.write_bytes(archive.read_bytes().replace(b"goodXhidden", b"good\0hidden"))
    with pytest.raises(CorpusError):
        out(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_devices_and_pipes_of_tar_are_refused(tmp_path, kind):
    with pytest.raises(CorpusError):
        out(tar_of(tmp_path / "a.tar", [(tar_entry("x", kind), b"")]), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_devices_and_pipes_of_zip_are_refused(tmp_path, kind):
    with pytest.raises(CorpusError, match="link or device"):
        out(zip_of(tmp_path / "a.zip", [(zip_entry("x", kind | 0o777), b"/etc/passwd")]), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_link_cannot_be_written_through(tmp_path):
    archive = tar_of(tmp_path / "a.tar", [(tar_entry("set", tarfile.SYMTYPE), b""), ("set/x", b"x")])
    with pytest.raises(CorpusError):
        out(archive, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("set/A.wav", "set/a.wav"),
        ("SET/x.wav", "set/y.wav"),
        ("set/\u00e9.wav", "set/e\u0301.wav"),
        ("set/a.wav", "set/a.wav"),
        ("set/a", "set/a/b.wav"),
        ("set/a/b.wav", "set/a"),
    ],
)
def test_two_names_that_may_be_one_are_refused(tmp_path, make, one, other):
    with pytest.raises(CorpusError):
        out(make(tmp_path / "a", [(one, b"x"), (other, b"y")]), tmp_path / "out")


def test_an_archive_that_would_fill_the_disk_is_stopped(tmp_path, make):
    archive = make(tmp_path / "a", [(f"{number}.wav", bytes(1_000_000)) for number in range(5)])
    assert archive.stat().st_size < 50_000
    with pytest.raises(CorpusError, match="2,500,000 in the whole archive"):
        out(archive, tmp_path / "out", most_bytes=2_500_000)
    assert sum(map(len, contents(tmp_path / "out").values())) <= 2_500_000


def test_a_zip_that_declares_less_than_it_holds_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("x.wav", bytes(1_000_000))])
    raw = bytearray(archive.read_bytes())
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = raw.find(mark) + place
        raw[start : start + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(raw)
    with pytest.raises(CorpusError):
        out(archive, tmp_path / "out", most_bytes=2000)
    assert sum(map(len, contents(tmp_path / "out").values())) <= 2000


def test_too_many_files_are_refused(tmp_path, make, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(CorpusError, match="more than 3 members"):
        out(make(tmp_path / "a", [(f"{number}.wav", b"") for number in range(5)]), tmp_path / "out")


def test_a_header_that_would_fill_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    archive = tar_of(tmp_path / "a.tar", [(info, bytes(8 << 20)), ("x", b"")])
    with pytest.raises(CorpusError, match="header"):
        out(archive, tmp_path / "out")


def test_a_tar_that_runs_in_circles_is_refused(tmp_path):
    raw = bytearray(tar_of(tmp_path / "a.tar", [("x", b"1" * 600), ("y", b"")], "w").read_bytes())
    raw[124:136] = (-1024).to_bytes(12, "big", signed=True)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    (tmp_path / "a.tar").write_bytes(raw)
    with pytest.raises(CorpusError):
        out(tmp_path / "a.tar", tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("x.wav", b"x")])
    raw = bytearray(archive.read_bytes())
    raw[raw.find(b"PK\3\4") + 6] |= 1
    raw[raw.find(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    with pytest.raises(CorpusError, match="encrypted"):
        out(archive, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_a_damaged_archive_says_so(tmp_path, mode):
    archive = tmp_path / "a"
    zip_of(archive, FILES.items()) if mode == "zip" else tar_of(archive, FILES.items(), mode)
    whole = archive.read_bytes()
    for number, raw in enumerate((whole[: len(whole) // 2], b"<html>not found</html>", b"", whole[:20])):
        archive.write_bytes(raw)
        if raw:
            with pytest.raises(CorpusError):
                out(archive, tmp_path / f"out{number}")


def test_a_pointer_of_git_lfs_is_no_recording(tmp_path, make):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    with pytest.raises(CorpusError, match="Git LFS"):
        out(make(tmp_path / "a", [("x.wav", pointer)]), tmp_path / "out")


def test_a_file_where_a_folder_should_be_dropped_is_refused(tmp_path, make):
    with pytest.raises(CorpusError, match="outside the folder"):
        out(make(tmp_path / "a", [("x.wav", b"")]), tmp_path / "out", strip=1)


def test_it_never_writes_into_a_folder_that_is_there(tmp_path, make):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        out(make(tmp_path / "a", FILES.items()), tmp_path / "out")


# trees of git


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", "-c", "core.autocrlf=false")
    return subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    """Repository whose names sort one way as files and another as folders, with a file that may be run."""
    if not shutil.which("git"):
        pytest.skip("install git to compare with its trees")
    folder = tmp_path / "repository"
    for name in ("a-b/x", "a/x", "a.b/x", "a0/x", "a/deep/er/y", "read me.txt", "run.sh", "ä.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    (folder / "run.sh").chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    return folder


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip"])
def test_the_tree_is_the_one_that_git_names(repository, tmp_path, form):
    git(repository, "archive", "--prefix=corpus-1.0/", f"--format={form}", "-o", str(tmp_path / "a"), "HEAD")
    held = out(tmp_path / "a", tmp_path / "out", strip=1, with_tree=True)
    assert held.tree == git(repository, "rev-parse", "HEAD^{tree}").strip()


def test_a_changed_file_name_or_mode_is_another_tree(repository, tmp_path):
    before = git(repository, "rev-parse", "HEAD^{tree}").strip()
    for number, change in enumerate(("echo >> a/x", "mv a/x a/z", "chmod -x run.sh", "rm a0/x")):
        git(repository, "checkout", "-q", "-f", "HEAD")
        subprocess.run(change, shell=True, cwd=repository, check=True)  # noqa: S602 - words of this test
        git(repository, "add", "-A")
        tree = git(repository, "write-tree").strip()
        git(repository, "archive", "--prefix=c/", "-o", str(tmp_path / f"{number}.tar"), tree)
        git(repository, "reset", "-q", "--hard")
        held = out(tmp_path / f"{number}.tar", tmp_path / f"out{number}", strip=1, with_tree=True)
        assert held.tree == tree != before


def test_nothing_at_all_is_the_empty_tree():
    assert tree_id({}) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
