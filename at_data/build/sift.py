"""Summaries of what was read -> the items that stay, and why the others do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from at_data.build.plan import Plan
from at_data.build.work import Row, Summary, row_order
from at_data.errors import CorpusError
from at_data.recordings import Recording
from at_data.stages import leaks


@dataclass(frozen=True, slots=True)
class Kept:
    """One item of the dataset: its recording, its row in the summary, and where it stands in the part file."""

    recording: Recording
    row: Row
    part_row: int

    @property
    def id(self) -> str:
        """Segment id."""
        return f"{self.recording.id}#{self.row.segment}"


@dataclass(frozen=True, slots=True)
class Sifted:
    """Items of every shard in their final order, waveform hashes of their recordings, and what was left out."""

    items: list[list[Kept]]
    waveforms: dict[str, str]
    left_out: list[Mapping[str, str]]


def sift(plan: Plan, summaries: Sequence[Summary], max_bad: float, quarantine: Path) -> Sifted:
    """What stays of everything read.

    Raises CorpusError when more than a share of `max_bad` is bad (`quarantine` is the list to look into), when the
    manifest has shared waveforms end the build, and when a split lost a class.
    """
    left_out: list[Mapping[str, str]] = [
        *plan.unlabelled,
        *(entry for summary in summaries for entry in summary.left_out),
    ]
    refuse_too_bad(left_out, "bad", len(plan.recordings), max_bad, quarantine)
    waveforms = _waveforms(plan, summaries)
    dropped = _duplicates(plan, waveforms)
    left_out += [
        {
            "id": item,
            "recording": item,
            "kind": "duplicate",
            "reason": f"same waveform as {keeper} in {plan.assigned[keeper]}",
        }
        for item, keeper in sorted(dropped.items())
    ]
    items = []
    for task, summary in zip(plan.tasks, summaries, strict=True):
        order = row_order(plan.manifest.seed, task.file, len(summary.rows)).tolist()
        placed = (Kept(task.recordings[summary.rows[place].recording], summary.rows[place], place) for place in order)
        items.append([item for item in placed if item.recording.id not in dropped])
    _refuse_lost_class(plan, items, quarantine)
    return Sifted(items, waveforms, left_out)


def _waveforms(plan: Plan, summaries: Sequence[Summary]) -> dict[str, str]:
    """Hash of every recording of which an item came; what was left out can be nobody's duplicate."""
    found = {}
    for task, summary in zip(plan.tasks, summaries, strict=True):
        used = {task.recordings[row.recording].id for row in summary.rows}
        found.update({item: digest for item, digest in summary.waveforms.items() if item in used})
    return found


def refuse_too_bad(left_out: Sequence[Mapping[str, str]], kind: str, total: int, max_bad: float, where: Path) -> None:
    """CorpusError where more than a share of `max_bad` of all recordings is left out for this reason."""
    bad = {entry["recording"]: entry for entry in left_out if entry["kind"] == kind}
    if len(bad) > max_bad * total:
        first = "; ".join(f"{entry['id']}: {entry['reason']}" for entry in list(bad.values())[:3])
        raise CorpusError(
            where,
            f"{len(bad)} of {total} recordings are {kind} ({first})",
            f"at most {max_bad:.2%}",
            "mend or remove them and run the same command again, or allow more with --max-bad",
        )


def _duplicates(plan: Plan, waveforms: dict[str, str]) -> dict[str, str]:
    """Recordings whose waveform also stands in a more protected split, as far as the manifest minds."""
    rule = plan.manifest.duplicates
    shared = {} if rule == "keep" else leaks.shared_waveforms(waveforms, plan.assigned)
    if shared and rule == "fail":
        pairs = "; ".join(f"{item} = {keeper}" for item, keeper in sorted(shared.items())[:5])
        raise CorpusError(
            plan.root,
            f"{len(shared)} recordings have the same waveform as one in another split ({pairs})",
            "no waveform in two splits",
            "set duplicates: drop in the manifest, or remove one of each",
        )
    return shared


def _refuse_lost_class(plan: Plan, items: Sequence[Sequence[Kept]], quarantine: Path) -> None:
    """Every class the plan brought into a split must still be there in what could be read."""
    target = plan.manifest.target
    planned: dict[str, set[str]] = {task.split: set() for task in plan.tasks}
    held: dict[str, set[str]] = {task.split: set() for task in plan.tasks}
    for task, kept in zip(plan.tasks, items, strict=True):
        planned[task.split].update(recording.attributes[target] for recording in task.recordings)
        held[task.split].update(item.recording.attributes[target] for item in kept)
    for split, found in held.items():
        lost = sorted(planned[split] - found)
        if lost:
            raise CorpusError(
                quarantine,
                f"of {target} {', '.join(lost[:10])} nothing usable is left in {split}",
                "every class that was planned for a split",
                "mend those recordings, keep fewer classes, or give that split a larger share",
            )
