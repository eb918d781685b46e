"""The answer set of a query: rows that pass its filters and are relevant to it."""

import numpy as np
from numpy.typing import NDArray

from models.index.index_rows import IndexRows
from models.index.shapes import SearchQuery

Mask = NDArray[np.bool_]
NO_ROWS = np.zeros(0, dtype=np.int64)
NO_ITEMS = np.zeros(0, dtype=np.int64)


class AnswerSet:
    """Masks over all rows of an index, by condition, so that a facet can leave its own out.

    Attributes:
        items: of a grouped query the group of each row, or the row's own: int64 (total,).
        item_count: all items are below this number.
    """

    def __init__(
        self,
        rows: IndexRows,
        query: SearchQuery,
        relevant: Mask | None,
        named: NDArray[np.int64] = NO_ROWS,
    ) -> None:
        """`relevant`: bool (total,); None: every row is relevant. `named`: rows with the query's
        name, which filters that were only read out of its words don't take out.
        """
        self._rows = rows
        self.parts = rows.parts
        self.is_grouped = query.is_grouped
        self.item_count = len(rows.dictionaries.groups) + rows.total
        self.items = self._items() if query.is_grouped else NO_ITEMS
        self._admitted = self._admit(query, relevant)
        self._certain = self._find_certain(query, named)
        self._conditions = [part.columns.conditions(part.own, query.filters) for part in self.parts]

    def mask(self, without: str = "") -> Mask:
        """The rows of the answer set: bool (total,); `without`: the condition that is ignored."""
        mask = self._admitted.copy()
        for part, conditions in zip(self.parts, self._conditions, strict=True):
            for name, condition in conditions.items():
                if name != without:
                    mask[part.span] &= condition
        mask[self._certain] = True
        return mask

    def items_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The group of each row, or the row itself if the query is not grouped."""
        return self.items[rows] if self.is_grouped else rows

    def count(self, mask: Mask) -> int:
        """How many items the rows belong to."""
        if not self.is_grouped:
            return int(np.count_nonzero(mask))
        is_present = np.zeros(self.item_count, dtype=np.bool_)
        is_present[self.items[mask]] = True
        return int(np.count_nonzero(is_present))

    def _find_certain(self, query: SearchQuery, named: NDArray[np.int64]) -> list[int]:
        """The rows of pinned products, and those with the name: they need not be relevant."""
        explicit = query.filters if query.explicit is None else query.explicit
        pins = [self._rows.find(pin) for pin in query.pins]
        rows = {row for row in [*pins, *named.tolist()] if row is not None}
        return [
            row
            for row in sorted(rows)
            if self._rows.passes(row, explicit) and self._rows.id(row) not in query.exclude
        ]

    def _items(self) -> NDArray[np.int64]:
        """A product without a group is a group of its own."""
        items = np.arange(self._rows.total) + len(self._rows.dictionaries.groups)
        for part in self.parts:
            groups = part.columns.group[part.own]
            items[part.span] = np.where(groups >= 0, groups, items[part.span])
        return items

    def _admit(self, query: SearchQuery, relevant: Mask | None) -> Mask:
        """Live and relevant rows that are not excluded in any way."""
        mask = np.zeros(self._rows.total, dtype=np.bool_)
        for part in self.parts:
            mask[part.span] = part.live
            if query.filters.without is not None:
                mask[part.span] &= part.columns.admitted(part.own, query.filters)
        if relevant is not None:
            mask &= relevant
        for product_id in query.exclude:
            row = self._rows.find(product_id)
            if row is not None and self.is_grouped:
                mask &= self.items != self.items[row]
            elif row is not None:
                mask[row] = False
        return mask
