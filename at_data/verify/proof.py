"""The proof of `leaks.json`, made again from the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from at_data import cards, corpora
from at_data.build.compact import WORD_BYTES
from at_data.errors import ShardError
from at_data.manifest import Manifest
from at_data.stages import bias, duplicates, leaks, mixtures, noise
from at_data.stages.splits import kept_whole
from at_data.verify.index import HEARD, Index
from at_data.verify.tables import Heard, Tables

OF_SOUND = (leaks.WAVEFORM, leaks.NEAR, leaks.NOISE, leaks.NOISE_WAVEFORM)  # keys that are no attributes


def contradictions(folder: Path, tables: Tables, index: Index, made: Manifest) -> Iterator[str]:
    """Lines where the proof is not what the tables make, and for every leak."""
    said = cards.read_proof(folder)
    watched = any(reason == "subset" for _, reason in tables.passed_over)
    found = again(tables, index, made, watched=watched)
    beyond = [line for line in said if _beyond(line)]
    within = [line for line in said if not _beyond(line)]
    if [(line.splits, line.key) for line in within] != [(line.splits, line.key) for line in found]:
        yield f"its lines are not those for {', '.join(dict.fromkeys(line.key for line in found))}, each pair once"
    told = {(line.splits, line.key): line for line in within}
    for made_again in found:
        claimed = told.get((made_again.splits, made_again.key))
        # datasets of before did not count what is unknown
        line = replace(made_again, unknown=made_again.unknown if claimed is not None and claimed.unknown else 0)
        if claimed is not None and claimed != line:
            pair = " / ".join(line.splits)
            yield (
                f"{pair}, {line.key}: says {claimed.shared} {claimed.told} ({_some(claimed)}), "
                f"the tables have {line.shared} {line.told} ({_some(line)})"
            )
    if watched:
        yield from _of_held_out(beyond, found, made)
    for line in said:
        if line.verdict == "LEAK":
            yield f"{' / '.join(line.splits)}, {line.key}: LEAK of {line.shared} ({_some(line)})"


def again(tables: Tables, index: Index, made: Manifest, *, watched: bool) -> list[leaks.Line]:
    """Proof over the recordings of the index, and over the sound of those that are held out of a subset."""
    recordings = list(index.recordings.values())
    keys = _groups(made, corpora.load(made.corpus))
    lines = leaks.prove(recordings, index.splits, keys, made.shared)
    hashes: dict[str, set[str]] = {split: set() for split in dict.fromkeys(index.splits.values())}
    if watched:
        hashes[leaks.HELD_OUT] = set()
    heard = tables.heard
    for split, waveform in zip(heard.splits, heard.waveforms, strict=True):
        hashes.setdefault(split, set()).add(waveform)
    rules = made.duplicates
    lines += leaks.prove_disjoint(leaks.WAVEFORM, hashes, waived=rules.exact == "keep")
    if (heard.sizes % WORD_BYTES).any():
        raise ShardError("fingerprints.parquet", "torn fingerprints", "words of four bytes", "build it again")
    places = dict(zip(heard.recordings, heard.splits, strict=True))
    pairs = _alike(heard)
    lines += leaks.prove_alike(pairs, places, hashes, waived=rules.near == "keep")
    if made.noise != "none":
        lines += leaks.prove_disjoint(leaks.NOISE, _noises(index, "noise.noise"))
        lines += leaks.prove_disjoint(leaks.NOISE_WAVEFORM, _noises(index, HEARD))
    return lines


def _alike(heard: Heard) -> list[tuple[str, str]]:
    """Pairs of recordings in two splits whose fingerprints are nearly the same."""
    sizes = (heard.sizes // WORD_BYTES).astype(np.int32)
    numbers = {name: number for number, name in enumerate(sorted(set(heard.splits)))}
    sides = np.array([numbers[split] for split in heard.splits], np.int32)
    order = np.array(sorted(np.flatnonzero(sizes).tolist(), key=heard.recordings.__getitem__), np.int64)
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    found = duplicates.pairs(heard.fingerprints, starts[order], sizes[order], sides[order])
    return [(heard.recordings[order[one]], heard.recordings[order[other]]) for one, other, _ in found]


def _beyond(line: leaks.Line) -> bool:
    """Whether a line speaks of attributes of what is held out, which no table keeps."""
    return leaks.HELD_OUT in line.splits and line.key not in (leaks.NEAR, leaks.WAVEFORM)


def _of_held_out(said: Sequence[leaks.Line], found: Sequence[leaks.Line], made: Manifest) -> Iterator[str]:
    """Lines where the proof says of what is held out what it cannot say, or says nothing."""
    keys = dict.fromkeys(line.key for line in found if line.key not in OF_SOUND)
    pairs = [line.splits for line in found if line.key == leaks.NEAR and leaks.HELD_OUT in line.splits]
    expected = {(pair, key) for key in keys for pair in pairs}
    if len(said) != len(expected) or {(line.splits, line.key) for line in said} != expected:
        yield f"its lines on what is held out are not those for {', '.join(keys)}, each pair once"
    for line in said:
        verdict = "disjoint" if not line.shared else "shared by design" if line.key in made.shared else "LEAK"
        if line.verdict != verdict or len(line.examples) != min(line.shared, leaks.EXAMPLES):
            yield f"{' / '.join(line.splits)}, {line.key}: says {line.shared} {line.verdict} ({_some(line)})"


def _groups(made: Manifest, module: ModuleType) -> tuple[str, ...]:
    """Attributes that the proof is of: those that identify somebody, and those that the manifest names."""
    bound = () if made.bias == "none" else (made.bias.attribute,)
    together = (mixtures.SPEECH, mixtures.NOISE) if isinstance(made.noise, noise.Task) else ()
    return (*(module.GROUPS or made.nuisances), *kept_whole(made.split), *bound, *together)


def _noises(index: Index, column: str) -> dict[str, set[str]]:
    """What is told of the noises of train, valid and test; what contradicts a bias has those of test."""
    found: dict[str, set[str]] = {"train": set(), "valid": set(), "test": set()}
    for split, value in zip(index.texts("split"), index.texts(column), strict=True):
        place = "test" if split == bias.CONFLICTING else str(split)
        if place in found and value is not None:
            found[place].add(value)
    return found


def _some(line: leaks.Line) -> str:
    shown: Sequence[str] = line.examples[:3]
    return ", ".join(map(str, shown)) or "none"
