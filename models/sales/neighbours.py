"""The nearest sold products of a picture, and features of how well they sold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.sales.columns import Floats, Texts

Vectors = NDArray[np.float32]
FEW, MANY = 5, 20
CHUNK = 512


@dataclass(frozen=True)
class Nearest:
    """The k nearest sold products of n pictures, nearest first.

    row: (n, k) int64, places in the table of sold products; similarity: (n, k) float32, cosine.
    """

    row: NDArray[np.int64]
    similarity: NDArray[np.float32]

    @property
    def distance(self) -> Floats:
        """(n,) mean of 1 - cosine over the `FEW` nearest sold products."""
        return np.asarray(1.0 - self.similarity[:, :FEW].mean(axis=1), dtype=np.float64)


def find_nearest(
    vectors: Vectors, sold: Vectors, own: NDArray[np.int64] | None = None, k: int = MANY
) -> Nearest:
    """Exact search by cosine. own: (n,) the picture's own row in `sold`, -1 for none.

    A picture is never its own neighbour, so that the relations that the regressor learns from
    neighbours also hold for products that have not been sold yet.
    """
    k = min(k, len(sold) - 1 if own is not None and len(sold) > 1 else len(sold))
    rows = np.empty((len(vectors), k), np.int64)
    similar = np.empty((len(vectors), k), np.float32)
    for start in range(0, len(vectors), CHUNK):
        cosine = vectors[start : start + CHUNK] @ sold.T
        row = np.arange(len(cosine))
        if own is not None:
            own_row = own[start : start + CHUNK]
            cosine[row[own_row >= 0], own_row[own_row >= 0]] = -2.0
        best = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
        rows[start : start + CHUNK] = np.take_along_axis(best, order, 1)
        similar[start : start + CHUNK] = np.take_along_axis(cosine, rows[start : start + CHUNK], 1)
    return Nearest(rows, similar)


def neighbour_features(nearest: Nearest, residual: Floats, spread: Floats) -> Vectors:
    """(n, 5) float32: mean residual of the few and of the many nearest, mean spread, the standard
    deviation of the residual, and the distance.

    residual, spread: (m,) of every sold product, the mean error of the linear model in logs, and
    the mean absolute error.
    """
    residuals = residual[nearest.row]
    return np.stack(
        [
            residuals[:, :FEW].mean(axis=1),
            residuals.mean(axis=1),
            spread[nearest.row].mean(axis=1),
            residuals.std(axis=1),
            nearest.distance,
        ],
        axis=1,
    ).astype(np.float32)


def rows_of(keys: Texts, table: Texts) -> NDArray[np.int64]:
    """Each key's place in a sorted table of distinct keys, -1 where the table lacks it."""
    if not len(table):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[place] == keys, place, -1)
