"""Answers a regressor's questions: studio shapes to the model's columns and back."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from errors import Conflict
from models.sales.baselines import day_by_day
from models.sales.regressor import COMPARABLES, COVERAGE, Predicted, Regressor
from models.sales.report import report_of
from models.sales.sales import Offers, Sales, fold
from studio.sales.shapes import (
    Comparable,
    Evaluation,
    Observations,
    Offer,
    ScoreAnswer,
    ScoreQuery,
    Vectors,
)

SHOWN = 4 * COMPARABLES
"""Comparables of one answer: more than are shown, so that those still on sale come first."""


def phase_of(day: date | None) -> float:
    """The day's place in its year, in [0, 1); NaN for no day."""
    return np.nan if day is None else (day.timetuple().tm_yday - 1) / 366.0


def offers_of(offers: Sequence[Offer], vectors: NDArray[np.floating]) -> Offers:
    """N offers and their pictures' vectors (n, dim), as the models' columns."""
    return Offers(
        vectors=vectors.astype(np.float32),
        category=np.array([fold(one.category) for one in offers], dtype=np.str_),
        brand=np.array([fold(one.brand) for one in offers], dtype=np.str_),
        price=np.array([np.nan if one.price is None else one.price for one in offers]),
        phase=np.array([phase_of(one.day) for one in offers]),
    )


def check_embedder(regressor: Regressor, embedder_version: str) -> None:
    """Raises:
    Conflict: the regressor does not understand this embedder's vectors.
    """
    if regressor.embedder_version != embedder_version:
        raise Conflict(
            f"regressor {regressor.version} was trained on vectors of "
            f"{regressor.embedder_version}; in service is {embedder_version}: "
            "train one with POST /api/analytics/train"
        )


def answer(regressor: Regressor, queries: Sequence[ScoreQuery]) -> list[ScoreAnswer]:
    """Every query's answer, all in one pass through the trees."""
    lengths = [len(query.vectors) for query in queries]
    offers = [
        query.offer for query, length in zip(queries, lengths, strict=True) for _ in range(length)
    ]
    vectors = np.concatenate([query.vectors for query in queries])
    told = regressor.predict(offers_of(offers, vectors), np.array([one.key for one in offers]))
    starts = np.cumsum([0, *lengths])[:-1]
    return [
        _answer_of(regressor, told, int(start), length)
        for start, length in zip(starts, lengths, strict=True)
    ]


def _answer_of(regressor: Regressor, told: Predicted, at: int, length: int) -> ScoreAnswer:
    category = told.category[[at]]
    ends = np.array([told.low[at], told.middle[at], told.high[at]])
    low, score, high = regressor.scale.score(ends, np.repeat(category, 3))
    return ScoreAnswer(
        model_version=regressor.version,
        score=float(score),
        low=float(low),
        high=float(high),
        coverage=COVERAGE,
        category=str(category[0]),
        novelty=float(told.novelty[at]),
        comparables=_comparables(regressor, told, at),
        expected=told.middle[at : at + length],
    )


def _comparables(regressor: Regressor, told: Predicted, at: int) -> list[Comparable]:
    sold, near = regressor.reading.sold, told.nearest
    rows = near.row[at][:SHOWN]
    scores = regressor.scale.score(np.log1p(sold.units[rows]), sold.category[rows])
    return [
        Comparable(
            key=str(sold.key[row]),
            similarity=float(similarity),
            units=float(sold.units[row]),
            score=float(score),
            category=str(sold.category[row]),
        )
        for row, similarity, score in zip(rows, near.similarity[at], scores, strict=False)
    ]


def evaluate(regressor: Regressor, sold: Observations) -> Evaluation:
    """Figures and plots of observed sales; see `SalesReport` and `day_by_day`."""
    from models.sales.plots import plot_actual, plot_calibration  # noqa: PLC0415 - only where one plots

    offers = offers_of(sold.offers, _unit(sold.vectors))
    keys = np.array([one.key for one in sold.offers])
    sales = Sales(offers, keys, sold.units)
    told = regressor.predict(offers, keys)
    days = np.array([one.day.toordinal() if one.day else -1 for one in sold.offers])
    table = regressor.reading.sold
    by_category, by_image = day_by_day(sales, days, table)
    report = report_of(regressor, sales, told, by_category, by_image)
    plots = {"calibration": plot_calibration(report), "predicted": plot_actual(report)}
    return Evaluation(regressor.version, report.figures(), plots)


def _unit(vectors: NDArray[np.float16]) -> Vectors:
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))
