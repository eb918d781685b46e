"""Texts to numbers in two mapped arrays: sorted 64-bit hashes, and a value for each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def hash_of(text: str) -> int:
    """The 64-bit hash of a text: the same in every process, and no collision in a million texts
    with a probability of 0.99999997.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class HashTable:
    """`hashes`: uint64 (n,), ascending; `values`: int32 (n,). A text may have several values."""

    hashes: NDArray[np.uint64]
    values: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        hashes: Sequence[int] | NDArray[np.uint64],
        values: Sequence[int] | NDArray[np.int32],
    ) -> "HashTable":
        """A table of pairs in any order; equal texts keep their order."""
        keys = np.asarray(hashes, dtype=np.uint64)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], np.asarray(values, dtype=np.int32)[order])

    def find(self, text: str) -> list[int]:
        """The values of a text."""
        key = np.uint64(hash_of(text))
        first, last = np.searchsorted(self.hashes, key), np.searchsorted(self.hashes, key, "right")
        values: list[int] = self.values[first:last].tolist()
        return values
