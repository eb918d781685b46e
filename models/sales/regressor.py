"""A picture's sales score with an interval: boosted quantiles, made honest by calibration."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.sales.conformal import Correction
from models.sales.features import Reading
from models.sales.neighbours import FEW, Nearest, rows_of
from models.sales.sales import Floats, Offers, Texts
from models.sales.score_scale import ScoreScale

QUANTILES = (0.05, 0.5, 0.95)
COVERAGE = 0.9
COMPARABLES = FEW


@dataclass(frozen=True)
class RegressorConfig:
    """How boosted trees run. device: "auto" takes CUDA where xgboost and the driver have it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1


@dataclass(frozen=True)
class Novelty:
    """From which distance to all sold products on a picture is unlike them.

    usual: the distance that 99 of 100 calibration pictures stay below (see `Nearest.distance`);
    low, high: the 5 % and 95 % quantiles of ln(1 + units) by category, and under "" over all.
    """

    usual: float
    low: dict[str, float]
    high: dict[str, float]

    def degree(self, distance: Floats) -> Floats:
        """(n,) in [0, 1]: 0 up to the usual distance, 1 from twice that on."""
        return np.asarray(np.clip(distance / max(self.usual, 1e-6) - 1.0, 0.0, 1.0))

    def widen(
        self, low: Floats, high: Floats, category: Texts, degree: Floats
    ) -> tuple[Floats, Floats]:
        """Interval ends (n,) moved out, as far as the degree says, to where 90 % of all sales are.

        Of a picture unlike everything sold nothing is known but that it is for sale.
        """
        far_low = np.array([self.low.get(str(one), self.low[""]) for one in category])
        far_high = np.array([self.high.get(str(one), self.high[""]) for one in category])
        return (
            low + degree * (np.minimum(low, far_low) - low),
            high + degree * (np.maximum(high, far_high) - high),
        )


@dataclass(frozen=True)
class Predicted:
    """What n offers are expected to sell, as ln(1 + units) (n,), low <= middle <= high.

    category: (n,) as asked, or the nearest sold products' where it was not said; novelty: (n,) in
    [0, 1], see `Novelty.degree`; nearest: see `Nearest`.
    """

    low: Floats
    middle: Floats
    high: Floats
    category: Texts
    novelty: Floats
    nearest: Nearest


class Regressor:
    """A fitted regressor; holds no state of a request, and any thread may ask it.

    version: its name in answers and rows; embedder_version: whose vectors it understands.
    """

    def __init__(
        self, version: str, embedder_version: str, reading: Reading, booster: Any,
        correction: Correction, novelty: Novelty, scale: ScoreScale,
    ) -> None:  # fmt: skip
        self.version = version
        self.embedder_version = embedder_version
        self.reading = reading
        self.booster = booster
        self.correction = correction
        self.novelty = novelty
        self.scale = scale

    @property
    def dim(self) -> int:
        """The length of the vectors that it takes."""
        return int(self.reading.sold.vectors.shape[1])

    def predict(self, offers: Offers, keys: Texts | None = None) -> Predicted:
        """Offers (n) -> expectations. keys: (n,) what each is sold as, "" for nothing.

        A product's own sales never stand among its neighbours.
        """
        own = None if keys is None else rows_of(keys, self.reading.sold.key)
        columns, level, nearest = self.reading.columns(offers, own)
        if (offers.category == "").any():
            offers = self._guess_categories(offers, nearest)
            columns, level, nearest = self.reading.columns(offers, own)
        low, middle, high = quantiles(self.booster, columns, level).T
        low, high = self.correction.apply(low, high, offers.category)
        degree = self.novelty.degree(nearest.distance)
        low, high = self.novelty.widen(low, high, offers.category, degree)
        return Predicted(
            np.minimum(low, middle), middle, np.maximum(high, middle),
            offers.category, degree, nearest,
        )  # fmt: skip

    def middle(self, offers: Offers, keys: Texts | None = None) -> Floats:
        """(n,) the expected ln(1 + units) alone."""
        return self.predict(offers, keys).middle

    def check(self) -> None:
        """Scores a sold product; RuntimeError unless the answer is a number in its interval."""
        sold = self.reading.sold
        told = self.predict(
            Offers(
                sold.vectors[:1], sold.category[:1], np.array([""]), np.array([np.nan]),
                np.array([np.nan]),
            )
        )  # fmt: skip
        if not (told.low[0] <= told.middle[0] <= told.high[0]):  # also catches NaN
            raise RuntimeError(f"{self.version} gave {told.middle[0]} outside of its interval")

    def _guess_categories(self, offers: Offers, nearest: Nearest) -> Offers:
        near = self.reading.sold.category[nearest.row[:, :FEW]]
        guessed = np.array([_most_common(row) for row in near])
        category = np.where(offers.category == "", guessed, offers.category)
        return Offers(offers.vectors, category, offers.brand, offers.price, offers.phase)


def quantiles(booster: Any, columns: NDArray[np.float32], level: Floats) -> Floats:
    """(n, 3) ascending quantiles of ln(1 + units); boosted ones may cross, sorted ones don't."""
    told = np.sort(booster.inplace_predict(columns).reshape(len(columns), len(QUANTILES)), axis=1)
    return np.asarray(level[:, None] + told, dtype=np.float64)


def _most_common(words: Texts) -> str:
    """The first of the most frequent words: nearest neighbours come first."""
    listed = [str(word) for word in words]
    return max(listed, key=listed.count)
