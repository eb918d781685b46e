"""The score scale: the percentage of a category's sales that a forecast exceeds, 0 to 100."""

from dataclasses import dataclass

import numpy as np

from models.sales.columns import Floats, Texts

POINTS = 101
LEAST = 20
"""A category with at least this many rows has a scale of its own; the others share one."""


@dataclass(frozen=True)
class ScoreScale:
    """Percentiles 0 to 100 of ln(1 + units), (101,) ascending, by category; "" holds all sales.

    Between percentiles the scale is linear; values outside the observed sales score 0 or 100.
    """

    percentile: dict[str, Floats]

    @classmethod
    def of(cls, log_units: Floats, category: Texts) -> "ScoreScale":
        """The scale of these sales."""
        table = {"": _percentiles(log_units)}
        for word in np.unique(category[category != ""]):
            rows = category == word
            if rows.sum() >= LEAST:
                table[str(word)] = _percentiles(log_units[rows])
        return cls(table)

    def score(self, log_units: Floats, category: Texts) -> Floats:
        """(n,) ln(1 + units) -> (n,) scores; monotonically non-decreasing."""
        scores = np.empty(len(log_units))
        for word in np.unique(category):
            rows = category == word
            percentiles = self.percentile.get(str(word), self.percentile[""])
            scores[rows] = np.interp(log_units[rows], percentiles, np.linspace(0.0, 100.0, POINTS))
        return scores


def _percentiles(log_units: Floats) -> Floats:
    """The percentiles, strictly ascending, so that `np.interp` is well defined for equal sales."""
    values = np.quantile(log_units, np.linspace(0.0, 1.0, POINTS))
    return np.asarray(values + np.arange(POINTS) * 1e-9)
