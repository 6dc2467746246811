"""Where every recording of the corpus went, counted."""

from collections import Counter

import numpy as np

from at_data.build import kinds
from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.stages import mixtures, noise


def accounts(plan: Plan, sifted: Sifted) -> dict[str, int]:
    """Recordings `listed` by the corpus; `held`: an item came of them; and all others by what became of them.

    The others are named by the key of the manifest that passes them over (`keep`, `balance`, `subset`, `bias`,
    `noise`), or by their kind in the quarantine. `listed` is the sum of the rest. A noise task is counted in the
    recordings of speech that its mixtures are made of.
    """
    held, ids = sifted.held, plan.recordings.columns.ids
    fates: dict[str, str] = {}
    if isinstance(plan.manifest.noise, noise.Task):
        origins = {recording.id: recording.attributes[mixtures.SPEECH] for recording in plan.recordings}
        kept = {recording.attributes[mixtures.SPEECH] for recording in plan.recordings.take(held[plan.recordings.rows])}
        count = len(kept)
        gone = ((origins.get(entry["recording"], entry["recording"]), entry) for entry in sifted.left_out)
        lost = [(origin, entry["kind"]) for origin, entry in gone if origin not in kept]
    else:
        count = int(np.count_nonzero(held))
        found = ((ids.find(entry["recording"]), entry) for entry in sifted.left_out)
        lost = [(entry["recording"], entry["kind"]) for number, entry in found if number is None or not held[number]]
    for origin, kind in lost:
        if kind not in kinds.BESIDE:
            fates.setdefault(origin, kind)
    counted = Counter(fates.values())
    counted.update({reason: len(items) for reason, items in plan.passed_over.items()})
    return {"listed": plan.listed, "held": count, **dict(sorted(counted.items()))}
