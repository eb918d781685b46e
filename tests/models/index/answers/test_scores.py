"""Fused scores: the words' weight, the cut-off, exact names, and hybrid searches."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.index.answers.answer import IndexAnswer, answer_many
from models.index.files import empty_files
from models.index.product_index import CALIBRATION_ROWS, ProductIndex
from models.index.shapes import ProductAttributes, ProductText, SearchQuery
from models.index.stats import ScoreStats

DIM = 4
STATS = ScoreStats(0.0, 0.5, 0.1, 0.2, text_cutoff=0.3, text_top=0.5, fused_cutoff=0.5)
TEXT = np.eye(DIM, dtype=np.float32)[0]


def vector(cosine: float) -> NDArray[np.float16]:
    """A unit vector with this similarity to `TEXT`."""
    return np.array([cosine, (1 - cosine**2) ** 0.5, 0, 0], dtype=np.float16)


@pytest.fixture
def index() -> ProductIndex:
    products = ProductIndex(empty_files(DIM), STATS)
    for product_id, title, cosine in (
        ("near", "Blue skirt", 0.9), ("words", "Red dress", 0.2), ("both", "Red dress", 0.8),
        ("half", "Red skirt", 0.1), ("far", "Blue bag", 0.0), ("edge", "Blue bag", 0.6),
    ):  # fmt: skip
        text = ProductText(product_id, title, sku=f"SKU-{product_id}-7")
        products.put(product_id, vector(cosine), ProductAttributes("x", None, 1, True), text)
    return products


def ask(index: ProductIndex, phrase: str | None, weight: float, **more: object) -> IndexAnswer:
    query = SearchQuery(10, text=TEXT, phrase=phrase, words_weight=weight, **more)  # type: ignore[arg-type]
    return answer_many(index, [query])[0]


def test_the_answer_has_what_matches_all_words_or_reaches_the_cutoff(index: ProductIndex) -> None:
    answer = ask(index, "dress red", 0.5)
    assert [product_id for product_id, _ in answer.hits] == ["both", "words", "near", "edge"]
    assert answer.total == 4
    assert all(0 <= score < 1 for _, score in answer.hits)


def test_without_weight_scores_are_cosines(index: ProductIndex) -> None:
    answer = ask(index, "red dress", 0.0)
    assert answer.hits == ask(index, None, 0.0).hits
    assert [product_id for product_id, _ in answer.hits] == ["near", "both", "edge"]
    assert answer.hits[0][1] == pytest.approx(0.9, abs=1e-3)


def test_the_whole_weight_leaves_the_order_to_the_words(index: ProductIndex) -> None:
    hits = dict(ask(index, "red dress", 1.0).hits)
    assert hits["both"] == hits["words"] > hits["near"] == hits["edge"] == 0


def test_a_similarity_counts_from_the_cutoff_on(index: ProductIndex) -> None:
    hits = dict(ask(index, "bag", 0.5).hits)
    excess = (0.9 - 0.3) / 0.2
    assert hits["near"] == pytest.approx(0.5 * excess / (1 + excess), abs=2e-3)
    assert hits["far"] < hits["edge"]


@pytest.mark.parametrize("phrase", ["far", "SKU-far-7", "sku far 7", "SKU-far-8"])
def test_an_id_or_a_sku_is_first(index: ProductIndex, phrase: str) -> None:
    assert ask(index, phrase, 0.5).hits[0][0] == "far"


def test_nothing_fits(index: ProductIndex) -> None:
    query = SearchQuery(10, text=-TEXT, phrase="washing machine", words_weight=0.5)
    (answer,) = answer_many(index, [query])
    assert (answer.hits, answer.total, answer.suggestion) == ([], 0, None)


def test_a_typing_error_is_said(index: ProductIndex) -> None:
    answer = ask(index, "red drses", 0.5)
    assert answer.suggestion == "red dress"
    assert answer.hits[0][0] == "both"


def test_hybrid_searches_blend_words_into_the_text_side(index: ProductIndex) -> None:
    plain = dict(ask(index, None, 0.0, image=TEXT, alpha=0.5).hits)
    fused = dict(ask(index, "red dress", 0.5, image=TEXT, alpha=0.5).hits)
    assert len(plain) == len(fused) == 6
    assert fused["words"] - plain["words"] > fused["far"] - plain["far"]
    assert (
        ask(index, "red dress", 0.5, image=TEXT, alpha=1.0).hits
        == ask(index, None, 0.0, image=TEXT, alpha=1.0).hits
    )
    assert (
        ask(index, "red dress", 0.5, image=-TEXT, alpha=0.0).hits
        == ask(index, "red dress", 0.5).hits
    )


@pytest.mark.parametrize(("cutoff", "is_due"), [(ScoreStats().text_cutoff, True), (0.3, False)])
def test_a_version_without_cutoff_is_rebuilt_once_there_are_products(
    cutoff: float, is_due: bool
) -> None:
    products = ProductIndex(empty_files(DIM), ScoreStats(text_cutoff=cutoff))
    for number in range(CALIBRATION_ROWS):
        assert not products.is_rebuild_due
        products.put(f"p{number}", vector(0.5), ProductAttributes("x", None, 1, True))
    assert products.is_rebuild_due == is_due
