"""Rows appended since an index version was built; the newest are compared exhaustively."""

import numpy as np
from numpy.typing import NDArray

from models.index.columns.column_store import ColumnStore, ProductColumns
from models.index.columns.growing import GrowingArray
from models.index.exact_scores import inner_products, top_k
from models.index.files import IndexFiles
from models.index.shapes import Filters, ProductAttributes

COMPACT_ROWS = 1000
COMPACT_SHARE = 0.25
"""Unsealed rows are compacted when more than this many, and this share, of them are dead."""


class AppendedRows:
    """Rows in order of arrival; a removed product leaves a dead row.

    The first `sealed` rows are in the approximate index; the others, the tail, are compared
    exhaustively.

    Attributes:
        compactions: how often the rows have been numbered anew, without the dead ones.
        survivors: the rows that the last compaction has left, int64.
    """

    def __init__(self, files: IndexFiles) -> None:
        self.compactions = 0
        self.survivors = np.zeros(0, dtype=np.int64)
        ids = [files.ids[row] for row in range(len(files.ids))]
        self._start(ids, files.vectors, files.columns)

    def _start(self, ids: list[str], vectors: NDArray[np.float16], columns: ProductColumns) -> None:
        self.ids = ids
        self.row_of = {product_id: row for row, product_id in enumerate(ids)}
        self.sealed = 0
        self.dead_sealed = 0
        self.columns = ColumnStore(columns)
        self._live = GrowingArray(np.ones(len(ids), dtype=np.bool_))
        self._halves = GrowingArray(vectors)
        self._tail = GrowingArray(vectors.astype(np.float32))

    @property
    def vectors(self) -> NDArray[np.float16]:
        """float16, shape (n, dim)."""
        return self._halves.view

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which rows are live: bool, shape (n,)."""
        live: NDArray[np.bool_] = self._live.view
        return live

    def similarities(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inner product of the query and every row of the tail: float32 (tail_count,)."""
        return inner_products(query, self._tail.view)

    @property
    def tail_count(self) -> int:
        """Rows that every search compares, including dead ones."""
        return len(self.ids) - self.sealed

    @property
    def live_sealed(self) -> NDArray[np.int64]:
        """The live ones of the sealed rows."""
        return np.flatnonzero(self._live.view[: self.sealed])

    def append(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """Adds a row for a product that has none. `vector`: float16, shape (dim,)."""
        row = len(self.ids)
        self.ids.append(product_id)
        self.row_of[product_id] = row
        self.columns.put(row, attributes)
        self._live.append(True)
        self._halves.append(vector)
        self._tail.append(vector)

    def put_attributes(self, row: int, attributes: ProductAttributes) -> None:
        """Replaces the attributes of a row."""
        self.columns.put(row, attributes)

    def remove(self, product_id: str) -> None:
        """Takes the product's live row out of all later searches."""
        row = self.row_of.pop(product_id)
        self._live.view[row] = False
        self.dead_sealed += row < self.sealed
        dead = len(self.ids) - len(self.row_of)
        if not self.sealed and dead > COMPACT_ROWS and dead > COMPACT_SHARE * len(self.ids):
            self._compact()

    def seal(self, count: int) -> NDArray[np.int64]:
        """Moves the oldest rows out of the tail; returns the live ones, which FAISS takes over."""
        rows = self.sealed + np.flatnonzero(self._live.view[self.sealed : self.sealed + count])
        self._tail.drop_first(count)
        self.sealed += count
        return rows

    def allowed_sealed(self, filters: Filters) -> NDArray[np.bool_]:
        """Which sealed rows are live and pass the filters: bool, shape (sealed,)."""
        return self._allowed(slice(0, self.sealed), filters)

    def nearest(
        self, query: NDArray[np.float32], k: int, filters: Filters, tie: float
    ) -> NDArray[np.int64]:
        """The k best rows of the tail, exactly, and all that may tie with the last of them."""
        if not self.tail_count:
            return np.zeros(0, dtype=np.int64)
        allowed = np.flatnonzero(self._allowed(slice(self.sealed, len(self.ids)), filters))
        if 4 * len(allowed) < self.tail_count:
            scores = inner_products(query, self._tail.view[allowed])
        else:
            scores = inner_products(query, self._tail.view)[allowed]
        return self.sealed + allowed[top_k(scores, k, tie)]

    def _allowed(self, rows: slice, filters: Filters) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = self._live.view[rows]
        return live if filters.is_open else live & self.columns.matching(rows, filters)

    def _compact(self) -> None:
        rows = np.flatnonzero(self._live.view)
        ids = [self.ids[row] for row in rows]
        self.compactions += 1
        self.survivors = rows
        self._start(ids, self.vectors[rows], self.columns.take(rows))
