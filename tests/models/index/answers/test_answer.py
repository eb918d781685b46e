"""Answers against brute force: totals, facets, sorts, groups and pages, with live changes."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.index import approximate
from models.index.answers.answer import IndexAnswer, answer_many
from models.index.build import IndexWriter
from models.index.files import empty_files, open_files
from models.index.product_index import ProductIndex
from models.index.search_plan import plan_search
from models.index.shapes import SearchQuery, Sort
from models.index.stats import ScoreStats, SearchParameters
from tests.models.index.answers.shop import (
    NAMES,
    Products,
    check_facets,
    draw_attributes,
    draw_filters,
    reference,
    unit,
)

FACETS = ("category", "brand", "inStock", "price", *(f"attributes.{name}" for name in NAMES))
STATS = ScoreStats(0.2, 0.2, 0.1, 0.25, text_cutoff=0.3)
SORTS: tuple[Sort, ...] = ("relevance", "priceAsc", "priceDesc", "newest")


def draw_products(count: int, random: np.random.Generator) -> Products:
    return {f"p{place:05}": (unit(random), draw_attributes(random)) for place in range(count)}


def opened(products: Products, folder: Path) -> ProductIndex:
    folder.mkdir()
    with IndexWriter(folder) as writer:
        for product_id in sorted(products):
            writer.add(product_id, *products[product_id])
        writer.finish()
    parameters = SearchParameters(text_depth=40, image_depth=40, image_lists=1, text_lists=1)
    return ProductIndex(open_files(folder), STATS, parameters)


def draw_query(random: np.random.Generator, products: Products) -> SearchQuery:
    kind = random.choice(["text", "image", "hybrid", "similar"])
    vector, text = (unit(random).astype(np.float32) for _ in range(2))
    names = list(products)
    return SearchQuery(
        top_k=int(random.integers(1, 30)),
        image=None if kind == "text" else vector,
        text=text if kind in ("text", "hybrid") else None,
        alpha=float(random.choice([0.0, 0.5, 1.0])),
        filters=draw_filters(random),
        exclude=frozenset({str(random.choice(names))}) if kind == "similar" else frozenset(),
        sort=SORTS[random.choice(4, p=[0.55, 0.15, 0.15, 0.15])],
        facets=tuple(name for name in FACETS if random.random() < 0.4),
        is_grouped=bool(random.random() < 0.4),
    )


def change(index: ProductIndex, products: Products, random: np.random.Generator) -> None:
    """Adds, removes and changes a few products."""
    for number in random.integers(0, 2 * len(products), 12):
        product_id = f"p{number:05}"
        former = products.get(product_id)
        if former is not None and random.random() < 0.3:
            del products[product_id]
            index.remove(product_id)
            continue
        is_same = former is not None and random.random() < 0.5
        vector = former[0] if is_same and former else unit(random)
        products[product_id] = (vector, draw_attributes(random))
        index.put(product_id, *products[product_id])


def similarities(index: ProductIndex, query: SearchQuery) -> NDArray[np.float32]:
    plan = plan_search(query, index.stats, index.parameters)
    return index.similarities(plan, None)


def check(index: ProductIndex, products: Products, query: SearchQuery) -> IndexAnswer:
    """Compares an answer with brute force."""
    (answer,) = answer_many(index, [query])
    blend = plan_search(query, index.stats, index.parameters).blend
    values = similarities(index, query)

    def is_relevant(product_id: str) -> bool:
        row = index.rows.find(product_id)
        assert row is not None
        return not query.is_by_text or bool(values[row] >= STATS.text_cutoff)

    right = reference(products, query, blend, is_relevant)
    assert answer.total == len(right.ids)
    assert len(answer.hits) == min(query.top_k, len(right.ids))
    ids = [product_id for product_id, _ in answer.hits]
    assert len(set(ids)) == len(ids) and set(ids) <= right.members.keys()
    is_exact = index.list_count == 0 or query.sort != "relevance"
    if is_exact:
        assert ids == right.ids[: query.top_k]
    assert (answer.end is None) == (answer.total <= len(answer.hits))
    check_facets(answer.facets, right, is_grouped=query.is_grouped)
    for product_id, hits in answer.variants.items():
        assert [one for one, _ in hits] == right.members[product_id][:20]
    if query.is_grouped:
        assert answer.variants.keys() == {one for one in ids if right.members[one]}
    return answer


@pytest.mark.parametrize("is_large", [False, True], ids=["exhaustive", "codes"])
def test_answers_equal_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    if is_large:
        monkeypatch.setattr(approximate, "EXACT_ROWS", 150)
        monkeypatch.setattr(approximate, "LIST_ROWS", 200)
    random = np.random.default_rng(3 + is_large)
    for version in range(3):
        products = draw_products(250, random)
        index = opened(products, tmp_path / f"{version}")
        assert (index.list_count > 0) == is_large
        for _ in range(40):
            change(index, products, random)
            check(index, products, draw_query(random, products))


def test_an_index_without_products_answers_vectors_of_any_length() -> None:
    index = ProductIndex(empty_files(1))
    vector = np.ones(5, np.float32)
    for query in (
        SearchQuery(3, text=vector), SearchQuery(3, image=vector),
        SearchQuery(3, image=vector, is_grouped=True), SearchQuery(3, text=vector, sort="newest"),
    ):  # fmt: skip
        assert answer_many(index, [query]) == [IndexAnswer([], 0)]
