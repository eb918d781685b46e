"""The order of ids over all rows of an index, which decides between equal scores and prices."""

from bisect import bisect_right, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.index.columns.growing import GrowingArray
from models.index.text_table import TextTable


class IdOrder:
    """Ranks of rows by id: those of the version are in order, appended ones lie between them."""

    def __init__(self, ids: TextTable, start: int) -> None:
        """`ids`: of the version's rows; `start`: the number of the first appended row."""
        self._ids = ids
        self._start = start
        self.renumber([])

    def renumber(self, appended: Sequence[str]) -> None:
        """Replaces all appended rows."""
        slots = [self._ids.count_up_to(product_id) for product_id in appended]
        self._slots = GrowingArray(np.array(slots, dtype=np.int64))
        self._sorted = sorted((product_id, row) for row, product_id in enumerate(appended))
        self._is_current = False

    def append(self, product_id: str) -> None:
        """Adds an appended row."""
        insort(self._sorted, (product_id, len(self._slots.view)))
        self._slots.append(self._ids.count_up_to(product_id))
        self._is_current = False

    def ranks(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rank of each row: int64 (n,)."""
        if not self._is_current:
            slots = self._slots.view
            order = np.fromiter((row for _, row in self._sorted), np.int64, len(self._sorted))
            self._sorted_slots = slots[order]
            self._appended_ranks = np.empty(len(order), dtype=np.int64)
            self._appended_ranks[order] = self._sorted_slots + np.arange(len(order))
            self._is_current = True
        ranks = rows + np.searchsorted(self._sorted_slots, rows, side="right")
        newer = rows >= self._start
        ranks[newer] = self._appended_ranks[rows[newer] - self._start]
        return ranks

    def rank_after(self, product_id: str) -> int:
        """The lowest rank of an id after this one."""
        newer = bisect_right(self._sorted, (product_id, len(self._sorted)))
        return self._ids.count_up_to(product_id) + newer
