"""A product's row as the index stores it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from db.catalog import Change
from db.tables import Product
from models.index.shapes import PRICE_SCALE, ProductAttributes, ProductText

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def attributes_of(product: Product | Change) -> ProductAttributes:
    """The attributes that searches filter, count, sort and group by."""
    return ProductAttributes(
        product.category,
        product.brand,
        price_e4=int((product.price * PRICE_SCALE).to_integral_value()),
        in_stock=product.in_stock,
        currency=product.currency,
        group_id=product.group_id,
        created_us=(product.created_at - EPOCH) // timedelta(microseconds=1),
        facts=tuple(_facts(product.attributes)),
    )


def text_of(product: Product | Change) -> ProductText:
    """The texts that words are matched with."""
    return ProductText(
        product.id,
        product.title,
        product.category,
        product.brand,
        product.sku,
        product.description,
        tuple(value for _, value in _facts(product.attributes)),
    )


def _facts(attributes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values as texts: each value of a list, and numbers and booleans as in JSON."""
    for name, value in attributes.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                yield name, str(one).lower()
            elif isinstance(one, str | int | float):
                yield name, str(one)
