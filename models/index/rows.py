"""The rows of an index version: vectors and ids as mapped files, and one bit a row: it lives."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from models.index.columns import ColumnStore, ProductAttributes, RowFilter
from models.index.files import IndexFiles

KEPT_FILTERS = 64
"""Filters whose rows are remembered, an eighth of a byte a row each."""
REMEMBERED_CHANGES = 4096


class BaseRows:
    """Vectors and ids never change; a changed product's row dies, its attributes may change."""

    def __init__(self, files: IndexFiles) -> None:
        self.vectors = files.vectors
        self.ids = files.ids
        self.count = len(files.ids)
        self.dead = 0
        self.live_bits = np.packbits(np.ones(self.count, dtype=np.bool_), bitorder="little")
        self._filters = FilteredRows(ColumnStore(files.columns), self.count)

    def find(self, product_id: str) -> int | None:
        """The living row of a product."""
        row = self.ids.find(product_id)
        return row if row is not None and self.live_bits[row >> 3] >> (row & 7) & 1 else None

    def remove(self, row: int) -> None:
        """The row, which lives, is never found again."""
        self.live_bits[row >> 3] &= np.uint8(~(1 << (row & 7)) & 0xFF)
        self.dead += 1

    def put_attributes(self, row: int, attributes: ProductAttributes) -> None:
        """What filters see of a row from now on."""
        self._filters.put(row, attributes)

    def allowed_bits(self, where: RowFilter) -> NDArray[np.uint8]:
        """Living rows that pass the filter, one bit a row, lowest first: uint8 (ceil(n / 8),)."""
        if where.is_open:
            return self.live_bits
        return self._filters.bits(where) & self.live_bits


class FilteredRows:
    """Columns, and which rows pass the filters that were asked for lately.

    A remembered answer is mended at its next use: only the rows that changed since are looked at.
    """

    def __init__(self, columns: ColumnStore, count: int) -> None:
        self._columns = columns
        self._count = count
        self._changed: list[int] = []
        self._kept: OrderedDict[RowFilter, tuple[NDArray[np.uint8], int]] = OrderedDict()

    def put(self, row: int, attributes: ProductAttributes) -> None:
        """Changes a row's attributes."""
        self._columns.put(row, attributes)
        if len(self._changed) >= REMEMBERED_CHANGES:
            self._changed.clear()
            self._kept.clear()
        self._changed.append(row)

    def bits(self, where: RowFilter) -> NDArray[np.uint8]:
        """Rows that pass, one bit a row; not to be written to."""
        kept = self._kept.pop(where, None)
        if kept is None:
            mask = self._columns.matching(slice(0, self._count), where)
            bits = np.packbits(mask, bitorder="little")
        else:
            bits = self._mended(*kept, where)
        self._kept[where] = (bits, len(self._changed))
        if len(self._kept) > KEPT_FILTERS:
            self._kept.popitem(last=False)
        return bits

    def _mended(self, bits: NDArray[np.uint8], seen: int, where: RowFilter) -> NDArray[np.uint8]:
        if seen == len(self._changed):
            return bits
        rows = np.array(self._changed[seen:], dtype=np.int64)
        for row, passes in zip(rows, self._columns.matching(rows, where), strict=True):
            bit = np.uint8(1 << (int(row) & 7))
            bits[row >> 3] = bits[row >> 3] | bit if passes else bits[row >> 3] & ~bit
        return bits


def rows_of(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Rows whose bit is set, ascending; costs an eighth of looking at every row."""
    places = np.flatnonzero(bits)
    set_bits = np.unpackbits(bits[places, None], axis=1, bitorder="little").view(np.bool_)
    return (8 * places[:, None] + np.arange(8))[set_bits]


def are_set(bits: NDArray[np.uint8], rows: NDArray[np.int64]) -> bool:
    """Whether every row's bit is set."""
    return bool((bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).all())
