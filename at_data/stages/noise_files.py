"""Which noise files are copies of each other, which go to which split."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import xxhash

from at_data import seeds
from at_data.errors import ManifestError
from at_data.files import blocks
from at_data.recordings import Recording

# One file of a type can only train, two can also test; from three on every split has its own.
FILES_FOR_TEST, FILES_FOR_ALL = 2, 3


def copies(root: Path, noises: Sequence[Recording]) -> dict[str, str]:
    """Path of every noise file that is a copy of another -> the first of those copies.

    Only files of equal size are read, and compared by a 128-bit hash of their bytes.
    """
    by_size: dict[int, list[str]] = {}
    for path in dict.fromkeys(recording.path for recording in noises):
        with suppress(OSError):  # who reads it says what is wrong with it
            by_size.setdefault((root / path).stat().st_size, []).append(path)
    same: dict[str, str] = {}
    for paths in by_size.values():
        first: dict[str, str] = {}
        for path in paths if len(paths) > 1 else ():
            with suppress(OSError):
                digest = xxhash.xxh3_128()
                for block in blocks(root / path):
                    digest.update(block)
                found = digest.hexdigest()
                if first.setdefault(found, path) != path:
                    same[path] = first[found]
    return same


def divide(
    recordings: Sequence[Recording],
    valid: float,
    test: float,
    seed: int,
    by: str = "noise_type",
    same: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[Recording]]:
    """Noise recordings of train, valid and test: whole files, these shares of them, within every type.

    A type with one file goes to train, with two to train and test; from three on it stands in every split. Stretches
    of one file stay together, and so do files that are the `same`: path of a copy -> path it is a copy of. The order
    is drawn from the seed and the file's path, so a file that joins or leaves one type moves nothing in the others.

    Raises
    ------
    ManifestError
        A split would be empty.

    """
    files: dict[str, list[Recording]] = {}
    for recording in recordings:
        files.setdefault(same.get(recording.path, recording.path), []).append(recording)
    types: dict[str, list[str]] = {}
    for path, held in files.items():
        types.setdefault(held[0].attributes.get(by, ""), []).append(path)
    splits: dict[str, list[Recording]] = {"train": [], "valid": [], "test": []}
    for paths in types.values():
        paths.sort(key=lambda path: seeds.key(seed, "noise files", path))
        first, second = _sizes(len(paths), valid, test)
        bounds = {"valid": paths[:first], "test": paths[first : first + second], "train": paths[first + second :]}
        for split, chosen in bounds.items():
            splits[split].extend(recording for path in chosen for recording in files[path])
    for split, held in splits.items():
        if not held:
            came = f"no noise for {split}: {len(files)} files, the most of one {by} is {_most(types)}"
            expected = f"at least {FILES_FOR_ALL} files of one {by}"
            raise ManifestError("noise.split", came, expected, "widen noise.keep or add files to the noise corpus")
        held.sort(key=lambda recording: recording.id)
    return splits


def _sizes(files: int, valid: float, test: float) -> tuple[int, int]:
    """Files of one type for valid and for test; the rest, at least one, trains."""
    if files < FILES_FOR_ALL:
        return 0, int(files == FILES_FOR_TEST)
    first = min(max(1, round(valid * files)), files - 2)
    return first, min(max(1, round(test * files)), files - first - 1)


def _most(types: Mapping[str, Sequence[str]]) -> int:
    return max(map(len, types.values()), default=0)
