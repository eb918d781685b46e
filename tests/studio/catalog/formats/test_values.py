"""Prices, yes and no, URLs, ids and names as files write them."""

import pytest

from errors import Invalid
from studio.catalog.formats.values import (
    add_attributes,
    attribute_name,
    column_key,
    read_price,
    read_yes,
    split_urls,
    to_product_id,
)


@pytest.mark.parametrize(
    ("text", "has_decimal_comma", "price", "currency"),
    [
        ("9.99", False, "9.99", "EUR"),
        ("9,99", False, "9.99", "EUR"),
        ("9,9", True, "9.9", "EUR"),
        ("1.049,95", True, "1049.95", "EUR"),
        ("1.049,95", False, "1049.95", "EUR"),
        ("1,049.95", True, "1049.95", "EUR"),
        ("1.049", True, "1049", "EUR"),
        ("1.049", False, "1.049", "EUR"),
        ("1,299", False, "1299", "EUR"),
        ("1.049.000", False, "1049000", "EUR"),
        ("1 049,95 €", True, "1049.95", "EUR"),
        ("1\u202f049,95\u00a0EUR", True, "1049.95", "EUR"),
        ("CHF 1'049.50", False, "1049.50", "CHF"),
        ("£5", False, "5", "GBP"),
        ("29.00 USD", False, "29.00", "USD"),
        ("1,299.00 JPY", False, "1299.00", "JPY"),
        ("1,250 KWD", True, "1.250", "KWD"),
        ("usd 3", False, "3", "USD"),
        ("5.", False, "5", "EUR"),
    ],
)  # fmt: skip
def test_prices(text: str, has_decimal_comma: bool, price: str, currency: str) -> None:
    read = read_price(text, currency="EUR", has_decimal_comma=has_decimal_comma)
    assert read == (price, currency)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("free", "'free' is not a price"),
        ("", "is not a price"),
        ("-5", "'-5' is not a price"),
        ("5 $", "'\\$' does not name one currency"),
        ("5 Taler", "'Taler' does not name one currency"),
        ("5", "currency: the file names none"),
        ("x" * 500, "is not a price"),
    ],
)
def test_what_is_no_price_is_named(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        read_price(text, currency=None, has_decimal_comma=False)
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ja", True), ("NEIN", False), ("in_stock", True), ("out of stock", False), ("3", True),
        ("0", False), ("2,5", True), ("-1", False), ("preorder", False), ("Sí", True),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, expected: bool) -> None:
    assert read_yes(text, "inStock") is expected


def test_what_is_neither_is_named() -> None:
    with pytest.raises(Invalid, match="inStock: 'maybe' is neither yes nor no"):
        read_yes("maybe", "inStock")


def test_urls_are_divided_where_the_next_one_starts() -> None:
    first, second = "https://a.example/x,y.jpg?a=1,2", "http://b.example/z.jpg"
    for break_ in (",", ", ", "|", " ", ";\n"):
        assert split_urls([f"{first}{break_}{second} "]) == [first, second]
    assert split_urls(["", first]) == [first]


@pytest.mark.parametrize(
    ("text", "product_id"),
    [("SKU/7", "SKU-7"), (" a b ", "a b"), ("..", "--"), ("a\tb\x00", "a-b-"), ("ä", "ä")],
)
def test_foreign_ids(text: str, product_id: str) -> None:
    assert to_product_id(text) == product_id


def test_names_of_columns() -> None:
    assert len({column_key(name) for name in ("Image Link", "image_link", "imageLink")}) == 1
    names = [attribute_name(name) for name in ("Age group", "GTIN", "Heel height", "colour")]
    assert names == ["ageGroup", "gtin", "heelHeight", "colour"]


def test_what_does_not_fit_is_named() -> None:
    attributes: dict[str, object] = {"size": "S"}
    others = {"Size": ["M"], "fit": ["slim"], "note": ["x" * 501], "tag": ["a", "b"]}
    assert add_attributes(attributes, others) == {"Size", "note"}
    assert attributes == {"size": "S", "fit": "slim", "tag": ["a", "b"]}
    crowd = {f"a{number}": ["1"] for number in range(60)}
    assert len(add_attributes(attributes, crowd)) == 13 and len(attributes) == 50
