"""The whole proof of a build: groups, waveforms, near-duplicates and noise of what is held."""

from at_data.build.plan import Plan
from at_data.build.rows import Items
from at_data.build.sift import Sifted
from at_data.build.sources import ABSENT, Content, Files
from at_data.errors import ManifestError
from at_data.rolls import joined
from at_data.stages import bias, leaks


def prove(made: Plan, sifted: Sifted) -> list[leaks.Line]:
    """Lines of the proof, for every two splits and every key.

    Groups were proved when the build was planned, or it would not have begun; here they are those of what is left.
    """
    keys = dict.fromkeys(line.key for line in made.proof)
    parted: dict[str, list[Items]] = {task.split: [] for task in made.tasks}
    for task, kept in zip(made.tasks, sifted.items, strict=True):
        parted[task.split].append(kept)
    rolls = {split: joined([items.recordings for items in some]) for split, some in parted.items()}
    if made.watched:
        rolls[leaks.HELD_OUT] = made.held_out
    proof = leaks.prove_parted(rolls, keys, made.manifest.shared)
    by_split: dict[str, set[str]] = {split: set() for split in rolls}
    # no two splits share a waveform that one recording has alone
    held, places = sifted.held, made.places
    several = sifted.several
    splits = places.some(several).values()
    for number, split, waveform in zip(several, splits, sifted.waveforms.hexed(several), strict=True):
        if split == leaks.HELD_OUT or held[number]:
            by_split[split].add(waveform)
    rules = made.manifest.duplicates
    proof += leaks.prove_disjoint(leaks.WAVEFORM, by_split, waived=rules.exact == "keep")
    proof += leaks.prove_alike(sifted.near, places, by_split, waived=rules.near == "keep")
    if made.noise:
        same = made.noise.same
        noises = {
            split: {same.get(noise.path, noise.path) for noise in files} for split, files in made.noise.by_split.items()
        }
        proof += leaks.prove_disjoint(leaks.NOISE, noises)
        heard: dict[str, set[str]] = {split: set() for split in noises}
        for split, some in parted.items():
            # what contradicts a bias has the noise of the test
            place = "test" if split == bias.CONFLICTING else split
            heard[place].update(sifted.noises[noise] for kept in some for noise in kept.mixing("noise"))
        proof += leaks.prove_disjoint(leaks.NOISE_WAVEFORM, heard)
    return proof


def refuse_recordings_as_noise(made: Plan, sifted: Sifted, files: Files) -> None:
    """Nothing, or ManifestError where a noise file is a recording of another split than the noise's, or held out."""
    if made.noise is None:
        return
    place = {noise.path: split for split, some in made.noise.by_split.items() for noise in some}
    splits_of: dict[Content, set[str]] = {}
    corpus: dict[str, Content] = {}
    for (_, path), held in files.noise():
        if held.size_bytes != ABSENT:
            splits_of.setdefault(held, set()).add(place[path])
    for (which, path), held in files.entries():
        if which == "corpus" and held in splits_of:
            corpus[path] = held
    if not corpus:
        return
    found = {}
    kept = joined([made.recordings.take(sifted.held[made.recordings.rows]), made.held_out])
    for recording, split in zip(kept, made.places.each(kept), strict=True):
        of_noise = splits_of.get(corpus.get(recording.path, Content(ABSENT, "")), set())
        others = of_noise - {"test" if split == bias.CONFLICTING else split}
        if others:
            found[recording.id] = f"{recording.id} of {split} is noise of {' and '.join(sorted(others))}"
    if found:
        raise ManifestError(
            f"{made.manifest.name}, noise",
            f"{len(found)} recordings that are noise of another split ({'; '.join(list(found.values())[:3])})",
            "noise that is no recording of another split",
            "keep those files out of the noise: narrow noise.keep, or take them out of its folder",
        )
