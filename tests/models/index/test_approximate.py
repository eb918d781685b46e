"""The large index: recall in every plan, no disallowed row, changes, sealing, refusals."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from errors import Conflict
from models.index import approximate
from models.index.approximate import ApproximateIndex, code_parts, main_axes, train_approximate
from models.index.build import IndexWriter
from models.index.check import check_index, refuse_low
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import perturb
from models.index.shapes import (
    NO_FILTERS,
    PRICE_SCALE,
    Filters,
    ProductAttributes,
    Scan,
    SearchQuery,
)
from models.index.stats import Recall

COUNT, DIM = 25_000, 64
PRICES = np.random.default_rng(7).permutation(COUNT) * 10_000


def price_between(low: float, high: float) -> Filters:
    """Bounds as shares of the prices, which are 0 to COUNT; rounded inwards."""
    return Filters(
        price_min_e4=math.ceil(low * COUNT * PRICE_SCALE),
        price_max_e4=math.floor(high * COUNT * PRICE_SCALE),
    )


FILTERS = {
    "0.1 %": price_between(0.5, 0.501),
    "1 %": price_between(0.2, 0.21),
    "2 categories": Filters(category=frozenset({"c3", "C4"})),
    "5 %": price_between(0.3, 0.35),
    "a brand of ten": Filters(brand=frozenset({"b1"})),
    "25 % in stock": Filters(in_stock=True, price_max_e4=int(0.333 * COUNT * PRICE_SCALE)),
    "in stock": Filters(in_stock=True),
    "90 %": price_between(0.0, 0.9),
}


def attributes(row: int, category: int) -> ProductAttributes:
    return ProductAttributes(f"c{category}", f"b{row % 10}", int(PRICES[row]), row % 4 != 0)


class Clusters:
    """Products in 200 overlapping clusters, and brute-force answers over them."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.centres = random.normal(size=(200, DIM))
        self.category = random.integers(0, 200, COUNT)
        self.vectors = self.draw(self.category, random)
        self.queries = self.draw(random.integers(0, 200, 60), random).astype(np.float32)
        self.live = np.ones(COUNT, dtype=np.bool_)
        self.attributes = [attributes(row, int(self.category[row])) for row in range(COUNT)]

    def draw(
        self, categories: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.float16]:
        drawn = self.centres[categories] + random.normal(size=(len(categories), DIM)) * 0.8
        unit: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit.astype(np.float16)

    def allowed(self, filters: Filters) -> NDArray[np.bool_]:
        low, high = filters.price_min_e4 or 0, filters.price_max_e4 or 2**63
        words = {word.lower() for word in filters.category}
        passing = [
            low <= one.price_e4 <= high
            and (not words or one.category in words)
            and (not filters.brand or one.brand in filters.brand)
            and (filters.in_stock is None or one.in_stock == filters.in_stock)
            for one in self.attributes
        ]
        allowed: NDArray[np.bool_] = self.live & np.array(passing)
        return allowed


@pytest.fixture(params=[(1, None), (200, None), (1, "cpu")], ids=["one list", "lists", "torch"])
def index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ProductIndex, Clusters]]:
    lists, device = request.param
    if lists > 1:
        monkeypatch.setattr(approximate, "LIST_ROWS", COUNT)
    clusters = Clusters()
    with IndexWriter(tmp_path) as writer:
        for row, vector in enumerate(clusters.vectors):
            writer.add(f"p{row:06}", vector, clusters.attributes[row])
        writer.finish()
    checked = check_index(tmp_path, list(clusters.queries[:30]))
    refuse_low(checked.recall)
    opened = ProductIndex(open_files(tmp_path), checked.scores, checked.parameters, device)
    assert (opened.list_count > 1) == (lists > 1)
    yield opened, clusters


def check_answers(index: ProductIndex, clusters: Clusters, filters: Filters) -> float:
    """Recall at 10 against brute force; every id must be allowed and every score exact."""
    rows = np.flatnonzero(clusters.allowed(filters))
    allowed = {f"p{row:06}" for row in rows}
    scores = clusters.queries.astype(np.float64) @ clusters.vectors[rows].astype(np.float64).T
    shares = []
    for query, row_scores in zip(clusters.queries, scores, strict=True):
        hits = index.search(SearchQuery(10, image=query, filters=filters))
        assert len(hits) == min(10, len(rows))
        assert all(product_id in allowed for product_id, _ in hits)
        assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0]))
        by_id = dict(zip((f"p{row:06}" for row in rows), row_scores, strict=True))
        assert all(score == round(by_id[product_id], 6) for product_id, score in hits)
        tenth = np.sort(row_scores)[-len(hits)] if hits else 0.0
        shares.append(np.mean([score >= tenth - 1e-6 for _, score in hits]))
    return float(np.mean(shares))


