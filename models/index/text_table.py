"""Many texts in two mapped arrays: ids of products, terms of a vocabulary."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray


class TextTable:
    """Texts in ascending order of their bytes, as one text and the position where each ends.

    A million of them need no Python object each; `find` is a binary search.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.text = text
        self.ends = ends

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextTable":
        """A table in memory."""
        encoded = [text.encode() for text in texts]
        ends = list(accumulate(len(name) for name in encoded))
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.array(ends, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        return self._bytes(row).decode()

    def find(self, text: str) -> int | None:
        """The text's row, or None."""
        row = self.count_up_to(text) - 1
        return row if row >= 0 and self._bytes(row) == text.encode() else None

    def count_up_to(self, text: str) -> int:
        """How many texts are at most this one."""
        target = text.encode()
        low, high = 0, len(self.ends)
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) <= target:
                low = middle + 1
            else:
                high = middle
        return low

    def _bytes(self, row: int) -> bytes:
        start = self.ends[row - 1] if row else 0
        return self.text[start : self.ends[row]].tobytes()
