"""Manifest and corpus folder -> the list of shards to build; no audio is read but noise that may be a copy."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Int64

from at_data import corpora, headers, seeds, shards
from at_data.build import doubts, kinds
from at_data.build.chosen import chosen, listed, unlabelled
from at_data.errors import ManifestError
from at_data.manifest import Manifest
from at_data.recordings import Recording, samples_in
from at_data.rolls import ABSENT, Ids, Roll, Texts, joined
from at_data.rolls.assignment import Assignment
from at_data.stages import bias, leaks, mixtures, noise, noise_files, selection, spectra, splits
from at_data.unswept import unswept


@dataclass(frozen=True, slots=True)
class NoisePool:
    """Noise recordings of each split, and the folder their paths start from."""

    root: Path
    by_split: Mapping[str, tuple[Recording, ...]]
    same: Mapping[str, str]
    """Path of a file that is a copy of another -> that other: both are in one split."""


@dataclass(frozen=True, slots=True)
class Task:
    """One shard to build: a pure function of these fields and the files they name.

    `recordings` are a roll in the process that plans, a tuple in a worker.
    """

    number: int
    split: str
    file: str
    root: Path
    recordings: Sequence[Recording]
    manifest: Manifest
    noise_root: Path | None
    noises: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a build that can be known before any audio is read."""

    manifest: Manifest
    corpus: ModuleType
    root: Path
    recordings: Roll
    held_out: Roll
    """Recordings that the dataset may hold no copy of."""
    unlabelled: tuple[Mapping[str, str], ...]
    asked: int
    listed: int
    passed_over: Mapping[str, Ids]
    """Ids of recordings that the manifest does not ask for, by the key that says so."""
    warnings: tuple[str, ...]
    assigned: Assignment
    bias: bias.Drawn | None
    proof: tuple[leaks.Line, ...]
    attributes: Mapping[str, list[str]]
    tasks: tuple[Task, ...]
    watched: tuple[Task, ...]
    """Tasks of the recordings held out: they are read and compared, and nothing is made of them."""
    noise: NoisePool | None
    listing: str

    @property
    def places(self) -> Assignment:
        """Split of every recording that is read, those held out among them."""
        return self.assigned.beside(self.held_out, leaks.HELD_OUT) if self.watched else self.assigned

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits the dataset may hold: train, valid, test, and with a bias what contradicts it."""
        return splits.SPLITS if self.bias is None else (*splits.SPLITS, bias.CONFLICTING)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bins of one item."""
        return _shape(self.manifest)


@unswept()
def plan(manifest: Manifest, source: Path, noise_source: Path | None = None) -> Plan:
    """Plan of a build: listed, filtered, split, group leaks proved, items assigned to shards.

    Raises CorpusError where the source is not the corpus, ManifestError where the manifest asks for the impossible.
    """
    shards.check_compression(manifest.store.compression)
    _refuse_huge(manifest)
    _refuse_biased_noise(manifest)
    module = corpora.load(manifest.corpus)
    counting = corpora.Counting(module)
    wanted = chosen(counting.over(listed(module, source)), manifest, source)
    recordings, held_out, unlabelled = wanted.recordings, wanted.held_out, wanted.unlabelled
    pool, strange = _noise_pool(manifest, noise_source)
    unlabelled += strange
    passed_over = dict(wanted.passed_over)
    together: tuple[str, ...] = ()  # what mixtures are made of
    drawn = None
    if isinstance(manifest.noise, noise.Task):
        assert pool is not None, "a noise task has noise"
        made, of_mixtures = _mixtures(manifest, manifest.noise, recordings, pool)
        used = {recording.attributes[mixtures.SPEECH] for recording in made}
        passed_over["noise"] = Ids.of_all(Texts.of(item for item in recordings.ids if item not in used))
        listing = Roll.of(chain(made, held_out))
        recordings, held_out = listing[: len(made)], listing[len(made) :]
        assigned = Assignment.over(recordings, of_mixtures)
        together = (mixtures.SPEECH, mixtures.NOISE)
    else:
        assigned = splits.assign(recordings, manifest.split, manifest.seed, manifest.target)
    if manifest.bias != "none":
        drawn = bias.draw(recordings, assigned, manifest.bias, manifest.seed, manifest.target)
        assigned = Assignment.over(recordings, drawn.assigned)
        biased = recordings.take(assigned.parts(recordings) != ABSENT)
        passed_over["bias"] = recordings.without(biased).ids
        recordings, drawn = biased, replace(drawn, assigned={})  # which stand in `assigned`
    attributes = {name: recordings.held(name) for name in recordings.attributes}
    _check_attributes(manifest, attributes)
    root = corpora.root(module, source)
    places = assigned.beside(held_out, leaks.HELD_OUT) if held_out else assigned
    groups = _groups(manifest, module)
    keys, written = (*groups, *together), (manifest.target, *groups)
    proof = leaks.prove(joined([recordings, held_out]), places, keys, manifest.shared)
    leaks.refuse(proof, manifest.name)
    tasks = _tasks(manifest, root, recordings, assigned, pool)
    return Plan(
        manifest=manifest,
        corpus=module,
        root=root,
        recordings=recordings,
        held_out=held_out,
        unlabelled=tuple(unlabelled),
        asked=wanted.asked,
        listed=wanted.listed,
        passed_over={key: items for key, items in passed_over.items() if items},
        warnings=(
            *counting.differences(),
            *doubts.unproved(recordings, keys),
            *doubts.alike(recordings, written),
            *doubts.kept(manifest),
        ),
        assigned=assigned,
        bias=drawn,
        proof=tuple(proof),
        attributes=attributes,
        tasks=tasks,
        watched=_watched(manifest, root, held_out, len(tasks)),
        noise=pool,
        listing=_listing(joined([recordings, held_out]), unlabelled, places, pool),
    )


