"""Summaries of all shards -> what is left to do for each, and the header of the dataset."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import numpy as np
import soundfile
from jaxtyping import Int64

from at_data import headers, shards
from at_data.build.accounts import accounts
from at_data.build.finish import Finish
from at_data.build.plan import Plan
from at_data.build.rows import Items
from at_data.build.sift import Sifted
from at_data.stages import bias, scaling

LIBRARIES = ("h5py", "numpy", "pyarrow", "scipy", "soundfile", "soxr")


def scale_of(train: Iterable[Items], kind: str) -> scaling.Scale:
    """Scale measured over the training items, summed in their order."""
    if kind == "none":
        return scaling.Scale(0.0, 1.0)
    count, total, squares = 0, 0.0, 0.0
    for items in train:
        count += int(items.column("count").sum())
        for more, more_squares in zip(items.column("total").tolist(), items.column("squares").tolist(), strict=True):
            total += more
            squares += more_squares
    return scaling.scale_of(scaling.Sums(count, total, squares))


def finish_task(
    plan: Plan,
    sifted: Sifted,
    scale: scaling.Scale,
    kept: Items,
    part: str,
    codes: Mapping[str, Int64[np.ndarray, "values"]],
) -> Finish:
    """What is left to do for one shard; `codes` are the numbers of the values of every attribute."""
    task, recordings, store = kept.task, kept.recordings, plan.manifest.store
    return Finish(
        number=task.number,
        file=task.file,
        places=kept.column("place"),
        real=shards.Extents(kept.column("first").astype(np.int64), kept.column("length").astype(np.int64)),
        columns={name: codes[name][recordings.codes(name)] for name in plan.attributes},
        ids=kept.ids,
        waveforms=sifted.waveforms.hexed(recordings.rows),
        scale=scale,
        digest=plan.manifest.digest,
        target=plan.manifest.target,
        dtype=store.dtype,
        compression=store.compression,
        padding=store.padding,
        shape=plan.shape,
        part=part,
    )


def header(
    plan: Plan,
    sifted: Sifted,
    hashes: Sequence[str],
    scale: scaling.Scale,
    duplicates: Mapping[str, int],
    files: Mapping[str, str],
) -> headers.Header:
    """Header of the finished dataset, with the hashes of its shards and of the files beside them.

    Nothing in it depends on when, where or by how many workers it was built.
    """
    manifest, items = plan.manifest, sifted.items
    counts = dict.fromkeys(plan.splits, 0)
    classes: dict[str, Counter[str]] = {name: Counter() for name in plan.splits}
    for task, kept in zip(plan.tasks, items, strict=True):
        counts[task.split] += len(kept)
        classes[task.split].update(_values(kept, manifest.target))
    made = headers.Header(
        format=headers.FORMAT,
        name=manifest.name,
        digest=manifest.digest,
        content="",
        listing=plan.listing,
        manifest=manifest.model_dump(mode="json"),
        licence=plan.corpus.LICENCE,
        source=plan.corpus.SOURCE,
        citation=plan.corpus.CITATION,
        target=manifest.target,
        nuisances=list(manifest.nuisances),
        attributes=dict(plan.attributes),
        frames=plan.shape[0],
        bins=plan.shape[1],
        dtype=manifest.store.dtype,
        compression=manifest.store.compression,
        padding=manifest.store.padding,
        scaling=headers.MeasuredScale(mean=scale.mean, std=scale.std),
        counts=counts,
        class_counts={name: dict(sorted(found.items())) for name, found in classes.items()},
        hours={name: count * manifest.segment.length_s / 3600 for name, count in counts.items()},
        recordings=accounts(plan, sifted),
        left_out=_count(sifted.left_out),
        duplicates=dict(duplicates),
        noise=_noise_summary(items),
        bias=_bias_summary(plan, sifted),
        shards=[
            headers.Shard(file=task.file, split=task.split, items=len(kept), sha256=digest)
            for task, kept, digest in zip(plan.tasks, items, hashes, strict=True)
        ],
        files=dict(files),
        versions=versions(),
    )
    return made.model_copy(update={"content": headers.content(made)})


def _values(items: Items, attribute: str) -> dict[str, int]:
    """How many items have each value of an attribute."""
    values = items.recordings.values(attribute)
    codes, counts = np.unique(items.recordings.codes(attribute), return_counts=True)
    return {values[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}


def _count(left_out: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Recordings left out, in part or at all, by kind."""
    return dict(
        sorted(Counter(kind for kind, _ in {(entry["kind"], entry["recording"]) for entry in left_out}).items())
    )


def _noise_summary(items: Sequence[Items]) -> dict[str, float | int] | None:
    """Achieved levels of the noise over all items: least, mean, greatest; and how many items clip."""
    clipped = [count for kept in items for count in kept.mixing("clipped")]
    if not clipped:
        return None
    summary: dict[str, float | int] = {"items": len(clipped)}
    for column in ("level_achieved_dbfs", "snr_achieved_db", "speech_level_dbfs", "peak"):
        values = np.array([value for kept in items for value in kept.mixing(column)], np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            summary |= {
                f"{column}_min": values.min().item(),
                f"{column}_mean": values.mean().item(),
                f"{column}_max": values.max().item(),
            }
    summary["clipped_items"] = sum(count > 0 for count in clipped)
    summary["clipped_samples"] = sum(clipped)
    return summary


def _bias_summary(plan: Plan, sifted: Sifted) -> headers.MeasuredBias | None:
    """Dependence of the two attributes that a bias ties together, over the items of each split."""
    manifest = plan.manifest
    if manifest.bias != "none":
        target, nuisance = manifest.target, manifest.bias.attribute
    elif manifest.subset != "none" and manifest.subset.bias != "none":
        target, nuisance = manifest.subset.target, manifest.subset.bias.attribute
    else:
        return None
    pairs: dict[str, list[tuple[str, str]]] = {split: [] for split in plan.splits}
    for task, kept in zip(plan.tasks, sifted.items, strict=True):
        pairs[task.split] += [(r.attributes[nuisance], r.attributes[target]) for r in kept.recordings]
    measured = {split: bias.dependence(found) for split, found in pairs.items()}
    drawn = plan.bias or bias.Drawn({}, {}, {})
    for split, favoured in drawn.favoured.items():
        if pairs[split]:
            hits = sum(name in favoured[value] for value, name in pairs[split])
            measured[split]["favoured_share"] = round(hits / len(pairs[split]), bias.DIGITS)
    return headers.MeasuredBias(
        target=target,
        nuisance=nuisance,
        favoured={
            split: {value: list(names) for value, names in by_value.items()}
            for split, by_value in drawn.favoured.items()
        },
        unused=drawn.unused,
        splits=measured,
    )


def versions() -> dict[str, str]:
    """Versions of all that touches a value; of Python only the minor one."""
    named = {name: version(name) for name in LIBRARIES}
    named["libsndfile"] = soundfile.__libsndfile_version__
    named["python"] = ".".join(platform.python_version_tuple()[:2])
    return dict(sorted(named.items()))
