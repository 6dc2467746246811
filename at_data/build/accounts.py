"""Where every recording of the corpus went, counted."""

from collections import Counter
from collections.abc import Collection

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
    origins: dict[str, str] = {}
    if isinstance(plan.manifest.noise, noise.Task):
        origins = {recording.id: recording.attributes[mixtures.SPEECH] for recording in plan.recordings}
    held: Collection[str] = sifted.held
    if origins:
        held = {origins[item] for item in sifted.held}
    fates: dict[str, str] = {}
    for entry in sifted.left_out:
        origin = origins.get(entry["recording"], entry["recording"])
        if origin not in held and entry["kind"] not in kinds.BESIDE:
            fates.setdefault(origin, entry["kind"])
    counted = Counter(fates.values())
    counted.update({reason: len(items) for reason, items in plan.passed_over.items()})
    return {"listed": plan.listed, "held": len(held), **dict(sorted(counted.items()))}