def _groups(manifest: Manifest, module: ModuleType) -> tuple[str, ...]:
    """Attributes the proof is of: a corpus that names no identities has those the manifest calls nuisances.

    ManifestError where `shared` waives what is none of them.
    """
    groups = tuple(module.GROUPS or manifest.nuisances)
    bound = () if manifest.bias == "none" else (manifest.bias.attribute,)
    groups = tuple(sorted({*groups, *splits.kept_whole(manifest.split), *bound}))
    strange = [name for name in manifest.shared if name not in groups]
    if strange:
        raise ManifestError(
            "shared",
            f"{', '.join(strange)}, no group attribute of {manifest.corpus}",
            f"some of: {', '.join(groups)}" + ("" if module.GROUPS else ", as its groups are the manifest's nuisances"),
            "take it away: what is no group is in no proof",
        )
    return groups


def _shape(settings: Manifest) -> tuple[int, int]:
    length = samples_in(settings.segment.length_s, settings.audio.sample_rate_hz)
    return spectra.shape(length, settings.stft, settings.audio.sample_rate_hz)


def _refuse_huge(manifest: Manifest) -> None:
    frames, bins = _shape(manifest)
    if frames * bins > headers.MOST_VALUES:
        raise ManifestError(
            "segment.length_s",
            f"items of {manifest.segment.length_s:g} s, which are {frames:,} frames of {bins} bins",
            f"at most {headers.MOST_VALUES:,} values in an item",
            "make it smaller: it counts seconds",
        )


def _refuse_biased_noise(manifest: Manifest) -> None:
    if manifest.bias != "none" and isinstance(manifest.noise, noise.Task):
        raise ManifestError(
            "bias",
            "the task is the noise, whose mixtures are made in equal numbers",
            "none, where noise has a label",
            "set bias: none, or mix noise without making it the task",
        )


def _mixtures(
    manifest: Manifest, task: noise.Task, speech: Roll, pool: NoisePool
) -> tuple[list[Recording], dict[str, str]]:
    """Mixtures of a noise task and their splits: speech and noise files are divided before anything is mixed."""
    assigned = splits.assign(speech, manifest.split, manifest.seed, None)
    by_split = {split: list(assigned.part(speech, split)) for split in splits.SPLITS}
    total = task.hours * 3600 / manifest.segment.length_s / noise.levels(task)
    numbers = {split: round(total * len(members) / len(speech)) for split, members in by_split.items()}
    made = mixtures.mixtures(by_split, pool.by_split, task.label, numbers, manifest.seed)
    recordings = sorted((r for members in made.values() for r in members), key=lambda r: r.id)
    return recordings, {r.id: split for split, members in made.items() for r in members}


def _check_attributes(manifest: Manifest, attributes: Mapping[str, list[str]]) -> None:
    for name in manifest.nuisances:
        if name not in attributes:
            raise ManifestError(
                "nuisances",
                f"no recording has '{name}'",
                f"attributes of the corpus: {', '.join(attributes)}",
                "choose among those",
            )
    if len(attributes[manifest.target]) < 2:  # noqa: PLR2004 - a task needs two classes
        raise ManifestError(
            "target",
            f"'{manifest.target}' has one value only",
            "two classes or more",
            "widen keep, or choose another target",
        )


