"""The score: which share of a category's sales an expectation exceeds, 0 to 100."""

from dataclasses import dataclass

import numpy as np

from models.sales.sales import Floats, Texts

POINTS = 101
LEAST = 20
"""Lines of a category from which on it has a scale of its own; the others share one."""


@dataclass(frozen=True)
class ScoreScale:
    """The percentiles 0 to 100 of ln(1 + units), (101,) ascending, by category; "" is all sales.

    Between percentiles the scale is linear; outside of what was ever sold it ends at 0 and 100.
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
        """(n,) ln(1 + units) -> (n,) scores; never falls where units rise."""
        scores = np.empty(len(log_units))
        for word in np.unique(category):
            rows = category == word
            known = self.percentile.get(str(word), self.percentile[""])
            scores[rows] = np.interp(log_units[rows], known, np.linspace(0.0, 100.0, POINTS))
        return scores


def _percentiles(log_units: Floats) -> Floats:
    """Strictly ascending, so that equal sales don't make the scale jump backwards."""
    found = np.quantile(log_units, np.linspace(0.0, 1.0, POINTS))
    return np.asarray(found + np.arange(POINTS) * 1e-9)
