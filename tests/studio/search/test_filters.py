"""Forms of filters: what the index applies, and what the log stores."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.index.shapes import Filters
from studio.search.filters import FiltersForm

EVERYTHING: dict[str, Any] = {
    "category": "Dress", "brand": ["b", "a"], "groupId": "g", "priceMin": 1, "priceMax": "2.5",
    "currency": "eur", "inStock": True, "attributes": {"size": ["S", "M"], "colour": "red"},
}  # fmt: skip


def test_every_field_reaches_the_index() -> None:
    plain = Filters(
        category=frozenset({"Dress"}), brand=frozenset({"a", "b"}), price_min_e4=10_000,
        price_max_e4=25_000, in_stock=True, group_id=frozenset({"g"}), currency="eur",
        attributes=(("colour", frozenset({"red"})), ("size", frozenset({"S", "M"}))),
    )  # fmt: skip
    assert FiltersForm.model_validate(EVERYTHING).to_filters() == plain
    both = FiltersForm.model_validate({"not": EVERYTHING})
    assert both.to_filters() == Filters(without=plain)
    assert both.to_params()["not"]["brand"] == ["a", "b"]
    assert FiltersForm.model_validate({"not": {}}).to_filters().is_open
    assert FiltersForm.model_validate({}).to_params() == {}


@pytest.mark.parametrize(
    "fields",
    [{"not": {"not": {}}}, {"size": "M"}, {"not": {"priceMin": 2, "priceMax": 1}},
     {"attributes": {"": "x"}}, {"attributes": {"a": []}}, {"attributes": {"a": "x" * 501}},
     {"attributes": {f"{n}": "x" for n in range(51)}}, {"currency": "EURO"}, {"groupId": ""}],
)  # fmt: skip
def test_what_no_product_can_have_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FiltersForm.model_validate(fields)
