"""A random shop in plain Python, which answers every query by brute force."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import (
    Facet,
    Filters,
    PriceFacet,
    ProductAttributes,
    SearchQuery,
    ValueFacet,
)

DIM = 16
NAMES = ("colour", "Size", "material")


def unit(random: np.random.Generator) -> NDArray[np.float16]:
    vector = random.normal(size=DIM)
    vector[0] += 1.5  # so that similarities spread around a value above 0
    return (vector / np.linalg.norm(vector)).astype(np.float16)


def draw_attributes(random: np.random.Generator) -> ProductAttributes:
    """Random attributes with few values, in several spellings."""
    facts = [
        (str(random.choice([name, name.upper()])), f"{random.choice(['v', 'V'])}{number}")
        for name in NAMES
        for number in random.integers(0, 6, int(random.integers(0, 3)))
    ]
    return ProductAttributes(
        category=str(random.choice(["Dress", "dress", "shirt", "BAG", "shoe"])),
        brand=None if random.random() < 0.2 else f"Brand {random.integers(0, 5)}",
        price_e4=int(random.integers(0, 40)) * 25_000,
        in_stock=bool(random.random() < 0.7),
        currency=str(random.choice(["EUR", "USD"])),
        group_id=None if random.random() < 0.5 else f"G{random.integers(0, 30)}",
        created_us=int(random.integers(0, 50)),
        facts=tuple(facts),
    )


def draw_filters(random: np.random.Generator, depth: int = 1) -> Filters:
    """Random filters, about half of them open."""

    def maybe(share: float) -> bool:
        return bool(random.random() < share)

    names = [name for name in NAMES if maybe(0.15)]
    return Filters(
        category=frozenset({"DRESS", "none"}) if maybe(0.2) else frozenset(),
        brand=frozenset({"brand 1", "BRAND 2", "brand 3"}) if maybe(0.2) else frozenset(),
        price_min_e4=int(random.integers(0, 20)) * 25_000 if maybe(0.2) else None,
        price_max_e4=int(random.integers(15, 40)) * 25_000 if maybe(0.2) else None,
        in_stock=maybe(0.5) if maybe(0.2) else None,
        group_id=frozenset({"g1", "G2", "G3", "G4"}) if maybe(0.05) else frozenset(),
        currency="eur" if maybe(0.1) else None,
        attributes=tuple((name.upper(), frozenset({"v1", "V2", "x"})) for name in names),
        without=draw_filters(random, 0) if depth and maybe(0.3) else None,
    )


def folded(texts: Iterable[str]) -> set[str]:
    return {text.casefold() for text in texts}


def conditions(one: ProductAttributes, filters: Filters) -> dict[str, bool]:
    """Whether a product meets each condition."""
    facts = {(name.casefold(), value.casefold()) for name, value in one.facts}
    low, high = filters.price_min_e4, filters.price_max_e4
    met: dict[str, bool] = {}
    if filters.category:
        met["category"] = one.category.casefold() in folded(filters.category)
    if filters.brand:
        met["brand"] = (one.brand or "").casefold() in folded(filters.brand)
    if low is not None or high is not None:
        met["price"] = (low or 0) <= one.price_e4 and (high is None or one.price_e4 <= high)
    if filters.in_stock is not None:
        met["inStock"] = one.in_stock == filters.in_stock
    if filters.group_id:
        met["groupId"] = (one.group_id or "").casefold() in folded(filters.group_id)
    if filters.currency:
        met["currency"] = one.currency.casefold() == filters.currency.casefold()
    for name, values in filters.attributes:
        own = name.casefold()
        met[f"attributes.{own}"] = any((own, value) in facts for value in folded(values))
    return met


def passes(one: ProductAttributes, filters: Filters, but: str = "") -> bool:
    met = conditions(one, filters)
    met.pop(but.casefold() if but.startswith("attributes.") else but, None)
    left_out = filters.without is not None and any(conditions(one, filters.without).values())
    return all(met.values()) and not left_out


Item = tuple[str, str]


@dataclass
class RightPrices:
    """The prices of the products, and the different pairs of a product (or group) and a price."""

    prices: list[int]
    pairs: set[tuple[Item, int]]


RightFacet = list[tuple[str, int]] | RightPrices


@dataclass
class Reference:
    """The right answer: ids or, if grouped, the best id of each group, in order."""

    ids: list[str]
    facets: dict[str, RightFacet]
    members: dict[str, list[str]]


Products = dict[str, tuple[NDArray[np.float16], ProductAttributes]]
IsRelevant = Callable[[str], bool]


def reference(
    products: Products, query: SearchQuery, blend: NDArray[np.float64], is_relevant: IsRelevant
) -> Reference:
    """Brute force. `blend`: the vector whose inner products order the products."""

    def item_of(product_id: str) -> Item:
        group = products[product_id][1].group_id
        if not query.is_grouped or group is None:
            return "product", product_id
        return "group", group.casefold()

    def key(product_id: str) -> tuple[float, str]:
        vector, one = products[product_id]
        value = {
            "relevance": -round(float(vector.astype(np.float64) @ blend), 6),
            "priceAsc": one.price_e4, "priceDesc": -one.price_e4, "newest": -one.created_us,
        }[query.sort]  # fmt: skip
        return value, product_id

    excluded = {item_of(one) for one in query.exclude if one in products}

    def members_of(but: str = "") -> list[str]:
        return [
            product_id
            for product_id, (_, one) in products.items()
            if passes(one, query.filters, but)
            and is_relevant(product_id)
            and item_of(product_id) not in excluded
        ]

    def facet(name: str) -> RightFacet:
        ids = members_of(name)
        if name == "price":
            prices = [products[one][1].price_e4 for one in ids]
            return RightPrices(prices, set(zip(map(item_of, ids), prices, strict=True)))
        pairs = {
            (item_of(one), value) for one in ids for value in values_of(products[one][1], name)
        }
        counts = Counter(value for _, value in pairs)
        return sorted(counts.items(), key=lambda count: (-count[1], count[0]))

    members: dict[str, list[str]] = {}
    by_item = sorted(members_of(), key=lambda one: (item_of(one), key(one)))
    for _, group in groupby(by_item, key=item_of):
        first, *others = group
        members[first] = others
    return Reference(
        sorted(members, key=key), {name: facet(name) for name in query.facets}, members
    )


def values_of(one: ProductAttributes, facet: str) -> list[str]:
    """The values of a product that a facet counts."""
    match facet:
        case "category":
            return [one.category.casefold()]
        case "brand":
            return [] if one.brand is None else [one.brand.casefold()]
        case "inStock":
            return [str(one.in_stock).lower()]
    own = facet.removeprefix("attributes.").casefold()
    return [value.casefold() for name, value in one.facts if name.casefold() == own]


def check_facets(facets: dict[str, Facet], right: Reference, *, is_grouped: bool) -> None:
    """Compares counted facets with the right ones."""
    assert facets.keys() == right.facets.keys()
    for name, facet in facets.items():
        expected = right.facets[name]
        if isinstance(facet, ValueFacet):
            assert [(value.casefold(), count) for value, count in facet.values] == expected
            continue
        assert isinstance(expected, RightPrices)
        prices = expected.prices
        if not prices:
            assert facet == PriceFacet(None, None, ())
            continue
        assert (facet.min_e4, facet.max_e4) == (min(prices), max(prices))
        for start, end, count in facet.ranges:
            inside = {item for item, price in expected.pairs if start <= price < end}
            number = sum(start <= price < end for price in prices)
            assert count == (len(inside) if is_grouped else number)
        covered = [any(low <= price < high for low, high, _ in facet.ranges) for price in prices]
        assert all(covered) and len(facet.ranges) <= 10
