"""Downloads broken off, resumed, changed meanwhile, or of a size that nobody knows."""

import json
import shutil
from dataclasses import replace

import pytest
from web_site import NOISE, contents, get, module_of

from at_data import fetch
from at_data.corpora import Archive
from at_data.errors import CorpusError
from at_data.fetch import download

pytest_plugins = ["site_fixtures"]


def test_a_break_is_resumed_where_it_happened(toy, tmp_path, site, waits):
    site.breaks = [100_000, 50_000]
    get(toy, tmp_path, "one", pause=waits)
    assert [asked.get("Range") for asked in site.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert sum(site.sent) == toy.ARCHIVES[0].size_bytes
    assert len(waits) == 2
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_a_later_call_goes_on_too(toy, tmp_path, site):
    site.breaks = [100_000] + [0] * download.ATTEMPTS
    with pytest.raises(CorpusError, match="100,000 bytes here"):
        get(toy, tmp_path, "one")
    assert not (tmp_path / "Corpus").exists()
    site.breaks, site.sent = [], []
    get(toy, tmp_path, "one")
    assert site.sent == [toy.ARCHIVES[0].size_bytes - 100_000]


def test_a_server_that_knows_no_ranges_sends_everything_again(toy, tmp_path, site):
    site.ranges, site.breaks = False, [100_000]
    get(toy, tmp_path, "one")
    assert site.sent == [100_000, toy.ARCHIVES[0].size_bytes]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_date_guards_the_rest(toy, tmp_path, site, etag):
    site.etag, site.modified, site.breaks = etag, "Fri, 07 Apr 2017 22:25:10 GMT", [1000]
    get(toy, tmp_path, "one")
    assert site.asked[1]["If-Range"] == site.modified
    assert sum(site.sent) == toy.ARCHIVES[0].size_bytes


def test_without_either_it_is_resumed_and_the_checksum_decides(toy, tmp_path, site):
    site.etag, site.breaks = None, [1000]
    get(toy, tmp_path, "one")
    assert "If-Range" not in site.asked[1]
    assert sum(site.sent) == toy.ARCHIVES[0].size_bytes


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_meanwhile_is_begun_anew(toy, tmp_path, site, heeds):
    good = site.files["one.tgz"]
    site.files["one.tgz"] = bytes(len(good))
    site.breaks = [1000] + [0] * download.ATTEMPTS
    with pytest.raises(CorpusError):
        get(toy, tmp_path, "one")
    site.files["one.tgz"], site.etag, site.heeds_if_range, site.breaks = good, '"two"', heeds, []
    get(toy, tmp_path, "one")
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_a_part_of_another_address_is_not_gone_on_with(toy, tmp_path, site):
    downloads = tmp_path / fetch.DOWNLOADS
    downloads.mkdir()
    (downloads / "toy-one-one.tgz.part").write_bytes(b"x" * 1000)
    for note in ("", "no json", "[]", '{"url": "http://other", "same_if": "", "etag": ""}'):
        (downloads / "toy-one-one.tgz.part.json").write_text(note)
        site.asked.clear()
        get(toy, tmp_path, "one")
        assert "Range" not in site.asked[0]
        shutil.rmtree(tmp_path / "Corpus")
        downloads.mkdir()
        (downloads / "toy-one-one.tgz.part").write_bytes(b"x" * 1000)


def test_a_part_longer_than_the_file_is_begun_anew(toy, tmp_path, site):
    part = tmp_path / fetch.DOWNLOADS / "toy-one-one.tgz.part"
    part.parent.mkdir()
    part.write_bytes(bytes(10**6))
    url = toy.ARCHIVES[0].url
    part.with_name(part.name + ".json").write_text(json.dumps({"url": url, "same_if": '"one"', "etag": '"one"'}))
    get(toy, tmp_path, "one")
    assert len(site.asked) == 2
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again_and_later_each_time(toy, tmp_path, site, waits, status):
    site.statuses = [status] * 3
    get(toy, tmp_path, "one", pause=waits)
    assert waits == [2, 4, 8]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_gone_is_said_at_once(toy, tmp_path, site, waits, status):
    site.statuses = [status]
    with pytest.raises(CorpusError, match=str(status)):
        get(toy, tmp_path, "one", pause=waits)
    assert not waits
    get(toy, tmp_path, "one")


def test_a_server_that_is_not_there_is_given_up(tmp_path, waits, site):
    archive = Archive("one", "http://127.0.0.1:9/x.tgz", "sha256:" + "0" * 64, 10, "Corpus")
    with pytest.raises(CorpusError, match="broke off 6 times"):
        get(module_of(archive), tmp_path, pause=waits)
    assert len(waits) == download.ATTEMPTS - 1
    assert not site.asked


# archives whose size nobody publishes to the byte


@pytest.fixture
def about(toy):
    """Corpus of one archive of which the size is known about."""
    return module_of(replace(toy.ARCHIVES[0], size_bytes=toy.ARCHIVES[0].size_bytes - 1000, size_is_exact=False))


def test_a_size_that_is_not_exact_only_serves_as_a_measure(about, tmp_path):
    seen = []
    get(about, tmp_path, progress=lambda *words: seen.append(words))
    assert contents(tmp_path) == {"Corpus/readme": b"hello", "Corpus/one/a.wav": NOISE}
    assert all(done <= total for _, done, total in seen)


def test_its_checksum_decides(about, tmp_path, site, before):
    site.files["one.tgz"] = site.files["one.tgz"][:-1] + b"?"
    with pytest.raises(CorpusError, match="not what was published"):
        get(about, tmp_path)
    assert contents(tmp_path) == before


def test_a_break_in_it_is_resumed_too(about, tmp_path, site):
    site.breaks = [100_000]
    get(about, tmp_path)
    assert site.asked[1]["Range"] == "bytes=100000-"
    assert (tmp_path / "Corpus" / "one" / "a.wav").read_bytes() == NOISE


def test_it_may_not_grow_without_end(about, tmp_path, site, before):
    site.files["one.tgz"] = bytes(3_000_000)
    with pytest.raises(CorpusError, match="3,000,000 bytes or more"):
        get(about, tmp_path)
    assert contents(tmp_path) == before
