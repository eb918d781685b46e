"""A product's row as the index stores it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from db.catalog import Change
from models.index.shapes import ProductAttributes
from studio.index.rows import attributes_of


def test_every_column_is_copied_and_attributes_become_texts() -> None:
    attributes: dict[str, Any] = {
        "size": ["S", "M"], "weight": 1.5, "count": 3, "isNew": True, "Colour": "Red",
        "none": None, "nested": {"a": 1},
    }  # fmt: skip
    values = {
        "id": "p", "change_seq": 1, "deleted_at": None, "category": "Dress", "brand": None,
        "created_at": datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC), "group_id": "g",
        "price": Decimal("19.9999"), "currency": "EUR", "in_stock": False,
        "attributes": attributes, "vector": None,
    }  # fmt: skip
    change = Change(**{name: values.get(name) for name in Change._fields})  # type: ignore[arg-type]
    assert attributes_of(change) == ProductAttributes(
        "Dress", None, 199_999, False, "EUR", "g", 1_767_225_600_000_007,
        (("size", "S"), ("size", "M"), ("weight", "1.5"), ("count", "3"), ("isNew", "true"),
         ("Colour", "Red")),
    )  # fmt: skip
