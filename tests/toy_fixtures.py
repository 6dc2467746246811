"""Toy datasets and finished runs on them, made once for all tests that ask for them."""

import pytest
import toy

from at_train.run import fit


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "words", digest="a" * 64)


@pytest.fixture(scope="session")
def speakers(tmp_path_factory):
    return toy.dataset(tmp_path_factory.mktemp("data") / "speakers", target="speaker", digest="b" * 64)


@pytest.fixture(scope="session")
def plain(tmp_path_factory, words):
    out = tmp_path_factory.mktemp("runs") / "plain"
    fit(words, out, toy.settings(epochs=3), "cpu")
    return out


@pytest.fixture(scope="session")
def speaker(tmp_path_factory, speakers):
    out = tmp_path_factory.mktemp("runs") / "speaker"
    fit(speakers, out, toy.settings(), "cpu")
    return out


@pytest.fixture(scope="session")
def anti(tmp_path_factory, words, speaker):
    out = tmp_path_factory.mktemp("runs") / "anti"
    given = {"strategy": "anti", "orthogonal": [str(speaker)], "layers": ["conv3", "conv5"]}
    fit(words, out, toy.settings(**given), "cpu")
    return out
