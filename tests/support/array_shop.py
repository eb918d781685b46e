"""A large random shop in plain arrays, which counts and orders by brute force in milliseconds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.index.answers.answer import IndexAnswer
from models.index.build import IndexWriter
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.shapes import (
    Filters,
    PriceFacet,
    ProductAttributes,
    SearchQuery,
    Sort,
    ValueFacet,
)
from models.index.stats import ScoreStats

DIM = 32
CATEGORIES, BRANDS, COLOURS, SIZES, GROUPS = 30, 60, 12, 7, 20_000
STATS = ScoreStats(0.2, 0.2, 0.1, 0.25, text_cutoff=0.45)
FACETS = ("category", "brand", "inStock", "price", "attributes.colour", "attributes.Size")
SORTS: tuple[Sort, ...] = ("relevance", "priceAsc", "priceDesc", "newest")
Mask = NDArray[np.bool_]


class ArrayShop:
    """Columns by the number of a product; `rows` are its rows in the index.

    Brand and group -1: none. `sizes`: bool (n, SIZES), a product may have several.
    """

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self.random = random
        self.count = count
        self.is_live = np.ones(count, dtype=np.bool_)
        centres = random.normal(size=(200, DIM))
        drawn = centres[random.integers(200, size=count)] + 0.8 * random.normal(size=(count, DIM))
        self.vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)
        self.category = random.integers(0, CATEGORIES, count)
        self.brand = random.integers(-5, BRANDS, count).clip(-1)
        self.price = random.integers(1, 400, count) * 5_000
        self.stock = random.random(count) < 0.7
        self.currency = random.integers(0, 2, count)
        self.group = random.integers(-GROUPS, GROUPS, count).clip(-1)
        self.created = random.integers(0, 50_000, count)
        self.colour = random.integers(0, COLOURS, count)
        self.sizes = random.random((count, SIZES)) < 0.3

    def attributes(self, number: int) -> ProductAttributes:
        """The attributes of a product, in varied spellings."""
        brand, group = int(self.brand[number]), int(self.group[number])
        sizes = [
            ("size" if number % 2 else "Size", f"s{one}")
            for one in np.flatnonzero(self.sizes[number])
        ]
        return ProductAttributes(
            ("c" if number % 3 else "C") + f"{self.category[number]:03}",
            None if brand < 0 else f"b{brand:03}",
            int(self.price[number]),
            bool(self.stock[number]),
            ("EUR", "USD")[self.currency[number]],
            None if group < 0 else f"g{group}",
            int(self.created[number]),
            (("Colour", f"k{self.colour[number]:03}"), *sizes),
        )

    def write(self, folder: Path) -> ProductIndex:
        """An index version of all live products."""
        folder.mkdir()
        with IndexWriter(folder) as writer:
            for number in np.flatnonzero(self.is_live).tolist():
                writer.add(f"p{number:06}", self.vectors[number], self.attributes(number))
            writer.finish()
        index = ProductIndex(open_files(folder), STATS)
        self.rows = np.full(self.count, -1)
        self.rows[self.is_live] = np.arange(np.count_nonzero(self.is_live))
        if index.list_count == 0:
            self.rows[self.is_live] += index.rows.start
        return index

    def change(self, index: ProductIndex, count: int) -> None:
        """Removes, changes or adds a few products."""
        for number in self.random.integers(0, self.count, count).tolist():
            fresh = ArrayShop(1, self.random) if self.random.random() < 0.7 else None
            self.is_live[number] = fresh is not None
            compactions = index.rows.appended.compactions
            if fresh is None:
                index.remove(f"p{number:06}")
            else:
                keeps_vector = self.random.random() < 0.5
                for name, value in vars(fresh).items():
                    if isinstance(value, np.ndarray) and not (name == "vectors" and keeps_vector):
                        getattr(self, name)[number] = value[0]
                index.put(f"p{number:06}", self.vectors[number], self.attributes(number))
            if index.rows.appended.compactions != compactions:
                self.rows = np.array(
                    [index.rows.find(f"p{one:06}") or 0 for one in range(self.count)]
                )
            self.rows[number] = index.rows.find(f"p{number:06}") or 0

    def conditions(self, filters: Filters) -> dict[str, Mask]:
        """The products that meet each condition."""
        masks: dict[str, Mask] = {}
        if filters.category:
            masks["category"] = np.isin(self.category, numbers(filters.category))
        if filters.brand:
            masks["brand"] = np.isin(self.brand, numbers(filters.brand))
        if filters.group_id:
            masks["groupId"] = np.isin(self.group, numbers(filters.group_id))
        low, high = filters.price_min_e4, filters.price_max_e4
        if low is not None or high is not None:
            masks["price"] = (self.price >= (low or 0)) & (self.price <= (high or 10**18))
        if filters.in_stock is not None:
            masks["inStock"] = self.stock == filters.in_stock
        if filters.currency is not None:
            is_usd = filters.currency.casefold() == "usd"
            masks["currency"] = np.asarray(self.currency == int(is_usd))
        for name, values in filters.attributes:
            if name.casefold() == "colour":
                masks["attributes.colour"] = np.isin(self.colour, numbers(values))
            else:
                masks["attributes.size"] = np.asarray(self.sizes[:, numbers(values)].any(axis=1))
        return masks

    def answer_set(self, index: ProductIndex, query: SearchQuery, but: str = "") -> Mask:
        """The products of the answer set; `but`: the facet whose filter is ignored."""
        mask = self.is_live.copy()
        for name, condition in self.conditions(query.filters).items():
            if name != but.casefold().replace("instock", "inStock"):
                mask &= condition
        if query.filters.without is not None:
            for condition in self.conditions(query.filters.without).values():
                mask &= ~condition
        if query.is_by_text:
            similarities = index.similarities(index.plan(query), None)
            mask &= similarities[self.rows] >= np.float32(STATS.text_cutoff)
        for number in numbers(query.exclude):
            if self.is_live[number]:
                items = self.items(query)
                mask &= items != items[number]
        return mask

    def items(self, query: SearchQuery) -> NDArray[np.int64]:
        """The group of each product."""
        own = np.arange(self.count) + GROUPS
        return np.where(self.group >= 0, self.group, own) if query.is_grouped else own

    def draw_query(self) -> SearchQuery:
        """A random search of any kind."""
        random = self.random
        image, text = (self._draw_vector() for _ in range(2))
        kind = random.choice(["text", "image", "hybrid", "similar"])
        number = int(random.integers(self.count))
        return SearchQuery(
            int(random.integers(1, 60)),
            image=None if kind == "text" else image,
            text=text if kind in ("text", "hybrid") else None,
            alpha=float(random.choice([0.0, 0.5, 1.0])),
            filters=self._draw_filters(),
            exclude=frozenset({f"p{number:06}"}) if kind == "similar" else frozenset(),
            sort=SORTS[random.choice(4, p=[0.55, 0.15, 0.15, 0.15])],
            facets=tuple(name for name in FACETS if random.random() < 0.3),
            is_grouped=bool(random.random() < 0.3),
        )

    def _draw_vector(self) -> NDArray[np.float32]:
        near = self.vectors[self.random.integers(self.count)].astype(np.float64)
        vector = near + 0.1 * self.random.normal(size=DIM)
        unit: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    def _draw_filters(self) -> Filters:
        random = self.random

        def maybe(share: float = 0.15) -> bool:
            return bool(random.random() < share)

        def some(letter: str, most: int) -> frozenset[str]:
            return frozenset(f"{letter}{one:03}" for one in random.integers(0, most, 3))

        plain = Filters(
            category=some("C", CATEGORIES) if maybe() else frozenset(),
            brand=some("B", BRANDS) if maybe() else frozenset(),
            price_min_e4=int(random.integers(0, 10**6)) if maybe() else None,
            price_max_e4=int(random.integers(10**6, 2 * 10**6)) if maybe() else None,
            in_stock=maybe(0.5) if maybe() else None,
            group_id=some("G", GROUPS) if maybe(0.03) else frozenset(),
            currency="eur" if maybe() else None,
            attributes=(
                *([("COLOUR", some("K", COLOURS))] if maybe() else []),
                *([("SIZE", frozenset({f"S{random.integers(SIZES)}"}))] if maybe() else []),
            ),
        )
        if not maybe(0.2):
            return plain
        return replace(plain, without=self._draw_filters())


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers in names such as `p000007`."""
    return [int(name[1:]) for name in names]


