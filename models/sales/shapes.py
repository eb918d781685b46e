"""The shapes of sales scores that travel between processes: plain data, no torch, no xgboost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.embedder.shapes import View

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class TrainedVersion:
    """A merchant's own regressor; its blobs are under `regressors/{version}/`.

    manifest: file name -> size and sha256, as the version's row stores them.
    """

    version: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Offer:
    """A product as it is offered on a day; a field that is not known is None.

    key: identifies the product's own sales, which are left out of its neighbours.
    """

    category: str | None = None
    brand: str | None = None
    price: float | None = None
    day: date | None = None
    key: str = ""

    def completed_from(self, catalogue: "Offer") -> "Offer":
        """The offer with the catalogue's key, and its category, brand and price where missing."""
        return Offer(
            category=self.category or catalogue.category,
            brand=self.brand or catalogue.brand,
            price=self.price or catalogue.price,
            day=self.day,
            key=catalogue.key,
        )


@dataclass(frozen=True)
class ScoreQuery:
    """One picture to score.

    vectors: (1 + k, dim) float32, the picture's own first, then those of its k covered copies.
    model: None means the starter.
    """

    vectors: Vectors
    embedder_version: str
    offer: Offer
    model: TrainedVersion | None = None


@dataclass(frozen=True)
class Comparable:
    """A sold product that looks like the picture; units: mean units of one sales row."""

    key: str
    similarity: float
    units: float
    score: float
    category: str


@dataclass(frozen=True)
class ScoreAnswer:
    """The score of one picture, 0 <= low <= score <= high <= 100.

    coverage: the share of intervals that contain the true sales. category: the offer's, or that of
    the nearest sold products where the offer has none. novelty: 0 where the picture is like the
    training pictures, up to 1 where it is unlike all of them and the interval has been widened
    accordingly. expected: (1 + k,) float64 ln(1 + units), the picture's own first.
    """

    model_version: str
    score: float
    low: float
    high: float
    coverage: float
    category: str
    novelty: float
    comparables: list[Comparable]
    expected: NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """n observed sales rows; vectors: (n, dim) float16, so that 2,000 rows take about 1 MB."""

    vectors: NDArray[np.float16]
    embedder_version: str
    offers: list[Offer]
    units: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Figures by name (snake_case), and plots: name -> PNG."""

    model_version: str
    figures: dict[str, Any]
    plots: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class CoveredEmbedding:
    """A picture's vector and those of its covered copies: vectors (1 + k, dim) float32."""

    version: str
    vectors: Vectors
    view: View
