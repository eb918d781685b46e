"""The report of a regressor on sales that it was not fitted on."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.sales.columns import Floats, Sales
from models.sales.evaluation.measures import Measures, category_means, image_neighbours, measure
from models.sales.regressor import Forecast, Regressor


@dataclass(frozen=True)
class SalesReport:
    """Measures of n sales rows; see `Measures`.

    coverage: the share of rows inside their interval; mean_interval_width: in points of the score;
    log_error: mean absolute error of ln(1 + units), which does not depend on a scale;
    beyond_scale: the share of rows that sold less or more than the scale's ends; actual,
    predicted: (n,) scores; low, high: (n,) the interval on the score.
    """

    measures: Measures
    coverage: float
    mean_interval_width: float
    log_error: float
    beyond_scale: float
    category_mean: Measures
    image_knn: Measures
    actual: Floats
    predicted: Floats
    low: Floats
    high: Floats

    def figures(self) -> dict[str, Any]:
        """The figures for rows and answers: plain numbers, rounded."""
        figures: dict[str, Any] = _rounded(
            {
                "n": len(self.actual),
                **asdict(self.measures),
                "coverage": self.coverage,
                "mean_interval_width": self.mean_interval_width,
                "log_error": self.log_error,
                "beyond_scale": self.beyond_scale,
                "baselines": {
                    "category_mean": asdict(self.category_mean),
                    "image_knn": asdict(self.image_knn),
                },
            }
        )
        return figures


def report_on(regressor: Regressor, sales: Sales, reference: Sales) -> SalesReport:
    """The regressor's report on `sales`, beside baselines from the sales `reference`."""
    forecast = regressor.predict(sales.offers, sales.key)
    by_category, by_image = category_means(reference, sales), image_neighbours(reference, sales)
    return report_of(regressor, sales, forecast, by_category, by_image)


def report_of(
    regressor: Regressor, sales: Sales, forecast: Forecast, by_category: Floats, by_image: Floats
) -> SalesReport:
    """The report from the regressor's predictions and both baselines' ln(1 + units), (n,)."""
    log_units = sales.log_units

    def score(values: Floats) -> Floats:
        return regressor.scale.score(values, forecast.category)

    actual = score(log_units)

    def judge(values: Floats) -> Measures:
        return measure(actual, score(values), sales.units, np.expm1(values))

    low, high = score(forecast.low), score(forecast.high)
    inside = (log_units >= forecast.low) & (log_units <= forecast.high)
    return SalesReport(
        measures=judge(forecast.middle),
        coverage=float(inside.mean()),
        mean_interval_width=float((high - low).mean()),
        log_error=float(np.abs(log_units - forecast.middle).mean()),
        beyond_scale=float(((actual <= 0.0) | (actual >= 100.0)).mean()),
        category_mean=judge(by_category),
        image_knn=judge(by_image),
        actual=actual,
        predicted=score(forecast.middle),
        low=low,
        high=high,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
