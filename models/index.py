"""Exact nearest products: FAISS over an immutable base, a live delta and tombstones."""

from collections.abc import Mapping
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from errors import Invalid
from models.columns import ColumnStore, ProductAttributes
from models.index_files import PRICE_SCALE, IndexFiles

SLACK = 32
"""Candidates fetched beyond k, so that most ties at the end of the list are seen at once."""
TIE = 1e-5
"""Scores closer than this (relative to the query's length) may be equal after rounding."""
DECIMALS = 6
COMPACT_AT = 0.25
"""Share of dead rows that makes the index drop them."""


@dataclass(frozen=True)
class ScoreStats:
    """Mean and spread of a side's similarities over a catalogue, kept with its index version."""

    image_mean: float = 0.0
    image_std: float = 1.0
    text_mean: float = 0.0
    text_std: float = 1.0


@dataclass(frozen=True)
class RowFilter:
    """Conditions on products; None or empty means any."""

    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool | None = None
    exclude: frozenset[str] = frozenset()


class ProductIndex:
    """Products by vector. Not thread-safe: one thread searches and changes it.

    A changed product's old row is dead (a tombstone) and a new row is appended; filters and
    tombstones are one bitmap inside FAISS's scan. Scores are recomputed in double precision and
    rounded, so that equal vectors have equal scores in every replica and after every restart.
    """

    def __init__(self, files: IndexFiles, stats: ScoreStats | None = None) -> None:
        self.dim = int(files.vectors.shape[1])
        self.stats = stats or ScoreStats()
        self._ids: list[str]
        self._row_of: dict[str, int]
        self._vectors: NDArray[np.float16]
        self._live: NDArray[np.bool_]
        self._columns: ColumnStore
        self._flat: faiss.IndexFlatIP
        self._load(files)

    @property
    def count(self) -> int:
        """Products that can be found."""
        return len(self._row_of)

    def put(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """Adds or replaces one product. `vector`: float16, shape (dim,), unit length."""
        if vector.shape != (self.dim,):
            raise Invalid(f"a vector of shape {vector.shape} is no vector of {self.dim} numbers")
        row = self._row_of.get(product_id)
        if row is None or not np.array_equal(self._vectors[row], vector):
            self.remove(product_id)
            row = self._append(product_id, vector)
        self._columns.put(row, attributes)

    def remove(self, product_id: str) -> None:
        """Makes one product impossible to find; quiet where there is none."""
        row = self._row_of.pop(product_id, None)
        if row is None:
            return
        self._live[row] = False
        dead = len(self._ids) - len(self._row_of)
        if dead > 1000 and dead > COMPACT_AT * len(self._ids):
            self._load(self.files())

    def vector(self, product_id: str) -> NDArray[np.float32] | None:
        """The product's vector, float32 (dim,), or None."""
        row = self._row_of.get(product_id)
        return None if row is None else self._vectors[row].astype(np.float32)

    def files(self) -> IndexFiles:
        """All that can be found, ordered by id."""
        ids = sorted(self._row_of)
        rows = np.array([self._row_of[product_id] for product_id in ids], dtype=np.int64)
        return IndexFiles(self._vectors[rows], ids, self._columns.take(rows))

    def search(
        self,
        k: int,
        *,
        image: NDArray[np.float32] | None = None,
        text: NDArray[np.float32] | None = None,
        alpha: float = 0.5,
        where: RowFilter | None = None,
    ) -> list[tuple[str, float]]:
        """The k best of the allowed products, exactly; equal scores in order of id.

        One vector: cosine similarity. Both: each side's similarity is standardised by the index
        version's mean and spread, and blended alpha x image + (1 - alpha) x text; that is linear
        in the product's vector, so one scan is exact. Alpha 1 and 0 are the pure searches.
        """
        query, offset = self._blend(image, text, alpha)
        allowed = self._allowed(where or RowFilter())
        rows = self._candidates(query, k, allowed)
        if not rows.size:
            return []
        if not allowed[rows].all():
            raise RuntimeError("FAISS returned a row that the filter does not allow")
        scores = self._vectors[rows].astype(np.float64) @ query + offset
        ranked = sorted(
            (-round(float(score), DECIMALS), self._ids[row])
            for row, score in zip(rows, scores, strict=True)
        )
        return [(product_id, -score + 0.0) for score, product_id in ranked[:k]]

    def _blend(
        self,
        image: NDArray[np.float32] | None,
        text: NDArray[np.float32] | None,
        alpha: float,
    ) -> tuple[NDArray[np.float64], float]:
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

    def _allowed(self, where: RowFilter) -> NDArray[np.bool_]:
        count = len(self._ids)
        mask = self._columns.matching(
            count,
            category=where.category,
            brand=where.brand,
            price_min_e4=_scaled(where.price_min, up=True),
            price_max_e4=_scaled(where.price_max, up=False),
            in_stock=where.in_stock,
        )
        mask &= self._live[:count]
        for product_id in where.exclude:
            if (row := self._row_of.get(product_id)) is not None:
                mask[row] = False
        return mask

    def _candidates(
        self, query: NDArray[np.float64], k: int, allowed: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Rows that hold the k best, with all that may tie with the last of them."""
        possible = int(allowed.sum())
        take = min(k + SLACK, possible)
        if take == 0:
            return np.zeros(0, dtype=np.int64)
        bits = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(allowed.size, faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        batch = query.astype(np.float32)[None]
        scores, rows = self._flat.search(batch, take, params=parameters)
        threshold = float(scores[0, min(k, take) - 1]) - TIE * float(np.linalg.norm(query))
        if take < possible and scores[0, -1] >= threshold:
            _, _, rows = self._flat.range_search(batch, threshold, params=parameters)
        found = rows.ravel().astype(np.int64)
        return found[found >= 0]

    def _append(self, product_id: str, vector: NDArray[np.float16]) -> int:
        row = len(self._ids)
        if row >= len(self._vectors):
            grown = np.zeros((max(1024, 2 * row), self.dim), dtype=np.float16)
            grown[:row] = self._vectors[:row]
            self._vectors = grown
            self._live = np.resize(self._live, len(grown))
        self._vectors[row] = vector
        self._live[row] = True
        self._flat.add(vector.astype(np.float32)[None])
        self._ids.append(product_id)
        self._row_of[product_id] = row
        return row

    def _load(self, files: IndexFiles) -> None:
        self._ids = list(files.ids)
        self._row_of = {product_id: row for row, product_id in enumerate(files.ids)}
        self._vectors = np.ascontiguousarray(files.vectors, dtype=np.float16)
        self._live = np.ones(len(files.ids), dtype=np.bool_)
        self._columns = ColumnStore(files.columns)
        self._flat = faiss.IndexFlatIP(self.dim)
        if files.ids:
            self._flat.add(self._vectors.astype(np.float32))


def empty_files(dim: int) -> IndexFiles:
    """An index version without products."""
    columns = ColumnStore().take(np.zeros(0, dtype=np.int64))
    return IndexFiles(np.zeros((0, dim), dtype=np.float16), [], columns)


def stats_from(values: Mapping[str, float]) -> ScoreStats:
    """Stats as an index version's row keeps them; names as in `ScoreStats`."""
    return ScoreStats(**{name: float(value) for name, value in values.items()})


def measure_stats(
    vectors: NDArray[np.float16], images: NDArray[np.float32], texts: NDArray[np.float32]
) -> ScoreStats:
    """Mean and spread of the similarities of sample queries to a catalogue.

    Args:
        vectors: the catalogue, float16 (n, dim).
        images, texts: sample queries, float32 (q, dim), unit rows.

    """
    catalogue = vectors.astype(np.float32).T
    return ScoreStats(*_mean_and_std(images @ catalogue), *_mean_and_std(texts @ catalogue))


def _mean_and_std(similarities: NDArray[np.float32]) -> tuple[float, float]:
    if similarities.size < 2:
        return 0.0, 1.0
    return float(similarities.mean()), max(float(similarities.std()), 1e-6)


def _scaled(price: float | None, *, up: bool) -> int | None:
    """A bound in ten-thousandths, rounded to the side that keeps the comparison exact."""
    if price is None:
        return None
    scaled = round(price * PRICE_SCALE, 4)
    return int(np.ceil(scaled)) if up else int(np.floor(scaled))
