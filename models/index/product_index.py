"""Nearest products by size: row by row while few, 4-bit codes and exact rescoring above."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from errors import Invalid
from models.index.appended import AppendedRows
from models.index.columns import OPEN, ProductAttributes, RowFilter
from models.index.exact import TIE, HalfScorer
from models.index.files import IndexFiles, empty_files
from models.index.rows import BaseRows, are_set, rows_of
from models.index.scan import EXACT_ROWS, Scan
from models.index.stats import ScanKnobs, ScoreStats

if TYPE_CHECKING:
    from models.index.device_scan import DeviceScan

DECIMALS = 6
DEPTH_PER_RESULT = 4
"""Candidates rescored for each result asked for, where that is more than the version's depth."""
GATHER_ROWS = 1000
GATHER_SHARE = 0.01
"""Filters that leave at most so many rows, or this share of them, are answered exactly."""
TAIL_ROWS = 4096
SEAL_ROWS = 256
"""When the tail is full, so many of its rows are encoded: one by one nobody waits long."""
CHURN_SHARE = 0.1
"""Share of appended and dead rows from which on the version should be built anew."""


class ProductIndex:
    """Products by vector. Not thread-safe: one thread searches and changes it.

    Rows of the version come first, appended ones behind them, at the next multiple of 8 so that
    bitmaps can be joined. A changed product's old row is dead and a new row is appended. Scores
    are recomputed in double precision and rounded, so that equal vectors have equal scores in
    every replica and after every restart.
    """

    def __init__(
        self,
        files: IndexFiles,
        stats: ScoreStats | None = None,
        knobs: ScanKnobs | None = None,
        device: str | None = None,
    ) -> None:
        """`device`: torch's name of the one that scans large versions; None: FAISS on the CPU."""
        self.dim = int(files.vectors.shape[1])
        self.stats = stats or ScoreStats()
        self.knobs = knobs or ScanKnobs()
        self._scan = _open_scan(files, device)
        nothing = empty_files(self.dim)
        base, appended = (nothing, files) if self._scan is None else (files, nothing)
        self._base = BaseRows(base)
        self._start = 8 * len(self._base.live_bits)
        self._appended = AppendedRows(appended)
        self._scorer = HalfScorer(self.dim)

    @property
    def count(self) -> int:
        """Products that can be found."""
        return self._base.count - self._base.dead + len(self._appended.row_of)

    @property
    def list_count(self) -> int:
        """Lists of the scan; 0 where every row is compared."""
        return 0 if self._scan is None else self._scan.lists

    @property
    def is_rebuild_due(self) -> bool:
        """Whether a new version would be clearly smaller or faster than this one has become."""
        if self._scan is None:
            return self.count >= EXACT_ROWS
        return len(self._appended.ids) + self._base.dead > CHURN_SHARE * self._base.count

    def put(
        self, product_id: str, vector: NDArray[np.float16], attributes: ProductAttributes
    ) -> None:
        """Adds or replaces one product. `vector`: float16, shape (dim,), unit length."""
        if vector.shape != (self.dim,):
            raise Invalid(f"a vector of shape {vector.shape} is no vector of {self.dim} numbers")
        row = self._find(product_id)
        if row is not None and np.array_equal(self._vector(row), vector):
            if row < self._start:
                self._base.put_attributes(row, attributes)
            else:
                self._appended.put_attributes(row - self._start, attributes)
            return
        self.remove(product_id)
        self._appended.append(product_id, vector, attributes)
        if self._scan is not None and self._appended.tail_count >= TAIL_ROWS:
            rows = self._appended.seal(SEAL_ROWS)
            if rows.size:
                self._scan.add(self._start + rows, self._appended.vectors[rows].astype(np.float32))

    def remove(self, product_id: str) -> None:
        """Makes one product impossible to find; quiet where there is none."""
        row = self._find(product_id)
        if row is None:
            return
        if row < self._start:
            self._base.remove(row)
        else:
            self._appended.remove(product_id)

    def vector(self, product_id: str) -> NDArray[np.float32] | None:
        """The product's vector, float32 (dim,), or None."""
        row = self._find(product_id)
        return None if row is None else self._vector(row).astype(np.float32)

    def search(
        self,
        k: int,
        *,
        image: NDArray[np.float32] | None = None,
        text: NDArray[np.float32] | None = None,
        alpha: float = 0.5,
        where: RowFilter = OPEN,
    ) -> list[tuple[str, float]]:
        """The k best of the allowed products; equal scores in order of id.

        One vector: cosine similarity. Both: each side's similarity is standardised by the index
        version's mean and spread, and blended alpha x image + (1 - alpha) x text; that is linear
        in the product's vector, so one scan answers it. Alpha 1 and 0 are the pure searches.
        Scores are exact in either plan; which rows are found is exact where there is no scan.
        """
        query, offset = self._blend(image, text, alpha)
        single, tie = query.astype(np.float32), TIE * math.sqrt(float(query @ query))
        wanted = k + len(where.exclude)
        rows = self._start + self._appended.nearest(single, wanted, where, tie)
        if self._scan is not None:
            is_image = text is None or (image is not None and alpha >= 1.0)
            scanned = self._scanned(self._scan, single, wanted, where, tie, is_image)
            rows = np.concatenate([scanned, rows]) if rows.size else scanned
        if not rows.size:
            return []
        scores = self._vectors(rows).astype(np.float64) @ query + offset
        ranked = sorted(
            (-round(score, DECIMALS), self._id(row))
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
        )
        hits = [(product_id, -score + 0.0) for score, product_id in ranked[:wanted]]
        return [hit for hit in hits if hit[0] not in where.exclude][:k] if where.exclude else hits

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

    def _scanned(
        self,
        scan: "Scan | DeviceScan",
        query: NDArray[np.float32],
        wanted: int,
        where: RowFilter,
        tie: float,
        is_image: bool,
    ) -> NDArray[np.int64]:
        """Rows of the version and sealed ones that hold the best, by the plan that fits.

        Few allowed rows are compared one by one. Otherwise the filter is a bitmap inside the
        scan, which looks into as many more lists as the filter takes rows out of each.
        """
        knobs = self.knobs
        lists = knobs.image_lists if is_image else knobs.text_lists
        depth = max(knobs.image_depth if is_image else knobs.text_depth, DEPTH_PER_RESULT * wanted)
        bits = self._bits(where)
        total = self._base.count + self._appended.sealed
        matching = total if bits is None else int(np.bitwise_count(bits).sum())
        if bits is not None and matching <= max(GATHER_ROWS, GATHER_SHARE * total):
            rows = rows_of(bits)
        else:
            rows = scan.search(query, depth, math.ceil(lists * total / matching), bits)
            if rows.size < min(wanted, matching):
                rows = scan.search(query, depth, scan.lists, bits)
        if bits is not None and not are_set(bits, rows):
            raise RuntimeError("FAISS returned a row that the filter does not allow")
        if not rows.size:
            return rows
        return rows[self._scorer.best(query, self._vectors(rows), wanted, tie)]

    def _bits(self, where: RowFilter) -> NDArray[np.uint8] | None:
        """Rows that the scan may find, one bit each; None: all that it has."""
        appended, base = self._appended, self._base
        dead = base.dead + appended.dead_sealed
        if where.is_open and not dead:
            return None
        bits = base.allowed_bits(where)
        if not appended.sealed:
            return bits
        sealed = np.packbits(appended.allowed_sealed(where), bitorder="little")
        return np.concatenate([bits, sealed])

    def _find(self, product_id: str) -> int | None:
        """The living row of a product."""
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


def _open_scan(files: IndexFiles, device: str | None) -> "Scan | DeviceScan | None":
    if files.scan is None:
        return None
    if device is None:
        return Scan(files.scan)
    # torch, which a replica on the CPU does without
    from models.index.device_scan import DeviceScan  # noqa: PLC0415

    return DeviceScan(files.vectors, device)
