"""All rows of an index in one numbering: those of the version, then those appended since."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.index.appended import AppendedRows
from models.index.columns.column_store import ColumnStore
from models.index.columns.dictionaries import Dictionaries
from models.index.files import IndexFiles
from models.index.id_order import IdOrder
from models.index.rows import BaseRows
from models.index.shapes import Filters, ProductAttributes


@dataclass(frozen=True)
class RowPart:
    """Rows whose attributes are in one store.

    `span`: their numbers in the index. `live`: which of them are live, bool.
    """

    columns: ColumnStore
    span: slice
    live: NDArray[np.bool_]

    @property
    def own(self) -> slice:
        """The rows as their store numbers them."""
        return slice(0, len(self.live))


class IndexRows:
    """Rows of the version first; appended rows start at the next multiple of 8.

    So bitmaps of both can be joined. A product whose vector changes leaves a dead row; its new row
    is appended.
    """

    def __init__(self, base: IndexFiles, appended: IndexFiles) -> None:
        self.base = BaseRows(base)
        self.start = 8 * len(self.base.live_bits)
        self.appended = AppendedRows(appended)
        self._dim = int(base.vectors.shape[1])
        self._order = IdOrder(self.base.ids, self.start)
        self._order.renumber(self.appended.ids)

    @property
    def dictionaries(self) -> Dictionaries:
        """The dictionaries of all rows."""
        return self.base.columns.dictionaries

    @property
    def count(self) -> int:
        """Live rows."""
        return self.base.count - self.base.dead + len(self.appended.row_of)

    @property
    def total(self) -> int:
        """The numbers that rows have, including dead rows and the gap before appended rows."""
        return self.start + len(self.appended.ids)

    @property
    def parts(self) -> list[RowPart]:
        """The rows of the version, and the appended ones."""
        base, appended = self.base, self.appended
        return [
            RowPart(base.columns, slice(0, base.count), base.live),
            RowPart(appended.columns, slice(self.start, self.total), appended.live),
        ]

    def append(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """Adds a row for a product that has none."""
        self.appended.append(product_id, vector, attributes)
        self._order.append(product_id)

    def put_attributes(self, row: int, attributes: ProductAttributes) -> None:
        """Replaces the attributes of a row."""
        if row < self.start:
            self.base.put_attributes(row, attributes)
        else:
            self.appended.put_attributes(row - self.start, attributes)

    def remove(self, product_id: str) -> bool:
        """Takes the product's live row, if any, out of all later searches.

        Returns whether the appended rows have been numbered anew.
        """
        row = self.find(product_id)
        if row is None:
            return False
        if row < self.start:
            self.base.remove(row)
            return False
        compactions = self.appended.compactions
        self.appended.remove(product_id)
        if self.appended.compactions == compactions:
            return False
        self._order.renumber(self.appended.ids)
        return True

    def find(self, product_id: str) -> int | None:
        """The live row of a product."""
        row = self.appended.row_of.get(product_id)
        return self.base.find(product_id) if row is None else self.start + row

    def id(self, row: int) -> str:
        """The product's id."""
        if row < self.start:
            return self.base.ids[row]
        return self.appended.ids[row - self.start]

    def ranks(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rank of each row by its id: int64 (n,)."""
        return self._order.ranks(rows)

    def rank_after(self, product_id: str) -> int:
        """The lowest rank of an id after this one."""
        return self._order.rank_after(product_id)

    def passes(self, row: int, filters: Filters) -> bool:
        """Whether a row passes the filters."""
        if row < self.start:
            return bool(self.base.columns.matching(np.array([row]), filters)[0])
        own = np.array([row - self.start])
        return bool(self.appended.columns.matching(own, filters)[0])

    def count_passing(self, filters: Filters) -> int:
        """How many live rows pass the filters."""
        if filters.is_open:
            return self.count
        appended = self.appended
        own = slice(0, len(appended.ids))
        newer = appended.live & appended.columns.matching(own, filters)
        return int(np.bitwise_count(self.base.allowed_bits(filters)).sum()) + int(newer.sum())

    def vector(self, row: int) -> NDArray[np.float16]:
        """The vector of a row: float16 (dim,)."""
        vector: NDArray[np.float16] = self.vectors(np.array([row]))[0]
        return vector

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Vectors of rows: float16, shape (n, dim)."""
        newer = rows >= self.start
        if not newer.any():
            return self.base.vectors.take(rows, axis=0)
        vectors = np.empty((len(rows), self._dim), dtype=np.float16)
        vectors[~newer] = self.base.vectors.take(rows[~newer], axis=0)
        vectors[newer] = self.appended.vectors.take(rows[newer] - self.start, axis=0)
        return vectors
