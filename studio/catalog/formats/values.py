"""Values as people and other systems write them: prices, currencies, yes and no, lists of URLs."""

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from errors import Invalid
from studio.catalog.attributes import MAX_ATTRIBUTES, MAX_NAME_CHARS, MAX_TEXT_CHARS

SYMBOLS = {"€": "EUR", "£": "GBP", "₹": "INR", "₺": "TRY", "₩": "KRW", "zł": "PLN", "US$": "USD"}
"""Symbols that name one currency; "$", "¥" and "kr" name several."""
THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies with three decimals (ISO 4217): elsewhere three digits after a comma are thousands."""
NUMBER = re.compile(r"\d[\d.,]*")
SPACES = re.compile(r"[\s'’]")
YES = frozenset(
    [
        "1", "true", "yes", "y", "t", "ja", "wahr", "oui", "vrai", "si", "sí", "sì", "verdadero",
        "vero", "instock", "available", "auflager", "lieferbar", "enstock", "disponible",
        "disponibile", "limitedavailability",
    ]
)  # fmt: skip
NO = frozenset(
    [
        "0", "false", "no", "n", "f", "nein", "falsch", "non", "faux", "falso", "outofstock",
        "soldout", "preorder", "backorder", "discontinued", "unavailable", "nichtauflager",
        "ausverkauft", "rupturedestock", "agotado", "esaurito",
    ]
)  # fmt: skip
URL_BREAK = re.compile(r"[\s,;|]+(?=https?://)")
MAX_QUOTED_CHARS = 40


def read_price(text: str, *, currency: str | None, has_decimal_comma: bool) -> tuple[str, str]:
    """A price as a decimal string, and its currency: "1.049,95 €" is ("1049.95", "EUR").

    A code or symbol beside the number wins over `currency`. Of two different marks the last is the
    decimal one. A single mark before exactly three digits separates thousands if it is a comma, or
    if the file has decimal commas; except in currencies with three decimals.

    Raises:
        Invalid: it is not a price, or no currency is known.
    """
    squeezed = SPACES.sub("", text)
    match = NUMBER.search(squeezed)
    rest = squeezed[: match.start()] + squeezed[match.end() :] if match else squeezed
    if match is None or rest.startswith("-"):
        raise Invalid(f"price: {_quote(text)} is not a price, such as 19.90")
    own = SYMBOLS.get(rest, rest.upper())
    if rest and not re.fullmatch(r"[A-Z]{3}", own):
        raise Invalid(f"price: {_quote(rest)} does not name one currency, as EUR does")
    code = own or (currency or "").strip().upper()
    if not code:
        raise Invalid("currency: the file names none; add a column, or ?currency=EUR")
    number = _to_decimal(match[0], has_decimal_comma, 3 if code in THREE_DECIMALS else 2)
    try:
        return f"{Decimal(number):f}", code
    except InvalidOperation:
        raise Invalid(f"price: {_quote(text)} is not a price, such as 19.90") from None


def _to_decimal(number: str, has_decimal_comma: bool, decimals: int) -> str:
    """The number with a point as its decimal mark and without separators of thousands."""
    mark = max(",.", key=number.rfind)
    other = "." if mark == "," else ","
    if mark not in number:
        return number
    whole, _, fraction = number.rpartition(mark)
    if other in whole:
        return f"{whole.replace(other, '')}.{fraction}"
    if mark in whole:
        return number.replace(mark, "")
    is_point = mark == "." and not has_decimal_comma
    if len(fraction) == 3 and decimals == 2 and not is_point:
        return whole + fraction
    return f"{whole}.{fraction}"


def read_yes(text: str, name: str) -> bool:
    """Whether a text says yes, or is a quantity above 0.

    Raises:
        Invalid: it says neither yes nor no.
    """
    word = re.sub(r"[\s_]|-(?!\d)", "", text).casefold()
    if word in YES or word in NO:
        return word in YES
    try:
        return Decimal(text.strip().replace(",", ".")) > 0
    except InvalidOperation:
        detail = f"{name}: {_quote(text)} is neither yes nor no nor a quantity"
        raise Invalid(detail) from None


def split_urls(texts: Iterable[str]) -> list[str]:
    """URLs in order, each once, of texts that name one or more."""
    urls = (url.strip(" ,;|") for text in texts for url in URL_BREAK.split(text.strip()))
    return list(dict.fromkeys(url for url in urls if url))


def to_product_id(text: str) -> str:
    """A foreign id as one of ours: "-" for slashes and control characters, outer spaces removed."""
    cleaned = re.sub(r"[/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "-", text.strip())
    return cleaned.replace(".", "-") if cleaned in {".", ".."} else cleaned


def column_key(name: str) -> str:
    """A column's name for comparison: "Image Link", "image_link" and "imageLink" are the same."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def attribute_name(name: str) -> str:
    """A column's name as the name of an attribute: "Age group" is `ageGroup`."""
    words = [word for word in re.split(r"[\s_]+", name.strip()) if word]
    first, rest = words[0], words[1:]
    first = first.lower() if first.isupper() else first[0].lower() + first[1:]
    return first + "".join(word[0].upper() + word[1:] for word in rest)


def add_attributes(attributes: dict[str, Any], others: dict[str, list[str]]) -> frozenset[str]:
    """Adds columns that the catalogue has no field for. Returns those that don't fit its rules."""
    ignored = set()
    for column, texts in others.items():
        name = attribute_name(column)
        is_short = len(name) <= MAX_NAME_CHARS and all(len(t) <= MAX_TEXT_CHARS for t in texts)
        if name in attributes or not is_short or len(attributes) >= MAX_ATTRIBUTES:
            ignored.add(column)
        else:
            attributes[name] = texts[0] if len(texts) == 1 else texts
    return frozenset(ignored)


def _quote(text: str) -> str:
    return repr(text[:MAX_QUOTED_CHARS])
