"""What is doubtful about a plan, in lines for the user."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from unicodedata import normalize

import numpy as np

from at_data.manifest import Manifest
from at_data.rolls import ABSENT, Roll

SHOWN = 3


def unproved(recordings: Roll, keys: Iterable[str]) -> Iterator[str]:
    """A line for every key of the proof that some recordings lack: in which splits their values stand, nobody knows."""
    for name in dict.fromkeys(keys):
        lacking = int(np.count_nonzero(recordings.codes(name) == ABSENT))
        if lacking:
            yield f"{lacking:,} of {len(recordings):,} recordings have no {name}: the proof is of the others alone"


def alike(recordings: Roll, keys: Iterable[str]) -> Iterator[str]:
    """A line for every key some values of which look like one that is written in two ways: they count as two."""
    for name in dict.fromkeys(keys):
        written: defaultdict[str, list[str]] = defaultdict(list)
        for value in recordings.held(name):
            written[_plainly(value)].append(value)
        several = [" and ".join(map(repr, values)) for values in written.values() if len(values) > 1]
        if several:
            shown = "; ".join(several[:SHOWN]) + (", ..." if len(several) > SHOWN else "")
            yield f"values of {name} that count as different and look the same: {shown}"


def kept(manifest: Manifest) -> Iterator[str]:
    """A line where a manifest keeps exact copies and not what is nearly the same, which they are."""
    rules = manifest.duplicates
    if rules.exact == "keep" != rules.near:
        yield f"duplicates.exact: keep keeps nothing beside near: {rules.near}, as a copy has nearly the same sound too"


def _plainly(value: str) -> str:
    """A value without what is easily written in two ways: case, spaces, quotes, empty decimals of a number."""
    text = " ".join(normalize("NFC", value).casefold().split())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return re.sub(r"^(\d+)\.0+$", r"\1", text)
