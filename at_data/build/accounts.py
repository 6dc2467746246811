"""Where every recording of the corpus went, counted."""

from collections import Counter

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
    held = plan.recordings.take(sifted.held[plan.recordings.rows])
    count, gone = len(held), [(entry["recording"], entry["kind"]) for entry in sifted.left_out]
    names = {item for item, _ in gone}
    here = {item for item in held.ids if item in names}
    if isinstance(plan.manifest.noise, noise.Task):
        speech = zip(plan.recordings.ids, plan.recordings.each((mixtures.SPEECH,)), strict=True)
        origins = {item: origin for item, (origin,) in speech if item in names}
        gone = [(origins.get(item, item), kind) for item, kind in gone]
        here = {origin for (origin,) in held.each((mixtures.SPEECH,))}
        count = len(here)
    fates: dict[str, str] = {}
    for origin, kind in gone:
        if origin not in here and kind not in kinds.BESIDE:
            fates.setdefault(origin, kind)
    counted = Counter(fates.values())
    counted.update({reason: len(items) for reason, items in plan.passed_over.items()})
    return {"listed": plan.listed, "held": count, **dict(sorted(counted.items()))}
