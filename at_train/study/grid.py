"""A Study -> every run it asks for, as plain values: the grid spanned, the orthogonal networks of each put in."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from at_data.errors import ConfigError
from at_train import networks
from at_train.config import check_known
from at_train.study.schema import ALL, SAME, Entry, Study, listed, points

SMALLEST = 1e-9  # every channel count becomes 1: only the names of the layers are wanted


@dataclass(frozen=True)
class Point:
    """A run that a study asks for. `raw` are its settings but for the other networks, which stand in `others`.

    `where` says which part of the study asks; `cell` holds what the grid of its entry varies.
    """

    where: str
    dataset: str
    raw: dict[str, Any]
    others: tuple["Point", ...]
    cell: dict[str, Any] = field(default_factory=dict)


def points_of(study: Study) -> dict[str, list[Point]]:
    """Runs by the name of their entry, in the order of its grid, seeds innermost.

    ConfigError for an unknown network where all its layers are asked for.
    """
    return {entry.name: list(_points(study, entry)) for entry in study.runs}


def _points(study: Study, entry: Entry) -> Iterator[Point]:
    axes = entry.axes
    spans = [list(_span(study, entry, key)) if key in axes else [value] for key, value in entry.values.items()]
    for values in itertools.product(*spans):
        chosen = dict(zip(entry.values, values, strict=True))
        cell = {key: _plain(key, chosen[key]) for key in axes}
        for seed in entry.seeds or study.seeds:
            yield _point(study, f"runs {entry.name}", chosen, seed, cell)


def _span(study: Study, entry: Entry, key: str) -> Iterator[Any]:
    if entry.axes[key] != ALL:
        yield from points(key, entry.values[key])
        return
    network = entry.settings.get("network", study.settings.get("network", "vgg16"))
    check_known("network", network, networks.names())
    yield from networks.outline(network, 2, (64, 64), SMALLEST).layers


def _point(study: Study, where: str, chosen: dict[str, Any], seed: int, cell: dict[str, Any]) -> Point:
    """One run; the networks it needs are made for it, as far as they want the same values."""
    settings = {**study.settings, **{key: _plain(key, value) for key, value in chosen.items()}}
    dataset, names = settings.pop("dataset"), settings.pop("orthogonal")
    others = []
    for name in names:
        other = study.orthogonal[name]
        values = {
            key: chosen_for(where, key, settings, dataset) if value == SAME else value
            for key, value in other.values.items()
        }
        own = (seed if other.seeds == "each" else study.seeds[0]) + other.seed_offset
        others.append(_point(study, f"orthogonal {name}", values, own, {}))
    return Point(where, dataset, {**settings, "seed": seed}, tuple(others), cell)


def chosen_for(where: str, key: str, settings: dict[str, Any], dataset: str) -> Any:
    """Value of a run for its orthogonal network to have too; ConfigError when the run has none."""
    values = {**settings, "dataset": dataset}
    if key not in values:
        raise ConfigError(
            where, f"no {key}, which its orthogonal network wants to have the same", f"{key} said", "say it there"
        )
    return values[key]


def _plain(key: str, value: Any) -> Any:
    """Value as a run has it: one layer or one orthogonal network is a list of one."""
    return list(listed(value)) if key in {"layers", "orthogonal"} else value
