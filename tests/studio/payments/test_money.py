"""Money is exact, or refused."""

from decimal import Decimal

import pytest

from errors import Invalid
from studio.payments.money import LARGEST, Money, exact_money, parse_money, positive


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [("19.99", "EUR", 1999), ("5", "USD", 500), ("0.1", "GBP", 10), ("1999", "JPY", 1999)],
)
def test_decimal_strings_become_minor_units(value: str, currency: str, minor: int) -> None:
    money = parse_money(value, currency)
    assert money == Money(currency, minor)
    assert parse_money(money.value, currency) == money


@pytest.mark.parametrize(
    ("value", "currency"),
    [("0", "EUR"), ("0.001", "EUR"), ("1.5", "JPY"), ("-1", "EUR"), ("1e3", "EUR"), ("", "EUR"),
     ("10000000", "EUR"), ("\u0661", "EUR"), ("1", "XXX")],
)  # fmt: skip
def test_other_amounts_are_refused(value: str, currency: str) -> None:
    with pytest.raises(Invalid):
        parse_money(value, currency)


def test_stored_amounts_are_never_rounded() -> None:
    assert exact_money(Decimal("19.990"), "EUR").minor == 1999
    with pytest.raises(Invalid, match="exactly"):
        exact_money(Decimal("19.999"), "EUR")


def test_the_largest_amount_is_accepted() -> None:
    assert positive(exact_money(LARGEST, "EUR")).decimal == LARGEST
    with pytest.raises(Invalid):
        positive(Money("EUR", exact_money(LARGEST, "EUR").minor + 1))
