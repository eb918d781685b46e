"""Numbers that are prices, and their formats."""

from decimal import Decimal

import pytest

from studio.search.understanding.catalogue import NO_CATALOGUE
from studio.search.understanding.prices import NO_RANGE, PriceRange, number_of, read_prices
from studio.search.understanding.spans import read_spans


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("50", "50"), ("49,90", "49.90"), ("49.9", "49.9"), ("1.299", "1299"), ("1,299", "1299"),
        ("1.299,50", "1299.50"), ("1,299.50", "1299.50"), ("1.000.000", "1000000"),
    ],
)  # fmt: skip
def test_separators_of_all_languages_are_read(digits: str, value: str) -> None:
    assert number_of(digits) == Decimal(value)


@pytest.mark.parametrize("digits", ["", "0", "99999999999999999999"])
def test_what_can_be_no_price_is_none(digits: str) -> None:
    assert number_of(digits) is None


def test_a_second_bound_joins_the_first_one() -> None:
    query = read_spans("over 20 under 40 €", NO_CATALOGUE)
    assert read_prices(query) == PriceRange(Decimal(20), Decimal(40), "EUR")
    assert {span.use for span in query.spans} == {"price"}


def test_a_query_without_a_price_has_no_range() -> None:
    assert read_prices(read_spans("levis 501 size 36", NO_CATALOGUE)) == NO_RANGE
