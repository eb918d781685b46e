"""Two simple baselines on observed sales, which predict each row from the rows before its day."""

import numpy as np
from numpy.typing import NDArray

from models.sales.columns import Floats, Sales
from models.sales.evaluation.measures import NEIGHBOURS
from models.sales.features import Sold


def day_by_day(sales: Sales, days: NDArray[np.int64], sold: Sold) -> tuple[Floats, Floats]:
    """ln(1 + units) (n,), (n,): the category's mean, and the mean of the most similar pictures.

    days: (n,) ordinals, -1 for no day. If every row has a day, a row is predicted from the rows of
    earlier days (prequential, Dawid 1984), otherwise from all rows of other products. A row that
    no other row precedes is predicted from `sold`, the regressor's sold products.
    """
    usable = _usable_rows(sales, days)
    log_units = sales.log_units
    same = sales.offers.category[:, None] == sales.offers.category[None, :]
    by_category = _mean_where(usable & same, log_units)
    by_category = np.where(np.isnan(by_category), _mean_where(usable, log_units), by_category)
    cosine = np.where(usable, sales.offers.vectors @ sales.offers.vectors.T, -np.inf)
    by_image = _mean_of_nearest(cosine, log_units)
    return (
        np.where(np.isnan(by_category), _category_of(sold, sales), by_category),
        np.where(np.isnan(by_image), _neighbours_of(sold, sales), by_image),
    )


def _usable_rows(sales: Sales, days: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, n): whether the second row may be used to predict the first."""
    if (days >= 0).all():
        return np.asarray(days[None, :] < days[:, None])
    return np.asarray(sales.key[None, :] != sales.key[:, None])


def _mean_where(mask: NDArray[np.bool_], values: Floats) -> Floats:
    count = mask.sum(axis=1)
    return np.where(count > 0, mask @ values / np.maximum(count, 1), np.nan)


def _mean_of_nearest(cosine: NDArray[np.float32], values: Floats) -> Floats:
    k = min(NEIGHBOURS, cosine.shape[1])
    rows = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    usable = np.isfinite(np.take_along_axis(cosine, rows, axis=1))
    count = usable.sum(axis=1)
    total = np.where(usable, values[rows], 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _category_of(sold: Sold, sales: Sales) -> Floats:
    log_units = np.log1p(sold.units)
    same = sales.offers.category[:, None] == sold.category[None, :]
    means = _mean_where(same, log_units)
    return np.where(np.isnan(means), log_units.mean(), means)


def _neighbours_of(sold: Sold, sales: Sales) -> Floats:
    cosine = sales.offers.vectors @ sold.vectors.T
    own = sales.key[:, None] == sold.key[None, :]
    return _mean_of_nearest(np.where(own, -np.inf, cosine), np.log1p(sold.units))
