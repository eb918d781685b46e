"""Ridge regression in closed form; its strength and out-of-fold predictions by cross-validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.sales.columns import Floats

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
FOLDS = 5


@dataclass(frozen=True)
class Ridge:
    """weights: (p,) float64; offset: the intercept."""

    weights: Floats
    offset: float

    def predict(self, design: NDArray[np.float32]) -> Floats:
        """(n, p) -> (n,)."""
        return np.asarray(design @ self.weights + self.offset)


def fit_ridge(
    design: NDArray[np.float32], target: Floats, fold: NDArray[np.int64],
    weight: Floats | None = None,
) -> tuple[Ridge, Floats]:  # fmt: skip
    """The model of all rows, and for each row the prediction of a model without the row's fold.

    Follows Hoerl and Kennard 1970; out-of-fold predictions as input of a second model: Wolpert
    1992. fold: (n,) in [0, FOLDS); all rows of a product have the same fold. weight: (n,) above 0,
    by default 1.
    """
    if weight is None:
        weight = np.ones(len(target))
    folds = [fold == number for number in range(FOLDS)]
    inner = [_Moments.of(design[rows], target[rows], weight[rows]) for rows in folds]
    whole = sum(inner[1:], inner[0])
    outs = {strength: np.empty(len(target)) for strength in STRENGTHS}
    for rows, moments in zip(folds, inner, strict=True):
        rest = whole - moments
        for strength, out in outs.items():
            out[rows] = rest.solve(strength).predict(design[rows])

    def loss(strength: float) -> float:
        return float(np.average((outs[strength] - target) ** 2, weights=weight))

    best = min(STRENGTHS, key=loss)
    return whole.solve(best), outs[best]


@dataclass(frozen=True)
class _Moments:
    """Weighted sums over rows, from which a ridge regression can be solved without the rows."""

    count: float
    x: Floats
    y: float
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, design: NDArray[np.float32], target: Floats, weight: Floats) -> "_Moments":
        wide = design.astype(np.float64)
        heavy = wide * weight[:, None]
        return cls(
            float(weight.sum()),
            heavy.sum(axis=0),
            float(weight @ target),
            heavy.T @ wide,
            heavy.T @ target,
        )

    def __add__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )

    def __sub__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.count - other.count,
            self.x - other.x,
            self.y - other.y,
            self.xx - other.xx,
            self.xy - other.xy,
        )

    def solve(self, strength: float) -> Ridge:
        mean_x, mean_y = self.x / max(self.count, 1.0), self.y / max(self.count, 1.0)
        covariance = self.xx - np.outer(self.x, mean_x)
        slope = self.xy - self.x * mean_y
        covariance[np.diag_indices_from(covariance)] += strength
        weights: Floats = np.asarray(np.linalg.solve(covariance, slope), dtype=np.float64)
        return Ridge(weights, float(mean_y - mean_x @ weights))
