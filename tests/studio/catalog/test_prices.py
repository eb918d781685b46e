"""Prices are written exactly, with the digits of their currency."""

from decimal import Decimal

import pytest

from studio.catalog.prices import digits_of, price_text


@pytest.mark.parametrize(
    ("price", "currency", "expected"),
    [
        ("20", "EUR", "20.00"),
        ("19.9", "USD", "19.90"),
        ("19.9900", "USD", "19.99"),
        ("1299", "JPY", "1299"),
        ("1299.00", "JPY", "1299"),
        ("1E+3", "KRW", "1000"),
        ("1.5", "KWD", "1.500"),
        ("1", "CLF", "1.0000"),
        ("0", "EUR", "0.00"),
        ("0.0001", "EUR", "0.0001"),
        ("12.345", "EUR", "12.345"),
        ("0.5", "JPY", "0.5"),
        ("1000000000", "EUR", "1000000000.00"),
    ],
)
def test_a_price_has_its_currencys_digits_and_is_never_rounded(
    price: str, currency: str, expected: str
) -> None:
    assert price_text(Decimal(price), currency) == expected
    assert Decimal(expected) == Decimal(price)


def test_digits_are_those_of_iso_4217() -> None:
    by_code = {"EUR": 2, "HUF": 2, "TWD": 2, "LBP": 2, "IQD": 3, "TND": 3, "ISK": 0, "VND": 0}
    assert {code: digits_of(code) for code in by_code} == by_code
