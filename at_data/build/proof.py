"""The whole proof of a build: groups, waveforms, near-duplicates and noise of what is held."""

from itertools import chain

from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.stages import bias, leaks


def prove(made: Plan, sifted: Sifted) -> list[leaks.Line]:
    """Lines of the proof, for every two splits and every key.

    Groups were proved when the build was planned, or it would not have begun; here they are those of what is left.
    """
    watched = [recording for task in made.watched for recording in task.recordings]
    keys = dict.fromkeys(line.key for line in made.proof)
    parted = [(task.split, kept) for task, kept in zip(made.tasks, sifted.items, strict=True)]
    by_split: dict[str, set[str]] = {task.split: set() for task in made.tasks}
    if made.watched:
        by_split[leaks.HELD_OUT] = set()
    some = chain(((split, kept.recordings) for split, kept in parted), [(leaks.HELD_OUT, watched)])
    proof = leaks.prove_parted(some, by_split, keys, made.manifest.shared)
    # no two splits share a waveform that one recording has alone
    held, places = sifted.held, made.places
    for item in sifted.waveforms.several():
        split = places[item]
        if split == leaks.HELD_OUT or item in held:
            by_split[split].add(sifted.waveforms[item])
    rules = made.manifest.duplicates
    proof += leaks.prove_disjoint(leaks.WAVEFORM, by_split, waived=rules.exact == "keep")
    proof += leaks.prove_alike(sifted.near, made.places, by_split, waived=rules.near == "keep")
    if made.noise:
        same = made.noise.same
        noises = {
            split: {same.get(noise.path, noise.path) for noise in files} for split, files in made.noise.by_split.items()
        }
        proof += leaks.prove_disjoint(leaks.NOISE, noises)
        heard: dict[str, set[str]] = {split: set() for split in noises}
        for split, kept in parted:
            # what contradicts a bias has the noise of the test
            place = "test" if split == bias.CONFLICTING else split
            heard[place].update(sifted.noises[noise] for noise in kept.mixing("noise"))
        proof += leaks.prove_disjoint(leaks.NOISE_WAVEFORM, heard)
    return proof
