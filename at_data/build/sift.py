"""Summaries of what was read -> the items that stay, and why the others do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from at_data.build import kinds
from at_data.build.alike import Near
from at_data.build.finish import row_order
from at_data.build.hearing import Fingerprint
from at_data.build.parts import Row, Summary
from at_data.build.plan import Plan
from at_data.errors import CorpusError
from at_data.recordings import Recording
from at_data.stages import duplicates, leaks


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
    """Items of every shard in their final order, hashes and fingerprints of their recordings, and what was left out.

    Those of recordings held out are among the hashes and fingerprints; `noises` are hashes of noise waveforms. `near`
    holds pairs of near-duplicates in two splits that stay, for the manifest keeps them.
    """

    items: list[list[Kept]]
    waveforms: dict[str, str]
    fingerprints: dict[str, Fingerprint]
    noises: dict[str, str]
    near: list[tuple[str, str]]
    left_out: list[Mapping[str, str]]


def sift(
    plan: Plan,
    summaries: Sequence[Summary],
    words: dict[str, Fingerprint],
    max_bad: float,
    where: Path,
    search: Near = duplicates.near,
) -> Sifted:
    """What stays of everything read; `words` are the fingerprints of it, `search` finds those that are alike.

    Raises CorpusError when more than a share of `max_bad` is bad (`where` is the list to look into), when the manifest
    has shared waveforms or near-duplicates end the build, and when a split lost a class.
    """
    own = summaries[: len(plan.tasks)]
    left_out: list[Mapping[str, str]] = [*plan.unlabelled, *(entry for summary in own for entry in summary.left_out)]
    places = plan.places
    refuse_too_bad(left_out, kinds.BAD, len(plan.recordings), max_bad, where)
    unheard = _unheard(summaries[len(plan.tasks) :])
    refuse_too_bad(unheard, kinds.HELD_OUT, sum(len(task.recordings) for task in plan.watched), max_bad, plan.root)
    left_out += unheard
    waveforms = _waveforms(plan, summaries)
    rules = plan.manifest.duplicates
    same = {} if rules.exact == "keep" else leaks.shared_waveforms(waveforms, places)
    _refuse_duplicates(plan, same, rules.exact, "exact", "the same waveform as")
    left_out += _entries(places, same, kinds.DUPLICATE, "same waveform as")
    alike, near = _near(
        search, places, rules.near, {item: words[item] for item in sorted(waveforms) if item not in same}
    )
    _refuse_duplicates(plan, alike, rules.near, "near", "nearly the same sound as")
    left_out += _entries(places, alike, kinds.NEAR_DUPLICATE, "nearly the same sound as")
    dropped = {**same, **alike}
    items = []
    for task, summary in zip(plan.tasks, own, strict=True):
        order = row_order(plan.manifest.seed, task.file, len(summary.rows)).tolist()
        placed = (Kept(task.recordings[summary.rows[place].recording], summary.rows[place], place) for place in order)
        items.append([item for item in placed if item.recording.id not in dropped])
    _refuse_lost_class(plan, items, where)
    used = {item: words[item] for item in waveforms}
    noises = {item: digest for summary in own for item, digest in summary.noises.items()}
    return Sifted(items, waveforms, used, noises, near, left_out)


def _unheard(watched: Sequence[Summary]) -> list[dict[str, str]]:
    """Recordings held out that could not be compared with those of the dataset."""
    bad = (entry for summary in watched for entry in summary.left_out)
    return [{**entry, "kind": kinds.HELD_OUT, "reason": f"not compared: {entry['reason']}"} for entry in bad]


def _waveforms(plan: Plan, summaries: Sequence[Summary]) -> dict[str, str]:
    """Hash of every recording of which an item came, or that is held out; what was left out is nobody's duplicate."""
    found = {}
    for task, summary in zip((*plan.tasks, *plan.watched), summaries, strict=True):
        used = {task.recordings[row.recording].id for row in summary.rows} if task.file else summary.waveforms.keys()
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


def _near(
    search: Near, places: Mapping[str, str], rule: str, words: dict[str, Fingerprint]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Recordings nearly the same as one in a more protected split, as far as the manifest minds; and pairs that stay.

    Looked for again until none is left: of a sound that very many recordings hold, not all pairs are named at once.
    """
    dropped: dict[str, str] = {}
    while True:
        pairs = [(pair.one, pair.other) for pair in search(words, places)]
        losers = leaks.less_protected(pairs, places)
        if not losers or rule == "keep":
            return dropped, pairs
        dropped |= losers
        words = {item: held for item, held in words.items() if item not in losers}


def _entries(places: Mapping[str, str], dropped: Mapping[str, str], kind: str, text: str) -> list[dict[str, str]]:
    return [
        {"id": item, "recording": item, "kind": kind, "reason": f"{text} {keeper} in {places[keeper]}"}
        for item, keeper in sorted(dropped.items())
    ]


def _refuse_duplicates(plan: Plan, found: Mapping[str, str], rule: str, key: str, text: str) -> None:
    if found and rule == "fail":
        pairs = "; ".join(f"{item} = {keeper}" for item, keeper in sorted(found.items())[:5])
        raise CorpusError(
            plan.root,
            f"{len(found)} recordings have {text} one in another split ({pairs})",
            "no recording in two splits",
            f"set duplicates.{key}: drop in the manifest, or remove one of each",
        )


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
