"""Scores of a batch: the answers are in the order of the queries, whatever their versions."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from models.embedder.lexicon import Lexicon
from models.sales.fit import fit_regressor, split
from models.sales.regressor import Regressor
from models.sales.scoring import evaluate, score, score_batch
from models.sales.shapes import Observations, Offer, ScoreQuery
from tests.models.sales.test_regressor import DIM, small_market

VERSIONS = ("first", "second")


@pytest.fixture(scope="module")
def regressors() -> list[Regressor]:
    no_words = Lexicon(np.zeros((0, DIM), np.float32))
    return [
        fit_regressor(version, "tiny", split(small_market(300, seed)), no_words)
        for seed, version in enumerate(VERSIONS)
    ]


def queries(count: int) -> list[ScoreQuery]:
    vectors = small_market(count, seed=9).offers.vectors
    offer = Offer("dress", None, 20.0, date(2026, 3, 1))
    return [ScoreQuery(vectors[row : row + 1], "tiny", offer) for row in range(count)]


def test_a_batch_of_two_versions_equals_its_single_scores(regressors: list[Regressor]) -> None:
    requests = [(regressors[row % 2], query) for row, query in enumerate(queries(7))]
    answers = score_batch(requests)
    assert [answer.model_version for answer in answers] == [VERSIONS[row % 2] for row in range(7)]
    for (regressor, query), answer in zip(requests, answers, strict=True):
        single = score(regressor, [query])[0]
        assert answer.score == pytest.approx(single.score, abs=1e-4)
        assert [row.key for row in answer.comparables] == [row.key for row in single.comparables]


def test_covered_copies_belong_to_their_query(regressors: list[Regressor]) -> None:
    plain, other = queries(2)
    covered = replace(plain, vectors=np.concatenate([plain.vectors, other.vectors]))
    answers = score(regressors[0], [covered, other])
    assert [len(answer.expected) for answer in answers] == [2, 1]
    assert answers[0].expected[1] == pytest.approx(answers[1].expected[0], abs=1e-6)


def test_an_evaluation_has_figures_and_plots(regressors: list[Regressor]) -> None:
    sales = small_market(40, seed=5)
    offers = [Offer(str(word), key=f"new-{row}") for row, word in enumerate(sales.offers.category)]
    vectors = sales.offers.vectors.astype(np.float16)
    evaluation = evaluate(regressors[0], Observations(vectors, "tiny", offers, sales.units))
    assert evaluation.model_version == "first"
    assert evaluation.figures["n"] == 40
    assert set(evaluation.plots) == {"calibration", "predicted"}
    assert all(plot.startswith(b"\x89PNG") for plot in evaluation.plots.values())
