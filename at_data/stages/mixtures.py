"""Speech and noise files of each split -> the mixtures a noise task is made of."""

from collections.abc import Mapping, Sequence

from at_data import seeds
from at_data.errors import ManifestError
from at_data.recordings import Recording

SPEECH, NOISE = "speech", "noise_file"  # attributes that say what a mixture is made of: ids of the two recordings


def mixtures(
    speech: Mapping[str, Sequence[Recording]],
    noises: Mapping[str, Sequence[Recording]],
    label: str,
    numbers: Mapping[str, int],
    seed: int,
) -> dict[str, list[Recording]]:
    """Recordings of the speech of each split, each to be mixed with the noise its attribute `noise_file` names.

    They have the attributes of the speech, the `label` of the noise, and the ids of both. A split gets `numbers` of
    them, as many of each label its noise has; speech is used in a seeded order, all of it before any of it again.

    Raises
    ------
    ManifestError
        A split that is to have mixtures has no speech or no noise, a noise has no `label`, there are fewer mixtures
        than labels, or the speech has an attribute that is called as one that mixtures have.

    """
    _refuse_taken(speech, label)
    made: dict[str, list[Recording]] = {}
    for split, number in numbers.items():
        by_label = _by_label(noises[split], label)
        if number and not (speech[split] and number >= len(by_label) > 0):
            raise ManifestError(
                "noise.hours",
                f"{number} mixtures for {split}, of {len(speech[split])} speech recordings and {len(by_label)} {label}",
                "speech in every split, and mixtures for every label",
                "ask for more hours, change the split, or widen keep",
            )
        order = _order(speech[split], seed, split, number)
        made[split] = [_mixture(order[place], by_label, place, split, label, seed) for place in range(number)]
    return made


def _refuse_taken(speech: Mapping[str, Sequence[Recording]], label: str) -> None:
    own = {name for some in speech.values() for recording in some for name in recording.attributes}
    taken = sorted(own & {label, SPEECH, NOISE})
    if taken:
        raise ManifestError(
            "noise",
            f"the speech has an attribute {' and '.join(taken)} of its own, which would be lost",
            f"other names than those that mixtures have: {label}, {SPEECH}, {NOISE}",
            "rename it in the list of the corpus",
        )


def _by_label(noises: Sequence[Recording], label: str) -> dict[str, list[Recording]]:
    found: dict[str, list[Recording]] = {}
    for noise in noises:
        if label not in noise.attributes:
            raise ManifestError(
                "noise.label",
                f"{noise.id} has no '{label}'",
                f"an attribute every noise has; it has {', '.join(sorted(noise.attributes))}",
                "choose another label, or narrow noise.keep",
            )
        found.setdefault(noise.attributes[label], []).append(noise)
    return dict(sorted(found.items()))


def _order(speech: Sequence[Recording], seed: int, split: str, number: int) -> list[Recording]:
    """Speech for so many mixtures: one seeded order of all of it after another."""
    order: list[Recording] = []
    while len(order) < number:
        dice = seeds.generator(seed, "speech", f"{split}/{len(order)}")
        order += [speech[place] for place in dice.permutation(len(speech)).tolist()]
    return order


def _mixture(
    speech: Recording, by_label: Mapping[str, Sequence[Recording]], place: int, split: str, label: str, seed: int
) -> Recording:
    value = list(by_label)[place % len(by_label)]
    item = f"{value}/{split}/{place // len(by_label):05d}"
    files = by_label[value]
    noise = files[int(seeds.generator(seed, "mixture", item).integers(len(files)))]
    attributes = {**speech.attributes, label: value, SPEECH: speech.id, NOISE: noise.id}
    return Recording(item, speech.corpus, speech.path, attributes, speech.start_s, speech.length_s)
