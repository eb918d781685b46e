"""Nearest products: exhaustive search while they are few, 4-bit codes and rescoring above."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from errors import Invalid
from models.index.approximate import EXACT_ROWS, ApproximateIndex
from models.index.exact_scores import Float16Ranker
from models.index.files import IndexFiles, empty_files
from models.index.index_rows import IndexRows
from models.index.relevance import NEVER, CodeScan
from models.index.rows import are_all_set, rows_of
from models.index.search_plan import SearchPlan, plan_search
from models.index.shapes import (
    Filters,
    Hit,
    ProductAttributes,
    ProductText,
    Scan,
    SearchQuery,
    plain_text,
)
from models.index.stats import ScoreStats, SearchParameters
from models.index.words.word_index import WordIndex

if TYPE_CHECKING:
    from models.index.device_index import DeviceIndex

DECIMALS = 6
GATHER_ROWS = 1000
GATHER_SHARE = 0.01
"""A search is exhaustive where at most this many rows, or this share of them, pass its filters."""
TAIL_ROWS = 4096
SEAL_ROWS = 256
"""Rows of a full tail that are encoded at a time, so that no search waits long for it."""
NO_ROWS = np.zeros(0, dtype=np.int64)
CALIBRATION_ROWS = 100
"""A version that was built before there were products is rebuilt from this many on."""
CHURN_SHARE = 0.1
"""The version should be rebuilt when appended and dead rows exceed this share of its rows."""


class ProductIndex:
    """Products by vector. Not thread-safe: only one thread may search and change it.

    Scores are recomputed in double precision and rounded, so that equal vectors have equal scores
    in every replica and after every restart.
    """

    def __init__(
        self,
        files: IndexFiles,
        stats: ScoreStats | None = None,
        parameters: SearchParameters | None = None,
        device: str | None = None,
    ) -> None:
        """`device`: the torch device that searches large versions; None: FAISS on the CPU.

        If the device has too little memory, now or later, FAISS searches instead.
        """
        self.dim = int(files.vectors.shape[1])
        self.stats = stats or ScoreStats()
        self._has_stats = stats is not None
        self.parameters = parameters or SearchParameters()
        self._faiss = files.approximate
        self.lacks_memory = False
        self._approximate = self._open_approximate(files, device)
        nothing = empty_files(self.dim, files.columns.dictionaries)
        is_small = self._approximate is None
        self.rows = IndexRows(nothing, files) if is_small else IndexRows(files, nothing)
        self._base, self._appended = self.rows.base, self.rows.appended
        self._start = self.rows.start
        self._codes = None if is_small else CodeScan(files.approximate)
        self._has_all_columns = files.has_all_columns
        self._ranker = Float16Ranker(self.dim)
        self.words = WordIndex(files.words)

    @property
    def count(self) -> int:
        """Products that a search can return."""
        return self.rows.count

    @property
    def list_count(self) -> int:
        """Inverted lists of the approximate index; 0 where every row is compared."""
        return 0 if self._approximate is None else self._approximate.lists

    @property
    def is_on_device(self) -> bool:
        """Whether a GPU searches, which answers many searches in the time of one."""
        return self._approximate is not None and not isinstance(self._approximate, ApproximateIndex)

    @property
    def is_rebuild_due(self) -> bool:
        """Whether a new version would be clearly smaller or faster than this one, have more
        columns, or know from which similarity on a product is relevant to words.
        """
        lacks_cutoff = self._has_stats and self.stats.text_cutoff == ScoreStats().text_cutoff
        if not self._has_all_columns or (lacks_cutoff and self.count >= CALIBRATION_ROWS):
            return True
        if self._approximate is None:
            return self.count >= EXACT_ROWS
        return len(self._appended.ids) + self._base.dead > CHURN_SHARE * self._base.count

    def put(
        self,
        product_id: str,
        vector: NDArray[np.float16],
        attributes: ProductAttributes,
        text: ProductText | None = None,
    ) -> None:
        """Adds or replaces one product. `vector`: float16, shape (dim,), unit length.

        Without a text, words match its id, category and brand.
        """
        if vector.shape != (self.dim,):
            raise Invalid(f"a vector of shape {vector.shape} does not have {self.dim} numbers")
        row = self.rows.find(product_id)
        if row is not None and np.array_equal(self.rows.vector(row), vector):
            self.rows.put_attributes(row, attributes)
            self.words.put(row, text or plain_text(product_id, attributes))
            return
        self.remove(product_id)
        self.rows.append(product_id, vector, attributes)
        self.words.put(self.rows.total - 1, text or plain_text(product_id, attributes))
        if self._codes is not None:
            self._codes.append(np.array([self.rows.total - 1]), vector[None])
        if self._approximate is not None and self._appended.tail_count >= TAIL_ROWS:
            rows = self._appended.seal(SEAL_ROWS)
            if rows.size:
                self._add_sealed(rows)

    def remove(self, product_id: str) -> None:
        """Takes one product out of all later searches; does nothing where there is none."""
        row = self.rows.find(product_id)
        if row is not None:
            self.words.remove(row)
        is_renumbered = self.rows.remove(product_id)
        if is_renumbered:
            survivors = self._start + self._appended.survivors
            self.words.renumber(np.concatenate([np.arange(self._start), survivors]))
        if is_renumbered and self._codes is not None:
            self._codes.clear()
            rows = np.arange(self._start, self.rows.total)
            self._codes.append(rows, self._appended.vectors)

    def plan(self, query: SearchQuery) -> SearchPlan:
        """What a query compares; raises as `search`."""
        return plan_search(query, self.stats, self.parameters)

    def similarities(self, plan: SearchPlan, floor: float | None) -> NDArray[np.float32]:
        """Similarity to every row, float32 (rows.total,), computed in the same way for each.

        It has no offset, and rows that do not reach the floor have `NEVER`. Dead rows have any.
        """
        if self._codes is not None:
            return self._codes.similarities(plan.single, self.rows.total, floor)
        similarities = self._appended.similarities(plan.single)
        if floor is not None:
            similarities[similarities < floor] = NEVER
        return similarities

    def exact(self, plan: SearchPlan, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The exact scores of rows, not rounded: float64 (n,)."""
        if not rows.size:  # an index without products has no dimension
            return np.zeros(0)
        scores: NDArray[np.float64] = self.rows.vectors(rows).astype(np.float64) @ plan.blend
        return scores + plan.offset

    def search(self, query: SearchQuery) -> list[Hit]:
        """The `top_k` best of the products that pass the filters; equal scores in order of id.

        One vector: cosine similarity. Both: each side's similarity is standardised by the index
        version's mean and standard deviation, and blended alpha x image + (1 - alpha) x text; that
        is linear in the product's vector, so one pass answers it. Alpha 1 and 0 are the pure
        searches. Scores are always exact; so are the products where every row is compared.

        Raises:
            Invalid: the query has no vector.
        """
        return self.search_many([query])[0]

    def search_many(self, queries: Sequence[SearchQuery]) -> list[list[Hit]]:
        """Like `search` for each; on a GPU every vector is read once for all of them."""
        plans = [self.plan(query) for query in queries]
        candidates = self._search_base(plans)
        return [self._rank(plan, rows) for plan, rows in zip(plans, candidates, strict=True)]

    def _rank(self, plan: SearchPlan, candidates: NDArray[np.int64]) -> list[Hit]:
        """The best of the candidates and of the newest rows, by their exact scores."""
        query = plan.query
        rows = self._start + self._appended.nearest(plan.single, plan.k, query.filters, plan.tie)
        if candidates.size:
            rows = np.concatenate([candidates, rows]) if rows.size else candidates
        if not rows.size:
            return []
        scores = self.exact(plan, rows)
        ranked = sorted(
            (-round(score, DECIMALS), self.rows.id(row))
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        )
        hits = [(product_id, -score + 0.0) for score, product_id in ranked[: plan.k]]
        if not query.exclude:
            return hits
        return [hit for hit in hits if hit[0] not in query.exclude][: query.top_k]

    def _search_base(self, plans: Sequence[SearchPlan]) -> list[NDArray[np.int64]]:
        """The best rows of the version and of the sealed ones, for each plan.

        Where few rows pass the filters, all of them are compared. Otherwise the filters are a
        bitmap inside the approximate search, which probes more lists in proportion to the rows
        that the filters take out.
        """
        if self._approximate is None:
            return [NO_ROWS] * len(plans)
        total = self._base.count + self._appended.sealed
        candidates: dict[int, NDArray[np.int64]] = {}
        scans: dict[int, Scan] = {}
        fewest: dict[int, int] = {}
        for place, plan in enumerate(plans):
            bits = self._bits(plan.query.filters)
            matching = total if bits is None else int(np.bitwise_count(bits).sum())
            if bits is not None and matching <= max(GATHER_ROWS, GATHER_SHARE * total):
                candidates[place] = rows_of(bits)
                continue
            lists = math.ceil(plan.lists * total / matching)
            scans[place] = Scan(plan.single, plan.depth, lists, bits)
            fewest[place] = min(plan.k, matching)
        candidates |= zip(scans, self._scan(list(scans.values())), strict=True)
        for place, scan in scans.items():
            if candidates[place].size < fewest[place]:
                (candidates[place],) = self._scan([replace(scan, lists=self.list_count)])
            if scan.bits is not None and not are_all_set(scan.bits, candidates[place]):
                raise RuntimeError("the index returned a row that the filter does not allow")
        return [self._nearest(plan, candidates[place]) for place, plan in enumerate(plans)]

    def _nearest(self, plan: SearchPlan, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the candidates that may be among the k best."""
        if not rows.size:
            return rows
        vectors = self.rows.vectors(rows)
        return rows[self._ranker.top_k(plan.single, vectors, plan.k, plan.tie)]

    def _scan(self, scans: list[Scan]) -> list[NDArray[np.int64]]:
        """Searches the approximate index."""
        if not scans or self._approximate is None:
            return []
        try:
            return self._approximate.search_many(scans)
        except MemoryError:
            self._fall_back()
            return self._approximate.search_many(scans)

    def _add_sealed(self, rows: NDArray[np.int64]) -> None:
        """Adds appended rows to the approximate index."""
        if self._approximate is None:
            return
        vectors = self._appended.vectors[rows].astype(np.float32)
        try:
            self._approximate.add(self._start + rows, vectors)
        except MemoryError:
            self._fall_back()

    def _fall_back(self) -> None:
        """Replaces the device by FAISS, with the rows that were added to the device."""
        self.lacks_memory = True
        self._approximate = ApproximateIndex(self._faiss)
        rows = self._appended.live_sealed
        if rows.size:
            vectors = self._appended.vectors[rows].astype(np.float32)
            self._approximate.add(self._start + rows, vectors)

    def _bits(self, filters: Filters) -> NDArray[np.uint8] | None:
        """Rows that the approximate search may return, one bit each; None: all of them."""
        appended, base = self._appended, self._base
        dead = base.dead + appended.dead_sealed
        if filters.is_open and not dead:
            return None
        bits = base.allowed_bits(filters)
        if not appended.sealed:
            return bits
        sealed = np.packbits(appended.allowed_sealed(filters), bitorder="little")
        return np.concatenate([bits, sealed])

    def _open_approximate(
        self, files: IndexFiles, device: str | None
    ) -> "ApproximateIndex | DeviceIndex | None":
        if files.approximate is None:
            return None
        if device is not None:
            # imports torch, which a replica on the CPU does without
            from models.index.device_index import DeviceIndex  # noqa: PLC0415

            try:
                return DeviceIndex(files.vectors, device)
            except MemoryError:
                self.lacks_memory = True
        return ApproximateIndex(files.approximate)
