"""Settings that act in a run, told in words; the values that are common among runs."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from at_train.config import STRATEGIES, USED_BY
from at_train.results import Trained

COMPARED = ("anti", "dual")
SEVERAL = object()  # in place of a usual value: several are as common, and each is told


def used(run: Trained, names: Iterable[str]) -> dict[str, Any]:
    """Settings that change what this run learns, by name; one that its folder does not tell is `not told`."""
    strategy = run.settings["strategy"]
    return {
        name: run.settings.get(name, "not told")
        for name in names
        if strategy not in STRATEGIES or strategy in USED_BY.get(name, STRATEGIES)
    }


def word(value: Any) -> str:
    """A setting's value as people read it."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value)) or "none"
    return "none" if value is None else str(value).removesuffix(".0")


def commonest(values: Iterable[Any]) -> Any:
    """The value that more runs have than any other; SEVERAL where some are as common, None of none."""
    told = {}
    counts: Counter[str] = Counter()
    for value in values:
        told[text(value)] = value
        counts[text(value)] += 1
    first = counts.most_common(2)
    if len(first) > 1 and first[0][1] == first[1][1]:
        return SEVERAL
    return told[first[0][0]] if first else None


def text(value: Any) -> str:
    """A value as one text, by which values are compared."""
    return json.dumps(value, sort_keys=True)
