"""Groups -> a row for each strategy and orthogonal network, its layer chosen by a named rule, and what choosing gains.

The best of several layers by validation accuracy has a test accuracy above average even if layers change nothing, as
far as validation and test accuracy vary together from seed to seed. `selection_bias` says how much, from the baseline.
It takes layers for independent draws. Those of one seed share its data, order of items and initial weights, so where
these make most of the difference between runs the true gain is smaller. Of few runs of the baseline it is larger, as
the best of many layers can be better than the best of those runs: with normal accuracies and one seed for each of 13
layers, five runs tell 75 % of it, ten 88 % and twenty 94 %; with three seeds a layer, five tell 92 %.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, stdtrit

from at_train.report.estimates import CONFIDENCE, Estimate, average, paired, score
from at_train.report.groups import Group, Key, Row, Section, key, natural
from at_train.report.orthogonals import Other

RULE = "best_validation_accuracy"
RULES = {
    RULE: "the layer with the highest mean validation accuracy over the seeds that all layers have, the first of equal"
}
FEWEST = 5  # runs of the baseline below which nothing is said of selection bias
EXACT = 20_000  # ways to draw a candidate's runs up to which all are counted
DRAWS = 20_000  # of them that are drawn otherwise
SAME = 9  # digits to which accuracies are compared


@dataclass(frozen=True)
class Line:
    """Groups of one row that differ in their layer; a single one where there was nothing to choose."""

    section: Section
    row: Row
    candidates: tuple[Group, ...]
    baseline: Group | None

    @property
    def other(self) -> Other | None:
        """The networks that all candidates used."""
        return self.candidates[0].other

    @property
    def seeds(self) -> tuple[int, int]:
        """Of the candidates with the fewest and with the most."""
        counts = [len({key(run) for run in group.runs}) for group in self.candidates]
        return min(counts), max(counts)


@dataclass(frozen=True)
class Choice:
    """A line with its chosen group; None where it cannot be told. Differences are to the baseline, paired."""

    line: Line
    chosen: Group | None
    valid: Estimate | None
    test: Estimate | None
    difference: Estimate | None
    mean_test: Estimate | None
    mean_difference: Estimate | None

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers of the chosen group."""
        return self.chosen.layers if self.chosen else ()

    @property
    def bias(self) -> Estimate | None:
        """What choosing alone gains on test; None where it cannot be told."""
        return self._bias[0]

    @property
    def why(self) -> str:
        """Why there is no bias to tell."""
        return self._bias[1]

    @cached_property
    def _bias(self) -> tuple[Estimate | None, str]:
        return _bias(self.line)


def lines(section: Section) -> list[Line]:
    """Rows of a section in the order of its groups, candidates in the order of layers."""
    by_label = {group.label: group for group in section.groups}
    found: dict[Row, list[Group]] = {}
    for group in section.groups:
        found.setdefault(group.row, []).append(group)
    return [
        Line(section, row, tuple(sorted(some, key=_layer)), by_label.get(some[0].baseline or ""))
        for row, some in found.items()
    ]


def choose(line: Line) -> Choice:
    """The candidate that the rule `best_validation_accuracy` takes, beside the mean over all of them.

    Candidates are ranked, and means over them taken, by the seeds that every one has: the luckiest seed of a layer that
    lacks the others would win. Where no seed has validation scores of all, none is chosen, unless it is alone.
    """
    validated = [score(group.runs, "accuracy", "valid") for group in line.candidates]
    ranked = [average(one) for one in _shared(validated)]
    told = [(round(valid.mean, SAME), -place) for place, valid in enumerate(ranked) if valid]
    place = -max(told)[1] if told else 0 if len(line.candidates) == 1 else None
    ours = [score(group.runs, "accuracy") for group in line.candidates]
    alike = _shared(ours)
    mean = {seed: float(np.mean([one[seed] for one in alike])) for seed in alike[0]}
    theirs = score(line.baseline.runs, "accuracy") if line.baseline else {}
    return Choice(
        line=line,
        chosen=None if place is None else line.candidates[place],
        valid=None if place is None else average(validated[place]),
        test=None if place is None else average(ours[place]),
        difference=None if place is None else paired(ours[place], theirs),
        mean_test=average(mean),
        mean_difference=paired(mean, theirs),
    )


