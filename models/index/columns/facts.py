"""The facts of rows: for each fact the rows that have it, and the rows that have changed since."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.index.columns.growing import GrowingArray

COMPACT_PAIRS = 4096
"""Pairs of changed rows are compacted when more than this many, and half of them, are dead."""
NOWHERE = -1


class FactPostings(NamedTuple):
    """For each fact the rows that have it.

    `rows`: int32, in order of the fact's number. `ends`: int64, where the rows of each fact end.
    """

    ends: NDArray[np.int64]
    rows: NDArray[np.int32]


NO_POSTINGS = FactPostings(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32))


class FactStore:
    """Facts of rows, by their numbers in `FactCodes`.

    FactPostings never change. A row whose facts are written later is listed as pairs of a row and a
    fact, and its entries in the postings no longer count.
    """

    def __init__(self, postings: FactPostings = NO_POSTINGS) -> None:
        self._postings = postings
        self._is_stale = np.zeros(int(postings.rows.max(initial=-1)) + 1, dtype=np.bool_)
        self._has_stale = False
        self._start([], [])

    def _start(self, rows: Sequence[int], codes: Sequence[int]) -> None:
        self._rows = GrowingArray(np.array(rows, dtype=np.int32))
        self._codes = GrowingArray(np.array(codes, dtype=np.int32))
        self._dead = 0
        self._places: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            self._places.setdefault(row, []).append(place)

    def put(self, row: int, codes: Sequence[int]) -> None:
        """Replaces the facts of a row."""
        if row < len(self._is_stale):
            self._is_stale[row] = self._has_stale = True
        former = self._places.pop(row, [])
        self._rows.view[former] = NOWHERE
        self._dead += len(former)
        if codes:
            first = len(self._rows.view)
            self._places[row] = list(range(first, first + len(codes)))
        for code in codes:
            self._rows.append(row)
            self._codes.append(code)
        if self._dead > max(COMPACT_PAIRS, len(self._rows.view) // 2):
            live = self._rows.view != NOWHERE
            self._start(self._rows.view[live].tolist(), self._codes.view[live].tolist())

    def entries(self, codes: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The rows that have any of the facts, and for each the fact's place in `codes`.

        `codes`: ascending. A row with several of the facts is there several times.
        """
        rows, places = self._posted(codes)
        if len(self._rows.view):
            newer_rows, newer_places = self._changed(codes)
            rows = np.concatenate([rows, newer_rows])
            places = np.concatenate([places, newer_places])
        return rows, places

    def _changed(self, codes: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The entries of rows whose facts were written later."""
        numbers = np.array(codes, dtype=np.int64)
        highest = max(int(self._codes.view.max()), int(numbers.max(initial=0)))
        place_of = np.full(highest + 1, NOWHERE)
        place_of[numbers] = np.arange(len(numbers))
        places = place_of[self._codes.view]
        is_live = (places != NOWHERE) & (self._rows.view != NOWHERE)
        return self._rows.view[is_live], places[is_live]

    def counts(self, codes: Sequence[int], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many rows of the mask have each fact: int64, one a code. `codes`: ascending."""
        counts = np.zeros(len(codes), dtype=np.int64)
        ends = self._postings.ends
        old = np.array(codes, dtype=np.int64)
        old = old[old < len(ends)]
        if old.size:
            starts = np.where(old > 0, ends[old - 1], 0)
            first, last = int(starts[0]), int(ends[old[-1]])
            valid = mask[: len(self._is_stale)] & ~self._is_stale
            sums = np.zeros(last - first + 1, dtype=np.int32)
            np.cumsum(valid[self._postings.rows[first:last]], out=sums[1:])
            counts[: len(old)] = sums[ends[old] - first] - sums[starts - first]
        if len(self._rows.view):
            rows, places = self._changed(codes)
            counts += np.bincount(places[mask[rows]], minlength=len(codes))
        return counts

    def _posted(self, codes: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        ends = self._postings.ends
        old = np.array(codes, dtype=np.int64)
        old = old[old < len(ends)]
        if not old.size:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
        starts = np.where(old > 0, ends[old - 1], 0)
        runs = np.split(np.arange(len(old)), np.flatnonzero(np.diff(old) != 1) + 1)
        parts = [self._postings.rows[starts[run[0]] : ends[old[run[-1]]]] for run in runs]
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        places = np.repeat(np.arange(len(old)), ends[old] - starts)
        if self._has_stale:
            valid = ~self._is_stale[rows]
            rows, places = rows[valid], places[valid]
        return rows, places

    def mask(self, codes: Sequence[int], count: int) -> NDArray[np.bool_]:
        """Which of the first `count` rows have any of the facts: bool (count,)."""
        mask = np.zeros(count, dtype=np.bool_)
        mask[self.entries(codes)[0]] = True
        return mask

    def take(self, rows: NDArray[np.int64], fact_count: int) -> FactPostings:
        """The postings of some rows, which are numbered anew in their order."""
        count = int(max(rows.max(initial=-1), self._rows.view.max(initial=-1))) + 1
        count = max(count, len(self._is_stale))
        number = np.full(count, NOWHERE, dtype=np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        every, codes = self.entries(range(fact_count))
        codes = codes[number[every] != NOWHERE]
        every = number[every][number[every] != NOWHERE]
        order = np.lexsort((every, codes))
        ends = np.cumsum(np.bincount(codes, minlength=fact_count)).astype(np.int64)
        return FactPostings(ends, every[order])
