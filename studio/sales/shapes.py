"""What a regressor is asked and answers: shapes only, so that every room can speak of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class TrainedVersion:
    """A merchant's own regressor: its blobs lie under `regressors/{version}/`.

    manifest: file name -> size and sha256, as the row keeps them.
    """

    version: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Offer:
    """A product as it is offered on a day; what is unknown is None.

    key: what its own sales go by, so that they don't stand among its neighbours.
    """

    category: str | None = None
    brand: str | None = None
    price: float | None = None
    day: date | None = None
    key: str = ""


@dataclass(frozen=True)
class ScoreQuery:
    """One picture: vectors (1 + k, dim) float32, its own, then those of its covered copies.

    model: None asks the starter.
    """

    vectors: Vectors
    embedder_version: str
    offer: Offer
    model: TrainedVersion | None = None


@dataclass(frozen=True)
class Comparable:
    """A sold product that looks like the picture; units: the mean of a line of its sales."""

    key: str
    similarity: float
    units: float
    score: float
    category: str


@dataclass(frozen=True)
class ScoreAnswer:
    """0 <= low <= score <= high <= 100; `coverage`: the share of intervals that hold what is sold.

    category: as asked, or as the nearest sold products have it; novelty: 0 where the picture is
    like those learned from, up to 1 where it is unlike all of them and the interval has been
    widened accordingly. expected: (1 + k,) float64 ln(1 + units), the picture's own first.
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
    """n lines that were sold: vectors (n, dim) float16, so that 2,000 lines are about 1 MB."""

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
    """One picture whole and with patches covered: vectors (1 + k, dim) float32.

    view: left, top, right, bottom, as shares of its sides: the part that the model looks at.
    """

    version: str
    vectors: Vectors
    view: tuple[float, float, float, float]
