"""What `at-prepare plan` says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy and scipy, which --help does not need
    from at_data.build import Estimate, Plan


def facts(made: "Plan", found: "Estimate", warnings: Sequence[str]) -> dict[str, Any]:
    """Every figure for machines, its unit in its name."""
    return {
        "name": made.manifest.name,
        "folder": made.manifest.folder,
        "recordings": len(made.recordings),
        "by_split": _by_split(made),
        "classes": len(made.attributes[made.manifest.target]),
        "shape": list(made.shape),
        "shards": len(made.tasks),
        **asdict(found),
        "left_out": _left_out(made),
        "warnings": list(warnings),
        "leaks": [asdict(line) for line in made.proof],
    }


def too_unreadable(made: "Plan", found: "Estimate", max_bad: float) -> str | None:
    """Why a build will end for what is unreadable, where the headers alone tell that more than this share is."""
    if found.unreadable_recordings <= max_bad * len(made.recordings):
        return None
    return (
        f"{_unreadable(found)}, of {len(made.recordings)} recordings will be bad; expected at most {max_bad:.2%}; "
        "mend or remove them, or allow more with --max-bad"
    )


def _unreadable(found: "Estimate") -> str:
    """How many recordings, and the first of them."""
    some = "; ".join(f"{item}: {reason}" for item, reason in found.unreadable.items())
    more = "; ..." if found.unreadable_recordings > len(found.unreadable) else ""
    return f"{found.unreadable_recordings}, by {found.headers_read} headers ({some}{more})"


def text(made: "Plan", found: "Estimate") -> str:
    """The same for people, in lines."""
    classes = len(made.attributes[made.manifest.target])
    lost = ", ".join(f"{count} {kind}" for kind, count in _left_out(made).items())
    size = " x ".join(map(str, made.shape))
    splits = (
        f"{split} {count} ({found.hours_by_split[split]:.2f} h)"
        for split, count in found.items_by_split.items()
        if count
    )
    lines = [
        f"{made.manifest.folder}: {len(made.recordings)} recordings, {classes} classes",
        "  recordings: "
        + ", ".join(f"{split} {count}" for split, count in _by_split(made).items())
        + (f"; left out: {lost}" if lost else ""),
        f"  items, {_known(found)}: " + (", ".join(splits) or "none"),
        f"  {found.items} items of {size} in {len(made.tasks)} shards, {_size(found.data_bytes)} with all tables",
        f"  disk: {_size(found.needed_disk_bytes)} at most while it is built" + _free(found),
        f"  memory: {_size(found.parent_memory_bytes)}, and {_size(found.worker_memory_bytes)} in each worker, at most",
    ]
    if found.core_s is not None and found.wall_s is not None:
        lines.append(f"  time: {found.core_s:.0f} s of one core; {found.wall_s:.0f} s with --workers {found.workers}")
    if found.unreadable_recordings:
        lines.append(f"  unreadable by their headers: {_unreadable(found)}")
    for line in made.proof:
        shared = f" ({line.shared})" if line.shared else ""
        lines.append(f"  {' / '.join(line.splits)}: {line.key} {line.verdict}{shared}")
    return "\n".join(lines)


def _known(found: "Estimate") -> str:
    """How the number of items is known, in words."""
    if found.items_are == "estimated":
        return f"from {found.recordings_decoded} recordings decoded, at most {found.items_at_most}"
    return found.items_are


def _free(found: "Estimate") -> str:
    return "" if found.free_disk_bytes is None else f", {_size(found.free_disk_bytes)} free"


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e10 else f"{count / 1e9:,.1f} GB"  # noqa: PLR2004


def _left_out(made: "Plan") -> dict[str, int]:
    """What is left out before anything is read, by kind."""
    return dict(sorted(Counter(entry["kind"] for entry in made.unlabelled).items()))


def _by_split(made: "Plan") -> dict[str, int]:
    return {name: sum(len(task.recordings) for task in made.tasks if task.split == name) for name in made.splits}
