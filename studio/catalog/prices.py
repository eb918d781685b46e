"""Prices as the API writes them: plain decimals with the digits of their currency."""

from decimal import Decimal

WITHOUT_DIGITS = frozenset({
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
THREE_DIGITS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
FOUR_DIGITS = frozenset({"CLF", "UYW"})
"""The minor units of ISO 4217, list one; all other currencies have two digits. The digits of CLDR,
as babel has them, follow everyday use and differ (IQD, LBP), and PayPal's differ again
(`studio.payments.money`)."""


def digits_of(currency: str) -> int:
    """How many digits after the point an amount of this currency has."""
    if currency in WITHOUT_DIGITS:
        return 0
    if currency in THREE_DIGITS:
        return 3
    return 4 if currency in FOUR_DIGITS else 2


def price_text(price: Decimal, currency: str) -> str:
    """The exact price, with its currency's digits or, where it is finer, with its own.

    `20` is `20.00` in EUR and `20` in JPY.
    """
    exponent = price.normalize().as_tuple().exponent
    own_digits = -exponent if isinstance(exponent, int) else 0
    return f"{price:.{max(digits_of(currency), own_digits)}f}"
