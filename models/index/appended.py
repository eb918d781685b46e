"""Rows appended since an index version was built; the newest of them are compared one by one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.index.columns import ColumnStore, ProductAttributes, ProductColumns, RowFilter
from models.index.exact import best, inner_products
from models.index.files import IndexFiles

COMPACT_ROWS = 1000
COMPACT_SHARE = 0.25
"""This many, and this share of, dead rows make rows that nobody else numbers move together."""


class GrowingArray:
    """Rows of one type, in an array that doubles when full."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self._count = len(rows)

    def append(self, row: Any) -> None:
        if self._count == len(self._rows):
            grown = np.zeros((max(64, 2 * self._count), *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._count] = self.view
            self._rows = grown
        self._rows[self._count] = row
        self._count += 1

    def drop_first(self, count: int) -> None:
        """Forgets the first rows; their room is given back when the array grows."""
        self._rows = self._rows[count:]
        self._count -= count

    @property
    def view(self) -> NDArray[Any]:
        """The rows; writes go through."""
        return self._rows[: self._count]


class AppendedRows:
    """Rows in order of arrival. The first `sealed` are in FAISS; the tail is compared exactly."""

    def __init__(self, files: IndexFiles) -> None:
        ids = [files.ids[row] for row in range(len(files.ids))]
        self._start(ids, files.vectors, files.columns)

    def _start(self, ids: list[str], vectors: NDArray[np.float16], columns: ProductColumns) -> None:
        self.ids = ids
        self.row_of = {product_id: row for row, product_id in enumerate(ids)}
        self.sealed = 0
        self.dead_sealed = 0
        self._columns = ColumnStore(columns)
        self._live = GrowingArray(np.ones(len(ids), dtype=np.bool_))
        self._halves = GrowingArray(vectors)
        self._tail = GrowingArray(vectors.astype(np.float32))

    @property
    def vectors(self) -> NDArray[np.float16]:
        """float16, shape (n, dim)."""
        return self._halves.view

    @property
    def tail_count(self) -> int:
        """Rows that every search compares, dead ones among them."""
        return len(self.ids) - self.sealed

    def append(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """A row for a product that has none. `vector`: float16, shape (dim,)."""
        row = len(self.ids)
        self.ids.append(product_id)
        self.row_of[product_id] = row
        self._columns.put(row, attributes)
        self._live.append(True)
        self._halves.append(vector)
        self._tail.append(vector)

    def put_attributes(self, row: int, attributes: ProductAttributes) -> None:
        """What filters see of a row from now on."""
        self._columns.put(row, attributes)

    def remove(self, product_id: str) -> None:
        """The product's row, which lives, is never found again."""
        row = self.row_of.pop(product_id)
        self._live.view[row] = False
        self.dead_sealed += row < self.sealed
        dead = len(self.ids) - len(self.row_of)
        if not self.sealed and dead > COMPACT_ROWS and dead > COMPACT_SHARE * len(self.ids):
            self._compact()

    def seal(self, count: int) -> NDArray[np.int64]:
        """The oldest rows of the tail leave it; returns those that live, for FAISS to take."""
        rows = self.sealed + np.flatnonzero(self._live.view[self.sealed : self.sealed + count])
        self._tail.drop_first(count)
        self.sealed += count
        return rows

    def allowed_sealed(self, where: RowFilter) -> NDArray[np.bool_]:
        """Which sealed rows live and pass the filter: bool, shape (sealed,)."""
        return self._allowed(slice(0, self.sealed), where)

    def nearest(
        self, query: NDArray[np.float32], k: int, where: RowFilter, tie: float
    ) -> NDArray[np.int64]:
        """Rows of the tail that hold its k best, exactly, and all that may tie with the last."""
        if not self.tail_count:
            return np.zeros(0, dtype=np.int64)
        allowed = np.flatnonzero(self._allowed(slice(self.sealed, len(self.ids)), where))
        if 4 * len(allowed) < self.tail_count:
            scores = inner_products(query, self._tail.view[allowed])
        else:
            scores = inner_products(query, self._tail.view)[allowed]
        return self.sealed + allowed[best(scores, k, tie)]

    def _allowed(self, rows: slice, where: RowFilter) -> NDArray[np.bool_]:
        live: NDArray[np.bool_] = self._live.view[rows]
        return live if where.is_open else live & self._columns.matching(rows, where)

    def _compact(self) -> None:
        rows = np.flatnonzero(self._live.view)
        ids = [self.ids[row] for row in rows]
        self._start(ids, self.vectors[rows], self._columns.take(rows))
