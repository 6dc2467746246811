"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import at_data
import at_train

NAMES = [
    module.name
    for package in (at_data, at_train)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples_give_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
