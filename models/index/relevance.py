"""Similarities of all rows at once from 4-bit codes, computed in the same way for every row.

Searches that need every row use them: which products are relevant to words, and the order in which
pages go through a catalogue. They are sums of whole numbers, so they are equal in every replica.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

LEAST = np.float32(-1e30)
"""The similarity of rows below all that can be told apart."""
NEVER = np.float32(-np.inf)
"""The similarity of rows that do not reach the floor."""


class CodeScan:
    """The codes of an `IVF…,PQ…x4fs` index, and those of the rows appended to it since."""

    def __init__(self, index: Any) -> None:
        """`index`: trained; it may have codes of appended rows too."""
        self._index = index
        self._is_rotated = isinstance(index, faiss.IndexPreTransform)
        self._ivf: Any = faiss.downcast_index(faiss.extract_index_ivf(index))
        self._appended = self._without_rows()

    def _without_rows(self) -> Any:
        """An index of one list with the same quantiser."""
        ivf = self._ivf
        self._centre: Any = faiss.IndexFlatIP(ivf.d)
        self._centre.add(np.zeros((1, ivf.d), dtype=np.float32))
        kind: Any = faiss.IndexIVFPQFastScan
        index = kind(self._centre, ivf.d, 1, ivf.pq.M, 4, faiss.METRIC_INNER_PRODUCT)
        index.pq = ivf.pq
        index.is_trained = True
        return index

    def append(self, rows: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Encodes appended rows. `vectors`: float16 (n, dim)."""
        self._appended.add_with_ids(self._rotated(vectors.astype(np.float32)), rows)

    def clear(self) -> None:
        """Forgets the appended rows."""
        self._appended.reset()

    def similarities(
        self, query: NDArray[np.float32], count: int, floor: float | None
    ) -> NDArray[np.float32]:
        """The similarity of the query, (dim,), to each of `count` rows: float32 (count,).

        Rows below the floor are `NEVER`. Without a floor every row has a finite similarity.
        """
        similarities = np.full(count, LEAST if floor is None else NEVER, dtype=np.float32)
        rotated = self._rotated(query[None])
        lowest, highest = self._bounds(rotated[0])
        # FAISS compares in 16 bits: a floor outside of what sums can reach would wrap around.
        least = lowest + 1e-3 * abs(lowest)
        if floor is None or floor < least:
            floor = least
        if floor >= highest:
            return similarities
        for index in (self._ivf, self._appended):
            if index.ntotal:
                kind: Any = faiss.SearchParametersIVF
                parameters = kind(nprobe=index.nlist)
                _, scores, rows = index.range_search(rotated, float(floor), params=parameters)
                similarities[rows] = scores
        return similarities

    def _rotated(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._is_rotated:
            return vectors
        rotation: Any = faiss.downcast_VectorTransform(self._index.chain.at(0))
        rotated: NDArray[np.float32] = rotation.apply(vectors)
        return rotated

    def _bounds(self, query: NDArray[np.float32]) -> tuple[float, float]:
        """The lowest and the highest sum that codes can give."""
        pq = self._ivf.pq
        table = np.empty((pq.M, pq.ksub), dtype=np.float32)
        pq.compute_inner_prod_table(faiss.swig_ptr(query), faiss.swig_ptr(table))
        return float(table.min(axis=1).sum()), float(table.max(axis=1).sum())
