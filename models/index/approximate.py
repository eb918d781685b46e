"""Approximate nearest neighbours: 4-bit product quantisation in FAISS, inverted lists above a size.

FastScan (Andre et al., "Quicker ADC", 2018) as FAISS's `IVF…,PQ…x4fs`. A smaller catalogue has one
list, which is scanned whole: FAISS's flat FastScan type takes no filter, the inverted-list type
does. Vectors that lie near few axes are rotated onto those first (principal components without
centring, which preserves inner products), and each axis is quantised alone.
"""

import math
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from models.index.shapes import Scan

EXACT_ROWS = 20_000
"""Smaller catalogues are searched exhaustively."""
LIST_ROWS = 50_000
"""Catalogues of at least this size have many inverted lists, of which a search probes a few."""
LISTS_PER_ROOT = 2.0
TRAINING_PER_LIST = 50
TRAINING_ROWS = 20_000
VARIANCE_SHARE = 0.998
"""Vectors are reduced to the axes that explain this share of their squared length, if half of the
axes do.
"""


class ApproximateIndex:
    """Candidates by approximate similarity. Searches may run concurrently, `add` must not."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._is_rotated = isinstance(index, faiss.IndexPreTransform)
        self.lists = int(faiss.extract_index_ivf(index).nlist)

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Encodes more rows with the trained quantiser. `vectors`: float32 (n, dim)."""
        self.index.add_with_ids(vectors, rows)

    def search_many(self, scans: Sequence[Scan]) -> list[NDArray[np.int64]]:
        """The result of each; they share no work."""
        return [self.search(scan.query, scan.depth, scan.lists, scan.bits) for scan in scans]

    def search(
        self, query: NDArray[np.float32], depth: int, lists: int, bits: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """Up to `depth` candidates, int64 row numbers, not ordered by their true similarity.

        Args:
            query: float32, shape (dim,).
            lists: how many of the lists nearest to the query are probed.
            bits: which rows may be returned, one bit a row, lowest first; None: all.

        """
        selector = None
        if bits is not None:
            selector = faiss.IDSelectorBitmap(8 * bits.size, faiss.swig_ptr(bits))
        kind: Any = faiss.SearchParametersIVF
        parameters = kind(sel=selector, nprobe=min(lists, self.lists))
        if self._is_rotated:
            outer: Any = faiss.SearchParametersPreTransform
            parameters = outer(index_params=parameters)
        _, rows = self.index.search(query[None], depth, params=parameters)
        candidates: NDArray[np.int64] = rows[0]
        return candidates[candidates >= 0]


def train_approximate(vectors: NDArray[np.float16]) -> ApproximateIndex | None:
    """An index without rows, trained on a sample; None for a small catalogue.

    Args:
        vectors: the catalogue, float16 (n, dim), may be mapped.

    """
    count, dim = vectors.shape
    if count < EXACT_ROWS:
        return None
    lists = 1 if count < LIST_ROWS else round(LISTS_PER_ROOT * math.sqrt(count))
    size = min(count, max(TRAINING_ROWS, TRAINING_PER_LIST * lists))
    rows = np.sort(np.random.default_rng(0).choice(count, size, replace=False))
    sample = vectors[rows].astype(np.float32)
    axes = main_axes(sample)
    factory = f"IVF{lists},PQ{len(axes) or code_parts(dim)}x4fs"
    index: Any = faiss.index_factory(len(axes) or dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = TRAINING_PER_LIST
    if len(axes):
        rotation: Any = faiss.LinearTransform(dim, len(axes), False)
        faiss.copy_array_to_vector(axes.ravel(), rotation.A)
        rotation.is_trained = True
        index = faiss.IndexPreTransform(rotation, index)
    index.train(sample)
    return ApproximateIndex(index)


def main_axes(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """The principal axes that the vectors lie near, float32 (axes, dim).

    The result has no rows if more than half of all axes are needed. `sample`: (n, dim).
    """
    dim = sample.shape[1]
    lengths, axes = np.linalg.eigh(sample.T @ sample)
    explained = np.cumsum(lengths[::-1]) / lengths.sum()
    count = int((explained < VARIANCE_SHARE).sum()) + 1
    count += count % 2  # FastScan takes codes in pairs
    if count > dim // 2:
        count = 0
    return np.ascontiguousarray(axes[:, ::-1][:, :count].T, np.float32)


def code_parts(dim: int) -> int:
    """How many 4-bit codes a vector gets: one for every 4 numbers, or a little fewer.

    Short vectors get one for every 2 numbers, up to 128 codes. Many vectors of the starter embedder
    are nearly alike; with these additional 32 bytes a search by text is twice as fast.
    """
    most = max(dim // 4, min(dim // 2, 128), 1)
    return next(parts for parts in range(most, 0, -1) if dim % parts == 0)
