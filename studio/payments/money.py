"""Exact amounts of money, in minor units of a currency that PayPal accepts."""

import re
from dataclasses import dataclass
from decimal import Decimal

from errors import Invalid

WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
"""By PayPal's own table; ISO 4217 gives HUF and TWD two decimals."""
CURRENCIES = WITHOUT_DECIMALS | {
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "MYR",
    "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD",
}  # fmt: skip
LARGEST = Decimal("9999999.99")
PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,10})?", re.ASCII)


@dataclass(frozen=True, order=True)
class Money:
    """An amount of one currency; `minor` counts its smallest units (cents, yen)."""

    currency: str
    minor: int

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, with the currency's own number of decimals."""
        return Decimal(self.minor).scaleb(-decimals_of(self.currency))

    @property
    def value(self) -> str:
        """The decimal string that PayPal and the API use: `19.99`, `1999`."""
        return f"{self.decimal:f}"


def decimals_of(currency: str) -> int:
    """How many decimals an amount of the currency has.

    Raises:
        Invalid: PayPal doesn't accept the currency.
    """
    if currency not in CURRENCIES:
        raise Invalid(f"PayPal does not accept {currency}")
    return 0 if currency in WITHOUT_DECIMALS else 2


def parse_money(value: str, currency: str) -> Money:
    """Parses a decimal string with at most as many decimals as the currency has.

    Raises:
        Invalid: it is not such a number, zero, or too large.
    """
    decimals = decimals_of(currency)
    if PLAIN.fullmatch(value) is None:
        raise Invalid("the amount must be a plain decimal number, such as 19.99")
    if len(value.partition(".")[2]) > decimals:
        raise Invalid(f"an amount of {currency} has at most {decimals} decimals")
    return positive(exact_money(Decimal(value), currency))


def exact_money(amount: Decimal, currency: str) -> Money:
    """A decimal amount in minor units, without rounding.

    Raises:
        Invalid: it is not exact in minor units, or PayPal doesn't accept the currency.
    """
    minor = amount.scaleb(decimals_of(currency))
    if minor != minor.to_integral_value():
        raise Invalid(f"{amount:f} {currency} can't be paid exactly")
    return Money(currency, int(minor))


def positive(money: Money) -> Money:
    """Returns the amount unchanged.

    Raises:
        Invalid: it is zero or less, or more than PayPal takes at once.
    """
    if money.minor <= 0:
        raise Invalid("the amount must be more than zero")
    if money.decimal > LARGEST:
        raise Invalid(f"the amount must be at most {LARGEST}")
    return money
