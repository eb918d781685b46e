"""The rows of an index version: vectors and ids in mapped files, and a bitmap of the live rows."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from models.index.columns.column_store import ColumnStore
from models.index.files import IndexFiles
from models.index.shapes import Filters, ProductAttributes

CACHED_FILTERS = 64
"""The number of filters whose bitmaps are cached; a bitmap takes one bit per row."""
TRACKED_CHANGES = 4096


class BaseRows:
    """The rows of a version, whose vectors and ids never change.

    A product whose vector is replaced loses its row; attributes change in place.
    """

    def __init__(self, files: IndexFiles) -> None:
        self.vectors = files.vectors
        self.ids = files.ids
        self.count = len(files.ids)
        self.dead = 0
        self.live_bits = np.packbits(np.ones(self.count, dtype=np.bool_), bitorder="little")
        self.columns = ColumnStore(files.columns)
        self._filters = FilteredRows(self.columns, self.count)

    def find(self, product_id: str) -> int | None:
        """The live row of a product."""
        row = self.ids.find(product_id)
        return row if row is not None and self.live_bits[row >> 3] >> (row & 7) & 1 else None

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which rows are live: bool, shape (n,)."""
        bits = np.unpackbits(self.live_bits, count=self.count, bitorder="little")
        return bits.view(np.bool_)

    def remove(self, row: int) -> None:
        """Takes a live row out of all later searches."""
        self.live_bits[row >> 3] &= np.uint8(~(1 << (row & 7)) & 0xFF)
        self.dead += 1

    def put_attributes(self, row: int, attributes: ProductAttributes) -> None:
        """Replaces the attributes of a row."""
        self._filters.put(row, attributes)

    def allowed_bits(self, filters: Filters) -> NDArray[np.uint8]:
        """Live rows that pass the filters, one bit a row, lowest first: uint8 (ceil(n / 8),)."""
        if filters.is_open:
            return self.live_bits
        return self._filters.bits(filters) & self.live_bits


class FilteredRows:
    """The columns, and a cache of bitmaps: the rows that pass recently used filters.

    A cached bitmap is updated at its next use; only rows that have changed since are compared.
    """

    def __init__(self, columns: ColumnStore, count: int) -> None:
        self._columns = columns
        self._count = count
        self._changed: list[int] = []
        self._cache: OrderedDict[Filters, tuple[NDArray[np.uint8], int]] = OrderedDict()

    def put(self, row: int, attributes: ProductAttributes) -> None:
        """Changes a row's attributes."""
        self._columns.put(row, attributes)
        if len(self._changed) >= TRACKED_CHANGES:
            self._changed.clear()
            self._cache.clear()
        self._changed.append(row)

    def bits(self, filters: Filters) -> NDArray[np.uint8]:
        """Rows that pass, one bit a row. Callers must not write to the bitmap."""
        entry = self._cache.pop(filters, None)
        if entry is None:
            mask = self._columns.matching(slice(0, self._count), filters)
            bits = np.packbits(mask, bitorder="little")
        else:
            bits = self._update(*entry, filters)
        self._cache[filters] = (bits, len(self._changed))
        if len(self._cache) > CACHED_FILTERS:
            self._cache.popitem(last=False)
        return bits

    def _update(self, bits: NDArray[np.uint8], changes: int, filters: Filters) -> NDArray[np.uint8]:
        """A bitmap that was computed after the first `changes` changes, brought up to date."""
        if changes == len(self._changed):
            return bits
        rows = np.array(self._changed[changes:], dtype=np.int64)
        for row, passes in zip(rows, self._columns.matching(rows, filters), strict=True):
            bit = np.uint8(1 << (int(row) & 7))
            bits[row >> 3] = bits[row >> 3] | bit if passes else bits[row >> 3] & ~bit
        return bits


def rows_of(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Rows whose bit is set, ascending. Takes an eighth of the time of unpacking every bit."""
    places = np.flatnonzero(bits)
    set_bits = np.unpackbits(bits[places, None], axis=1, bitorder="little").view(np.bool_)
    return (8 * places[:, None] + np.arange(8))[set_bits]


def are_all_set(bits: NDArray[np.uint8], rows: NDArray[np.int64]) -> bool:
    """Whether the bits of all the rows are set."""
    return bool((bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).all())
