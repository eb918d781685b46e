"""How good predictions of sales are: on the score, on units, and beside two simple baselines."""

from dataclasses import dataclass

import numpy as np

from models.sales.neighbours import MANY, find_nearest
from models.sales.sales import Floats, Sales

NEIGHBOURS = 10


@dataclass(frozen=True)
class Measures:
    """On scores 0 to 100, wape on units; a figure that has no value (no spread, no units) is None.

    mae, rmse: mean absolute and root mean squared error; r2: coefficient of determination;
    spearman: rank correlation; wape: sum of absolute errors over the sum of units.
    """

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    wape: float | None


def measure(actual: Floats, told: Floats, units: Floats, told_units: Floats) -> Measures:
    """All (n,), n at least 1."""
    error = told - actual
    scatter = float(np.sum((actual - actual.mean()) ** 2))
    sold = float(units.sum())
    return Measures(
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt((error**2).mean())),
        r2=1.0 - float((error**2).sum()) / scatter if scatter > 0 else None,
        spearman=spearman(actual, told),
        wape=float(np.abs(told_units - units).sum()) / sold if sold > 0 else None,
    )


def spearman(first: Floats, second: Floats) -> float | None:
    """Rank correlation, ties at their mean rank; None where one of them does not vary."""
    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else None


def ranks(values: Floats) -> Floats:
    """(n,) places in ascending order, from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse])


def category_means(known: Sales, asked: Sales) -> Floats:
    """ln(1 + units) (n,): the mean of the category among the known sales, else of all."""
    log_units = known.log_units
    overall = float(log_units.mean()) if len(known) else 0.0
    means = {
        str(word): float(log_units[known.offers.category == word].mean())
        for word in np.unique(known.offers.category)
    }
    return np.array([means.get(str(word), overall) for word in asked.offers.category])


def image_neighbours(known: Sales, asked: Sales, k: int = NEIGHBOURS) -> Floats:
    """ln(1 + units) (n,): the mean of the k known lines that look most alike."""
    if not len(known):
        return np.zeros(len(asked))
    nearest = find_nearest(asked.offers.vectors, known.offers.vectors, k=min(k, MANY))
    return np.asarray(known.log_units[nearest.row].mean(axis=1))
