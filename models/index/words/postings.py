"""Postings: for every term the documents that have it, in mapped arrays and in live ones."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Posting = tuple[NDArray[np.int32], NDArray[np.uint8]]
"""Documents, and the term's impact in each: int32 (n,), uint8 (n,)."""


@dataclass(frozen=True)
class PostingFiles:
    """The postings of a version, those of term 0 first.

    `ends`: int64 (terms,), where each term's postings end; `documents`: int32 (n,), ascending
    within a term; `impacts`: uint8 (n,).
    """

    ends: NDArray[np.int64]
    documents: NDArray[np.int32]
    impacts: NDArray[np.uint8]


class TermPostings:
    """The version's postings, and behind them those of documents that were added since."""

    def __init__(self, files: PostingFiles) -> None:
        self._files = files
        self._live: dict[int, tuple[array[int], array[int]]] = {}

    def add(self, code: int, document: int, impact: int) -> None:
        """Adds a document, whose number is above all earlier ones."""
        documents, impacts = self._live.setdefault(code, (array("i"), array("B")))
        documents.append(document)
        impacts.append(impact)

    def base_count(self, code: int) -> int:
        """How many documents of the version have the term."""
        first, last = self._range(code)
        return last - first

    def count(self, code: int) -> int:
        """How many documents have the term, including dead ones."""
        live = self._live.get(code)
        return self.base_count(code) + (0 if live is None else len(live[0]))

    def of(self, code: int) -> Posting:
        """A term's documents, ascending, and its impacts in them."""
        first, last = self._range(code)
        documents, impacts = self._files.documents[first:last], self._files.impacts[first:last]
        live = self._live.get(code)
        if live is None:
            return documents, impacts
        # np.array copies: an array that numpy looks into could not grow
        return (
            np.concatenate([documents, np.array(live[0], dtype=np.int32)]),
            np.concatenate([impacts, np.array(live[1], dtype=np.uint8)]),
        )

    def renumber(self, numbers: NDArray[np.int32]) -> None:
        """Gives documents new numbers, in the same order; -1: the document is dropped."""
        for code, (documents, impacts) in list(self._live.items()):
            fresh = numbers[np.array(documents, dtype=np.int64)]
            is_left = fresh >= 0
            if not is_left.any():
                del self._live[code]
                continue
            remaining = np.array(impacts, dtype=np.uint8)[is_left]
            self._live[code] = (
                array("i", fresh[is_left].tobytes()), array("B", remaining.tobytes()),
            )  # fmt: skip

    def _range(self, code: int) -> tuple[int, int]:
        ends = self._files.ends
        if code >= len(ends):
            return 0, 0
        return int(ends[code - 1]) if code else 0, int(ends[code])
