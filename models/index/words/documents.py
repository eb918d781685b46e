"""Which document holds the words of which row of an index."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.index.columns.growing import GrowingArray

Value = TypeVar("Value", np.float32, np.bool_)
NONE = -1
COMPACT_DOCUMENTS = 1000
COMPACT_SHARE = 0.5
"""Live documents are compacted when more than this many, and this share, of them are dead."""


class Documents:
    """Documents of the version, which are its rows, and behind them those that were put since."""

    def __init__(self, fingerprints: NDArray[np.uint64]) -> None:
        """`fingerprints`: uint64 (n,), of the texts of the version's rows."""
        self._base = len(fingerprints)
        self._fingerprints = GrowingArray(fingerprints)
        self._rows = GrowingArray(np.arange(self._base, dtype=np.int32))
        self._documents = GrowingArray(np.arange(self._base, dtype=np.int32))
        self._dead_live = self._dead_base = 0
        self._is_moved = False

    @property
    def count(self) -> int:
        """Documents, including dead ones."""
        return len(self._rows.view)

    @property
    def is_compaction_due(self) -> bool:
        """Whether most of the live documents are dead."""
        live = self.count - self._base
        return self._dead_live > COMPACT_DOCUMENTS and self._dead_live > COMPACT_SHARE * live

    def put(self, row: int, fingerprint: int) -> int | None:
        """The new document of a row; None where the row has one with this fingerprint."""
        while row >= len(self._documents.view):
            self._documents.append(NONE)
        old = int(self._documents.view[row])
        if old != NONE and int(self._fingerprints.view[old]) == fingerprint:
            return None
        self.remove(row)
        document = self.count
        self._rows.append(row)
        self._fingerprints.append(np.uint64(fingerprint))
        self._documents.view[row] = document
        return document

    def remove(self, row: int) -> None:
        """Kills the row's document, if it has one."""
        documents = self._documents.view
        if row >= len(documents) or documents[row] == NONE:
            return
        document = int(documents[row])
        documents[row] = NONE
        self._rows.view[document] = NONE
        self._dead_live += document >= self._base
        self._dead_base += document < self._base

    def renumber(self, rows: NDArray[np.int64]) -> None:
        """The new rows are these old ones, in this order; the others are gone."""
        documents = np.full(len(rows), NONE, dtype=np.int32)
        is_inside = rows < len(self._documents.view)
        documents[is_inside] = self._documents.view[rows[is_inside]]
        self._rows.view[:] = NONE
        placed = documents != NONE
        self._rows.view[documents[placed]] = np.flatnonzero(placed)
        self._documents = GrowingArray(documents)
        self._is_moved = True

    def compact(self) -> NDArray[np.int32]:
        """Drops dead documents behind the version's; old number -> new one, -1: dropped."""
        rows = self._rows.view
        is_kept = (rows != NONE) | (np.arange(len(rows)) < self._base)
        numbers = np.where(is_kept, np.cumsum(is_kept) - 1, NONE).astype(np.int32)
        self._rows = GrowingArray(rows[is_kept])
        self._fingerprints = GrowingArray(self._fingerprints.view[is_kept])
        documents = self._documents.view
        documents[documents != NONE] = numbers[documents[documents != NONE]]
        self._dead_live = 0
        return numbers

    def to_rows(self, values: NDArray[Value], rows: int) -> NDArray[Value]:
        """Values of documents as values of rows; 0 for rows without a document."""
        by_row = np.zeros(rows, dtype=values.dtype)
        start = 0 if self._is_moved else self._base
        by_row[:start] = values[:start]
        if start and self._dead_base:
            by_row[:start][self._rows.view[:start] == NONE] = 0
        places = self._rows.view[start:]
        is_live = places != NONE
        by_row[places[is_live]] = values[start:][is_live]
        return by_row

    def live_rows(self, documents: list[int]) -> NDArray[np.int64]:
        """The rows of those documents that are not dead."""
        if not documents:
            return np.zeros(0, dtype=np.int64)
        live = [document for document in documents if document != NONE]
        rows = np.unique(self._rows.view[np.array(live, dtype=np.int64)])
        return rows[rows != NONE].astype(np.int64)
