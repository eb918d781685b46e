"""Scores and evaluations by a regressor: from the shapes of a request to columns and back."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from models.sales.columns import Offers, Sales, fold, phase_of, unit_rows
from models.sales.evaluation.baselines import day_by_day
from models.sales.evaluation.report import report_of
from models.sales.regressor import COMPARABLES, COVERAGE, Forecast, Regressor
from models.sales.shapes import (
    Comparable,
    Evaluation,
    Observations,
    Offer,
    ScoreAnswer,
    ScoreQuery,
)

CANDIDATES = 4 * COMPARABLES
"""Comparables of one answer: more than are displayed, so that those still on sale can go first."""


def columns_of(offers: Sequence[Offer], vectors: NDArray[np.floating]) -> Offers:
    """N offers and their pictures' vectors (n, dim), as the regressor's columns."""
    return Offers(
        vectors=vectors.astype(np.float32),
        category=np.array([fold(offer.category) for offer in offers], dtype=np.str_),
        brand=np.array([fold(offer.brand) for offer in offers], dtype=np.str_),
        price=np.array([np.nan if offer.price is None else offer.price for offer in offers]),
        phase=np.array([phase_of(offer.day) for offer in offers]),
    )


def score_batch(requests: Sequence[tuple[Regressor, ScoreQuery]]) -> list[ScoreAnswer]:
    """The answers in the order of the requests; one prediction for each version among them."""
    order = sorted(range(len(requests)), key=lambda place: requests[place][0].version)
    answers: dict[int, ScoreAnswer] = {}
    for _, group in groupby(order, key=lambda place: requests[place][0].version):
        places = list(group)
        regressor = requests[places[0]][0]
        scores = score(regressor, [requests[place][1] for place in places])
        answers.update(zip(places, scores, strict=True))
    return [answers[place] for place in range(len(requests))]


def score(regressor: Regressor, queries: Sequence[ScoreQuery]) -> list[ScoreAnswer]:
    """The answer to every query, by one prediction for all of them."""
    lengths = [len(query.vectors) for query in queries]
    offers = [
        query.offer for query, length in zip(queries, lengths, strict=True) for _ in range(length)
    ]
    vectors = np.concatenate([query.vectors for query in queries])
    keys = np.array([offer.key for offer in offers])
    forecast = regressor.predict(columns_of(offers, vectors), keys)
    starts = np.cumsum([0, *lengths])[:-1]
    return [
        _answer_of(regressor, forecast, int(start), length)
        for start, length in zip(starts, lengths, strict=True)
    ]


def _answer_of(regressor: Regressor, forecast: Forecast, row: int, length: int) -> ScoreAnswer:
    category = forecast.category[[row]]
    ends = np.array([forecast.low[row], forecast.middle[row], forecast.high[row]])
    low, middle, high = regressor.scale.score(ends, np.repeat(category, 3))
    return ScoreAnswer(
        model_version=regressor.version,
        score=float(middle),
        low=float(low),
        high=float(high),
        coverage=COVERAGE,
        category=str(category[0]),
        novelty=float(forecast.novelty[row]),
        comparables=_comparables(regressor, forecast, row),
        expected=forecast.middle[row : row + length],
    )


def _comparables(regressor: Regressor, forecast: Forecast, row: int) -> list[Comparable]:
    sold, nearest = regressor.features.sold, forecast.nearest
    rows = nearest.row[row][:CANDIDATES]
    scores = regressor.scale.score(np.log1p(sold.units[rows]), sold.category[rows])
    return [
        Comparable(
            key=str(sold.key[place]),
            similarity=float(similarity),
            units=float(sold.units[place]),
            score=float(value),
            category=str(sold.category[place]),
        )
        for place, similarity, value in zip(rows, nearest.similarity[row], scores, strict=False)
    ]


def evaluate(regressor: Regressor, observations: Observations) -> Evaluation:
    """Figures and plots of observed sales; see `SalesReport` and `day_by_day`."""
    from models.sales.evaluation.plots import (  # noqa: PLC0415 - matplotlib is imported late
        plot_actual,
        plot_calibration,
    )

    offers = columns_of(observations.offers, unit_rows(observations.vectors))
    keys = np.array([offer.key for offer in observations.offers])
    sales = Sales(offers, keys, observations.units)
    forecast = regressor.predict(offers, keys)
    days = np.array([offer.day.toordinal() if offer.day else -1 for offer in observations.offers])
    by_category, by_image = day_by_day(sales, days, regressor.features.sold)
    report = report_of(regressor, sales, forecast, by_category, by_image)
    plots = {"calibration": plot_calibration(report), "predicted": plot_actual(report)}
    return Evaluation(regressor.version, report.figures(), plots)
