"""What of a dataset a run was trained on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from at_data.errors import CheckpointError

Item = tuple[str, str]  # id and waveform


def seen(run: Path, facts: Mapping[str, Any], corpus: str, items: Mapping[str, Iterable[Item]]) -> dict[str, int]:
    """How many of these items, by split, come from recordings that a run was trained on; `facts` are its `run.json`.

    A recording is known again by its id within one corpus, unless that is whatever a user lists (`table`), and by its
    waveform whatever it is called. CheckpointError when the lists of what the run was trained on are gone.
    """
    same = facts["dataset"]["corpus"] == corpus != "table"
    taught = {_recording(item) for item in _lines(run / "train_ids.txt")} if same else set()
    heard = set(_lines(run / "train_waveforms.txt"))
    return {
        split: sum(_recording(item) in taught or waveform in heard for item, waveform in some)
        for split, some in items.items()
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            path,
            f"cannot be read ({error})",
            "the list of what the run was trained on",
            "restore the file, or train that run again in a new folder",
        ) from error


def _recording(item: str) -> str:
    """Recording that an item is a segment of."""
    return item.rsplit("#", 1)[0]
