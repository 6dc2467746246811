"""A server of this machine for each test, the corpus it has, and what a user had before."""

import threading
from http.server import ThreadingHTTPServer

import pytest
from web_site import NOISE, Handler, Site, Waits, archive_of, module_of, packed


@pytest.fixture
def site(monkeypatch):
    """A server in a thread, that is reached without the detour that a machine may be set up for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfSite", (Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def toy(site):
    """A corpus of two subsets that go into one folder."""
    one = packed({"Corpus/readme": b"hello", "Corpus/one/a.wav": NOISE})
    two = packed({"Corpus/readme": b"hello", "Corpus/two/b.wav": NOISE[::-1]})
    return module_of(archive_of(site, "one", one), archive_of(site, "two", two, kind="md5"))


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def before(tmp_path):
    """What a user had in the folder, to be there whatever happens."""
    mine = {"Corpus/mine.wav": b"mine", "Corpus/one/old.wav": b"old", "Other/x.wav": b"x"}
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return mine
