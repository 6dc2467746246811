"""Corpora fetched from a server of this machine: whole, refused, wrong; and what was there before survives."""

import errno
import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from web_site import NOISE, archive_of, contents, get, module_of, packed

from at_data import corpora, fetch
from at_data.corpora import Archive
from at_data.errors import CorpusError

pytest_plugins = ["site_fixtures"]

# what is right


def test_subsets_share_their_folder_and_leave_nothing_else(toy, tmp_path):
    assert get(toy, tmp_path / "to") == [tmp_path / "to" / "Corpus"]
    assert contents(tmp_path / "to") == {
        "Corpus/readme": b"hello",
        "Corpus/one/a.wav": NOISE,
        "Corpus/two/b.wav": NOISE[::-1],
    }
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["Corpus"]


def test_the_receipt_says_what_came_from_where(toy, tmp_path):
    get(toy, tmp_path, "two")
    receipt = json.loads((tmp_path / "Corpus" / fetch.RECEIPT).read_text())
    assert receipt["two"]["checksum"] == toy.ARCHIVES[1].checksum
    assert receipt["two"]["url"] == toy.ARCHIVES[1].url
    assert receipt["two"]["files"] == 2


def test_a_second_call_does_nothing(toy, tmp_path, site):
    get(toy, tmp_path, "one")
    get(toy, tmp_path, "one")
    assert len(site.asked) == 1
    get(toy, tmp_path)
    assert len(site.asked) == 2


