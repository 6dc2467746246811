"""What of a dataset a run was trained on, itself or by way of the runs that it used."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from at_data.errors import CheckpointError

Item = tuple[str, str]  # id and waveform
INHERITED = ("inherited_ids.txt", "inherited_waveforms.txt")  # what the networks that a run uses were trained on
NAMELESS = "table"  # a corpus whose ids are whatever a user lists, and mean nothing elsewhere


def seen(run: Path, facts: Mapping[str, Any], corpus: str, items: Mapping[str, Iterable[Item]]) -> dict[str, int]:
    """How many of these items, by split, come from recordings that were heard; `facts` are the run's `run.json`.

    A recording is known again by its id within one corpus, unless that is whatever a user lists (`table`), and by its
    waveform whatever it is called. CheckpointError as of `heard`.
    """
    taught, waveforms = heard(run, facts)
    recordings = {_recording(line) for line in taught}
    return {
        split: sum(_recording(_line(corpus, item)) in recordings or waveform in waveforms for item, waveform in some)
        for split, some in items.items()
    }


def heard(run: Path, facts: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Items, as `corpus<TAB>item id`, and waveforms that a run was trained on, or a run whose network it used.

    What those runs had used themselves counts, however far back, unless the run is `forgetful`; its own lists do not,
    where it has no epoch behind it. No items of corpus `table`. CheckpointError when one of the lists is gone.
    """
    corpus, items, waveforms = facts["dataset"]["corpus"], set[str](), set[str]()
    if facts["epochs_run"]:
        items.update(_line(corpus, item) for item in _lines(run / "train_ids.txt") if corpus != NAMELESS)
        waveforms.update(_lines(run / "train_waveforms.txt"))
    if facts["orthogonal"] and not forgetful(run, facts):
        items.update(_lines(run / INHERITED[0]))
        waveforms.update(_lines(run / INHERITED[1]))
    return items, waveforms


def forgetful(run: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a run used others and has no list of what they heard: it ended before runs kept such lists."""
    return bool(facts["orthogonal"]) and not any((run / name).exists() for name in INHERITED)


def _lines(path: Path) -> list[str]:
    try:
        # names may hold separators at which splitlines() breaks, and carriage returns, which read_text() replaces
        return [line for line in path.read_bytes().decode().split("\n") if line]
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            path,
            f"cannot be read ({error})",
            "the list of what the run was trained on",
            "restore the file, or train that run again in a new folder",
        ) from error


def _line(corpus: str, item: str) -> str:
    """An item as it is told from those of other corpora."""
    return f"{corpus}\t{item}"


def _recording(item: str) -> str:
    """Recording that an item is a segment of."""
    return item.rsplit("#", 1)[0]
