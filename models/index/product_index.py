"""Nearest products: exhaustive search while they are few, 4-bit codes and rescoring above."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from errors import Invalid
from models.index.appended import AppendedRows
from models.index.approximate import EXACT_ROWS, ApproximateIndex
from models.index.exact_scores import TIE, Float16Ranker
from models.index.files import IndexFiles, empty_files
from models.index.rows import BaseRows, are_all_set, rows_of
from models.index.shapes import Filters, Hit, ProductAttributes, SearchQuery
from models.index.stats import ScoreStats, SearchParameters

if TYPE_CHECKING:
    from models.index.device_index import DeviceIndex

DECIMALS = 6
DEPTH_PER_RESULT = 4
"""The least number of candidates rescored for each result; the version's depth may be larger."""
GATHER_ROWS = 1000
GATHER_SHARE = 0.01
"""A search is exhaustive where at most this many rows, or this share of them, pass its filters."""
TAIL_ROWS = 4096
SEAL_ROWS = 256
"""Rows of a full tail that are encoded at a time, so that no search waits long for it."""
CHURN_SHARE = 0.1
"""The version should be rebuilt when appended and dead rows exceed this share of its rows."""


class ProductIndex:
    """Products by vector. Not thread-safe: only one thread may search and change it.

    Rows of the version come first, appended ones behind them, at the next multiple of 8 so that
    bitmaps can be joined. A product whose vector changes leaves a dead row; its new row is
    appended. Scores are recomputed in double precision and rounded, so that equal vectors have
    equal scores in every replica and after every restart.
    """

    def __init__(
        self,
        files: IndexFiles,
        stats: ScoreStats | None = None,
        parameters: SearchParameters | None = None,
        device: str | None = None,
    ) -> None:
        """`device`: the torch device that searches large versions; None: FAISS on the CPU."""
        self.dim = int(files.vectors.shape[1])
        self.stats = stats or ScoreStats()
        self.parameters = parameters or SearchParameters()
        self._approximate = _open_approximate(files, device)
        nothing = empty_files(self.dim)
        base, appended = (nothing, files) if self._approximate is None else (files, nothing)
        self._base = BaseRows(base)
        self._start = 8 * len(self._base.live_bits)
        self._appended = AppendedRows(appended)
        self._ranker = Float16Ranker(self.dim)

    @property
    def count(self) -> int:
        """Products that a search can return."""
        return self._base.count - self._base.dead + len(self._appended.row_of)

    @property
    def list_count(self) -> int:
        """Inverted lists of the approximate index; 0 where every row is compared."""
        return 0 if self._approximate is None else self._approximate.lists

    @property
    def is_rebuild_due(self) -> bool:
        """Whether a new version would be clearly smaller or faster than this one."""
        if self._approximate is None:
            return self.count >= EXACT_ROWS
        return len(self._appended.ids) + self._base.dead > CHURN_SHARE * self._base.count

    def put(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """Adds or replaces one product. `vector`: float16, shape (dim,), unit length."""
        if vector.shape != (self.dim,):
            raise Invalid(f"a vector of shape {vector.shape} does not have {self.dim} numbers")
        row = self._find(product_id)
        if row is not None and np.array_equal(self._vector(row), vector):
            if row < self._start:
                self._base.put_attributes(row, attributes)
            else:
                self._appended.put_attributes(row - self._start, attributes)
            return
        self.remove(product_id)
        self._appended.append(product_id, vector, attributes)
        if self._approximate is not None and self._appended.tail_count >= TAIL_ROWS:
            rows = self._appended.seal(SEAL_ROWS)
            if rows.size:
                vectors = self._appended.vectors[rows].astype(np.float32)
                self._approximate.add(self._start + rows, vectors)

    def remove(self, product_id: str) -> None:
        """Takes one product out of all later searches; does nothing where there is none."""
        row = self._find(product_id)
        if row is None:
            return
        if row < self._start:
            self._base.remove(row)
        else:
            self._appended.remove(product_id)

    def search(self, query: SearchQuery) -> list[Hit]:
        """The `top_k` best of the products that pass the filters; equal scores in order of id.

        One vector: cosine similarity. Both: each side's similarity is standardised by the index
        version's mean and standard deviation, and blended alpha x image + (1 - alpha) x text; that
        is linear in the product's vector, so one pass answers it. Alpha 1 and 0 are the pure
        searches. Scores are always exact; so are the products where every row is compared.

        Raises:
            Invalid: the query has no vector.
        """
        blend, offset = self._blend(query)
        single, tie = blend.astype(np.float32), TIE * math.sqrt(float(blend @ blend))
        k = query.top_k + len(query.exclude)
        rows = self._start + self._appended.nearest(single, k, query.filters, tie)
        if self._approximate is not None:
            lists, depth = self._effort(query, k)
            candidates = self._search_base(
                self._approximate, single, query.filters, lists, depth, k, tie
            )
            rows = np.concatenate([candidates, rows]) if rows.size else candidates
        if not rows.size:
            return []
        scores = self._vectors(rows).astype(np.float64) @ blend + offset
        ranked = sorted(
            (-round(score, DECIMALS), self._id(row))
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        )
        hits = [(product_id, -score + 0.0) for score, product_id in ranked[:k]]
        if not query.exclude:
            return hits
        return [hit for hit in hits if hit[0] not in query.exclude][: query.top_k]

    def _blend(self, query: SearchQuery) -> tuple[NDArray[np.float64], float]:
        """The vector whose inner products, plus the offset, are the scores."""
        image, text, alpha = query.image, query.text, query.alpha
        if image is not None and (text is None or alpha >= 1.0):
            return image.astype(np.float64), 0.0
        if text is not None and (image is None or alpha <= 0.0):
            return text.astype(np.float64), 0.0
        if image is None or text is None:
            raise Invalid("a search needs a picture, words, or both")
        stats = self.stats
        image_weight, text_weight = alpha / stats.image_std, (1.0 - alpha) / stats.text_std
        offset = -image_weight * stats.image_mean - text_weight * stats.text_mean
        return image_weight * image.astype(np.float64) + text_weight * text, offset

    def _effort(self, query: SearchQuery, k: int) -> tuple[int, int]:
        """How many lists the query probes and how many candidates it rescores."""
        parameters, depth = self.parameters, DEPTH_PER_RESULT * k
        if query.text is None or (query.image is not None and query.alpha >= 1.0):
            return parameters.image_lists, max(parameters.image_depth, depth)
        return parameters.text_lists, max(parameters.text_depth, depth)

    def _search_base(
        self,
        approximate: "ApproximateIndex | DeviceIndex",
        query: NDArray[np.float32],
        filters: Filters,
        lists: int,
        depth: int,
        k: int,
        tie: float,
    ) -> NDArray[np.int64]:
        """The best rows of the version and of the sealed ones.

        Where few rows pass the filters, all of them are compared. Otherwise the filters are a
        bitmap inside the approximate search, which probes more lists in proportion to the rows
        that the filters take out.
        """
        bits = self._bits(filters)
        total = self._base.count + self._appended.sealed
        matching = total if bits is None else int(np.bitwise_count(bits).sum())
        if bits is not None and matching <= max(GATHER_ROWS, GATHER_SHARE * total):
            rows = rows_of(bits)
        else:
            rows = approximate.search(query, depth, math.ceil(lists * total / matching), bits)
            if rows.size < min(k, matching):
                rows = approximate.search(query, depth, approximate.lists, bits)
        if bits is not None and not are_all_set(bits, rows):
            raise RuntimeError("FAISS returned a row that the filter does not allow")
        if not rows.size:
            return rows
        return rows[self._ranker.top_k(query, self._vectors(rows), k, tie)]

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

    def _find(self, product_id: str) -> int | None:
        """The live row of a product."""
        row = self._appended.row_of.get(product_id)
        return self._base.find(product_id) if row is None else self._start + row

    def _id(self, row: int) -> str:
        if row < self._start:
            return self._base.ids[row]
        return self._appended.ids[row - self._start]

    def _vector(self, row: int) -> NDArray[np.float16]:
        if row < self._start:
            base: NDArray[np.float16] = self._base.vectors[row]
            return base
        vector: NDArray[np.float16] = self._appended.vectors[row - self._start]
        return vector

    def _vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Vectors of rows: float16, shape (n, dim)."""
        newer = rows >= self._start
        if not newer.any():
            return self._base.vectors.take(rows, axis=0)
        vectors = np.empty((len(rows), self.dim), dtype=np.float16)
        vectors[~newer] = self._base.vectors.take(rows[~newer], axis=0)
        vectors[newer] = self._appended.vectors.take(rows[newer] - self._start, axis=0)
        return vectors


def _open_approximate(
    files: IndexFiles, device: str | None
) -> "ApproximateIndex | DeviceIndex | None":
    if files.approximate is None:
        return None
    if device is None:
        return ApproximateIndex(files.approximate)
    # imports torch, which a replica on the CPU does without
    from models.index.device_index import DeviceIndex  # noqa: PLC0415

    return DeviceIndex(files.vectors, device)
