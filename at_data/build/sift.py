"""Summaries of what was read -> the items that stay, and why the others do not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from at_data.build import kinds
from at_data.build.alike import Near
from at_data.build.compact import Hashes, Some, Words
from at_data.build.finish import row_order
from at_data.build.plan import Plan
from at_data.build.rows import Items, Rows
from at_data.build.told import Told
from at_data.errors import CorpusError
from at_data.stages import duplicates, leaks


@dataclass(frozen=True, slots=True)
class Sifted:
    """Items of every shard in their final order, hashes and fingerprints of their recordings, and what was left out.

    Those of recordings held out are among the hashes and fingerprints; `noises` are hashes of noise waveforms. `near`
    holds pairs of near-duplicates in two splits that stay, for the manifest keeps them.
    """

    items: list[Items]
    waveforms: Hashes
    fingerprints: Words
    noises: dict[str, str]
    near: list[tuple[str, str]]
    left_out: list[Mapping[str, str]]

    @property
    def held(self) -> Some:
        """Recordings of which an item stays."""
        there = np.zeros_like(self.waveforms.there)
        for items in self.items:
            there[[self.waveforms.numbers[recording.id] for recording in items.recordings]] = True
        return Some(self.waveforms.numbers, there)


def sift(plan: Plan, said: Told, max_bad: float, where: Path, search: Near = duplicates.near) -> Sifted:
    """What stays of everything read; `search` finds recordings that are alike.

    Raises CorpusError when more than a share of `max_bad` is bad (`where` is the list to look into), when the manifest
    has shared waveforms or near-duplicates end the build, and when a split lost a class.
    """
    own = len(plan.tasks)
    left_out: list[Mapping[str, str]] = [*plan.unlabelled, *chain.from_iterable(said.left_out[:own])]
    places = plan.places
    refuse_too_bad(left_out, kinds.BAD, len(plan.recordings), max_bad, where)
    unheard = _unheard(chain.from_iterable(said.left_out[own:]))
    refuse_too_bad(unheard, kinds.HELD_OUT, sum(len(task.recordings) for task in plan.watched), max_bad, plan.root)
    left_out += unheard
    rules = plan.manifest.duplicates
    several = {item: said.waveforms[item] for item in said.waveforms.several()}
    same = {} if rules.exact == "keep" else leaks.shared_waveforms(several, places)
    _refuse_duplicates(plan, same, rules.exact, "exact", "the same waveform as")
    left_out += _entries(places, same, kinds.DUPLICATE, "same waveform as")
    alike, near = _near(search, places, rules.near, said.words.only(said.words.without(same)))
    _refuse_duplicates(plan, alike, rules.near, "near", "nearly the same sound as")
    left_out += _entries(places, alike, kinds.NEAR_DUPLICATE, "nearly the same sound as")
    items = _items(plan, said.rows[:own], {**same, **alike})
    _refuse_lost_class(plan, items, where)
    return Sifted(items, said.waveforms, said.words, said.noises, near, left_out)


def _items(plan: Plan, rows: Sequence[Rows], dropped: Mapping[str, str]) -> list[Items]:
    """Items of every shard in their final order, but for those of recordings that are dropped."""
    found = []
    for task, some in zip(plan.tasks, rows, strict=True):
        order = row_order(plan.manifest.seed, task.file, len(some.columns)).astype(np.int32)
        items = Items(task, some, order)
        if dropped:
            items = items.only(np.array([recording.id not in dropped for recording in items.recordings], bool))
        found.append(items)
    return found


def _unheard(left_out: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Recordings held out that could not be compared with those of the dataset."""
    return [{**entry, "kind": kinds.HELD_OUT, "reason": f"not compared: {entry['reason']}"} for entry in left_out]


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
    search: Near, places: Mapping[str, str], rule: str, words: Words
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
        words = words.only(words.without(losers))


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


def _refuse_lost_class(plan: Plan, items: Sequence[Items], quarantine: Path) -> None:
    """Every class the plan brought into a split must still be there in what could be read."""
    target = plan.manifest.target
    planned: dict[str, set[str]] = {task.split: set() for task in plan.tasks}
    held: dict[str, set[str]] = {task.split: set() for task in plan.tasks}
    for task, kept in zip(plan.tasks, items, strict=True):
        planned[task.split].update(recording.attributes[target] for recording in task.recordings)
        held[task.split].update(recording.attributes[target] for recording in kept.recordings)
    for split, found in held.items():
        lost = sorted(planned[split] - found)
        if lost:
            raise CorpusError(
                quarantine,
                f"of {target} {', '.join(lost[:10])} nothing usable is left in {split}",
                "every class that was planned for a split",
                "mend those recordings, keep fewer classes, or give that split a larger share",
            )
