"""Pages of an answer set: no product is shown twice, and none is left out.

A page goes on where the previous one ended, in an order that does not depend on the page: by price
or time, or through windows of similarity. Inside a window products are in order of their exact
scores. A window's bounds are similarities of `ProductIndex.similarities`, so it has the same
products in every replica.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from models.index.index_rows import IndexRows
from models.index.shapes import Position

SCORE_STEPS = 1_000_000
"""Scores are compared after rounding to this part of one."""
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """The rows of an answer set.

    Attributes:
        rows: int64 (n,).
        items: of each row its group, or the row itself; a page has one row of an item.
        is_grouped: whether items may have several rows.
    """

    index_rows: IndexRows
    rows: Rows
    items: Rows
    is_grouped: bool

    def ordered(self, keys: NDArray[np.float64]) -> tuple[Rows, NDArray[np.float64]]:
        """The best row of each item and its key, in ascending order of key, then id."""
        ranks = self.index_rows.ranks(self.rows)
        if not self.is_grouped:
            order = np.lexsort((ranks, keys))
            return self.rows[order], keys[order]
        order = np.lexsort((ranks, keys, self.items))
        is_first = np.diff(self.items[order], prepend=-1) != 0
        best = order[is_first]
        best = best[np.lexsort((ranks[best], keys[best]))]
        return self.rows[best], keys[best]

    def take(self, is_taken: NDArray[np.bool_]) -> "Candidates":
        """Some of the rows."""
        return Candidates(
            self.index_rows, self.rows[is_taken], self.items[is_taken], self.is_grouped
        )


@dataclass(frozen=True)
class RowPage:
    """The rows of a page, and where it ends; `end` is None on the last page."""

    rows: list[int]
    end: Position | None


def page_by_key(
    candidates: Candidates, keys: NDArray[np.float64], count: int, after: Position
) -> RowPage:
    """A page in ascending order of key, then id. `keys`: one a row."""
    if not candidates.is_grouped:
        if after.key is not None:
            later = keys >= after.key
            candidates, keys = candidates.take(later), keys[later]
        tied = 0 if after.key is None else int(np.count_nonzero(keys == after.key))
        if len(keys) > count + 1 + tied:
            first = keys <= np.partition(keys, count + tied)[count + tied]
            candidates, keys = candidates.take(first), keys[first]
    rows, keys = candidates.ordered(keys)
    rows, keys = _after(candidates.index_rows, rows, keys, after)
    page = rows[:count].tolist()
    if len(rows) <= count:
        return RowPage(page, None)
    last_id = candidates.index_rows.id(page[-1])
    return RowPage(page, Position(key=float(keys[count - 1]), id=last_id))


def page_by_relevance(
    candidates: Candidates,
    similarities: NDArray[np.float32],
    exact: Callable[[Rows], NDArray[np.float64]],
    count: int,
    window: int,
    after: Position,
) -> RowPage:
    """A page through windows of similarity.

    Args:
        candidates: the answer set.
        similarities: one a row.
        exact: the exact scores of rows.
        count: how many items the page has.
        window: about how many rows a window has.
        after: the end of the previous page.

    """
    index_rows = candidates.index_rows
    nearest = _nearest_of_items(candidates, similarities)
    page: list[tuple[int, Position]] = []
    position = after
    while len(page) <= count:
        floor = _floor(position, nearest, window)
        if floor is None:
            break
        inside = nearest >= floor
        if position.ceiling is not None:
            inside &= nearest < position.ceiling
        nearby = candidates.take(inside)
        rows, keys = nearby.ordered(score_keys(exact(nearby.rows)))
        rows, keys = _after(index_rows, rows, keys, position)
        if after.listed:
            is_new = [id_hash(index_rows.id(row)) not in after.listed for row in rows.tolist()]
            rows, keys = rows[is_new], keys[is_new]
        left = count + 1 - len(page)
        page += [
            (row, Position(key, "", position.ceiling, floor))
            for row, key in zip(rows[:left].tolist(), keys[:left].tolist(), strict=True)
        ]
        position = Position(ceiling=floor, listed=after.listed)
    rows_of_page = [row for row, _ in page[:count]]
    if len(page) <= count:
        return RowPage(rows_of_page, None)
    end = page[count - 1][1]
    last_id = index_rows.id(rows_of_page[-1])
    return RowPage(
        rows_of_page, Position(end.key, last_id, end.ceiling, end.floor, listed=after.listed)
    )


def score_keys(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores as whole numbers, the best first."""
    return -np.rint(scores * SCORE_STEPS)


def id_hash(product_id: str) -> int:
    """A hash of 64 bits of an id."""
    return int.from_bytes(blake2b(product_id.encode(), digest_size=8).digest(), "little")


def _after(
    index_rows: IndexRows, rows: Rows, keys: NDArray[np.float64], position: Position
) -> tuple[Rows, NDArray[np.float64]]:
    """Of rows in order those that come after a position."""
    if position.key is None:
        return rows, keys
    first = int(np.searchsorted(keys, position.key, side="left"))
    end = int(np.searchsorted(keys, position.key, side="right"))
    ranks = index_rows.ranks(rows[first:end])
    first += int(np.searchsorted(ranks, index_rows.rank_after(position.id), side="left"))
    return rows[first:], keys[first:]


def _floor(position: Position, nearest: NDArray[np.float32], window: int) -> float | None:
    """The lower bound of the position's window; None after the last window."""
    if position.floor is not None:
        return position.floor
    left = nearest if position.ceiling is None else nearest[nearest < position.ceiling]
    if not left.size:
        return None
    place = len(left) - min(window, len(left))
    return float(np.partition(left, place)[place])


def _nearest_of_items(
    candidates: Candidates, similarities: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The highest similarity of each row's item."""
    if not candidates.is_grouped or not len(similarities):
        return similarities
    highest = np.full(int(candidates.items.max()) + 1, -np.inf, dtype=np.float32)
    np.maximum.at(highest, candidates.items, similarities)
    return highest[candidates.items]
