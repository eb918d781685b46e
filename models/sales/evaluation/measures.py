"""Measures of sales predictions, on the score and on units, and two simple baselines."""

from dataclasses import dataclass

import numpy as np

from models.sales.columns import Floats, Sales
from models.sales.neighbours import MANY, find_nearest

NEIGHBOURS = 10


@dataclass(frozen=True)
class Measures:
    """Measures on scores 0 to 100, wape on units; None where a measure is undefined.

    mae, rmse: mean absolute and root mean squared error; r2: coefficient of determination;
    spearman: rank correlation; wape: sum of absolute errors over the sum of units.
    """

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    wape: float | None


def measure(actual: Floats, predicted: Floats, units: Floats, predicted_units: Floats) -> Measures:
    """The measures of predicted against actual scores and units, all (n,), n at least 1."""
    error = predicted - actual
    scatter = float(np.sum((actual - actual.mean()) ** 2))
    sold = float(units.sum())
    return Measures(
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt((error**2).mean())),
        r2=1.0 - float((error**2).sum()) / scatter if scatter > 0 else None,
        spearman=spearman(actual, predicted),
        wape=float(np.abs(predicted_units - units).sum()) / sold if sold > 0 else None,
    )


def spearman(first: Floats, second: Floats) -> float | None:
    """Rank correlation, ties at their mean rank; None where one of both is constant."""
    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else None


def ranks(values: Floats) -> Floats:
    """(n,) ranks in ascending order, from 0; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse])


def category_means(reference: Sales, sales: Sales) -> Floats:
    """ln(1 + units) (n,): the mean of the category among the reference sales, else of all."""
    log_units = reference.log_units
    overall = float(log_units.mean()) if len(reference) else 0.0
    means = {
        str(word): float(log_units[reference.offers.category == word].mean())
        for word in np.unique(reference.offers.category)
    }
    return np.array([means.get(str(word), overall) for word in sales.offers.category])


def image_neighbours(reference: Sales, sales: Sales, k: int = NEIGHBOURS) -> Floats:
    """ln(1 + units) (n,): the mean of the k reference rows whose pictures are most alike."""
    if not len(reference):
        return np.zeros(len(sales))
    nearest = find_nearest(sales.offers.vectors, reference.offers.vectors, k=min(k, MANY))
    return np.asarray(reference.log_units[nearest.row].mean(axis=1))