def _noise_pool(manifest: Manifest, noise_source: Path | None) -> tuple[NoisePool | None, list[dict[str, str]]]:
    """Noise of each split, and quarantine entries for noise files that lack what the manifest asks about."""
    if manifest.noise == "none":
        return None, []
    if noise_source is None:
        raise ManifestError(
            manifest.name,
            f"it mixes noise from {manifest.noise.corpus} and no noise folder was given",
            "the folder of that corpus",
            "add --noise-source DIR",
        )
    module = corpora.load(manifest.noise.corpus)
    label = manifest.noise.label if isinstance(manifest.noise, noise.Task) else "noise_type"
    needed = (label,) if isinstance(manifest.noise, noise.Task) else ()
    wanted = {name: tuple(values) for name, values in manifest.noise.keep.items()}
    try:
        kept = selection.keep(listed(module, noise_source), wanted, needed)
    except ManifestError as error:
        raise error.within("noise") from error
    root = corpora.root(module, noise_source)
    same = noise_files.copies(root, kept.recordings)
    shares = manifest.noise.split
    by_split = noise_files.divide(kept.recordings, shares.valid, shares.test, manifest.seed, label, same)
    reasons = {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    pool = NoisePool(root, {name: tuple(files) for name, files in by_split.items()}, same)
    return pool, unlabelled(reasons, kinds.NOISE)


def _tasks(
    manifest: Manifest, root: Path, recordings: Roll, assigned: Assignment, pool: NoisePool | None
) -> tuple[Task, ...]:
    """Shards of each split, its files in a seeded random order.

    Recordings of one file follow each other: it is read and hashed for one shard, or for as many as they fill.
    """
    tasks: list[Task] = []
    size = manifest.store.recordings_per_shard
    for split in (*splits.SPLITS, bias.CONFLICTING):
        members = assigned.part(recordings, split)
        dealt = members.take(_dealt(members, manifest.seed, split))
        pieces = [dealt[start : start + size] for start in range(0, len(dealt), size)]
        for number, piece in enumerate(pieces):
            tasks.append(
                Task(
                    number=len(tasks),
                    split=split,
                    file=f"shards/{split}-{number:05d}-of-{len(pieces):05d}.h5",
                    root=root,
                    recordings=piece,
                    manifest=manifest,
                    noise_root=pool.root if pool else None,
                    # what contradicts a bias is a second test, with the noise of the first
                    noises=pool.by_split["test" if split == bias.CONFLICTING else split] if pool else (),
                )
            )
    return tuple(tasks)


def _dealt(members: Roll, seed: int, split: str) -> Int64[np.ndarray, "recordings"]:
    """Places of recordings in the seeded order of their files, which are numbered as they are first met."""
    file = members.columns.paths.ranks[members.rows]
    firsts = np.empty(int(file.max(initial=-1)) + 1, np.int32)
    firsts[file[::-1]] = np.arange(file.size - 1, -1, -1, dtype=np.int32)  # what is written last stays
    first = firsts[file]
    number = np.cumsum(first == np.arange(first.size, dtype=np.int32), dtype=np.int32)[first] - 1
    order = seeds.generator(seed, "order", split).permutation(int(number.max(initial=-1)) + 1)
    turn = np.empty(order.size, np.int32)
    turn[order] = np.arange(order.size, dtype=np.int32)
    return np.argsort(turn[number], kind="stable")


def _watched(manifest: Manifest, root: Path, held_out: Roll, first: int) -> tuple[Task, ...]:
    """Tasks that make no shard, of the recordings held out."""
    size = manifest.store.recordings_per_shard
    starts = range(0, len(held_out), size)
    pieces = [held_out[start : start + size] for start in starts]
    return tuple(
        Task(first + number, leaks.HELD_OUT, "", root, piece, manifest, None, ()) for number, piece in enumerate(pieces)
    )


def _listing(
    recordings: Roll, unlabelled: Sequence[Mapping[str, str]], assigned: Assignment, pool: NoisePool | None
) -> str:
    """Digest of what was listed: the same source, unpacked anywhere, has the same."""
    digest = hashlib.sha256()
    for r, split in zip(recordings, assigned.each(recordings), strict=True):
        digest.update(
            f"{r.id}\t{r.path}\t{r.start_s}\t{r.length_s}\t{sorted(r.attributes.items())}\t{split}\n".encode()
        )
    for entry in unlabelled:
        digest.update(f"unlabelled\t{entry['id']}\t{entry['reason']}\n".encode())
    for split, files in sorted(pool.by_split.items()) if pool else ():
        for r in files:
            digest.update(f"noise\t{split}\t{r.id}\t{r.path}\n".encode())
    return digest.hexdigest()
