"""Pinned and buried products, and names that filters read out of words can't hide."""

from dataclasses import replace

import numpy as np
import pytest

from models.index.answers.answer import IndexAnswer, answer_many
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import Filters, Hit, ProductAttributes, ProductText, SearchQuery

CATEGORIES = {"a": "dress", "b": "dress", "c": "dress", "d": "shirt", "e": "shirt"}
TEXT = np.array([1, 0], dtype=np.float32)
DRESSES = Filters(category=frozenset({"dress"}))
QUERY = SearchQuery(10, text=TEXT, phrase="thing", words_weight=0.5, filters=DRESSES)


@pytest.fixture
def index() -> ProductIndex:
    """The later in the alphabet, the less similar to the text."""
    index = ProductIndex(empty_files(2))
    for place, (product_id, category) in enumerate(CATEGORIES.items()):
        vector = np.array([1, place / 4], dtype=np.float64)
        attributes = ProductAttributes(category, None, 10_000 * place, in_stock=True)
        text = ProductText(product_id, f"thing of name {product_id}", category)
        unit = (vector / np.linalg.norm(vector)).astype(np.float16)
        index.put(product_id, unit, attributes, text)
    return index


def answer(index: ProductIndex, query: SearchQuery) -> IndexAnswer:
    return answer_many(index, [query])[0]


def ids(hits: list[Hit]) -> str:
    return "".join(product_id for product_id, _ in hits)


def test_pinned_products_come_first_and_buried_ones_last(index: ProductIndex) -> None:
    plain = answer(index, QUERY)
    assert ids(plain.hits) == "abc"
    query = replace(QUERY, pins=("e", "b"), explicit=Filters(), buried=frozenset({"a"}))
    placed = answer(index, replace(query, facets=("category",)))
    assert ids(placed.hits) == "ebca" and placed.total == 4
    assert dict(placed.hits)["b"] == dict(plain.hits)["b"]  # the scores are shown as they are
    assert placed.facets["category"].values == (("dress", 3), ("shirt", 2))  # type: ignore[union-attr]


def test_pages_go_through_pinned_and_buried_products_once(index: ProductIndex) -> None:
    query = replace(QUERY, top_k=1, pins=("e", "b"), explicit=Filters(), buried=frozenset({"a"}))
    pages, after = "", None
    for _ in range(4):
        page = answer(index, replace(query, after=after))
        pages, after = pages + ids(page.hits), page.end
    assert pages == "ebca" and after is None


def test_a_pin_passes_the_callers_own_filters_only(index: ProductIndex) -> None:
    query = replace(QUERY, pins=("e",))
    assert ids(answer(index, query).hits) == "abc"
    assert ids(answer(index, replace(query, explicit=Filters())).hits) == "eabc"
    explicit = Filters(price_max_e4=20_000)
    assert ids(answer(index, replace(query, explicit=explicit)).hits) == "abc"
    excluded = replace(query, explicit=Filters(), exclude=frozenset({"e"}))
    assert ids(answer(index, excluded).hits) == "abc"
    assert ids(answer(index, replace(query, pins=("unknown",), explicit=Filters())).hits) == "abc"


def test_other_orders_have_pinned_products_in_their_place(index: ProductIndex) -> None:
    query = replace(QUERY, pins=("e",), explicit=Filters(), sort="priceAsc")
    assert ids(answer(index, query).hits) == "abce"


def test_pins_reach_searches_by_picture(index: ProductIndex) -> None:
    query = SearchQuery(2, image=TEXT, pins=("e",), explicit=Filters())
    page = answer(index, query)
    assert ids(page.hits) == "ea" and page.total == 5


def test_the_whole_querys_name_is_never_hidden_and_a_parts_may_be(index: ProductIndex) -> None:
    part = replace(QUERY, phrase="thing of name e", explicit=Filters())
    assert "e" not in ids(answer(index, part).hits)
    whole = replace(part, phrase="thing", name="Thing of name E")
    assert ids(answer(index, whole).hits)[0] == "e"
    explicit = replace(whole, explicit=DRESSES)
    assert "e" not in ids(answer(index, explicit).hits)
