"""A picture's sales forecast with an interval: boosted quantiles and conformal calibration."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.sales.columns import Floats, Offers, Texts
from models.sales.conformal import Correction
from models.sales.features import FeatureExtractor
from models.sales.neighbours import FEW, Nearest, rows_of
from models.sales.score_scale import ScoreScale

QUANTILES = (0.05, 0.5, 0.95)
COVERAGE = 0.9
COMPARABLES = FEW


@dataclass(frozen=True)
class RegressorConfig:
    """The device of the boosted trees; "auto" is CUDA if xgboost and the driver support it.

    The CPU is the default: a prediction takes it microseconds, and a CUDA context takes 0.6 GiB.
    """

    device: Literal["auto", "cpu", "cuda"] = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Novelty:
    """How unlike all sold products a picture is, by its distance to the nearest ones.

    usual: the 99 % quantile of the calibration pictures' distances (see `Nearest.distance`);
    low, high: the 5 % and 95 % quantiles of ln(1 + units) by category, and under "" over all.
    """

    usual: float
    low: dict[str, float]
    high: dict[str, float]

    def degree(self, distance: Floats) -> Floats:
        """(n,) in [0, 1]: 0 up to the usual distance, 1 from twice the usual distance on."""
        return np.asarray(np.clip(distance / max(self.usual, 1e-6) - 1.0, 0.0, 1.0))

    def widen(
        self, low: Floats, high: Floats, category: Texts, degree: Floats
    ) -> tuple[Floats, Floats]:
        """Interval ends (n,), moved outwards to those of the category's sales.

        degree: (n,) from `degree`; at 1 the interval contains at least the middle 90 % of the
        category's sales, because nothing else is known about a picture that is unlike all sold
        products.
        """
        far_low = np.array([self.low.get(str(word), self.low[""]) for word in category])
        far_high = np.array([self.high.get(str(word), self.high[""]) for word in category])
        return (
            low + degree * (np.minimum(low, far_low) - low),
            high + degree * (np.maximum(high, far_high) - high),
        )


@dataclass(frozen=True)
class Forecast:
    """The expected sales of n offers, as ln(1 + units) (n,), low <= middle <= high.

    category: (n,) the offers', or that of the nearest sold products where an offer has none;
    novelty: (n,) in [0, 1], see `Novelty.degree`; nearest: see `Nearest`.
    """

    low: Floats
    middle: Floats
    high: Floats
    category: Texts
    novelty: Floats
    nearest: Nearest


class Regressor:
    """A fitted regressor; it keeps no state of a request, so any thread may use it.

    version: its name in answers and rows; embedder_version: the embedder of its vectors.
    """

    def __init__(
        self, version: str, embedder_version: str, features: FeatureExtractor, booster: Any,
        correction: Correction, novelty: Novelty, scale: ScoreScale,
    ) -> None:  # fmt: skip
        self.version = version
        self.embedder_version = embedder_version
        self.features = features
        self.booster = booster
        self.correction = correction
        self.novelty = novelty
        self.scale = scale

    @property
    def dim(self) -> int:
        """The length of the vectors that it expects."""
        return int(self.features.sold.vectors.shape[1])

    def predict(self, offers: Offers, keys: Texts | None = None) -> Forecast:
        """The forecast of n offers. keys: (n,) their products' keys, "" for an unknown product.

        A product's own sales are never among its neighbours.
        """
        own = None if keys is None else rows_of(keys, self.features.sold.key)
        columns, level, nearest = self.features.columns(offers, own)
        if (offers.category == "").any():
            offers = self._guess_categories(offers, nearest)
            columns, level, nearest = self.features.columns(offers, own)
        low, middle, high = quantiles(self.booster, columns, level).T
        low, high = self.correction.apply(low, high, offers.category)
        degree = self.novelty.degree(nearest.distance)
        low, high = self.novelty.widen(low, high, offers.category, degree)
        return Forecast(
            np.minimum(low, middle), middle, np.maximum(high, middle),
            offers.category, degree, nearest,
        )  # fmt: skip

    def middle(self, offers: Offers, keys: Texts | None = None) -> Floats:
        """(n,) the median ln(1 + units) of the forecast."""
        return self.predict(offers, keys).middle

    def check(self) -> None:
        """Scores a sold product; RuntimeError unless the median is a number within its interval."""
        sold = self.features.sold
        forecast = self.predict(
            Offers(
                sold.vectors[:1], sold.category[:1], np.array([""]), np.array([np.nan]),
                np.array([np.nan]),
            )
        )  # fmt: skip
        if not (forecast.low[0] <= forecast.middle[0] <= forecast.high[0]):  # also catches NaN
            raise RuntimeError(
                f"{self.version} predicted {forecast.middle[0]} outside of its interval"
            )

    def _guess_categories(self, offers: Offers, nearest: Nearest) -> Offers:
        near = self.features.sold.category[nearest.row[:, :FEW]]
        guessed = np.array([_most_common(row) for row in near])
        category = np.where(offers.category == "", guessed, offers.category)
        return Offers(offers.vectors, category, offers.brand, offers.price, offers.phase)


def quantiles(booster: Any, columns: NDArray[np.float32], level: Floats) -> Floats:
    """(n, 3) quantiles of ln(1 + units), sorted because boosted quantiles may cross."""
    residuals = booster.inplace_predict(columns).reshape(len(columns), len(QUANTILES))
    return np.asarray(level[:, None] + np.sort(residuals, axis=1), dtype=np.float64)


def _most_common(words: Texts) -> str:
    """The most frequent word; a tie goes to the first word, which is the nearest neighbour's."""
    texts = [str(word) for word in words]
    return max(texts, key=texts.count)
