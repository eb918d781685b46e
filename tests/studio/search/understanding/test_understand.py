"""Queries in five languages and what is read out of them, or must not be."""

import pytest

from studio.search.understanding.catalogue import read_catalogue
from studio.search.understanding.understand import understand
from tests.studio.search.understanding.shops import (
    VOCABULARIES,
    describe,
    in_order,
    rows_of,
)

CATALOGUES = {shop: read_catalogue(vocabulary()) for shop, vocabulary in VOCABULARIES.items()}
UNDERSTOOD, NOT_MISREAD = rows_of("queries.tsv"), rows_of("not_misread.tsv")


@pytest.mark.parametrize(("shop", "query", "expectation"), UNDERSTOOD)
def test_what_a_query_says_is_understood(shop: str, query: str, expectation: str) -> None:
    assert describe(understand(query, CATALOGUES[shop])) == in_order(expectation)


@pytest.mark.parametrize(("shop", "query", "expectation"), NOT_MISREAD)
def test_what_only_looks_like_it_stays_words(shop: str, query: str, expectation: str) -> None:
    assert describe(understand(query, CATALOGUES[shop])) == in_order(expectation)


def test_the_tables_are_large() -> None:
    assert len(UNDERSTOOD) >= 150 and len(NOT_MISREAD) >= 50