def check(shop: ArrayShop, index: ProductIndex, query: SearchQuery, answer: IndexAnswer) -> None:
    """Compares total, facets, order and groups of an answer with brute force."""
    mask, items = shop.answer_set(index, query), shop.items(query)
    rows = np.flatnonzero(mask)
    assert answer.total == len(np.unique(items[rows]))
    assert len(answer.hits) == min(query.top_k, answer.total)
    hits = numbers(product_id for product_id, _ in answer.hits)
    assert mask[hits].all() and len(set(items[hits].tolist())) == len(hits)
    if query.sort == "relevance":
        assert answer.hits == sorted(answer.hits, key=lambda hit: (-hit[1], hit[0]))
    else:
        key = {"priceAsc": shop.price, "priceDesc": -shop.price, "newest": -shop.created}[
            query.sort
        ]
        ordered = rows[np.lexsort((rows, key[rows]))]
        _, first = np.unique(items[ordered], return_index=True)
        assert hits == ordered[np.sort(first)][: query.top_k].tolist()
    for name in query.facets:
        check_facet(shop, index, replace(query, facets=()), name, answer)
    for product_id, others in answer.variants.items():
        (number,) = numbers([product_id])
        members = set(rows[items[rows] == items[number]].tolist()) - {number}
        listed = set(numbers(one for one, _ in others))
        assert listed == members if len(members) <= 20 else listed < members


def check_facet(
    shop: ArrayShop, index: ProductIndex, query: SearchQuery, name: str, answer: IndexAnswer
) -> None:
    """Compares one facet."""
    rows = np.flatnonzero(shop.answer_set(index, query, name))
    items, facet = shop.items(query)[rows], answer.facets[name]
    if isinstance(facet, PriceFacet):
        prices = shop.price[rows]
        if not len(rows):
            assert facet == PriceFacet(None, None, ())
            return
        assert (facet.min_e4, facet.max_e4) == (prices.min(), prices.max())
        inside = [(prices >= low) & (prices < high) for low, high, _ in facet.ranges]
        assert np.logical_or.reduce(inside).all()
        assert [count for *_, count in facet.ranges] == [
            len(np.unique(items[one])) for one in inside
        ]
        return
    assert isinstance(facet, ValueFacet)
    if name == "attributes.Size":
        values, owners = np.nonzero(shop.sizes[rows].T)
        pairs = zip(items[owners].tolist(), values.tolist(), strict=True)
    else:
        column = {"category": shop.category, "brand": shop.brand, "inStock": shop.stock}
        values = column.get(name, shop.colour)[rows]
        pairs = zip(items.tolist(), values.tolist(), strict=True)
    counts = Counter(value for _, value in set(pairs) if value >= 0)
    listed = {
        value == "true" if name == "inStock" else int(value[1:]): count
        for value, count in facet.values
    }
    assert listed == counts
    assert [count for _, count in facet.values] == sorted(counts.values(), reverse=True)
