"""The approximate scan: 4-bit product-quantised codes in FAISS, in inverted lists where many.

FastScan (Andre et al., "Quicker ADC", 2018) as FAISS's `IVF…,PQ…x4fs`. One list is an exhaustive
scan: the flat FastScan type refuses filters, the inverted-list type honours them. Vectors that lie
near few axes are turned onto those first (principal components without centring, which keeps inner
products), and each axis has a code of its own.
"""

import math
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

EXACT_ROWS = 20_000
"""Catalogues below this are compared row by row."""
LIST_ROWS = 50_000
"""From here on the codes lie in lists, of which a search looks into a few."""
LISTS_PER_ROOT = 2.0
TRAINING_PER_LIST = 50
TRAINING_ROWS = 20_000
LENGTH_KEPT = 0.998
"""Axes that hold this share of the vectors' squared length stand for all, if half of them do."""


class Scan:
    """Candidates by approximate similarity. Searches may run side by side, `add` must not."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._turned = isinstance(index, faiss.IndexPreTransform)
        self.lists = int(faiss.extract_index_ivf(index).nlist)

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Encodes more rows with the codes learned before. `vectors`: float32 (n, dim)."""
        self.index.add_with_ids(vectors, rows)

    def search(
        self, query: NDArray[np.float32], depth: int, lists: int, bits: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """Up to `depth` rows that look nearest, int64, unordered as to their true similarity.

        Args:
            query: float32, shape (dim,).
            lists: how many of the lists nearest to the query are looked into.
            bits: which rows may be found, one bit a row, lowest first; None: all.

        """
        selector = None
        if bits is not None:
            selector = faiss.IDSelectorBitmap(8 * bits.size, faiss.swig_ptr(bits))
        kind: Any = faiss.SearchParametersIVF
        parameters = kind(sel=selector, nprobe=min(lists, self.lists))
        if self._turned:
            around: Any = faiss.SearchParametersPreTransform
            parameters = around(index_params=parameters)
        _, rows = self.index.search(query[None], depth, params=parameters)
        found: NDArray[np.int64] = rows[0]
        return found[found >= 0]


def train_scan(vectors: NDArray[np.float16]) -> Scan | None:
    """A scan without rows, its codes learned from a sample; None for a small catalogue.

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
        turn: Any = faiss.LinearTransform(dim, len(axes), False)
        faiss.copy_array_to_vector(axes.ravel(), turn.A)
        turn.is_trained = True
        index = faiss.IndexPreTransform(turn, index)
    index.train(sample)
    return Scan(index)


def main_axes(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """The principal axes that vectors lie near, float32 (axes, dim); none where they lie near more
    than half of them. `sample`: (n, dim).
    """
    dim = sample.shape[1]
    lengths, axes = np.linalg.eigh(sample.T @ sample)
    held = np.cumsum(lengths[::-1]) / lengths.sum()
    count = int((held < LENGTH_KEPT).sum()) + 1
    count += count % 2  # FastScan takes codes in pairs
    if count > dim // 2:
        count = 0
    return np.ascontiguousarray(axes[:, ::-1][:, :count].T, np.float32)


def code_parts(dim: int) -> int:
    """How many 4-bit codes a vector gets: one for every 4 numbers, or fewer where 4 won't do.

    Short vectors get one for every 2 numbers, up to 128: on the starter embedder's, of which many
    are nearly alike, texts are then answered twice as fast for 32 bytes more.
    """
    wanted = max(dim // 4, min(dim // 2, 128), 1)
    return next(parts for parts in range(wanted, 0, -1) if dim % parts == 0)
