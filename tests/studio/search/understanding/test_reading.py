"""Negation, zones and heads: which words describe the product itself."""

import pytest

from studio.search.understanding.catalogue import read_catalogue
from studio.search.understanding.reading import (
    heads_of,
    mark_zones,
    read_negations,
    read_sort,
    read_stock,
)
from studio.search.understanding.spans import Query, read_spans
from tests.studio.search.understanding.shops import demo_vocabulary

CATALOGUE = read_catalogue(demo_vocabulary())


def read(text: str) -> Query:
    return read_spans(text, CATALOGUE)


def negated(text: str) -> set[str]:
    return {value for one in read_negations(read(text)) for _, value in one.values}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("dress without stripes or dots", {"striped", "dotted"}),
        ("dress without stripes and red", {"striped"}),
        ("shirt not red and blue", {"red", "blue"}),
        ("not a striped dress", {"striped"}),
        ("no, red", set()), ("no 5 red", set()), ("without sleeves", set()),
        ("t-shirt -red", {"red"}), ("-red", set()), ("red-striped dress", set()),
    ],
)  # fmt: skip
def test_a_negation_reaches_as_far_as_or_and_and_say(query: str, values: set[str]) -> None:
    assert negated(query) == values


def heads(text: str) -> list[str]:
    query = read(text)
    mark_zones(query)
    return [span.written for span in heads_of(query)]


@pytest.mark.parametrize(
    ("query", "sought"),
    [
        ("shirt dress", ["dress"]), ("shirts and skirts", ["shirts", "skirts"]),
        ("bag for a red dress", ["bag"]), ("dress, shoes", ["dress", "shoes"]),
        ("robe chemise rouge", ["robe"]), ("red", []), ("shoes with a belt, bag", ["shoes", "bag"]),
    ],
)  # fmt: skip
def test_the_garment_that_is_sought_is_found(query: str, sought: list[str]) -> None:
    assert heads(query) == sought


def test_stock_and_sort_are_read_once() -> None:
    query = read("cheapest shoes in stock")
    assert (read_stock(query), read_sort(query)) == (True, "priceAsc")
    assert (read_stock(query), read_sort(query)) == (None, None)
    assert read_stock(read("sold out shoes")) is False
    assert read_stock(read("shoes available in red")) is None
