"""The union of what was understood with the caller's own filters."""

import json
from dataclasses import replace

from models.index.shapes import NO_FILTERS, Filters
from studio.search.understanding.understood import Understood, from_document, to_document

UNDERSTOOD = Understood(
    "red dress", "robe rouge", (("robe", "dress"), ("rouge", "red")),
    Filters(
        category=frozenset({"dress"}), price_max_e4=555_000, in_stock=True,
        attributes=(("colour", frozenset({"red"})),),
    ),
    Filters(attributes=(("pattern", frozenset({"striped"})),)), "priceAsc",
)  # fmt: skip


def test_fields_of_the_caller_win() -> None:
    explicit = Filters(
        price_min_e4=1, attributes=(("Colour", frozenset({"blue"})),),
        without=Filters(attributes=(("pattern", frozenset({"dotted"})),)),
    )  # fmt: skip
    joined = UNDERSTOOD.joined(explicit)
    assert (joined.price_min_e4, joined.price_max_e4) == (1, None)
    assert joined.category == {"dress"} and joined.in_stock is True
    assert joined.attributes == (("Colour", frozenset({"blue"})),)
    assert joined.without == Filters(attributes=(("pattern", frozenset({"dotted", "striped"})),))


def test_what_the_caller_wants_is_not_excluded() -> None:
    explicit = Filters(attributes=(("pattern", frozenset({"striped"})),))
    assert UNDERSTOOD.joined(explicit).without is None


def test_without_anything_understood_the_filters_are_the_callers() -> None:
    explicit = Filters(brand=frozenset({"x"}), group_id=frozenset({"g"}), currency="EUR")
    assert Understood("x", "x").joined(explicit) == explicit
    assert Understood("x", "x").joined(NO_FILTERS).is_open


def test_a_document_gives_the_same_values_back() -> None:
    assert from_document(json.loads(json.dumps(to_document(UNDERSTOOD)))) == UNDERSTOOD
    plain = Understood("x", "y")
    assert from_document(json.loads(json.dumps(to_document(plain)))) == plain


def test_the_log_has_prices_as_numbers_and_no_words() -> None:
    params = UNDERSTOOD.to_params()
    assert params["filters"]["price_max"] == 55.5
    assert "red dress" not in json.dumps(params) and params["sort"] == "priceAsc"
    assert replace(UNDERSTOOD, filters=NO_FILTERS, without=NO_FILTERS, sort=None).to_params() == {}
