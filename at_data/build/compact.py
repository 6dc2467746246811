"""Mappings by recording whose values lie behind each other in one array: as objects they would take far more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt32

Fingerprint = UInt32[np.ndarray, "_"]

HASH_BYTES = 16


class Some:
    """Some of all recordings: every one has a number, and `there` says of which numbers."""

    def __init__(self, numbers: Mapping[str, int], there: Bool[np.ndarray, "recordings"]) -> None:
        self.numbers, self.there = numbers, there

    def __contains__(self, item: object) -> bool:
        """Whether it is one of them."""
        number = self.numbers.get(item) if isinstance(item, str) else None
        return number is not None and bool(self.there[number])

    def __iter__(self) -> Iterator[str]:
        """Their ids."""
        return (item for item, number in self.numbers.items() if self.there[number])

    def __len__(self) -> int:
        """How many they are."""
        return int(self.there.sum())

    def number(self, item: str) -> int:
        """Number of one of them; KeyError for any other."""
        number = self.numbers[item]
        if not self.there[number]:
            raise KeyError(item)
        return number

    def without(self, ids: Iterable[str]) -> Bool[np.ndarray, "recordings"]:
        """Which are left without these."""
        there = self.there.copy()
        there[[self.numbers[item] for item in ids]] = False
        return there


class Hashes(Some, Mapping[str, str]):
    """Hash of each of some recordings, in hex; 16 bytes of each are held."""

    def __init__(
        self,
        numbers: Mapping[str, int],
        there: Bool[np.ndarray, "recordings"],
        held: UInt8[np.ndarray, "recordings 16"],
    ) -> None:
        super().__init__(numbers, there)
        self.held = held

    @classmethod
    def of(cls, hashes: Mapping[str, str]) -> "Hashes":
        """The same hashes."""
        numbers = {item: number for number, item in enumerate(hashes)}
        return cls(numbers, np.ones(len(hashes), bool), packed("".join(hashes.values())))

    def __getitem__(self, item: str) -> str:
        """Hash of one recording."""
        raw: bytes = self.held[self.number(item)].tobytes()
        return raw.hex()

    def bytes_of(self, ids: Sequence[str]) -> UInt8[np.ndarray, "ids 16"]:
        """Hashes of some recordings, not in hex."""
        numbers = np.fromiter((self.number(item) for item in ids), np.int64, len(ids))
        return np.asarray(self.held[numbers])

    def hexed(self, ids: Sequence[str]) -> list[str]:
        """Hashes of some recordings."""
        text = self.bytes_of(ids).tobytes().hex()
        return [text[start : start + 2 * HASH_BYTES] for start in range(0, len(text), 2 * HASH_BYTES)]

    def several(self) -> list[str]:
        """Ids of recordings whose hash another one has as well, in order of their numbers."""
        numbers = np.flatnonzero(self.there)
        halves = self.held.view(np.uint64)[numbers]
        order = np.argsort(halves[:, 0], kind="stable")
        # those that agree in half of it are looked at in Python: they agree in all of it, and are few
        halves = halves[order]
        same = halves[1:, 0] == halves[:-1, 0]
        doubtful = np.zeros(numbers.size, bool)
        doubtful[1:] |= same
        doubtful[:-1] |= same
        maybe = dict.fromkeys(np.sort(numbers[order[doubtful]]).tolist())
        if not maybe:
            return []
        seen: dict[bytes, list[int]] = {}
        for number in maybe:
            seen.setdefault(self.held[number].tobytes(), []).append(number)
        wanted = {number for found in seen.values() if len(found) > 1 for number in found}
        return [item for item, number in self.numbers.items() if number in wanted]


class Words(Some, Mapping[str, Fingerprint]):
    """Fingerprint of each of some recordings, the words of all behind each other."""

    def __init__(
        self,
        numbers: Mapping[str, int],
        there: Bool[np.ndarray, "recordings"],
        held: UInt32[np.ndarray, "words"],
        starts: Int64[np.ndarray, "recordings"],
        sizes: Int32[np.ndarray, "recordings"],
    ) -> None:
        super().__init__(numbers, there)
        self.held, self.starts, self.sizes = held, starts, sizes

    @classmethod
    def of(cls, words: Mapping[str, Fingerprint]) -> "Words":
        """The same fingerprints."""
        numbers = {item: number for number, item in enumerate(words)}
        sizes = np.array([found.size for found in words.values()], np.int32)
        held = np.concatenate([np.zeros(0, np.uint32), *words.values()])
        return cls(numbers, np.ones(len(words), bool), held, np.cumsum(sizes, dtype=np.int64) - sizes, sizes)

    def __getitem__(self, item: str) -> Fingerprint:
        """Fingerprint of one recording."""
        number = self.number(item)
        start = int(self.starts[number])
        return self.held[start : start + int(self.sizes[number])]

    def only(self, there: Bool[np.ndarray, "recordings"]) -> "Words":
        """Those of other recordings; the words themselves are shared."""
        return Words(self.numbers, there, self.held, self.starts, self.sizes)


def packed(hexed: str) -> UInt8[np.ndarray, "hashes 16"]:
    """Hashes behind each other in hex, as bytes."""
    return np.frombuffer(bytes.fromhex(hexed), np.uint8).reshape(-1, HASH_BYTES)
