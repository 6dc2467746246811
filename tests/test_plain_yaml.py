"""Plain values from YAML that a stranger wrote: what it may say, and what it may not cost."""

import os
import time

import pytest

from at_data import manifest, plain_yaml
from at_data.errors import ConfigError, ManifestError
from at_train import config, study

BOMB = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))

REFUSED = {
    "billion laughs": BOMB,
    "billion merges": MERGES,
    "inside itself": "a: &a [*a]",
    "deep lists": "a: " + "[" * 100_000,
    "deep lines": "\n".join(" " * n + "- " for n in range(200)),
    "a program": "a: !!python/object/apply:os.system ['touch PWNED']",
    "a name of python": "a: !!python/name:os.system",
    "a number that is none": "a: !!float x",
    "a truth that is none": "a: !!bool maybe",
    "a day that is none": "a: 2001-99-99",
    "a tag on another thing": "a: !!timestamp x",
    "a key twice": "a: 1\na: 2",
    "a key that is no text": "1: a",
    "too long": "a: " + "x" * (plain_yaml.MOST_BYTES + 1),
    "too many": "a: [" + "1," * plain_yaml.MOST_VALUES + "]",
    "NUL": "a: \0",
}
READERS = {
    "manifest": (manifest.load, ManifestError),
    "study": (study.load, ConfigError),
    "settings": (config.load, ConfigError),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_plain_yaml_is_refused_at_once_by_every_reader(reader, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load, kind = READERS[reader]
    (tmp_path / "a.yaml").write_text(REFUSED[name], encoding="utf-8")
    begun = time.monotonic()
    with pytest.raises(kind, match="cannot be read"):
        load(tmp_path / "a.yaml")
    assert time.monotonic() - begun < 60
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_plain_values_come_as_they_are_written():
    text = "rate: 16000\nwords: [no, 'yes', null, 1.5]\nboth: &b {a: 1}\nsame: {<<: *b, c: 2}\n"
    assert plain_yaml.parse(text) == {
        "rate": 16000,
        "words": [False, "yes", None, 1.5],
        "both": {"a": 1},
        "same": {"a": 1, "c": 2},
    }


def test_an_empty_file_says_nothing():
    assert plain_yaml.parse("# nothing\n") is None


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(ValueError, match="pipe or device"):
        plain_yaml.read(tmp_path / "a.yaml")


@pytest.mark.parametrize("value", ["[[a]]", "[{a: 1}]", "1"])
def test_a_study_whose_names_are_no_names_is_refused(value, tmp_path):
    text = f"name: s\ndatasets: {{d: word}}\nseeds: [1]\nruns:\n  - {{name: a, dataset: d, orthogonal: {value}}}\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError):
        study.load(tmp_path / "a.yaml")
