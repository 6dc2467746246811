"""Manifest and corpus folder -> the list of shards to build; no audio is read but noise that may be a copy."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from at_data import corpora, seeds, shards
from at_data.build import kinds
from at_data.build.chosen import chosen, left_over, listed, unlabelled
from at_data.build.unswept import unswept
from at_data.errors import ManifestError
from at_data.manifest import Manifest
from at_data.recordings import Recording, samples_in
from at_data.stages import bias, leaks, mixtures, noise, noise_files, selection, spectra, splits


@dataclass(frozen=True, slots=True)
class NoisePool:
    """Noise recordings of each split, and the folder their paths start from."""

    root: Path
    by_split: Mapping[str, tuple[Recording, ...]]
    same: Mapping[str, str]
    """Path of a file that is a copy of another -> that other: both are in one split."""


@dataclass(frozen=True, slots=True)
class Task:
    """One shard to build: a pure function of these fields and the files they name."""

    number: int
    split: str
    file: str
    root: Path
    recordings: tuple[Recording, ...]
    manifest: Manifest
    noise_root: Path | None
    noises: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a build that can be known before any audio is read."""

    manifest: Manifest
    corpus: ModuleType
    root: Path
    recordings: tuple[Recording, ...]
    unlabelled: tuple[Mapping[str, str], ...]
    asked: int
    listed: int
    passed_over: Mapping[str, Sequence[str]]
    """Ids of recordings that the manifest does not ask for, by the key that says so."""
    warnings: tuple[str, ...]
    assigned: Mapping[str, str]
    bias: bias.Drawn | None
    groups: Mapping[str, str]
    proof: tuple[leaks.Line, ...]
    attributes: Mapping[str, list[str]]
    tasks: tuple[Task, ...]
    watched: tuple[Task, ...]
    """Recordings that the dataset may hold no copy of: they are read and compared, and nothing is made of them."""
    noise: NoisePool | None
    listing: str

    @property
    def places(self) -> Mapping[str, str]:
        """Split of every recording that is read, those held out among them."""
        if not self.watched:
            return self.assigned
        return {**self.assigned, **{r.id: leaks.HELD_OUT for task in self.watched for r in task.recordings}}

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits the dataset may hold: train, valid, test, and with a bias what contradicts it."""
        return splits.SPLITS if self.bias is None else (*splits.SPLITS, bias.CONFLICTING)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bins of one item."""
        settings = self.manifest
        length = samples_in(settings.segment.length_s, settings.audio.sample_rate_hz)
        return spectra.shape(length, settings.stft, settings.audio.sample_rate_hz)


@unswept()
def plan(manifest: Manifest, source: Path, noise_source: Path | None = None) -> Plan:
    """Plan of a build: listed, filtered, split, group leaks proved, items assigned to shards.

    Raises CorpusError where the source is not the corpus, ManifestError where the manifest asks for the impossible.
    """
    shards.check_compression(manifest.store.compression)
    _refuse_biased_noise(manifest)
    module = corpora.load(manifest.corpus)
    counting = corpora.Counting(module)
    wanted = chosen(counting.over(listed(module, source)), manifest, source)
    recordings, unlabelled = wanted.recordings, wanted.unlabelled
    pool, strange = _noise_pool(manifest, noise_source)
    unlabelled += strange
    passed_over = dict(wanted.passed_over)
    together: tuple[str, ...] = ()  # what mixtures are made of
    drawn = None
    if isinstance(manifest.noise, noise.Task):
        assert pool is not None, "a noise task has noise"
        recordings, assigned = _mixtures(manifest, manifest.noise, recordings, pool)
        used = {recording.attributes[mixtures.SPEECH] for recording in recordings}
        passed_over["noise"] = left_over((r.id for r in wanted.recordings), (), used)
        together = (mixtures.SPEECH, mixtures.NOISE)
    else:
        assigned = splits.assign(recordings, manifest.split, manifest.seed, manifest.target)
    if manifest.bias != "none":
        drawn = bias.draw(recordings, assigned, manifest.bias, manifest.seed, manifest.target)
        passed_over["bias"] = left_over((r.id for r in recordings), (), drawn.assigned)
        recordings, assigned = [r for r in recordings if r.id in drawn.assigned], drawn.assigned
    groups = splits.group_names(recordings, manifest.split)
    attributes = _vocabulary(recordings)
    _check_attributes(manifest, attributes)
    root = corpora.root(module, source)
    places = {**assigned, **{recording.id: leaks.HELD_OUT for recording in wanted.held_out}}
    keys = (*_groups(manifest, module), *together)
    proof = leaks.prove((*recordings, *wanted.held_out), places, keys, manifest.shared)
    leaks.refuse(proof, manifest.name)
    tasks = _tasks(manifest, root, recordings, assigned, pool)
    return Plan(
        manifest=manifest,
        corpus=module,
        root=root,
        recordings=tuple(recordings),
        unlabelled=tuple(unlabelled),
        asked=wanted.asked,
        listed=wanted.listed,
        passed_over={key: items for key, items in passed_over.items() if items},
        warnings=tuple(counting.differences()),
        assigned=assigned,
        bias=drawn,
        groups=dict(zip((r.id for r in recordings), groups, strict=True)),
        proof=tuple(proof),
        attributes=attributes,
        tasks=tasks,
        watched=_watched(manifest, root, wanted.held_out, len(tasks)),
        noise=pool,
        listing=_listing((*recordings, *wanted.held_out), unlabelled, places, pool),
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
            f"some of: {', '.join(groups)}",
            "take it away: what identifies nobody is in no proof",
        )
    return groups