def test_what_was_deleted_since_is_fetched_again(toy, tmp_path, site):
    get(toy, tmp_path)
    shutil.rmtree(tmp_path / "Corpus" / "one")
    get(toy, tmp_path)
    assert len(site.asked) == 3
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_a_new_checksum_is_fetched_anew_and_the_old_file_goes_aside(toy, tmp_path, site):
    get(toy, tmp_path, "one")
    newer = packed({"Corpus/readme": b"hello", "Corpus/one/a.wav": b"better"})
    get(module_of(archive_of(site, "one", newer)), tmp_path, "one")
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == b"better"
    assert (tmp_path / fetch.REPLACED / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_archives_are_kept_where_asked_for(toy, tmp_path, site):
    get(toy, tmp_path, "one", keep=True)
    (kept,) = (tmp_path / fetch.DOWNLOADS).iterdir()
    assert kept.read_bytes() == site.files["one.tgz"]
    shutil.rmtree(tmp_path / "Corpus")
    get(toy, tmp_path, "one", keep=True)
    assert len(site.asked) == 1


def test_progress_goes_through_the_phases(toy, tmp_path):
    seen = []
    get(toy, tmp_path, "one", progress=lambda *words: seen.append(words))
    assert list(dict.fromkeys(phase for phase, _, _ in seen)) == ["download one", "unpack one"]
    assert all(done <= total for _, done, total in seen)
    assert [done for phase, done, _ in seen if phase == "download one"][-1] == toy.ARCHIVES[0].size_bytes


def test_a_subset_may_lie_deeper_than_the_corpus(site, tmp_path):
    raw = packed({"one/a.TextGrid": b"x"}, "zip")
    assert get(module_of(archive_of(site, "times", raw, "Corpus/alignments", 0)), tmp_path) == [
        tmp_path / "Corpus" / "alignments"
    ]
    assert contents(tmp_path) == {"Corpus/alignments/one/a.TextGrid": b"x"}


def test_a_redirection_is_followed(toy, tmp_path, site):
    site.led_to = f"{site.url}/there/one.tgz"
    get(toy, tmp_path, "one")
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


# what cannot be asked for


def test_an_unknown_subset_names_the_known_ones(toy, tmp_path, site):
    with pytest.raises(CorpusError, match=r"no subset three.*one, two"):
        get(toy, tmp_path, "one", "three")
    assert not site.asked


def test_a_corpus_behind_a_form_says_where_the_form_is_and_where_it_belongs(tmp_path):
    with pytest.raises(CorpusError, match="Sign the form") as caught:
        get(module_of(access="Sign the form at example.org."), tmp_path)
    assert str(tmp_path / "Corpus") in str(caught.value)


def test_a_part_behind_a_form_is_told_with_the_known_subsets(toy, tmp_path):
    toy.ACCESS = "Ask for the rest at example.org."
    with pytest.raises(CorpusError, match="one, two; Ask for the rest"):
        get(toy, tmp_path, "rest")


@pytest.mark.parametrize("name", ["synth_digits", "table", "iemocap"])
def test_corpora_that_are_not_fetched_say_so(name, tmp_path):
    with pytest.raises(CorpusError, match="nothing that can be fetched"):
        get(corpora.load(name), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd"])
def test_only_the_web_is_read(url, tmp_path):
    with pytest.raises(CorpusError, match="no address of the web"):
        get(module_of(Archive("one", url, "sha256:" + "0" * 64, 10, "Corpus")), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirection_leads_nowhere_but_to_the_web(url, toy, tmp_path, site):
    site.led_to = url
    with pytest.raises(CorpusError, match="led elsewhere"):
        get(toy, tmp_path, "one")


# wrong


def with_checksum(archive: Archive, checksum: str, size_bytes: int | None = None) -> Archive:
    return Archive(archive.subset, archive.url, checksum, size_bytes or archive.size_bytes, archive.into, archive.strip)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_bytes_are_deleted_and_nothing_is_lost(toy, tmp_path, site, before, kind):
    wrong = site.files["one.tgz"][:-1] + b"?"
    site.files["one.tgz"] = wrong
    checksum = f"{kind}:{'0' * (64 if kind == 'sha256' else 32)}"
    with pytest.raises(CorpusError, match=hashlib.new(kind, wrong).hexdigest()) as caught:
        get(module_of(with_checksum(toy.ARCHIVES[0], checksum)), tmp_path, "one")
    assert checksum in str(caught.value)
    assert contents(tmp_path) == before


def test_bytes_that_became_right_are_fetched_afterwards(toy, tmp_path, site, before):
    good = site.files["one.tgz"]
    site.files["one.tgz"] = good[:-1] + b"?"
    with pytest.raises(CorpusError):
        get(toy, tmp_path, "one")
    site.files["one.tgz"] = good
    get(toy, tmp_path, "one")
    assert contents(tmp_path) == before | {"Corpus/readme": b"hello", "Corpus/one/a.wav": NOISE}


@pytest.mark.parametrize("change", [lambda raw: raw[:-100], lambda raw: raw + b"more", lambda _: b"<html>"])
def test_another_size_is_refused_before_it_is_downloaded(toy, tmp_path, site, before, change):
    site.files["one.tgz"] = change(site.files["one.tgz"])
    with pytest.raises(CorpusError, match=f"expected {toy.ARCHIVES[0].size_bytes:,} bytes"):
        get(toy, tmp_path, "one")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["../../x.wav", "/x.wav", "Corpus/../../x.wav", "Corpus/A.wav"])
def test_a_malicious_archive_puts_nothing_anywhere(site, tmp_path, before, kind, name):
    raw = packed({"Corpus/a.wav": b"a", "Corpus/new.wav": b"x", name: b"y"}, kind)
    with pytest.raises(CorpusError):
        get(module_of(archive_of(site, "one", raw)), tmp_path)
    assert contents(tmp_path) == before
    assert not Path("/x.wav").exists()


def test_a_bomb_is_stopped(site, tmp_path, before):
    raw = packed({f"Corpus/{number}.wav": bytes(10_000_000) for number in range(3)})
    with pytest.raises(CorpusError, match="at most"):
        get(module_of(archive_of(site, "one", raw)), tmp_path)
    assert contents(tmp_path) == before


def test_a_small_disk_is_said_before_anything_is_asked_for(toy, tmp_path, site, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(CorpusError, match=r"0\.0 GB free"):
        get(toy, tmp_path)
    assert not site.asked


@pytest.mark.parametrize("phase", ["download", "unpack"])
def test_a_disk_that_fills_up_loses_nothing_and_the_next_call_goes_on(toy, tmp_path, site, before, phase):
    def full(now, done, _):
        if now.startswith(phase) and done > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CorpusError, match="the disk is full"):
        get(toy, tmp_path, "one", progress=full)
    here = contents(tmp_path)
    assert {name: here[name] for name in before} == before
    assert not [name for name in here if name.startswith("Corpus/") and name not in before]
    get(toy, tmp_path, "one")
    assert len(site.asked) == 1  # all of it had come
    assert contents(tmp_path) == before | {"Corpus/readme": b"hello", "Corpus/one/a.wav": NOISE}


def test_an_interrupted_unpack_never_looks_finished(toy, tmp_path, site):
    def stop(phase, _, __):
        if phase.startswith("unpack"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(toy, tmp_path, "one", progress=stop)
    assert not (tmp_path / "Corpus").exists()
    get(toy, tmp_path, "one")
    assert len(site.asked) == 1
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_what_a_killed_call_left_is_swept_away(toy, tmp_path):
    (tmp_path / ".Corpus.unpacking" / "half").mkdir(parents=True)
    (tmp_path / fetch.DOWNLOADS).mkdir()
    (tmp_path / fetch.DOWNLOADS / "tmp123").write_bytes(b"half")
    get(toy, tmp_path, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["Corpus"]


def test_two_calls_at_once_do_not_meet(toy, tmp_path):
    with fetch._alone(tmp_path), pytest.raises(CorpusError, match="another fetch"):
        get(toy, tmp_path, "one")


def test_a_folder_that_cannot_be_written_is_named(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="file"):
        get(toy, tmp_path / "file" / "to", "one")


def test_a_receipt_that_cannot_be_read_counts_for_nothing(toy, tmp_path, site):
    get(toy, tmp_path, "one")
    for text in ("", "[]", '{"one": 1}', json.dumps({"one": {"checksum": toy.ARCHIVES[0].checksum}})):
        (tmp_path / "Corpus" / fetch.RECEIPT).write_text(text)
        site.asked.clear()
        get(toy, tmp_path, "one")
        assert len(site.asked) == 1


# archives that are generated from git


@pytest.fixture
def generated(site, tmp_path_factory):
    """Archive that git makes of a commit, whose bytes nobody promises, and the corpus of it."""
    if not shutil.which("git"):
        pytest.skip("install git to compare with its trees")
    folder = tmp_path_factory.mktemp("repository")
    (folder / "audio").mkdir()
    (folder / "audio" / "a.wav").write_bytes(NOISE)
    (folder / "run.sh").write_bytes(b"#!/bin/sh")
    (folder / "run.sh").chmod(0o755)

    def git(*words):
        settings = ("-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True).stdout

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "all")
    site.files["c.zip"] = git("archive", "--prefix=toy-abc/", "--format=zip", "HEAD")
    tree = git("rev-parse", "HEAD^{tree}").decode().strip()
    return module_of(Archive("one", f"{site.url}/c.zip", f"git-tree:{tree}", 290_000, "Corpus", 1))


def test_a_generated_archive_is_known_by_its_tree(generated, tmp_path):
    get(generated, tmp_path)
    assert contents(tmp_path) == {"Corpus/audio/a.wav": NOISE, "Corpus/run.sh": b"#!/bin/sh"}


def test_its_bytes_may_differ_where_its_tree_does_not(generated, tmp_path, site):
    site.files["c.zip"] = packed({"x/audio/a.wav": NOISE})
    with pytest.raises(CorpusError, match="git tree"):
        get(generated, tmp_path)
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("another-name/run.sh")
        info.create_system, info.external_attr = 3, 0o100755 << 16
        archive.writestr(info, b"#!/bin/sh")
        archive.writestr("another-name/audio/a.wav", NOISE)
    site.files["c.zip"] = buffer.getvalue()
    get(generated, tmp_path)
    assert (tmp_path / "Corpus" / "run.sh").is_file()


def test_another_tree_is_refused_and_nothing_is_lost(generated, tmp_path, site, before):
    site.files["c.zip"] = packed({"toy-abc/audio/a.wav": NOISE[:-1] + b"?", "toy-abc/run.sh": b"#!/bin/sh"}, "zip")
    with pytest.raises(CorpusError, match="git tree") as caught:
        get(generated, tmp_path)
    assert generated.ARCHIVES[0].checksum in str(caught.value)
    assert contents(tmp_path) == before


def test_a_generated_archive_may_not_grow_without_end(generated, tmp_path, site):
    site.files["c.zip"] = bytes(2_000_000)
    with pytest.raises(CorpusError, match="2,000,000 bytes or more"):
        get(generated, tmp_path)
