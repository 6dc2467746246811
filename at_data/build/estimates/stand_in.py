"""The tables and shards of a dataset that is not there yet, written without its spectrograms and weighed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from at_data import cards, headers, shards
from at_data.build import hearing, item_index, kinds, publish, sources, tables
from at_data.build.compact import HASH_BYTES, Hashes, Words
from at_data.build.due import due
from at_data.build.estimates.lengths import Lengths, items
from at_data.build.finish import Finish, row_order
from at_data.build.parts import Row, by_column, record
from at_data.build.plan import Plan, Task
from at_data.build.rows import Items, Noting
from at_data.build.sift import Sifted
from at_data.recordings import Recording, samples_in
from at_data.rolls import Roll, joined
from at_data.stages import leaks, noise, scaling, segments

ROWS = 20_000  # items that stand in for a larger plan's
COMPRESSED = 0.65  # of random words are left of real ones: 0.45 to 0.87 in five corpora
UNREADABLE = {"kind": kinds.BAD, "reason": "cannot be decoded; expected an undamaged audio file", "todo": "restore it"}
BY_ROW = ("fingerprints.parquet", "index.parquet", "sources.csv", "splits.csv")  # the others grow with other things


@dataclass(frozen=True, slots=True)
class Weight:
    """Bytes of everything in a dataset folder but the spectrograms: of all shards, of one, of each other file."""

    shards: int
    files: Mapping[str, int]


def weigh(made: Plan, lengths: Lengths, by_task: Mapping[int, int]) -> Weight:
    """Weight of a plan's dataset, where its tasks give so many items.

    The very functions that publish a dataset write it, into a temporary folder: ids, paths, labels and places are
    those that the dataset will have, hashes and fingerprints are random ones. Of a large plan some shards stand in for
    all. What only the samples can tell weighs nothing: duplicates, silence, mixtures that are refused.
    """
    some = _some(made, by_task)
    share = sum(by_task.values()) / max(1, sum(by_task[task.number] for task in some.tasks))
    sifted = _sifted(some, lengths)
    with TemporaryDirectory() as name:
        folder = Path(name)
        hashes = ["0" * 64] * len(some.tasks)
        proof = _proof(made)
        item_index.write_index(folder / "index.parquet", some, sifted)
        tables.write_splits(folder / "splits.csv", some, sifted)
        tables.write_leaks(folder / "leaks.json", proof)
        tables.write_quarantine(folder / "quarantine.jsonl", _left_out(made, lengths))
        tables.write_passed_over(folder / "passed_over.parquet", made)
        tables.write_fingerprints(folder / "fingerprints.parquet", some, sifted)
        sources.write(folder / "sources.csv", _contents(some, sifted).items())
        duplicates = tables.write_duplicates(folder / "duplicates.csv", some, sifted)
        files = dict.fromkeys(tables.NAMES, "0" * 64)
        header = publish.header(some, sifted, hashes, scaling.Scale(0.0, 1.0), duplicates, files)
        (folder / "README.md").write_text(cards.card(header, proof), encoding="utf-8")
        headers.write(folder, header)
        weights = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        weights |= {name: round(weights[name] * share) for name in BY_ROW}
        weights["dataset.json"] += (len(made.tasks) - len(some.tasks)) * len(header.shards[0].model_dump_json(indent=3))
        return Weight(_shard_bytes(folder, some, sifted, made, by_task), weights)


def _some(made: Plan, by_task: Mapping[int, int]) -> Plan:
    """The plan, or one of as many of its shards, taken evenly, as hold some `ROWS` items."""
    total = sum(by_task.values())
    if total <= ROWS:
        return made
    wanted = max(1, len(made.tasks) * ROWS // total)
    step = -(-len(made.tasks) // wanted)
    tasks = made.tasks[::step]
    watched = made.watched[::step]
    return replace(
        made,
        tasks=tasks,
        watched=watched,
        recordings=joined([Roll.of(task.recordings) for task in tasks]),
        held_out=joined([made.held_out[:0], *(Roll.of(task.recordings) for task in watched)]),
    )


def _sifted(made: Plan, lengths: Lengths) -> Sifted:
    """All items of a plan as if they had been read and none were left out, in the order they will have."""
    dice = np.random.default_rng(0)
    words, noting = _words(made, lengths), Noting(len(made.tasks))
    for place, task in enumerate(made.tasks):
        rows = [
            row
            for number, recording in enumerate(task.recordings)
            for row in _rows(task, recording, number, made, lengths, dice)
        ]
        noting.add(place, by_column(rows))
    kept = []
    for task, noted in zip(made.tasks, noting.rows(), strict=True):
        order = row_order(made.manifest.seed, task.file, len(noted.columns)).astype(np.int32)
        kept.append(Items(task, noted, order))
    count = len(made.recordings.columns.ids)
    hashes, sizes = Hashes(count), np.zeros(count, np.int32)
    for of_shard in kept:
        heard = of_shard.recordings
        sizes[heard.rows] = [words(item) for item in heard.ids]
        hashes.there[heard.rows] = True
    # of what is held out no header is read: it is taken to be as long as the others
    sizes[made.held_out.rows] = round(int(sizes.sum()) / max(1, int(np.count_nonzero(sizes))))
    hashes.there[made.held_out.rows] = True
    numbers = np.flatnonzero(hashes.there)
    hashes.note(numbers, dice.bytes(HASH_BYTES * numbers.size).hex())
    sizes = np.rint(COMPRESSED * sizes).astype(np.int32)
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    drawn = dice.integers(0, 1 << 32, int(sizes.sum()), np.uint32)
    return Sifted(
        items=kept,
        waveforms=hashes,
        fingerprints=Words(drawn, starts, sizes, hashes.there),
        noises={noise.id: "0" * 2 * HASH_BYTES for task in made.tasks for noise in task.noises},
        near=[],
        left_out=_left_out(made, lengths),
        several=np.zeros(0, np.int64),
    )


def _rows(
    task: Task, recording: Recording, number: int, made: Plan, lengths: Lengths, dice: np.random.Generator
) -> list[Row]:
    """Rows of a recording's items."""
    mix, rate_hz = made.manifest.noise, made.manifest.audio.sample_rate_hz
    count = items(made, lengths, recording)
    levels = 1 if mix == "none" else noise.levels(mix)
    first = segments.starts(lengths.samples.get(recording.id, 0), made.manifest.segment, rate_hz) or [0]
    return [
        Row(
            number,
            index,
            first[index // levels] / rate_hz,
            0,
            (0, 0),
            (1, 0.0, 0.0),
            None if mix == "none" else _mixing(mix, task, dice, index % levels),
        )
        for index in range(count)
    ]


def _mixing(mix: noise.Mix, task: Task, dice: np.random.Generator, level: int) -> dict[str, object]:
    """What a mixture's columns will hold: drawn as it will be, and random numbers for what will be measured."""
    placement = noise.at_levels(noise.draw(dice, mix, task.noises), mix)[level]
    measured = dice.random(6).tolist()
    found = noise.Mixing(
        noise=placement.noise.id,
        noise_offset_s=measured[0],
        level_requested_dbfs=float("nan") if placement.level_dbfs is None else placement.level_dbfs,
        level_achieved_dbfs=measured[1],
        snr_requested_db=float("nan") if placement.snr_db is None else placement.snr_db,
        snr_achieved_db=measured[2],
        speech_level_dbfs=measured[3],
        speech_gain_db=0.0 if mix.speech_level_dbfs == "leave" else measured[4],
        noise_gain_db=measured[5],
        peak=measured[0],
        clip_gain_db=0.0,
        clipped=0,
    )
    return record(found)


def _words(made: Plan, lengths: Lengths, points: int = 5) -> Callable[[str], int]:
    """Number of words in a recording's fingerprint, by its id: from those of noise of a few lengths."""
    rate_hz = made.manifest.audio.sample_rate_hz
    known = sorted(lengths.samples.values()) or [samples_in(made.manifest.segment.length_s, rate_hz)]
    # beyond the longest fingerprint there is nothing to measure
    spread = np.unique([min(known[(len(known) - 1) * point // (points - 1)], 60 * rate_hz) for point in range(points)])
    dice = np.random.default_rng(0)
    counts = [hearing.fingerprint(dice.normal(0, 0.1, n).astype(np.float32), rate_hz).size for n in spread.tolist()]
    return lambda name: int(np.interp(lengths.samples.get(name, known[len(known) // 2]), spread, counts))


def _contents(made: Plan, sifted: Sifted) -> sources.Contents:
    """Files that are read, with sizes and hashes of the usual length."""
    keys: set[sources.Key] = {("corpus", recording.path) for recording in made.recordings}
    keys |= {("corpus", recording.path) for task in made.watched for recording in task.recordings}
    named = {name for kept in sifted.items for name in kept.mixing("noise")}
    if made.noise:
        keys |= {("noise", r.path) for files in made.noise.by_split.values() for r in files if r.id in named}
    dice = np.random.default_rng(0)
    return {
        key: sources.Content(10_000 + int(dice.integers(90_000)), dice.bytes(HASH_BYTES).hex()) for key in sorted(keys)
    }


def _left_out(made: Plan, lengths: Lengths) -> list[Mapping[str, str]]:
    """Quarantine as far as headers tell: what cannot be read, and what is too short."""
    entries: list[Mapping[str, str]] = list(made.unlabelled)
    short = f"shorter than {made.manifest.segment.length_s:g} s"
    for recording in made.recordings:
        named = {"id": recording.id, "recording": recording.id}
        if recording.id in lengths.lost:
            entries.append(named | UNREADABLE)
        elif not items(made, lengths, recording):
            entries.append(named | {"kind": kinds.DROPPED, "reason": short})
    return entries


def _proof(made: Plan) -> list[leaks.Line]:
    """The plan's proof, and the lines that will follow it."""
    by_split: dict[str, set[str]] = {task.split: set() for task in made.tasks}
    keys = [leaks.WAVEFORM, leaks.NEAR, *([leaks.NOISE] if made.noise else [])]
    return [*made.proof, *(line for key in keys for line in leaks.prove_disjoint(key, by_split))]


def _shard_bytes(folder: Path, some: Plan, sifted: Sifted, made: Plan, by_task: Mapping[int, int]) -> int:
    """Bytes of all shards but for their spectrograms, from the longest and its first item, written without any."""
    full = max(range(len(some.tasks)), key=lambda place: len(sifted.items[place]))
    kept = sifted.items[full]
    if not len(kept):
        return 0
    one = replace(some, tasks=(some.tasks[full],) * 2)
    pair = replace(sifted, items=[kept, kept.only(slice(1))])
    sizes = [bare_bytes(each.make(), folder) for each in due(one, pair, scaling.Scale(0.0, 1.0), ["", ""])]
    each = (sizes[0] - sizes[1]) / max(1, len(kept) - 1)
    return round(sum(sizes[1] + each * max(0, by_task[task.number] - 1) for task in made.tasks))


def bare_bytes(task: Finish, folder: Path) -> int:
    """Bytes of a shard without its spectrograms."""
    path = folder / "bare.h5"
    shape = (len(task.ids), *task.shape)
    kind = {"target": task.target, "dtype": task.dtype, "compression": task.compression}
    none = np.zeros(len(task.ids), np.int64)
    real = shards.Extents(none, none) if task.padding == "implicit" else None
    shards.write_shard(path, task.digest, None, shape, task.columns, task.ids, task.waveforms, real=real, **kind)
    size = path.stat().st_size
    path.unlink()
    return size
