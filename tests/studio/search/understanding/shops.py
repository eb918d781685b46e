"""The vocabularies of two shops, and the tables of queries that are read with them."""

from collections import Counter
from pathlib import Path

from drawing.demo_shop import demo_products
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import PRICE_SCALE, Filters
from studio.search.understanding.understood import Understood

FOLDER = Path(__file__).parent
COUNT = 432


def demo_vocabulary() -> CatalogueValues:
    """What the demo's products carry."""
    products = demo_products(COUNT)
    return CatalogueValues(
        COUNT,
        Counter(product.garment.category for product in products),
        Counter(product.brand.casefold() for product in products),
        {"EUR": COUNT},
        {
            "colour": Counter(product.garment.colour for product in products),
            "pattern": Counter(product.garment.pattern for product in products),
        },
        {"colour": COUNT, "pattern": COUNT},
    )


def big_vocabulary() -> CatalogueValues:
    """A shop of a thousand products with brands that look like words, and few materials."""
    return CatalogueValues(
        1000,
        {"dresses": 200, "shoes": 200, "jeans": 100, "sweaters": 100, "tops & t-shirts": 100,
         "women > hoodies": 100, "handbags": 100, "new in": 100},
        {"off white": 100, "under armour": 200, "not your daughter's jeans": 100, "old navy": 100,
         "max mara": 100, "levi's": 100, "h&m": 100, "only": 50, "next": 50, "orange": 50},
        {"EUR": 500, "GBP": 500},
        {
            "colour": {"off white": 100, "black": 200, "noir": 100, "blue": 200, "red": 100,
                       "flamingo": 200, "white": 100},
            "size": {"42": 100, "m": 200, "xl": 200, "one size": 50},
            "material": {"100% cotton": 100, "leather": 50},
        },
        {"colour": 1000, "size": 500, "material": 150},
    )  # fmt: skip


VOCABULARIES = {"demo": demo_vocabulary, "big": big_vocabulary}


def rows_of(name: str) -> list[tuple[str, str, str]]:
    """(shop, query, expectation) of each line of a table."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [(shop, query, " ".join(expectation.split())) for shop, query, expectation in rows]


def describe(understood: Understood) -> str:
    """What was understood, in the form of the tables."""
    parts = [*_filters(understood.filters, ""), *_filters(understood.without, "not:")]
    if understood.sort:
        parts.append(f"sort={understood.sort}")
    return " ".join([*sorted(parts), "|", understood.text]).strip()


def in_order(expectation: str) -> str:
    """An expectation with its parts in the order of `describe`."""
    parts, _, text = expectation.partition("|")
    return " ".join([*sorted(_parts(parts)), "|", text.strip()]).strip()


def _parts(listed: str) -> list[str]:
    """The parts of `brand=ember row max=50`: a part begins with its name."""
    parts: list[str] = []
    for word in listed.split():
        if "=" in word:
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return parts


def _filters(filters: Filters, prefix: str) -> list[str]:
    texts = {"category": filters.category, "brand": filters.brand, **dict(filters.attributes)}
    parts = [f"{prefix}{name}={','.join(sorted(own))}" for name, own in texts.items() if own]
    for name, price in (("min", filters.price_min_e4), ("max", filters.price_max_e4)):
        parts += [] if price is None else [f"{prefix}{name}={price / PRICE_SCALE:g}"]
    if filters.in_stock is not None:
        parts.append(f"{prefix}stock={'yes' if filters.in_stock else 'no'}")
    return parts + ([f"currency={filters.currency}"] if filters.currency else [])
