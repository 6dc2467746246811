"""Groups dealt out in parts of given shares, every class in every part."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from at_data import seeds
from at_data.errors import ManifestError
from at_data.stages.splits.groups import Classes, Held

SHOWN = 10  # names in a message
ORDERS = 100  # seeded orders tried before a division is called impossible


def deal(
    sizes: Int[np.ndarray, "groups"],
    held: Held,
    shares: Float[np.ndarray, "parts"],
    seed: int,
    purpose: str,
    *,
    first_matters: bool,
    exchange: bool,
) -> Int[np.ndarray, "groups"]:
    """Part of each group.

    The first seeded order that covers every class and misses no share by more than half the largest group wins. Failing
    that, the one that lacks fewest classes (in the first part, where that matters; then in all) and then misses least:
    of groups of one, if they may be exchanged, some change places until no class lacks that need not.
    """
    wanted = shares * sizes.sum()
    parts = np.flatnonzero(shares > 0)
    unavoidable = np.maximum(len(parts) - held.holders(), 0).sum()  # too few groups hold them
    best, best_rank = np.zeros(len(sizes), np.int64), (np.inf, np.inf, np.inf)
    for attempt in range(ORDERS):
        order = seeds.generator(seed, purpose, str(attempt)).permutation(len(sizes))
        chosen = _deal_once(sizes, order, wanted)
        lacking = (~_covered(chosen, held, len(shares))[parts]).sum(axis=1).tolist()
        miss = float(np.abs(np.bincount(chosen, sizes, minlength=len(shares)) - wanted).max())
        rank = (lacking[0] if first_matters else 0, sum(lacking), miss)
        if rank < best_rank:
            best, best_rank = chosen, rank
        if rank[:2] == (0, unavoidable) and miss <= max(1, sizes.max(initial=0) / 2):
            break
    if exchange and best_rank[1] > 0 and sizes.max(initial=0) <= 1:
        best = _exchanged(best, held, parts, seeds.generator(seed, purpose, "exchange").permutation(len(sizes)))
    return best


def _exchanged(
    chosen: Int[np.ndarray, "groups"],
    held: Held,
    parts: Int[np.ndarray, "some"],
    order: Int[np.ndarray, "groups"],
) -> Int[np.ndarray, "groups"]:
    """Part of each group, of one class each: a part that lacks a class gets a group of it for one that it can spare.

    That comes from the part, and is of the class, with most to spare; which group it is, the order says.
    """
    chosen, classes = chosen.copy(), np.empty_like(chosen)
    classes[held.groups] = held.classes
    counts = np.zeros((parts[-1] + 1, held.class_count), np.int64)
    np.add.at(counts, (chosen, classes), 1)
    of_class = np.split(order[np.argsort(classes[order], kind="stable")], np.cumsum(held.holders())[:-1])
    for part in parts.tolist():
        for lacking in np.flatnonzero(counts[part] == 0).tolist():
            giver = int(counts[:, lacking].argmax())
            if counts[giver, lacking] < 2:  # noqa: PLR2004 - none would be left
                continue
            spare = int(counts[part].argmax())
            if counts[part, spare] < 2:  # noqa: PLR2004 - nor here, whatever else the part lacks
                break
            for old, new, name in ((giver, part, lacking), (part, giver, spare)):
                chosen[of_class[name][np.argmax(chosen[of_class[name]] == old)]] = new
                counts[old, name] -= 1
                counts[new, name] += 1
    return chosen


def _deal_once(
    sizes: Int[np.ndarray, "groups"], order: np.ndarray, wanted: Float[np.ndarray, "parts"]
) -> Int[np.ndarray, "groups"]:
    """Each group in turn goes to the part that lacks most; groups of one are simply cut in the order drawn."""
    chosen = np.empty(len(sizes), np.int64)
    if sizes.max(initial=0) <= 1:
        bounds = np.floor(np.cumsum(wanted) + 0.5).astype(int)
        for number, piece in enumerate(np.split(order, bounds[:-1])):
            chosen[piece] = number
        return chosen
    lacking = wanted.astype(float).tolist()
    empty = {number for number, share in enumerate(lacking) if share > 0}
    for left, group in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        # the last groups go where nothing is yet: of three groups, three parts get one each
        choices = empty if left <= len(empty) else range(len(lacking))
        number = max(choices, key=lacking.__getitem__)
        chosen[group] = number
        lacking[number] -= float(sizes[group])
        empty.discard(number)
    return chosen


def _covered(chosen: Int[np.ndarray, "groups"], held: Held, count: int) -> Bool[np.ndarray, "parts classes"]:
    """Which parts have which classes; groups of parts beyond the count do not matter."""
    covered = np.zeros((max(count, int(chosen.max(initial=0)) + 1), held.class_count), bool)
    covered[chosen[held.groups], held.classes] = True
    return covered[:count]


def refuse_uncovered(
    chosen: Int[np.ndarray, "groups"],
    classes: Classes,
    parts: Mapping[int, str],
    target: str | None,
    how: str,
    todo: str,
) -> None:
    """ManifestError that says which of these parts lacks which class; `how` the groups were dealt, what to do."""
    lacking = ~_covered(chosen, classes.held, max(parts) + 1)
    if not lacking[list(parts)].any():
        return
    missing = {
        name: [classes.names[place] for place in np.flatnonzero(lacking[part]).tolist()] for part, name in parts.items()
    }
    lacks = [f"{name} lacks {_some(names)}" for name, names in missing.items() if names]
    holders = zip(classes.names, classes.held.holders().tolist(), strict=True)
    scarce = [name for name, count in holders if count < len(parts)]
    hint = f"too few groups hold {_some(scarce)}; " if scarce else ""
    raise ManifestError(
        "split",
        f"{'; '.join(lacks[:SHOWN])} ({how} {chosen.size} groups)",
        f"every {target} in every part" if target else "recordings in every part",
        f"{hint}{todo}",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN])