def change(index: ProductIndex, clusters: Clusters, random: np.random.Generator) -> None:
    """Changes 700 vectors and 300 prices, and removes 500 products."""
    rows = random.choice(np.flatnonzero(clusters.live), 1500, replace=False)
    moved, priced, gone = rows[:700], rows[700:1000], rows[1000:]
    clusters.vectors[moved] = clusters.draw(random.integers(0, 200, len(moved)), random)
    for row in priced:
        old = clusters.attributes[row]
        price = int(random.integers(COUNT)) * 10_000
        clusters.attributes[row] = ProductAttributes(old.category, old.brand, price, True)
    for row in np.concatenate([moved, priced]):
        index.put(f"p{row:06}", clusters.vectors[row], clusters.attributes[row])
    clusters.live[gone] = False
    for row in gone:
        index.remove(f"p{row:06}")


# Slow: the answers to nine filters are compared with exact ones, three times.
def test_recall_with_eight_filters_and_after_changes(
    index: tuple[ProductIndex, Clusters], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, clusters = index
    everything = {"none": NO_FILTERS} | FILTERS
    for name, filters in everything.items():
        assert check_answers(opened, clusters, filters) >= 0.95, name
    assert not opened.is_rebuild_due
    monkeypatch.setattr("models.index.product_index.TAIL_ROWS", 512)
    random = np.random.default_rng(3)
    for _ in range(3):
        change(opened, clusters, random)
    assert opened.count == int(clusters.live.sum())
    assert opened.is_rebuild_due
    for name, filters in everything.items():
        assert check_answers(opened, clusters, filters) >= 0.95, name


def test_products_that_are_left_out_are_not_listed(index: tuple[ProductIndex, Clusters]) -> None:
    opened, clusters = index
    query = clusters.queries[0]
    for filters in (NO_FILTERS, Filters(in_stock=True), FILTERS["0.1 %"]):
        hits = opened.search(SearchQuery(12, image=query, filters=filters))
        first = frozenset(product_id for product_id, _ in hits[:2])
        others = opened.search(SearchQuery(10, image=query, filters=filters, exclude=first))
        assert others == hits[2:]


def test_an_answer_that_the_filter_does_not_allow_is_an_error(
    index: tuple[ProductIndex, Clusters], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, clusters = index
    kind: Any = type(opened._approximate)
    plain = kind.search_many

    def ignore_filters(self: Any, scans: list[Scan]) -> Any:
        return plain(self, [replace(scan, lists=99, bits=None) for scan in scans])

    monkeypatch.setattr(kind, "search_many", ignore_filters)
    filters = Filters(in_stock=False)
    with pytest.raises(RuntimeError, match="does not allow"):
        opened.search(SearchQuery(10, image=clusters.queries[0], filters=filters))


def test_an_index_of_low_recall_is_refused() -> None:
    refuse_low(Recall(0.95, 0.95, 1.0))
    for low in (Recall(0.949, 1, 1), Recall(1, 0.9, 1), Recall(1, 1, 0.99)):
        with pytest.raises(Conflict):
            refuse_low(low)


def test_perturbed_queries_are_near_their_product() -> None:
    vectors = Clusters().vectors[:100]
    queries = perturb(vectors)
    similar = (queries * vectors.astype(np.float32)).sum(axis=1)
    assert np.all((similar > 0.9) & (similar < 0.99))


def test_every_length_has_a_code() -> None:
    assert [code_parts(dim) for dim in (512, 256, 768, 64, 6, 7, 1)] == [128, 128, 192, 32, 3, 1, 1]


def test_vectors_near_few_axes_are_rotated_onto_them(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    thin = random.normal(size=(approximate.EXACT_ROWS, 10)) @ random.normal(size=(10, DIM))
    vectors = (thin + 0.01 * random.normal(size=thin.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert len(main_axes(vectors)) == 10
    assert len(main_axes(random.normal(size=(500, DIM)).astype(np.float32))) == 0
    built = train_approximate(vectors.astype(np.float16))
    assert built is not None
    built.add(np.arange(len(vectors)), vectors)
    faiss.write_index(built.index, str(tmp_path / "scan"))
    read = ApproximateIndex(faiss.read_index(str(tmp_path / "scan")))
    query = vectors[17] + 0.1 * random.normal(size=DIM).astype(np.float32)
    true = np.argsort(-(vectors @ query))
    assert np.isin(true[:10], read.search(query, 60, 99, None)).mean() == 1
    even = np.packbits(np.arange(len(vectors)) % 2 == 0, bitorder="little")
    rows = read.search(query, 60, 99, even)
    assert len(rows) == 60 and (rows % 2 == 0).all()
    assert np.isin(true[true % 2 == 0][:10], rows).mean() == 1
