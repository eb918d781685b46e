"""Whole walks through pages of one index: every item once, in order inside each window."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.index import approximate
from models.index.answers.answer import answer_many
from models.index.product_index import ProductIndex
from models.index.shapes import SearchQuery
from tests.models.index.answers.shop import Products, reference
from tests.models.index.answers.test_answer import (
    STATS,
    change,
    draw_products,
    draw_query,
    opened,
    similarities,
)


@pytest.mark.parametrize("is_large", [False, True], ids=["exhaustive", "codes"])
def test_a_walk_shows_every_item_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    if is_large:
        monkeypatch.setattr(approximate, "EXACT_ROWS", 150)
        monkeypatch.setattr(approximate, "LIST_ROWS", 200)
    random = np.random.default_rng(1)
    products = draw_products(250, random)
    index = opened(products, tmp_path / "v")
    for _ in range(25):
        change(index, products, random)
        query = replace(draw_query(random, products), facets=())
        right = expected(index, products, query)
        walked = walk(index, replace(query, top_k=max(query.top_k, 8)))
        assert sorted(walked) == sorted(right)
        if query.sort != "relevance":
            assert walked == right


def expected(index: ProductIndex, products: Products, query: SearchQuery) -> list[str]:
    values = similarities(index, query)

    def is_relevant(product_id: str) -> bool:
        row = index.rows.find(product_id)
        assert row is not None
        return not query.is_by_text or bool(values[row] >= STATS.text_cutoff)

    return reference(products, query, index.plan(query).blend, is_relevant).ids


def walk(index: ProductIndex, query: SearchQuery) -> list[str]:
    """The ids of all pages."""
    listed: list[str] = []
    while True:
        (answer,) = answer_many(index, [query])
        listed += [product_id for product_id, _ in answer.hits]
        if answer.end is None:
            return listed
        assert len(answer.hits) == query.top_k
        query = replace(query, after=answer.end)
