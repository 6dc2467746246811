"""Hashes and fingerprints of recordings behind each other on disk, by number of the recording in its listing."""

from collections import defaultdict

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped, UInt8, UInt32

from at_data import scratch
from at_data.rolls import CHUNK

Fingerprint = UInt32[np.ndarray, "_"]

HASH_BYTES, WORD_BYTES = 16, 4
HALF = np.uint64(0xFFFFFFFF)


class Hashes:
    """Hash of each of some recordings of a listing of so many; `there` says of which."""

    def __init__(self, count: int) -> None:
        self.there: Bool[np.ndarray, "listing"] = scratch.zeros(count, bool)
        self._held: UInt8[np.ndarray, "listing 16"] = scratch.zeros(HASH_BYTES * count, np.uint8).reshape(
            -1, HASH_BYTES
        )

    def note(self, numbers: Shaped[np.ndarray, "some"], hexed: str) -> None:
        """Hashes of these recordings, behind each other in hex; that they are `there` is for the caller to say."""
        self._held[numbers] = np.frombuffer(bytes.fromhex(hexed), np.uint8).reshape(-1, HASH_BYTES)

    def hexed(self, numbers: Shaped[np.ndarray, "some"]) -> list[str]:
        """Hashes of some recordings, in hex."""
        text = self._held[numbers].tobytes().hex()
        return [text[start : start + 2 * HASH_BYTES] for start in range(0, len(text), 2 * HASH_BYTES)]

    def several(self) -> Int64[np.ndarray, "some"]:
        """Numbers of the recordings that are there and whose hash another one has as well, in order."""
        keys = scratch.zeros(self.there.size, np.uint64)
        used = 0
        for start in range(0, keys.size, CHUNK):
            numbers = start + np.flatnonzero(self.there[start : start + CHUNK])
            firsts = self._held[numbers, :4].copy().view(np.uint32)[:, 0].astype(np.uint64)
            keys[used : used + numbers.size] = (firsts << np.uint64(32)) | numbers.astype(np.uint64)
            used += numbers.size
        keys = keys[:used]
        keys.sort()
        # those that agree in a quarter of it are looked at in Python: nearly all of them agree in all of it
        doubtful: list[int] = []
        for start in range(0, keys.size, CHUNK):
            some = keys[max(0, start - 1) : start + CHUNK + 1]
            same = (some[1:] ^ some[:-1]) <= HALF
            alike = np.concatenate([[False], same]) | np.concatenate([same, [False]])
            doubtful += (some[alike] & HALF).tolist()
        seen: defaultdict[bytes, list[int]] = defaultdict(list)
        for number in sorted(set(doubtful)):
            seen[self._held[number].tobytes()].append(number)
        return np.array(sorted(n for found in seen.values() if len(found) > 1 for n in found), np.int64)


class Words:
    """Fingerprint of each of some recordings, the words of all behind each other; `there` says of which."""

    def __init__(
        self,
        held: UInt32[np.ndarray, "words"],
        starts: Int64[np.ndarray, "listing"],
        sizes: Int32[np.ndarray, "listing"],
        there: Bool[np.ndarray, "listing"],
    ) -> None:
        self.held, self.starts, self.sizes, self.there = held, starts, sizes, there

    def of(self, number: int) -> Fingerprint:
        """Fingerprint of one recording."""
        start = int(self.starts[number])
        return self.held[start : start + int(self.sizes[number])]

    def without(self, numbers: Shaped[np.ndarray, "some"]) -> "Words":
        """Those of the other recordings; the words themselves are shared."""
        there = scratch.filled(self.there, bool)
        there[numbers] = False
        return Words(self.held, self.starts, self.sizes, there)
