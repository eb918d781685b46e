"""The nearest sold products of a picture: how they sold beside what was expected of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.sales.sales import Floats, Texts

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
        """(n,) mean of 1 - cosine over the `FEW` nearest: how unlike anything sold."""
        return np.asarray(1.0 - self.similarity[:, :FEW].mean(axis=1), dtype=np.float64)


def find_nearest(
    vectors: Vectors, sold: Vectors, own: NDArray[np.int64] | None = None, k: int = MANY
) -> Nearest:
    """Exact, by cosine. own: (n,) the row that a picture itself has in `sold`, -1 for none.

    A picture is never its own neighbour, so that what was learned holds for pictures not yet sold.
    """
    k = min(k, len(sold) - 1 if own is not None and len(sold) > 1 else len(sold))
    rows = np.empty((len(vectors), k), np.int64)
    similar = np.empty((len(vectors), k), np.float32)
    for start in range(0, len(vectors), CHUNK):
        cosine = vectors[start : start + CHUNK] @ sold.T
        at = np.arange(len(cosine))
        if own is not None:
            mine = own[start : start + CHUNK]
            cosine[at[mine >= 0], mine[mine >= 0]] = -2.0
        best = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
        rows[start : start + CHUNK] = np.take_along_axis(best, order, 1)
        similar[start : start + CHUNK] = np.take_along_axis(cosine, rows[start : start + CHUNK], 1)
    return Nearest(rows, similar)


def neighbour_features(nearest: Nearest, surprise: Floats, spread: Floats) -> Vectors:
    """(n, 5) float32: mean surprise of few and of many, its spread, how it varies, the distance.

    surprise, spread: (m,) of every sold product, the mean of what it sold beyond expectation in
    logs, and of the absolute value of that.
    """
    of = surprise[nearest.row]
    return np.stack(
        [
            of[:, :FEW].mean(axis=1),
            of.mean(axis=1),
            spread[nearest.row].mean(axis=1),
            of.std(axis=1),
            nearest.distance,
        ],
        axis=1,
    ).astype(np.float32)


def rows_of(keys: Texts, table: Texts) -> NDArray[np.int64]:
    """Each key's place in a sorted table of distinct keys, -1 where it has none."""
    if not len(table):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[place] == keys, place, -1)
