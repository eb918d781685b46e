"""Conformalised quantile regression: gives intervals a guaranteed coverage."""

from dataclasses import dataclass

import numpy as np

from models.sales.columns import Floats, Texts

LEAST = 100
"""A category with at least this many calibration rows has its own correction (Mondrian)."""


@dataclass(frozen=True)
class Correction:
    """The distance that both ends of an interval move, in ln(1 + units), by category.

    The category "" is the default.

    Follows Romano, Patterson and Candès 2019. The distance is positive where the boosted quantiles
    are too narrow, and negative where they are too wide.
    """

    coverage: float
    distance: dict[str, float]

    def apply(self, low: Floats, high: Floats, category: Texts) -> tuple[Floats, Floats]:
        """Quantiles (n,), (n,) -> interval ends; an interval that would invert becomes a point."""
        distance = [self.distance.get(str(word), self.distance[""]) for word in category]
        move = np.maximum(np.array(distance), (low - high) / 2)
        return low - move, high + move


def calibrate(
    low: Floats, high: Floats, actual: Floats, category: Texts, coverage: float
) -> Correction:
    """Corrections from rows that no model was fitted on: all (n,)."""
    score = np.maximum(low - actual, actual - high)
    distance = {"": finite_quantile(score, coverage)}
    for word in np.unique(category[category != ""]):
        rows = category == word
        if rows.sum() >= LEAST:
            distance[str(word)] = finite_quantile(score[rows], coverage)
    return Correction(coverage, distance)


def finite_quantile(score: Floats, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest score, or the largest where n is smaller than that."""
    rank = min(int(np.ceil((len(score) + 1) * coverage)), len(score))
    return float(np.sort(score)[rank - 1])
