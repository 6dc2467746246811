"""Plain values from a YAML file that a stranger may have written, in bounded time and memory.

Nothing in the file makes an object of Python. Keys are strings and stand once in each mapping. A few lines of aliases
can stand for more values than memory holds (the "billion laughs"): values are counted before any is made.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1 << 20  # of a file; the largest shipped one has a few thousand
MOST_VALUES = 50_000  # keys and values, those behind an alias counted wherever it stands
MOST_DEPTH = 50  # lists and mappings inside each other

MERGE = "tag:yaml.org,2002:merge"


def read(path: Path) -> Any:
    """What the file says; OSError where it cannot be read, ValueError where it is no such YAML."""
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder, pipe or device")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    return parse(content.decode("utf-8-sig"))


def parse(text: str) -> Any:
    """What a text says; ValueError where it is no such YAML.

    Examples
    --------
    >>> parse("{rate: 16000, words: [no, 'yes']}")
    {'rate': 16000, 'words': [False, 'yes']}
    >>> parse("&a [*a]")
    Traceback (most recent call last):
        ...
    ValueError: a value stands inside itself

    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _weight(node, {}) > MOST_VALUES:
                raise ValueError(f"more than {MOST_VALUES:,} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    # what is raised where a value is not of the type its tag names: KeyError, AttributeError and the like
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


class _Loader(yaml.SafeLoader):
    """YAML whose keys are strings and stand once in each mapping, and which is not too deep."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_DEPTH} lists and mappings inside each other")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if key_node.tag == MERGE else self.construct_object(key_node, True)
            if not isinstance(key, str):
                problem = f"the key {key_node.value!r} is no string: put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; -1 in `known` marks those it stands inside of."""
    found = known.get(id(node))
    if found is None:
        known[id(node)] = -1
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        each = (part for pair in parts for part in pair) if isinstance(node, yaml.MappingNode) else parts
        found = known[id(node)] = 1 + sum(_weight(part, known) for part in each)
    if found < 0:
        raise ValueError("a value stands inside itself")
    return found
