"""The whole proof of a build: groups, waveforms, near-duplicates and noise of what is held."""

from at_data.build.plan import Plan
from at_data.build.sift import Sifted
from at_data.stages import bias, leaks


def prove(made: Plan, sifted: Sifted) -> list[leaks.Line]:
    """Lines of the proof, for every two splits and every key.

    Groups were proved when the build was planned, or it would not have begun; here they are those of what is left.
    """
    held = {item.recording.id: item.recording for kept in sifted.items for item in kept}
    watched = [recording for task in made.watched for recording in task.recordings]
    keys = dict.fromkeys(line.key for line in made.proof)
    groups = leaks.prove([*held.values(), *watched], made.places, keys, made.manifest.shared)
    by_split: dict[str, set[str]] = {task.split: set() for task in made.tasks}
    for task, kept in zip(made.tasks, sifted.items, strict=True):
        by_split[task.split].update(sifted.waveforms[item.recording.id] for item in kept)
    if made.watched:
        by_split[leaks.HELD_OUT] = {sifted.waveforms[r.id] for r in watched if r.id in sifted.waveforms}
    rules = made.manifest.duplicates
    proof = [*groups, *leaks.prove_disjoint(leaks.WAVEFORM, by_split, waived=rules.exact == "keep")]
    proof += leaks.prove_alike(sifted.near, made.places, by_split, waived=rules.near == "keep")
    if made.noise:
        same = made.noise.same
        noises = {
            split: {same.get(noise.path, noise.path) for noise in files} for split, files in made.noise.by_split.items()
        }
        proof += leaks.prove_disjoint(leaks.NOISE, noises)
        heard: dict[str, set[str]] = {split: set() for split in noises}
        for task, kept in zip(made.tasks, sifted.items, strict=True):
            # what contradicts a bias has the noise of the test
            split = "test" if task.split == bias.CONFLICTING else task.split
            heard[split].update(sifted.noises[item.row.mixing["noise"]] for item in kept if item.row.mixing)
        proof += leaks.prove_disjoint(leaks.NOISE_WAVEFORM, heard)
    return proof
