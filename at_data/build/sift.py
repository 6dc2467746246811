"""Summaries of what was read -> the items that stay, and why the others do not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from at_data import scratch
from at_data.build import alike, kinds
from at_data.build.compact import Hashes, Words
from at_data.build.finish import row_order
from at_data.build.plan import Plan
from at_data.build.rows import Items, Rows
from at_data.build.told import Told
from at_data.errors import CorpusError
from at_data.rolls import ABSENT, Roll
from at_data.rolls.assignment import Assignment
from at_data.stages import duplicates, leaks, overlaps


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
    several: Int64[np.ndarray, "several"]
    """Numbers of the recordings whose waveform another one has as well."""

    @property
    def held(self) -> Bool[np.ndarray, "listing"]:
        """Of every recording of the listing, whether an item of it stays."""
        there = scratch.zeros(self.waveforms.there.size, bool)
        for items in self.items:
            there[items.recordings.rows] = True
        return there


def sift(plan: Plan, said: Told, max_bad: float, where: Path, run: duplicates.Run | None = None) -> Sifted:
    """What stays of everything read; `run` searches the parts of all fingerprints for recordings that are alike.

    Raises CorpusError when more than a share of `max_bad` is bad (`where` is the list to look into), when the manifest
    has shared waveforms or near-duplicates end the build, and when a split lost a class.
    """
    own = len(plan.tasks)
    left_out: list[Mapping[str, str]] = [*plan.unlabelled, *chain.from_iterable(said.left_out[:own])]
    places = plan.places
    _refuse_too_bad(left_out, kinds.BAD, len(plan.recordings), max_bad, where)
    unheard = _unheard(chain.from_iterable(said.left_out[own:]))
    _refuse_too_bad(unheard, kinds.HELD_OUT, len(plan.held_out), max_bad, plan.root)
    left_out += unheard
    rules = plan.manifest.duplicates
    several = said.waveforms.several()
    same = {} if rules.exact == "keep" else _same(said.waveforms, several, places)
    _refuse_duplicates(plan, same, rules.exact, "exact", "have the same waveform as")
    left_out += _entries(same, kinds.DUPLICATE, "same waveform as")
    dropped = [loser.number for loser in same.values()]
    sharing = {} if rules.near == "keep" else _sharing(places, said, dropped)
    _refuse_duplicates(plan, sharing, rules.near, "near", "share samples with")
    left_out += _entries(sharing, kinds.NEAR_DUPLICATE, "shares samples with")
    dropped += [loser.number for loser in sharing.values()]
    nearly, near = _near(run, places, rules.near, said.words.without(np.array(dropped, np.int64)))
    _refuse_duplicates(plan, nearly, rules.near, "near", "have nearly the same sound as")
    left_out += _entries(nearly, kinds.NEAR_DUPLICATE, "nearly the same sound as")
    dropped += [loser.number for loser in nearly.values()]
    items = _items(plan, said.rows[:own], np.array(dropped, np.int64))
    _refuse_lost_class(plan, items, where)
    return Sifted(items, said.waveforms, said.words, said.noises, near, left_out, several)


def _items(plan: Plan, rows: Sequence[Rows], dropped: Int64[np.ndarray, "dropped"]) -> list[Items]:
    """Items of every shard in their final order, but for those of recordings that are dropped."""
    out = scratch.zeros(len(plan.recordings.columns.ids), bool)
    out[dropped] = True
    orders = scratch.zeros(sum(len(some.columns) for some in rows), np.int32)
    found, start = [], 0
    for task, some in zip(plan.tasks, rows, strict=True):
        order = orders[start : start + len(some.columns)]
        order[:] = row_order(plan.manifest.seed, task.file, order.size)
        items = Items(task, some, order)
        if dropped.size:
            items = items.only(~out[items.recordings.rows])
        found.append(items)
        start += order.size
    return found


def _unheard(left_out: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Recordings held out that could not be compared with those of the dataset."""
    return [{**entry, "kind": kinds.HELD_OUT, "reason": f"not compared: {entry['reason']}"} for entry in left_out]


def too_unlabelled(plan: Plan, source: Path, max_bad: float) -> CorpusError | None:
    """The error with which a build ends before it reads anything; None where it goes on."""
    return _too_bad(plan.unlabelled, kinds.UNLABELLED, plan.asked, max_bad, source)


def _refuse_too_bad(left_out: Sequence[Mapping[str, str]], kind: str, total: int, max_bad: float, where: Path) -> None:
    error = _too_bad(left_out, kind, total, max_bad, where)
    if error is not None:
        raise error


def _too_bad(
    left_out: Sequence[Mapping[str, str]], kind: str, total: int, max_bad: float, where: Path
) -> CorpusError | None:
    """The error where more than a share of `max_bad` of all recordings is left out for this reason."""
    bad = {entry["recording"]: entry for entry in left_out if entry["kind"] == kind}
    if len(bad) <= max_bad * total:
        return None
    first = "; ".join(f"{entry['id']}: {entry['reason']}" for entry in list(bad.values())[:3])
    return CorpusError(
        where,
        f"{len(bad)} of {total} recordings are {kind} ({first})",
        f"at most {max_bad:.2%}",
        "mend or remove them and run the same command again, or allow more with --max-bad",
    )


