"""Conformalised quantile regression: intervals that hold as often as they claim."""

from dataclasses import dataclass

import numpy as np

from models.sales.sales import Floats, Texts

LEAST = 100
"""Calibration lines of a category from which on it gets a correction of its own (Mondrian)."""


@dataclass(frozen=True)
class Correction:
    """How far the two outer quantiles move apart, in ln(1 + units); "" is everyone else's.

    Romano, Patterson and Candès 2019: where the boosted quantiles say too little the distance is
    positive, where they say too much it is negative.
    """

    coverage: float
    distance: dict[str, float]

    def apply(self, low: Floats, high: Floats, category: Texts) -> tuple[Floats, Floats]:
        """Quantiles (n,), (n,) -> interval ends; one that would turn over becomes a point."""
        asked = [self.distance.get(str(one), self.distance[""]) for one in category]
        move = np.maximum(np.array(asked), (low - high) / 2)
        return low - move, high + move


def calibrate(
    low: Floats, high: Floats, actual: Floats, category: Texts, coverage: float
) -> Correction:
    """Corrections from lines that no model has seen: all (n,)."""
    score = np.maximum(low - actual, actual - high)
    distance = {"": finite_quantile(score, coverage)}
    for word in np.unique(category[category != ""]):
        rows = category == word
        if rows.sum() >= LEAST:
            distance[str(word)] = finite_quantile(score[rows], coverage)
    return Correction(coverage, distance)


def finite_quantile(score: Floats, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest score; the largest where n is too small for it."""
    rank = min(int(np.ceil((len(score) + 1) * coverage)), len(score))
    return float(np.sort(score)[rank - 1])
