"""What a merchant is told of a regressor on sales that it was not fitted on."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.sales.measures import Measures, category_means, image_neighbours, measure
from models.sales.regressor import Predicted, Regressor
from models.sales.sales import Floats, Sales


@dataclass(frozen=True)
class SalesReport:
    """Measures of n lines; see `Measures`.

    coverage: the share of lines inside their interval; mean_interval_width: in points of the
    score; log_error: mean absolute error of ln(1 + units), which does not depend on a scale;
    beyond_scale: the share that sold less or more than the scale's ends; actual, told: (n,) scores,
    low and high: (n,) the interval on the score.
    """

    measures: Measures
    coverage: float
    mean_interval_width: float
    log_error: float
    beyond_scale: float
    category_mean: Measures
    image_knn: Measures
    actual: Floats
    told: Floats
    low: Floats
    high: Floats

    def figures(self) -> dict[str, Any]:
        """What goes into rows and answers: plain numbers, rounded."""
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


def report_on(regressor: Regressor, sales: Sales, known: Sales) -> SalesReport:
    """How the regressor does on `sales`, beside baselines that know the sales `known`."""
    told = regressor.predict(sales.offers, sales.key)
    return report_of(
        regressor, sales, told, category_means(known, sales), image_neighbours(known, sales)
    )


def report_of(
    regressor: Regressor, sales: Sales, told: Predicted, by_category: Floats, by_image: Floats
) -> SalesReport:
    """The same from what each of the three told: ln(1 + units), (n,)."""
    log_units = sales.log_units

    def score(values: Floats) -> Floats:
        return regressor.scale.score(values, told.category)

    actual = score(log_units)

    def judge(values: Floats) -> Measures:
        return measure(actual, score(values), sales.units, np.expm1(values))

    low, high = score(told.low), score(told.high)
    inside = (log_units >= told.low) & (log_units <= told.high)
    return SalesReport(
        measures=judge(told.middle),
        coverage=float(inside.mean()),
        mean_interval_width=float((high - low).mean()),
        log_error=float(np.abs(log_units - told.middle).mean()),
        beyond_scale=float(((actual <= 0.0) | (actual >= 100.0)).mean()),
        category_mean=judge(by_category),
        image_knn=judge(by_image),
        actual=actual,
        told=score(told.middle),
        low=low,
        high=high,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value