def _shared(scores: Sequence[Mapping[Key, float]]) -> list[dict[Key, float]]:
    """Scores of the seeds that all have."""
    shared = sorted(set.intersection(*map(set, scores)))
    return [{seed: one[seed] for seed in shared} for one in scores]


def selection_bias(
    valid: Sequence[float], test: Sequence[float], candidates: int, seeds: int = 1, draw: int = 0
) -> Estimate | None:
    """Expected gain on test of taking the best of some candidates on validation, when all are the same network.

    Parameters
    ----------
    valid, test : sequence of float
        Accuracies of runs of that one network, in the same order.
    candidates : int
        How many the best is taken of.
    seeds : int
        Runs behind each candidate: means over them are compared, and the mean test accuracy is what counts.
    draw : int
        Seed of the dice, thrown only where the ways to draw are too many to count.

    Returns
    -------
    Estimate or None
        Each candidate is `seeds` of the runs, drawn with replacement; the gain is widened by sqrt(n / (n - 1)), for n
        runs vary that much less about their own mean than about the true one. All draws are counted, not sampled, up
        to 20,000 different ones. The interval is the jackknife's over runs (Efron and Tibshirani 1993, chapter 11).
        None for fewer than three runs.

    """
    pairs = np.array([valid, test], dtype=np.float64)
    runs = pairs.shape[1]
    if runs < 3:  # noqa: PLR2004 - leaving one out leaves two
        return None
    gain = _gain(pairs, candidates, seeds, draw)
    without = np.array([_gain(np.delete(pairs, run, axis=1), candidates, seeds, draw) for run in range(runs)])
    error = math.sqrt((runs - 1) / runs * float(((without - without.mean()) ** 2).sum()))
    half = float(stdtrit(runs - 1, (1 + CONFIDENCE) / 2)) * error
    return Estimate(runs, gain, gain - half, gain + half)


def _bias(line: Line) -> tuple[Estimate | None, str]:
    """Selection bias of a line, or why it cannot be told."""
    if len(line.candidates) == 1:
        return None, "one candidate"
    shared = _shared([score(group.runs, "accuracy", "valid") for group in line.candidates])[0]
    if not shared:
        return None, "no seed has validation scores of all layers"
    if line.baseline is None:
        return None, "no runs of strategy none to estimate it from"
    valid, test = (score(line.baseline.runs, "accuracy", split) for split in ("valid", "test"))
    both = [seed for seed in valid if seed in test]
    if len(both) < FEWEST:
        return None, f"too few runs of strategy none: {len(both)}, at least {FEWEST} are needed"
    found = selection_bias([valid[one] for one in both], [test[one] for one in both], len(line.candidates), len(shared))
    return found, ""


def _gain(pairs: Float[np.ndarray, "2 runs"], candidates: int, seeds: int, draw: int) -> float:
    """The gain, from the distribution of one candidate: the best of k is at or below each value with its share^k."""
    runs = pairs.shape[1]
    counts, weights = _ways(runs, seeds, draw)
    valid, test = pairs @ counts.T / seeds
    _, place = np.unique(np.round(valid, SAME), return_inverse=True)  # equal ones share the choice
    share = np.bincount(place, weights)
    mean = np.bincount(place, weights * test) / share
    best = np.diff(np.concatenate([[0.0], np.minimum(np.cumsum(share), 1.0) ** candidates]))
    return float(best @ mean / best.sum() - pairs[1].mean()) * math.sqrt(runs / (runs - 1))


def _ways(runs: int, seeds: int, draw: int) -> tuple[Float[np.ndarray, "ways runs"], Float[np.ndarray, " ways"]]:
    """How often each run is drawn, way by way, and how likely each way is."""
    if math.comb(runs + seeds - 1, seeds) > EXACT:
        dice = np.random.default_rng(draw)
        counts = dice.multinomial(seeds, np.full(runs, 1 / runs), size=DRAWS).astype(np.float64)
        return counts, np.full(DRAWS, 1 / DRAWS)
    drawn = np.array(list(itertools.combinations_with_replacement(range(runs), seeds)))
    counts = np.stack([(drawn == run).sum(axis=1) for run in range(runs)], axis=1).astype(np.float64)
    weights = np.exp(gammaln(seeds + 1) - gammaln(counts + 1).sum(axis=1) - seeds * math.log(runs))
    return counts, weights / weights.sum()


def _layer(group: Group) -> list[tuple[bool, float, str]]:
    return natural("+".join(group.layers))