def _refuse_biased_noise(manifest: Manifest) -> None:
    if manifest.bias != "none" and isinstance(manifest.noise, noise.Task):
        raise ManifestError(
            "bias",
            "the task is the noise, whose mixtures are made in equal numbers",
            "none, where noise has a label",
            "set bias: none, or mix noise without making it the task",
        )


def _mixtures(
    manifest: Manifest, task: noise.Task, speech: list[Recording], pool: NoisePool
) -> tuple[list[Recording], dict[str, str]]:
    """Mixtures of a noise task and their splits: speech and noise files are divided before anything is mixed."""
    assigned = splits.assign(speech, manifest.split, manifest.seed, None)
    by_split = {split: [r for r in speech if assigned[r.id] == split] for split in splits.SPLITS}
    total = task.hours * 3600 / manifest.segment.length_s / noise.levels(task)
    numbers = {split: round(total * len(members) / len(speech)) for split, members in by_split.items()}
    made = mixtures.mixtures(by_split, pool.by_split, task.label, numbers, manifest.seed)
    recordings = sorted((r for members in made.values() for r in members), key=lambda r: r.id)
    return recordings, {r.id: split for split, members in made.items() for r in members}


def _vocabulary(recordings: Sequence[Recording]) -> dict[str, list[str]]:
    values: dict[str, set[str]] = {}
    for recording in recordings:
        for name, value in recording.attributes.items():
            values.setdefault(name, set()).add(value)
    return {name: sorted(found) for name, found in sorted(values.items())}


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
    kept = selection.keep(listed(module, noise_source), wanted, needed)
    root = corpora.root(module, noise_source)
    same = noise_files.copies(root, kept.recordings)
    shares = manifest.noise.split
    by_split = noise_files.divide(kept.recordings, shares.valid, shares.test, manifest.seed, label, same)
    reasons = {item: f"no {lacking}" for item, lacking in kept.unlabelled.items()}
    pool = NoisePool(root, {name: tuple(files) for name, files in by_split.items()}, same)
    return pool, unlabelled(reasons, kinds.NOISE)


def _tasks(
    manifest: Manifest, root: Path, recordings: Sequence[Recording], assigned: Mapping[str, str], pool: NoisePool | None
) -> tuple[Task, ...]:
    """Shards of each split, its files in a seeded random order.

    Recordings of one file follow each other: it is read and hashed for one shard, or for as many as they fill.
    """
    tasks: list[Task] = []
    size = manifest.store.recordings_per_shard
    for split in (*splits.SPLITS, bias.CONFLICTING):
        files: dict[str, list[Recording]] = {}
        for recording in recordings:
            if assigned[recording.id] == split:
                files.setdefault(recording.path, []).append(recording)
        members = [*files.values()]
        order = seeds.generator(manifest.seed, "order", split).permutation(len(members)).tolist()
        dealt = [recording for place in order for recording in members[place]]
        pieces = [tuple(dealt[start : start + size]) for start in range(0, len(dealt), size)]
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


def _watched(manifest: Manifest, root: Path, held_out: Sequence[Recording], first: int) -> tuple[Task, ...]:
    """Tasks that make no shard, of the recordings held out."""
    size = manifest.store.recordings_per_shard
    starts = range(0, len(held_out), size)
    pieces = [tuple(held_out[start : start + size]) for start in starts]
    return tuple(
        Task(first + number, leaks.HELD_OUT, "", root, piece, manifest, None, ()) for number, piece in enumerate(pieces)
    )


def _listing(
    recordings: Sequence[Recording],
    unlabelled: Sequence[Mapping[str, str]],
    assigned: Mapping[str, str],
    pool: NoisePool | None,
) -> str:
    """Digest of what was listed: the same source, unpacked anywhere, has the same."""
    digest = hashlib.sha256()
    for r in recordings:
        digest.update(
            f"{r.id}\t{r.path}\t{r.start_s}\t{r.length_s}\t{sorted(r.attributes.items())}\t{assigned[r.id]}\n".encode()
        )
    for entry in unlabelled:
        digest.update(f"unlabelled\t{entry['id']}\t{entry['reason']}\n".encode())
    for split, files in sorted(pool.by_split.items()) if pool else ():
        for r in files:
            digest.update(f"noise\t{split}\t{r.id}\t{r.path}\n".encode())
    return digest.hexdigest()