@dataclass(frozen=True, slots=True)
class _Loser:
    """A recording that gives way: its number, and what stays in its place, in which split."""

    number: int
    keeper: str
    split: str


def _same(waveforms: Hashes, numbers: Int64[np.ndarray, "several"], places: Assignment) -> dict[str, _Loser]:
    """Of recordings with equal waveforms those whose waveform one in a more protected split has."""
    ids = places.columns.ids.at(numbers)
    splits = places.some(numbers)
    losers = leaks.shared_waveforms(dict(zip(ids, waveforms.hexed(numbers), strict=True)), splits)
    return _losers(losers, dict(zip(ids, numbers.tolist(), strict=True)), splits)


def _sharing(places: Assignment, said: Told, dropped: Sequence[int]) -> dict[str, _Loser]:
    """Stretches that share samples with one of the same file, or of a copy of it, in a more protected split."""
    columns = places.columns
    if np.isnan(columns.starts_s).all():
        return {}  # whole files share none
    asked = scratch.filled(said.waveforms.there, bool)
    asked[np.array(dropped, np.int64)] = False
    asked &= places.codes != ABSENT
    numbers = np.flatnonzero(asked)
    ranks = np.array([leaks.RANK[name] for name in places.names], np.int8)[places.codes[numbers]]
    files = said.files.copies()[columns.paths.ranks[numbers]]
    several = overlaps.of_several_ranks(files, ranks)
    numbers, ranks, files = numbers[several], ranks[several], files[several]
    starts_s = np.nan_to_num(columns.starts_s[numbers])
    lengths_s = columns.lengths_s[numbers]
    stops_s = starts_s + np.where(np.isnan(lengths_s), np.inf, lengths_s)
    keepers = overlaps.losers(files, starts_s, stops_s, ranks)
    gone = np.flatnonzero(keepers != overlaps.NOBODY)
    losers, winners = numbers[gone], numbers[keepers[gone]]
    splits = places.some(winners)
    return {
        item: _Loser(number, keeper, splits[keeper])
        for item, number, keeper in zip(columns.ids.at(losers), losers.tolist(), columns.ids.at(winners), strict=True)
    }


def _near(
    run: duplicates.Run | None, places: Assignment, rule: str, words: Words
) -> tuple[dict[str, _Loser], list[tuple[str, str]]]:
    """Recordings nearly the same as one in a more protected split, as far as the manifest minds; and pairs that stay.

    Looked for again until none is left: of a sound that very many recordings hold, not all pairs are named at once.
    """
    dropped: dict[str, _Loser] = {}
    while True:
        found = alike.pairs(words, places, run)
        numbers = np.unique(np.array(found, np.int64))
        names = dict(zip(numbers.tolist(), places.columns.ids.at(numbers), strict=True))
        pairs, splits = [(names[one], names[other]) for one, other in found], places.some(numbers)
        losers = leaks.less_protected(pairs, splits)
        if not losers or rule == "keep":
            return dropped, pairs
        more = _losers(losers, {name: number for number, name in names.items()}, splits)
        dropped |= more
        words = words.without(np.array([loser.number for loser in more.values()], np.int64))


def _losers(keepers: Mapping[str, str], numbers: Mapping[str, int], splits: Mapping[str, str]) -> dict[str, _Loser]:
    return {item: _Loser(numbers[item], keeper, splits[keeper]) for item, keeper in keepers.items()}


def _entries(dropped: Mapping[str, _Loser], kind: str, text: str) -> list[dict[str, str]]:
    return [
        {"id": item, "recording": item, "kind": kind, "reason": f"{text} {loser.keeper} in {loser.split}"}
        for item, loser in sorted(dropped.items())
    ]


def _refuse_duplicates(plan: Plan, found: Mapping[str, _Loser], rule: str, key: str, text: str) -> None:
    if found and rule == "fail":
        pairs = "; ".join(f"{item} = {loser.keeper}" for item, loser in sorted(found.items())[:5])
        raise CorpusError(
            plan.root,
            f"{len(found)} recordings {text} one in another split ({pairs})",
            "no recording in two splits",
            f"set duplicates.{key}: drop in the manifest, or remove one of each",
        )


def _refuse_lost_class(plan: Plan, items: Sequence[Items], quarantine: Path) -> None:
    """Every class the plan brought into a split must still be there in what could be read."""
    target = plan.manifest.target
    planned: dict[str, set[int]] = {task.split: set() for task in plan.tasks}
    held: dict[str, set[int]] = {task.split: set() for task in plan.tasks}
    for task, kept in zip(plan.tasks, items, strict=True):
        planned[task.split].update(Roll.of(task.recordings).codes(target).tolist())
        held[task.split].update(kept.recordings.codes(target).tolist())
    values = plan.recordings.values(target)
    for split, found in held.items():
        lost = sorted(values[code] for code in planned[split] - found)
        if lost:
            raise CorpusError(
                quarantine,
                f"of {target} {', '.join(lost[:10])} nothing usable is left in {split}",
                "every class that was planned for a split",
                "that file says why: mend those recordings, or change what drops them (segment.length_s and shorter, "
                "quiet), keep fewer classes, or give that split a larger share",
            )
